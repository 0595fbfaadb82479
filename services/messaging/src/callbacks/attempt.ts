// One attempt to tell one event: signed, sent, judged.
import { CallbackOutcome } from '@maildoot/proto/maildoot/messaging/v1/callback';
import type { Clock } from '@maildoot/runtime/clock';
import { newUuid, uuidToId } from '@maildoot/runtime/ids';
import type { Sealer } from '@maildoot/runtime/seal';
import { webhookHeaders } from '@maildoot/webhooks/signature';
import type { ClaimedDue, Ended } from '../store/callback-work.ts';
import type { Outside } from './endpoint.ts';
import { post } from './post.ts';
import { longestRetryAfterMs, nextAttemptAt, retryAfterMs } from './retry-plan.ts';
import { sealedSecretOf } from './secret.ts';

const timeoutMs = 15_000;
/** Answers of who is too busy, or of what stands in front of it: their Retry-After is about all events, that of others about the one. */
const throttled: ReadonlySet<number> = new Set([429, 502, 503, 504]);

export interface AttemptParts extends Outside {
  sealer: Sealer;
  clock: Clock;
  signal: AbortSignal;
}

/** An attempt that has ended, with what it says about its endpoint. */
export interface Judged extends Ended {
  test: boolean;
  /** With whatever. */
  answered: boolean;
  /** 410: it wants nothing any more. */
  gone: boolean;
  /** Its Retry-After, where that is about all events. */
  pauseUntil: Date | null;
}

/** Rejects with the signal's reason only. */
export async function attempt(due: ClaimedDue, parts: AttemptParts): Promise<Judged> {
  const { clock, sealer } = parts;
  const at = clock.now();
  const startedMs = performance.now();
  const secrets = [sealer.open(due.secret, sealedSecretOf(due.callbackId)).toString()];
  if (due.previousSecret !== null && due.previousUntil !== null && due.previousUntil > at)
    secrets.push(sealer.open(due.previousSecret, sealedSecretOf(due.callbackId)).toString());
  const headers = webhookHeaders({ id: uuidToId('evt', due.eventId), timestamp: at, body: due.body }, secrets);
  const { outcome, httpStatus, detail, retryAfter } = await post(
    { url: due.url, headers, body: due.body, timeoutMs, signal: parts.signal },
    parts,
  );

  const number = due.attempts + 1;
  const endedAt = clock.now();
  const succeeded = outcome === CallbackOutcome.CALLBACK_OUTCOME_SUCCEEDED;
  const gone = httpStatus === 410 && !due.test;
  const askedMs = retryAfterMs(retryAfter, endedAt);
  const throttledMs = throttled.has(httpStatus) ? askedMs : undefined;
  const next = succeeded || gone || due.test ? undefined : nextAttemptAt(number, endedAt, askedMs, Math.random());
  return {
    lane: due.lane,
    over: next === undefined,
    test: due.test,
    answered: httpStatus > 0,
    gone,
    pauseUntil: throttledMs === undefined ? null : new Date(endedAt.getTime() + Math.min(throttledMs, longestRetryAfterMs)),
    attempt: {
      id: newUuid(),
      callbackId: due.callbackId,
      tenantId: due.tenantId,
      eventId: due.eventId,
      aboutId: due.aboutId,
      recipientNumber: due.recipientNumber,
      type: due.type,
      number,
      at,
      durationMs: Math.round(performance.now() - startedMs),
      outcome,
      httpStatus,
      detail,
      nextAttemptAt: next ?? null,
    },
  };
}
