/**
 * The event log as its users see it. Two logs stand behind it: the sequenced outbox in PostgreSQL (postgres-log.ts) and Kafka. Both keep
 * the same promises, which test/contract.ts states as tests:
 *
 * - Records of one key come in the order in which they were appended; a partition is handled by one member of a group at a time.
 * - At least once. A position is committed after `handle` returned, so after a crash the last records come again. Consumers
 *   recognise them by `id` (or by the ids inside the event).
 * - A group that is new starts with the oldest record there is.
 * - A record that can't be read, or that `handle` refuses again and again on its own, is parked: kept aside with the reason, counted,
 *   and the partition goes on. Nothing is ever parked for trouble around it (database, schema, network, disk): that is waited for,
 *   and the partition with it.
 */
import type { Context } from '@opentelemetry/api';
import type { Topic } from './topics.ts';

export interface EventLog extends AsyncDisposable {
  /** Starts reading at once; trouble with the log is retried inside. */
  subscribe<E>(topic: Topic<E>, options: SubscribeOptions<E>): Subscription;
}

export interface SubscribeOptions<E> {
  /** Members of a group share the partitions; each group gets every record. The name of the service, as a rule. */
  group: string;
  /** Records of one partition, in order. Throwing means: none of them is handled. */
  handle(records: EventRecord<E>[]): Promise<void>;
  /** How many records `handle` gets at most; it also gets at most 1 MB of them. */
  maxBatch: number;
  /** How many partitions are handled at the same time. Default 4. */
  concurrency?: number;
  /** Failures that never blame a record, beside those that faults.ts knows. Retried for ever. */
  isTransient?(error: unknown): boolean;
  retry?: Partial<RetryPolicy>;
}

/** Throws for options that can't work. */
export function checkSubscribeOptions({ group, maxBatch }: Pick<SubscribeOptions<unknown>, 'group' | 'maxBatch'>): void {
  if (!(Number.isInteger(maxBatch) && maxBatch > 0)) throw new RangeError('maxBatch must be a whole number above 0');
  if (group === '') throw new RangeError('group must not be empty');
}

/** For handlers: this record says what can't be acted on, and never will. Told by its name, so a service may have a class of its own. */
export class UnreadableEvent extends Error {
  override readonly name = 'UnreadableEvent';
}

export interface RetryPolicy {
  /** How often a single record may meet what looks like a bug of the handler before it is parked; 3 at most for what blames its data. Default 10. */
  attempts: number;
  /** The first pause; each further one is twice as long. Default 100. */
  firstDelayMs: number;
  /** Default 10 000. */
  maxDelayMs: number;
}

export interface EventRecord<E> {
  /** UUIDv7 given at append: the same whenever and however often the record comes. */
  id: string;
  key: string;
  partition: number;
  /** Increases within a partition of a topic. */
  position: bigint;
  event: E;
  /** Of the producer's span; undefined = it was not traced. */
  traceparent: string | undefined;
  /** When it was appended, by the producer's clock. */
  publishedAt: Date;
  /** Holds the consumer span `process <topic>`, for `context.with` and as the parent of what is done for this record. */
  context: Context;
}

export interface Subscription extends AsyncDisposable {
  /** What this member reads at the moment. */
  readonly partitions: readonly number[];
  /** How long ago the log last answered; grows when a consumer has silently stopped. */
  lastFetchAgeMs(): number;
}

/** Key and payload of a record together, in every log. Kafka's own default limit is a little higher, for its framing. */
export const RECORD_LIMIT_BYTES = 1_000_000;
