// Answers that hold a secret, for a request that may come twice: for a day they rest sealed beside what the request did.
import type { IdempotencyRequest } from '@maildoot/db/idempotency';
import type { Repeatable } from '@maildoot/db/repeatable';
import type { Sealer } from '@maildoot/runtime/seal';
import { sealedFor, storedAnswer } from './idempotent-answer.ts';
import type { Answered } from './store/smtp-users.ts';
import type { Once, Store } from './store.ts';

interface Codec<R> {
  encode(response: R): { finish(): Uint8Array };
  decode(bytes: Uint8Array): R;
}

export interface SealedAnswers<R> {
  /** The answer that was given before; undefined where there is none. @throws RpcError IDEMPOTENCY_MISMATCH, IDEMPOTENCY_IN_PROGRESS */
  before(): Promise<R | undefined>;
  /** What the transaction keeps; undefined for a request that is not to be remembered. */
  toKeep(response: R): Answered | undefined;
  /** What the transaction found instead of doing the work. @throws as `before` */
  instead(once: Exclude<Once, { outcome: 'done' }>): R;
}

export function sealedAnswers<R extends { replayed: boolean }>(
  { store, sealer }: { store: Store; sealer: Sealer },
  codec: Codec<R>,
  { tenantId, operation, now }: { tenantId: string; operation: string; now: Date },
  repeatable: Repeatable | undefined,
): SealedAnswers<R> {
  const request: IdempotencyRequest | undefined = repeatable && { tenantId, operation, ...repeatable };
  const instead = (once: Exclude<Once, { outcome: 'done' }>): R => {
    if (request === undefined) throw new Error('a request without an idempotency key was answered before');
    return { ...codec.decode(sealer.open(storedAnswer(once), sealedFor(request))), replayed: true };
  };
  return {
    async before() {
      if (request === undefined) return undefined;
      const finding = await store.findAnswer(request, now);
      return finding.outcome === 'absent' ? undefined : instead(finding);
    },
    toKeep: (response) =>
      request && { ...request, now, response: sealer.seal(Buffer.from(codec.encode(response).finish()), sealedFor(request)) },
    instead,
  };
}
