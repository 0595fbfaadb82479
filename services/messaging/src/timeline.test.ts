// The order of events, and what is derived rather than stored.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { AttemptRecordedEvent, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { newUuid, uuidTime, uuidToId } from '@maildoot/runtime/ids';
import { eventType, messageEvents, queuedType, recipientEvents, type StoredEvent, wholeWay } from './timeline.ts';

const detail = (outcome: Outcome, attempt: number) =>
  AttemptRecordedEvent.encode(AttemptRecordedEvent.fromPartial({ outcome, attempt })).finish();
const stored = (recipientNumber: number, attempt: number, type: string, at: number, outcome: Outcome): StoredEvent => ({
  id: newUuid(),
  recipientNumber,
  attempt,
  type,
  at: new Date(at),
  detail: detail(outcome, attempt),
});

it('a message was accepted when its id says so; scheduled only if send_at is later than that', () => {
  const id = newUuid();
  const acceptedAt = uuidTime(id);
  assert.deepEqual(
    messageEvents({ id, sendAt: null }).map((event) => [event.type, event.at, event.recipient]),
    [['message.accepted', acceptedAt, '']],
  );
  const scheduled = messageEvents({ id, sendAt: new Date(acceptedAt.getTime() + 1) });
  assert.deepEqual(
    scheduled.map((event) => event.type),
    ['message.accepted', 'message.scheduled'],
  );
  assert.notEqual(scheduled[0]?.id, scheduled[1]?.id);
  assert.deepEqual(messageEvents({ id, sendAt: null })[0]?.id, uuidToId('evt', id), 'the same id at every reading');
  assert.equal(messageEvents({ id, sendAt: acceptedAt }).length, 1);
});

it('the timeline alone tells that a template was rendered, behind the acceptance', () => {
  const id = newUuid();
  const sendAt = new Date(uuidTime(id).getTime() + 1);
  const events = wholeWay({ id, sendAt, templateId: newUuid() });
  assert.deepEqual(
    events.map(({ type }) => type),
    ['message.accepted', 'message.rendered', 'message.scheduled'],
  );
  assert.equal(new Set(events.map((event) => event.id)).size, 3);
  assert.deepEqual(wholeWay({ id, sendAt, templateId: null }), messageEvents({ id, sendAt }));
});

it('events of recipients come oldest first, queued before the attempt of the same millisecond, with the attempt but for queued', () => {
  const events = recipientEvents(
    [
      stored(0, 2, 'message.delivered', 3_000, Outcome.OUTCOME_DELIVERED),
      stored(0, 1, 'message.deferred', 1_000, Outcome.OUTCOME_DEFERRED),
      stored(0, 0, queuedType, 1_000, Outcome.OUTCOME_DEFERRED),
      stored(1, 1, 'message.bounced', 2_000, Outcome.OUTCOME_BOUNCED),
    ],
    (number) => `r${number}@x.example`,
  );
  assert.deepEqual(
    events.map((event) => [event.type, event.recipient, event.attempt?.attempt]),
    [
      ['message.queued', 'r0@x.example', undefined],
      ['message.deferred', 'r0@x.example', 1],
      ['message.bounced', 'r1@x.example', 1],
      ['message.delivered', 'r0@x.example', 2],
    ],
  );
});

it('every outcome has its event type', () => {
  assert.deepEqual(
    [
      Outcome.OUTCOME_DELIVERED,
      Outcome.OUTCOME_DEFERRED,
      Outcome.OUTCOME_BOUNCED,
      Outcome.OUTCOME_FAILED,
      Outcome.OUTCOME_INTERRUPTED,
      Outcome.OUTCOME_CANCELLED,
      Outcome.OUTCOME_SUPPRESSED,
    ].map(eventType),
    [
      'message.delivered',
      'message.deferred',
      'message.bounced',
      'message.failed',
      'message.sent_attempt',
      'message.cancelled',
      'message.suppressed',
    ],
  );
});
