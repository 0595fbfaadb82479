// POSTs that may arrive twice: the effect and its answer in one transaction, and the same request again gets the same answer for a day. The
// answers rest sealed: some show a secret.
import type { Database } from '@maildoot/db/database';
import { claim, findRecord, type IdempotencyFinding, type IdempotencyRequest, store } from '@maildoot/db/idempotency';
import type { Clock } from '@maildoot/runtime/clock';
import type { Sealer } from '@maildoot/runtime/seal';
import type pg from 'pg';
import { errors } from '../errors.ts';

export interface OnceParts {
  database: Database;
  sealer: Sealer;
  clock: Clock;
}

/** As requests carry it. */
export interface Repeatable {
  idempotencyKey: string;
  requestSha256: Uint8Array;
}

/** How an answer becomes bytes. */
interface Codec<T> {
  encode(value: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

/**
 * `prepare` looks outside (names, addresses) and runs only for who is the first; `work` has the effect. Answers `replayed: true` with
 * what was answered before.
 */
export async function once<T extends { replayed: boolean }, P>(
  { database, sealer, clock }: OnceParts,
  of: { tenantId: string; operation: string; repeatable: Repeatable | undefined; codec: Codec<T> },
  prepare: () => Promise<P>,
  work: (client: pg.PoolClient, prepared: P, now: Date) => Promise<T>,
): Promise<T> {
  const now = clock.now();
  const request = requestOf(of);
  if (request === undefined) {
    const prepared = await prepare();
    return await database.transaction((client) => work(client, prepared, now));
  }
  const sealedFor = `idempotency:${request.tenantId}:${request.operation}:${request.key}`;
  const answerOf = (finding: Exclude<IdempotencyFinding, { outcome: 'absent' }>): T => {
    if (finding.outcome === 'replay') return { ...of.codec.decode(sealer.open(finding.response, sealedFor)), replayed: true };
    throw errors.IDEMPOTENCY_MISMATCH({ message: 'This idempotency key was used with another request. Use a new one for a new request.' });
  };
  const found = await findRecord(database.pool, request, now);
  if (found.outcome !== 'absent') return answerOf(found);
  const prepared = await prepare();
  return await database.transaction(async (client) => {
    const [claimed] = await claim(client, [request], now);
    if (claimed!.outcome === 'in_progress')
      throw errors.IDEMPOTENCY_IN_PROGRESS({
        message: 'The first request with this idempotency key is still running. Try again shortly.',
        retryAfterMs: 1000,
      });
    if (claimed!.outcome !== 'claimed') return answerOf(claimed!);
    const answer = await work(client, prepared, now);
    await store(client, [{ ...request, response: sealer.seal(of.codec.encode(answer).finish(), sealedFor) }], now);
    return answer;
  });
}

function requestOf({
  tenantId,
  operation,
  repeatable,
}: {
  tenantId: string;
  operation: string;
  repeatable: Repeatable | undefined;
}): IdempotencyRequest | undefined {
  if (repeatable === undefined || repeatable.idempotencyKey === '') return undefined;
  const { idempotencyKey: key, requestSha256: requestHash } = repeatable;
  if (key.length > 255 || /\p{Cc}/u.test(key)) throw errors.VALIDATION_ERROR({ message: 'The idempotency key can’t be used.' });
  if (requestHash.length !== 32) throw new Error('an idempotent request carries the SHA-256 of what is asked');
  return { tenantId, operation, key, requestHash };
}
