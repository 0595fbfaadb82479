// CreateDomain: a claim, with what to publish.

import type { CreateDomainRequest, CreateDomainResponse } from '@maildoot/proto/maildoot/domain/v1/domain';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { createDomain as create, type DomainMaker } from '../create-domain.ts';
import { repeatableOf } from '../repeatable.ts';
import { telemetry } from '../telemetry.ts';

export function createDomain(maker: DomainMaker) {
  return async (request: CreateDomainRequest, call: RpcCall): Promise<CreateDomainResponse> => {
    const { domain, replayed, keysFrom } = await create(maker, callingTenant(call), request.domain, repeatableOf(request));
    if (domain && keysFrom) telemetry.domainCreated(call.logger, domain.id, domain.domain, keysFrom);
    return { domain, replayed };
  };
}
