// What domain-provisioning knows of sending domains, kept in memory.
import assert from 'node:assert/strict';
import { type Domain, DomainServiceService } from '@maildoot/proto/maildoot/domain/v1/domain';
import { type ImplementedService, implement } from '@maildoot/rpc/server';
import { type Answer, errors, type Tenant } from './fake-tenant.ts';
import { sampleDomain } from './samples.ts';

export function domainService(answer: Answer): ImplementedService {
  const allow = ['gateway'];
  return implement(DomainServiceService, {
    createDomain: {
      allow,
      handle: (request, call) => answer('createDomain', request, call, () => ({ domain: sampleDomain(request.domain), replayed: false })),
    },
    listDomains: {
      allow,
      handle: (request, call) =>
        answer('listDomains', request, call, (tenant) => ({ domains: [...tenant.domains.values()], hasMore: false })),
    },
    getDomain: {
      allow,
      handle: (request, call) => answer('getDomain', request, call, (tenant) => ({ domain: domainOf(tenant, request.domain) })),
    },
    deleteDomain: {
      allow,
      handle: (request, call) =>
        answer('deleteDomain', request, call, (tenant) => {
          domainOf(tenant, request.domain);
          tenant.domains.delete(request.domain);
          return {};
        }),
    },
    rotateDkim: {
      allow,
      handle: (request, call) =>
        answer('rotateDkim', request, call, (tenant) => ({ domain: domainOf(tenant, request.domain), replayed: false })),
    },
    getMailHosts: { allow: ['messaging', 'delivery'], handle: () => assert.fail('not for the gateway') },
    verifyDomain: {
      allow,
      handle: (request, call) =>
        answer('verifyDomain', request, call, (tenant) => {
          return { domain: domainOf(tenant, request.domain), replayed: false };
        }),
    },
    checkSenderDomains: { allow: ['messaging'], handle: () => assert.fail('not for the gateway') },
    getSigningKey: { allow: ['delivery'], handle: () => assert.fail('not for the gateway') },
  });
}

function domainOf(tenant: Tenant, name: string): Domain {
  const domain = tenant.domains.get(name);
  if (!domain) throw errors.NOT_FOUND({ message: 'There is no such domain.' });
  return domain;
}
