// Authenticate: who a credential belongs to.

import { type AuthenticateRequest, type AuthenticateResponse, CredentialKind, Role } from '@maildoot/proto/maildoot/auth/v1/auth';
import type { RpcCall } from '@maildoot/rpc/server';
import type { Clock } from '@maildoot/runtime/clock';
import { uuidToId } from '@maildoot/runtime/ids';
import { standing } from '../credential.ts';
import { errors } from '../errors.ts';
import type { LastUsed } from '../last-used.ts';
import { scopeOf } from '../scope.ts';
import type { EntryToStore } from '../store/audit.ts';
import type { Store } from '../store.ts';
import { telemetry } from '../telemetry.ts';

export interface AuthenticateParts {
  store: Store;
  clock: Clock;
  lastUsed: LastUsed;
  /** For the owner's audit log. */
  note: (entry: EntryToStore) => void;
}

export function authenticate({ store, clock, lastUsed, note }: AuthenticateParts) {
  return async (request: AuthenticateRequest, call: RpcCall): Promise<AuthenticateResponse> => {
    const key = await store.findKeyBySha256(request.keySha256);
    const outcome = key === undefined ? 'unknown' : standing(key, clock.now());
    telemetry.authenticated(call.logger, outcome, key && uuidToId('key', key.id));
    // One answer for all: whether a key ever existed is nobody's business who hasn't got a good one.
    if (key !== undefined && outcome !== 'ok') {
      const subjectId = uuidToId('key', key.id);
      note({ tenantId: key.tenantId, action: 'api_key.refused', actorId: '', subjectId, address: request.address, detail: outcome });
    }
    if (key === undefined || outcome !== 'ok')
      throw errors.INVALID_TOKEN({ message: 'The credential is not valid. Check the key, or make a new one.' });

    lastUsed.note(key.id, key.lastUsedAt);
    return {
      principal: {
        tenantId: uuidToId('ten', key.tenantId),
        apiKeyId: uuidToId('key', key.id),
        scope: scopeOf(key.scope),
        allowedIps: key.allowedIps,
        allowedDomains: key.allowedDomains,
        expiresAt: key.expiresAt ?? undefined,
        kind: key.test ? CredentialKind.CREDENTIAL_KIND_TEST_KEY : CredentialKind.CREDENTIAL_KIND_API_KEY,
        userId: '',
        role: Role.ROLE_UNSPECIFIED,
        suspended: key.suspended,
        dailyLimit: key.dailyLimit,
      },
    };
  };
}
