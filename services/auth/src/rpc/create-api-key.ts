// CreateApiKey: a new key, shown once.

import type { CreateApiKeyRequest, CreateApiKeyResponse } from '@maildoot/proto/maildoot/auth/v1/auth';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { createApiKey as create, type KeyMaker, type Repeatable } from '../create-api-key.ts';
import { errors } from '../errors.ts';
import { isWithin } from '../key-limits.ts';
import { checkNewApiKey } from '../new-api-key.ts';
import { mayManage, scopeName } from '../scope.ts';
import { telemetry } from '../telemetry.ts';

export function createApiKey(maker: KeyMaker) {
  return async (request: CreateApiKeyRequest, call: RpcCall): Promise<CreateApiKeyResponse> => {
    // A scope that isn't one is judged below; who may not even make the narrowest key is told so first.
    if (!mayManage(request.callerScope, scopeName(request.scope) ?? 'read')) {
      throw errors.INSUFFICIENT_SCOPE({ message: 'This key may not make keys: that takes a key of scope full.' });
    }
    const check = (now: Date) => {
      const checked = checkNewApiKey(request, now);
      if (checked.ok && !isWithin(checked.value, request.callerLimits)) {
        throw errors.INSUFFICIENT_SCOPE({
          message: 'A key can’t make one with wider limits than its own: keep to its allowed_ips, allowed_domains and expires_at.',
        });
      }
      return checked;
    };
    const response = await create(maker, callingTenant(call), check, repeatableOf(request));
    if (!response.replayed && response.apiKey)
      telemetry.keyCreated(call.logger, response.apiKey.id, scopeName(response.apiKey.scope) ?? '');
    return response;
  };
}

function repeatableOf({ idempotencyKey, requestSha256 }: CreateApiKeyRequest): Repeatable | undefined {
  if (idempotencyKey === '') return undefined;
  if (idempotencyKey.length > 255 || /\p{Cc}/u.test(idempotencyKey)) {
    const issue = { path: 'Idempotency-Key', code: 'invalid_value', message: 'At most 255 characters, none of them a control character.' };
    throw errors.VALIDATION_ERROR({ message: 'The idempotency key can’t be used.', issues: [issue] });
  }
  if (requestSha256.length !== 32) throw new Error('an idempotent request carries the SHA-256 of what is asked');
  return { key: idempotencyKey, requestHash: requestSha256 };
}
