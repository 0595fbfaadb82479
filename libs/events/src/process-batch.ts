/**
 * What happens to the records of a partition between being fetched and being committed, whichever log they come from:
 *
 *   1. decode each; one that can't be read is parked in its place
 *   2. hand the others to the handler, in order
 *   3. it threw, and what it threw doesn't blame a record: pause, again, for ever (faults.ts says what blames one)
 *   4. it blames the data: one record at a time, and who fails so three times alone is parked
 *   5. it looks like a bug of the handler: pause, once more, then one record at a time, and who fails so ten times alone is parked
 */
import { setTimeout as delay } from 'node:timers/promises';
import { contextFrom } from '@maildoot/runtime/telemetry';
import { type Span, SpanStatusCode, trace } from '@opentelemetry/api';
import { type Fault, faultOf } from './faults.ts';
import type { EventRecord, RetryPolicy, SubscribeOptions } from './log.ts';
import { type ConsumerTelemetry, processSpan } from './telemetry.ts';
import type { Topic } from './topics.ts';

/** A record as the log keeps it. */
export interface RawRecord {
  id: string;
  key: string;
  partition: number;
  position: bigint;
  payload: Uint8Array;
  /** '' = none. */
  traceparent: string;
  publishedAt: Date;
}

export interface Parking {
  record: RawRecord;
  reason: 'unreadable' | 'refused';
  error: unknown;
  /** How often the handler got it alone; 0 = never. */
  attempts: number;
}

export interface Processing<E> extends Pick<SubscribeOptions<E>, 'group' | 'handle' | 'isTransient'> {
  topic: Topic<E>;
  retry: RetryPolicy;
  /** Keeps the record aside, durably before it returns. */
  park(parking: Parking): Promise<void>;
  telemetry: ConsumerTelemetry;
  /** Whether the partition is still ours; asked before every call of the handler. */
  mayGoOn(): boolean;
  /** Cuts pauses short; a running handler is waited for. */
  signal: AbortSignal;
}

/** Ten attempts take half a minute. */
export const defaultRetry: RetryPolicy = { attempts: 10, firstDelayMs: 100, maxDelayMs: 10_000 };
// Data stays what it is; twice more for a violation that was a race.
const DATA_ATTEMPTS = 3;

/** How many of the first records are done with, handled or parked. Fewer than all only when it may not go on. */
export async function processBatch<E>(records: readonly RawRecord[], processing: Processing<E>): Promise<number> {
  let done = 0;
  let readable: Readable<E>[] = [];
  const flush = async (): Promise<boolean> => {
    const handled = await handleRun(readable, processing);
    done += handled;
    const complete = handled === readable.length;
    readable = [];
    return complete;
  };
  for (const raw of records) {
    const event = read(raw, processing.topic);
    if (!('unreadable' in event)) {
      readable.push(event);
      continue;
    }
    if (!(await flush())) return done;
    if (!(await park({ record: raw, reason: 'unreadable', error: event.unreadable, attempts: 0 }, processing))) return done;
    done++;
  }
  await flush();
  return done;
}

interface Readable<E> {
  raw: RawRecord;
  event: E;
}

function read<E>(raw: RawRecord, topic: Topic<E>): Readable<E> | { unreadable: unknown } {
  try {
    const event = topic.codec.decode(raw.payload);
    const problem = topic.unreadable?.(event);
    return problem === undefined ? { raw, event } : { unreadable: new Error(problem) };
  } catch (error) {
    return { unreadable: error };
  }
}

async function handleRun<E>(run: Readable<E>[], processing: Processing<E>): Promise<number> {
  if (run.length === 0) return 0;
  const { retry, telemetry } = processing;
  let failures = 0;
  let refusals = 0;
  while (processing.mayGoOn()) {
    const failure = await attempt(run, processing);
    if (failure === undefined) return run.length;
    failures++;
    const fault: Fault = processing.isTransient?.(failure.error) === true ? 'elsewhere' : faultOf(failure.error);
    if (fault !== 'elsewhere') refusals++;
    telemetry.failed({ error: failure.error, fault, failures, records: run.length, first: run[0]!.raw });
    const [single] = run;
    if (run.length > 1 && (fault === 'data' || refusals > 1)) return oneByOne(run, processing);
    const enough = fault === 'data' ? Math.min(DATA_ATTEMPTS, retry.attempts) : retry.attempts;
    if (run.length === 1 && single !== undefined && fault !== 'elsewhere' && refusals >= enough) {
      return (await park({ record: single.raw, reason: 'refused', error: failure.error, attempts: refusals }, processing)) ? 1 : 0;
    }
    await pause(failures, processing);
  }
  return 0;
}

async function oneByOne<E>(run: Readable<E>[], processing: Processing<E>): Promise<number> {
  let done = 0;
  for (const one of run) {
    if ((await handleRun([one], processing)) === 0) break;
    done++;
  }
  return done;
}

async function attempt<E>(run: Readable<E>[], { handle, topic, group, telemetry }: Processing<E>): Promise<{ error: unknown } | undefined> {
  const spans: Span[] = [];
  const records = run.map(({ raw, event }): EventRecord<E> => {
    const parent = contextFrom(raw.traceparent);
    const span = processSpan(topic, group, raw, parent);
    spans.push(span);
    const { id, key, partition, position, publishedAt } = raw;
    const traceparent = raw.traceparent === '' ? undefined : raw.traceparent;
    return { id, key, partition, position, event, traceparent, publishedAt, context: trace.setSpan(parent, span) };
  });
  try {
    await handle(records);
    telemetry.handled(run.map(({ raw }) => raw));
    return undefined;
  } catch (error) {
    for (const span of spans) {
      // The name alone: a message may quote what was sent.
      span.setAttribute('error.type', error instanceof Error ? error.name : typeof error);
      span.setStatus({ code: SpanStatusCode.ERROR });
    }
    return { error };
  } finally {
    for (const span of spans) span.end();
  }
}

/** False: stopped before it could be kept aside. */
async function park<E>(parking: Parking, processing: Processing<E>): Promise<boolean> {
  for (let failures = 1; processing.mayGoOn(); failures++) {
    try {
      await processing.park(parking);
      processing.telemetry.parked(parking);
      return true;
    } catch (error) {
      processing.telemetry.failed({ error, fault: 'elsewhere', failures, records: 1, first: parking.record });
      await pause(failures, processing);
    }
  }
  return false;
}

async function pause<E>(failures: number, { retry, signal }: Processing<E>): Promise<void> {
  const longest = Math.min(retry.maxDelayMs, retry.firstDelayMs * 2 ** Math.min(failures - 1, 30));
  // Half of it at random, so that members that failed together don't come back together.
  await delay(longest * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {});
}
