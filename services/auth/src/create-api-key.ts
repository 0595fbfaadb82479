// Making a key. The answer shows it this once; for a day the same request with the same idempotency key shows it again, from a record
// in which it rests sealed.

import type { IdempotencyRequest } from '@maildoot/db/idempotency';
import { CreateApiKeyResponse } from '@maildoot/proto/maildoot/auth/v1/auth';
import type { Clock } from '@maildoot/runtime/clock';
import { newUuid } from '@maildoot/runtime/ids';
import type { Sealer } from '@maildoot/runtime/seal';
import { generateApiKey } from './api-key.ts';
import { errors } from './errors.ts';
import type { Checked, NewApiKey } from './new-api-key.ts';
import { shownKey } from './shown-key.ts';
import type { KeyToStore, Once, Store } from './store.ts';

const operation = 'create_api_key';

export interface KeyMaker {
  store: Store;
  sealer: Sealer;
  clock: Clock;
}

/** What makes a request the same as an earlier one. */
export interface Repeatable {
  key: string;
  requestHash: Uint8Array;
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
  if (request === undefined) {
    await maker.store.insertKey(stored);
    return response;
  }
  const sealed = maker.sealer.seal(CreateApiKeyResponse.encode(response).finish(), sealedFor(request));
  const once = await maker.store.insertKeyOnce(stored, { ...request, response: sealed }, now);
  return once.outcome === 'done' ? response : answerOf(once, request, maker.sealer);
}

/** A key and its row. Only the hash of the key is in the row. */
export function makeKey(wanted: NewApiKey, tenantId: string, now: Date): { stored: KeyToStore; key: string } {
  const { key, sha256, prefix } = generateApiKey();
  const { name, scope, expiresAt, allowedIps, allowedDomains } = wanted;
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
    },
  };
}

function answerOf(once: Exclude<Once, { outcome: 'done' }>, request: IdempotencyRequest, sealer: Sealer): CreateApiKeyResponse {
  switch (once.outcome) {
    case 'replay':
      return { ...CreateApiKeyResponse.decode(sealer.open(once.response, sealedFor(request))), replayed: true };
    case 'mismatch':
      throw errors.IDEMPOTENCY_MISMATCH({ message: 'This idempotency key was used with another request. Use a new one for a new key.' });
    case 'in_progress':
      throw errors.IDEMPOTENCY_IN_PROGRESS({
        message: 'The first request with this idempotency key is still running. Try again shortly.',
        retryAfterMs: 1000,
      });
  }
}

/** Copied into another tenant's record, or under another key, the answer doesn't open. */
function sealedFor({ tenantId, operation: of, key }: IdempotencyRequest): string {
  return `idempotency:${tenantId}:${of}:${key}`;
}
