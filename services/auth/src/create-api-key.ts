// Making a key. The answer shows it this once; for a day the same request with the same idempotency key shows it again, from a record
// in which it rests sealed.

import type { IdempotencyRequest } from '@maildoot/db/idempotency';
import type { Repeatable } from '@maildoot/db/repeatable';
import { CreateApiKeyResponse } from '@maildoot/proto/maildoot/auth/v1/auth';
import type { Clock } from '@maildoot/runtime/clock';
import { newUuid, uuidToId } from '@maildoot/runtime/ids';
import type { Sealer } from '@maildoot/runtime/seal';
import { generateApiKey } from './api-key.ts';
import { errors } from './errors.ts';
import { sealedFor, storedAnswer } from './idempotent-answer.ts';
import type { Checked, NewApiKey } from './new-api-key.ts';
import { shownKey } from './shown-key.ts';
import type { EntryToStore } from './store/audit.ts';
import type { KeyToStore, Once, Store } from './store.ts';

const operation = 'create_api_key';

export interface KeyMaker {
  store: Store;
  sealer: Sealer;
  clock: Clock;
}

/**
 * 1. answered before → the same answer (also when the request would no longer pass, because its expiry has come since)
 * 2. check it
 * 3. make the key, and keep it together with the sealed answer in one transaction
 */
export async function createApiKey(
  maker: KeyMaker,
  tenantId: string,
  check: (now: Date) => Checked,
  by: { actorId: string; address?: string | undefined },
  repeatable: Repeatable | undefined,
): Promise<CreateApiKeyResponse> {
  const now = maker.clock.now();
  const request: IdempotencyRequest | undefined = repeatable && { tenantId, operation, ...repeatable };
  if (request !== undefined) {
    const finding = await maker.store.findAnswer(request, now);
    if (finding.outcome !== 'absent') return answerOf(finding, request, maker.sealer);
  }

  const checked = check(now);
  if (!checked.ok)
    throw errors.VALIDATION_ERROR({ message: 'The key can’t be made like this; the issues say why.', issues: checked.issues });

  const { stored, key } = makeKey(checked.value, tenantId, now);
  const response: CreateApiKeyResponse = { apiKey: shownKey({ ...stored, lastUsedAt: null }), key, replayed: false };
  const entry: EntryToStore = {
    tenantId,
    action: 'api_key.created',
    actorId: by.actorId,
    address: by.address,
    subjectId: uuidToId('key', stored.id),
    detail: stored.test ? `${stored.scope} test` : stored.scope,
  };
  if (request === undefined) {
    await maker.store.insertKey(stored, entry);
    return response;
  }
  const sealed = maker.sealer.seal(CreateApiKeyResponse.encode(response).finish(), sealedFor(request));
  const once = await maker.store.insertKeyOnce(stored, { ...request, response: sealed }, entry, now);
  return once.outcome === 'done' ? response : answerOf(once, request, maker.sealer);
}

/** A key and its row. Only the hash of the key is in the row. */
export function makeKey(wanted: NewApiKey, tenantId: string, now: Date): { stored: KeyToStore; key: string } {
  const { key, sha256, prefix } = generateApiKey(wanted.test);
  const { name, scope, expiresAt, allowedIps, allowedDomains, test, dailyLimit } = wanted;
  return {
    key,
    stored: {
      id: newUuid(),
      tenantId,
      name,
      scope,
      sha256,
      prefix,
      allowedIps,
      allowedDomains,
      createdAt: now,
      expiresAt: expiresAt ?? null,
      test,
      dailyLimit,
    },
  };
}

function answerOf(once: Exclude<Once, { outcome: 'done' }>, request: IdempotencyRequest, sealer: Sealer): CreateApiKeyResponse {
  return { ...CreateApiKeyResponse.decode(sealer.open(storedAnswer(once), sealedFor(request))), replayed: true };
}
