// RevokeApiKey: ends a key. A foreign one is as missing as one that never was.

import type { RevokeApiKeyRequest, RevokeApiKeyResponse } from '@maildoot/proto/maildoot/auth/v1/auth';
import type { RpcCall } from '@maildoot/rpc/server';
import type { Clock } from '@maildoot/runtime/clock';
import { idToUuid } from '@maildoot/runtime/ids';
import { callingTenant } from '../calling-tenant.ts';
import { errors } from '../errors.ts';
import { isWithin } from '../key-limits.ts';
import { isForOwners, managingScope, mayManage, scopeName, scopeOf } from '../scope.ts';
import type { Store } from '../store.ts';
import { telemetry } from '../telemetry.ts';

export function revokeApiKey({ store, clock }: { store: Store; clock: Clock }) {
  return async (request: RevokeApiKeyRequest, call: RpcCall): Promise<RevokeApiKeyResponse> => {
    // Before anything is looked up: a narrow key learns nothing about which ids exist.
    const caller = managingScope(request);
    if (!mayManage(caller, 'read')) throw tooNarrow();
    const tenantId = callingTenant(call);
    const id = idToUuid('key', request.id);
    const key = id === undefined ? undefined : await store.findKey(tenantId, id);
    if (key === undefined) throw notFound();
    const scope = scopeName(scopeOf(key.scope));
    if (scope !== undefined && (!mayManage(caller, scope) || isForOwners(scope, request.callerRole))) throw tooNarrow();
    if (!isWithin(key, request.callerLimits)) throw tooLimited();
    // Revoked by somebody else since it was looked up.
    const entry = {
      tenantId,
      action: 'api_key.revoked',
      actorId: request.actorId,
      subjectId: request.id,
      address: request.address,
    } as const;
    if (!(await store.revokeKey(tenantId, key.id, clock.now(), entry))) throw notFound();
    telemetry.keyRevoked(call.logger, request.id);
    return {};
  };
}

function tooNarrow() {
  return errors.INSUFFICIENT_SCOPE({ message: 'This key may not be revoked by you: that takes a key of scope full, or an owner.' });
}

function tooLimited() {
  return errors.INSUFFICIENT_SCOPE({ message: 'A key can’t revoke one with wider limits than its own.' });
}

function notFound() {
  return errors.NOT_FOUND({ message: 'There is no API key with this id.' });
}
