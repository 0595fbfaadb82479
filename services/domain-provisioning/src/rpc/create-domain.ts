// CreateDomain: a claim, with what to publish.

import type { CreateDomainRequest, CreateDomainResponse } from '@maildoot/proto/maildoot/domain/v1/domain';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { createDomain as create, type DomainMaker, type Repeatable } from '../create-domain.ts';
import { errors } from '../errors.ts';
import { telemetry } from '../telemetry.ts';

export function createDomain(maker: DomainMaker) {
  return async (request: CreateDomainRequest, call: RpcCall): Promise<CreateDomainResponse> => {
    const { domain, replayed, keysFrom } = await create(maker, callingTenant(call), request.domain, repeatableOf(request));
    if (domain && keysFrom) telemetry.domainCreated(call.logger, domain.id, domain.domain, keysFrom);
    return { domain, replayed };
  };
}

function repeatableOf({ idempotencyKey, requestSha256 }: CreateDomainRequest): Repeatable | undefined {
  if (idempotencyKey === '') return undefined;
  if (idempotencyKey.length > 255 || /\p{Cc}/u.test(idempotencyKey)) {
    const issue = { path: 'Idempotency-Key', code: 'invalid_value', message: 'At most 255 characters, none of them a control character.' };
    throw errors.VALIDATION_ERROR({ message: 'The idempotency key can’t be used.', issues: [issue] });
  }
  if (requestSha256.length !== 32) throw new Error('an idempotent request carries the SHA-256 of what is asked');
  return { key: idempotencyKey, requestHash: requestSha256 };
}
