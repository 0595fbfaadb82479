// A key as lists and answers show it: everything but the key.

import type { ApiKey } from '@maildoot/proto/maildoot/auth/v1/auth';
import { uuidToId } from '@maildoot/runtime/ids';
import { scopeOf } from './scope.ts';
import type { StoredKey } from './store.ts';

export function shownKey(key: Omit<StoredKey, 'tenantId' | 'revokedAt'>): ApiKey {
  return {
    id: uuidToId('key', key.id),
    name: key.name,
    prefix: key.prefix,
    scope: scopeOf(key.scope),
    allowedIps: key.allowedIps,
    allowedDomains: key.allowedDomains,
    createdAt: key.createdAt,
    expiresAt: key.expiresAt ?? undefined,
    lastUsedAt: key.lastUsedAt ?? undefined,
    test: key.test,
    dailyLimit: key.dailyLimit,
  };
}
