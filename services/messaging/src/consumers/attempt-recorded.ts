// delivery.attempt-recorded.v1: what became of each attempt. Recording it is the only way in which a status changes, but for a
// cancellation's answer, which is recorded alike; see record-outcomes.ts.
import type { Database } from '@maildoot/db/database';
import { type EventLog, type EventRecord, type Subscription, UnreadableEvent } from '@maildoot/events/log';
import { together } from '@maildoot/events/together';
import { attemptRecorded, PARTITIONS } from '@maildoot/events/topics';
import type { AttemptRecordedEvent } from '@maildoot/proto/maildoot/delivery/v1/events';
import type { Clock } from '@maildoot/runtime/clock';
import { idToUuid } from '@maildoot/runtime/ids';
import { type RecipientOutcome, recordOutcomes } from '../record-outcomes.ts';
import { isKnownOutcome } from '../status.ts';
import type { Telemetry } from '../telemetry.ts';

// One transaction of some ten milliseconds; more would only make the tail wait.
const maxBatch = 200;
// What a smallint holds.
const maxNumber = 32_767;

export interface AttemptRecordedParts {
  database: Database;
  log: EventLog;
  clock: Clock;
  telemetry: Telemetry;
  wakeFeed(): void;
}

export function consumeAttemptRecorded(parts: AttemptRecordedParts): Subscription {
  const { database, log, clock, telemetry, wakeFeed } = parts;
  return log.subscribe(attemptRecorded, {
    group: 'messaging',
    maxBatch,
    concurrency: PARTITIONS,
    handle: together(async (records) => {
      const outcomes = records.map(outcomeOf);
      telemetry.outcomes(await database.transaction((client) => recordOutcomes(client, outcomes, clock.now())));
      wakeFeed();
    }, maxBatch),
  });
}

/** Throws on what this version can't act on: the record is parked then, and the rest of its batch goes on without it. */
function outcomeOf({ event }: EventRecord<AttemptRecordedEvent>): RecipientOutcome {
  const { outcome } = event;
  const messageId = idToUuid('msg', event.messageId);
  const tenantId = idToUuid('ten', event.tenantId);
  if (messageId === undefined || tenantId === undefined) throw new UnreadableEvent('an attempt names no message, or no tenant');
  if (!isKnownOutcome(outcome)) throw new UnreadableEvent(`outcome ${outcome} is unknown`);
  if (event.recipientNumber > maxNumber || event.attempt > maxNumber)
    throw new UnreadableEvent('an attempt has numbers that no recipient has');
  return { messageId, tenantId, outcome, event };
}
