// CreateApiKey: a new key, shown once.

import type { CreateApiKeyRequest, CreateApiKeyResponse } from '@maildoot/proto/maildoot/auth/v1/auth';
import type { RpcCall } from '@maildoot/rpc/server';
import { callingTenant } from '../calling-tenant.ts';
import { createApiKey as create, type KeyMaker } from '../create-api-key.ts';
import { errors } from '../errors.ts';
import { repeatableOf } from '../idempotent-answer.ts';
import { isWithin } from '../key-limits.ts';
import { checkNewApiKey } from '../new-api-key.ts';
import { isForOwners, managingScope, mayManage, scopeName } from '../scope.ts';
import { telemetry } from '../telemetry.ts';

export function createApiKey(maker: KeyMaker) {
  return async (request: CreateApiKeyRequest, call: RpcCall): Promise<CreateApiKeyResponse> => {
    // A scope that isn't one is judged below; who may not even make the narrowest key is told so first.
    const wanted = scopeName(request.scope) ?? 'read';
    if (!mayManage(managingScope(request), wanted)) {
      throw errors.INSUFFICIENT_SCOPE({ message: 'This key may not make keys: that takes a key of scope full.' });
    }
    if (isForOwners(wanted, request.callerRole)) {
      throw errors.INSUFFICIENT_SCOPE({
        message: 'A full key may what an owner may: only owners make one. Make one of scope send or read.',
      });
    }
    // Ten keys of its own limit each would be ten times its limit.
    if ((request.callerLimits?.dailyLimit ?? 0) > 0 && wanted !== 'read') {
      throw errors.INSUFFICIENT_SCOPE({ message: 'A key with a daily_limit makes only keys of scope read.' });
    }
    const check = (now: Date) => checkNewApiKey(request, now);
    // Who may not make it may not see it either: before an answer that is shown again. Its expiry may have come since; that is judged later.
    const asked = check(new Date(0));
    if (asked.ok && !isWithin(asked.value, request.callerLimits)) {
      throw errors.INSUFFICIENT_SCOPE({
        message:
          'A key can’t make one with wider limits than its own: keep to its allowed_ips, allowed_domains, expires_at, daily_limit and test.',
      });
    }
    const response = await create(maker, callingTenant(call), check, request, repeatableOf(request));
    if (!response.replayed && response.apiKey)
      telemetry.keyCreated(call.logger, response.apiKey.id, scopeName(response.apiKey.scope) ?? '');
    return response;
  };
}
