// A recipient's way is the same whatever order its events arrive in; a message's status follows from its recipients alone.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { MessageStatus, RecipientStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import fc from 'fast-check';
import {
  initialCounts,
  isEnd,
  isKnownOutcome,
  messageStatus,
  moveCount,
  type Standing,
  standingAfter,
  statusAfterReport,
  statusOfOutcome,
} from './status.ts';

const QUEUED = RecipientStatus.RECIPIENT_STATUS_QUEUED;
const SCHEDULED = RecipientStatus.RECIPIENT_STATUS_SCHEDULED;
const SENDING = RecipientStatus.RECIPIENT_STATUS_SENDING;
const DEFERRED = RecipientStatus.RECIPIENT_STATUS_DEFERRED;
const DELIVERED = RecipientStatus.RECIPIENT_STATUS_DELIVERED;
const BOUNCED = RecipientStatus.RECIPIENT_STATUS_BOUNCED;
const FAILED = RecipientStatus.RECIPIENT_STATUS_FAILED;
const SUPPRESSED = RecipientStatus.RECIPIENT_STATUS_SUPPRESSED;
const CANCELLED = RecipientStatus.RECIPIENT_STATUS_CANCELLED;

describe('standingAfter', () => {
  const table: {
    reason: string;
    from: Standing;
    attempt: number;
    outcome: Parameters<typeof standingAfter>[2];
    to: Standing | undefined;
  }[] = [
    {
      reason: 'the usual way',
      from: { status: QUEUED, attempt: 0 },
      attempt: 1,
      outcome: Outcome.OUTCOME_DELIVERED,
      to: { status: DELIVERED, attempt: 1 },
    },
    {
      reason: 'a later attempt outranks',
      from: { status: DEFERRED, attempt: 1 },
      attempt: 2,
      outcome: Outcome.OUTCOME_DEFERRED,
      to: { status: DEFERRED, attempt: 2 },
    },
    {
      reason: 'an older attempt changes nothing',
      from: { status: DEFERRED, attempt: 2 },
      attempt: 1,
      outcome: Outcome.OUTCOME_DEFERRED,
      to: undefined,
    },
    {
      reason: 'the same again changes nothing',
      from: { status: DEFERRED, attempt: 1 },
      attempt: 1,
      outcome: Outcome.OUTCOME_DEFERRED,
      to: undefined,
    },
    {
      reason: 'an interrupted attempt that turns out delivered',
      from: { status: SENDING, attempt: 1 },
      attempt: 1,
      outcome: Outcome.OUTCOME_DELIVERED,
      to: { status: DELIVERED, attempt: 1 },
    },
    {
      reason: 'an end is not left for an open status',
      from: { status: CANCELLED, attempt: 0 },
      attempt: 1,
      outcome: Outcome.OUTCOME_DEFERRED,
      to: undefined,
    },
    {
      reason: 'the mail arrived although cancelled',
      from: { status: CANCELLED, attempt: 0 },
      attempt: 1,
      outcome: Outcome.OUTCOME_DELIVERED,
      to: { status: DELIVERED, attempt: 1 },
    },
    {
      reason: 'cancelled between attempts',
      from: { status: DEFERRED, attempt: 3 },
      attempt: 0,
      outcome: Outcome.OUTCOME_CANCELLED,
      to: { status: CANCELLED, attempt: 3 },
    },
    {
      reason: 'given up without an attempt of its own',
      from: { status: DEFERRED, attempt: 3 },
      attempt: 0,
      outcome: Outcome.OUTCOME_FAILED,
      to: { status: FAILED, attempt: 3 },
    },
    {
      reason: 'delivered stays, though a duplicate bounced',
      from: { status: DELIVERED, attempt: 1 },
      attempt: 2,
      outcome: Outcome.OUTCOME_BOUNCED,
      to: undefined,
    },
    {
      reason: 'a late success of an older attempt',
      from: { status: BOUNCED, attempt: 2 },
      attempt: 1,
      outcome: Outcome.OUTCOME_DELIVERED,
      to: undefined,
    },
  ];
  for (const row of table) {
    it(row.reason, () => assert.deepEqual(standingAfter(row.from, row.attempt, row.outcome), row.to));
  }

  it('ends in the same status whatever the order of the events of one recipient', () => {
    // A real history: attempts 1..n, each deferred or interrupted, then one end.
    const history = fc
      .record({
        open: fc.array(fc.constantFrom(Outcome.OUTCOME_DEFERRED, Outcome.OUTCOME_INTERRUPTED), { maxLength: 5 }),
        end: fc.constantFrom(Outcome.OUTCOME_DELIVERED, Outcome.OUTCOME_BOUNCED, Outcome.OUTCOME_FAILED),
      })
      .chain(({ open, end }) => {
        const events = [...open, end].map((outcome, index) => ({ outcome, attempt: index + 1 }));
        return fc.shuffledSubarray(events, { minLength: events.length }).map((shuffled) => ({ events, shuffled }));
      });
    fc.assert(
      fc.property(history, ({ events, shuffled }) => {
        const play = (list: typeof events) =>
          list.reduce<Standing>((at, event) => standingAfter(at, event.attempt, event.outcome) ?? at, { status: QUEUED, attempt: 0 });
        assert.deepEqual(play(shuffled), play(events));
      }),
    );
  });

  it('never goes back from an end to an open status', () => {
    const outcome = fc.constantFrom(...Object.values(Outcome).filter(isKnownOutcome));
    fc.assert(
      fc.property(fc.array(fc.record({ outcome, attempt: fc.nat(5) }), { maxLength: 12 }), (events) => {
        let at: Standing = { status: QUEUED, attempt: 0 };
        for (const event of events) {
          const next = standingAfter(at, event.attempt, event.outcome) ?? at;
          assert.ok(!(isEnd(at.status) && !isEnd(next.status)));
          assert.ok(next.attempt >= at.attempt);
          at = next;
        }
      }),
    );
  });
});

describe('outcomes', () => {
  it('knows every value of the enum but unspecified, and no other', () => {
    for (const value of Object.values(Outcome)) assert.equal(isKnownOutcome(value), value !== Outcome.OUTCOME_UNSPECIFIED);
    assert.equal(isKnownOutcome(99), false);
    for (const value of Object.values(Outcome).filter(isKnownOutcome)) assert.notEqual(statusOfOutcome(value), undefined);
  });
});

describe('statusAfterReport', () => {
  for (const [from, to, reason] of [
    [DELIVERED, BOUNCED, 'the one way out of delivered'],
    [SENDING, BOUNCED, 'the report is here before the attempt was recorded'],
    [QUEUED, BOUNCED, 'and before we know that it was begun'],
    [DEFERRED, BOUNCED, 'an earlier attempt was taken after all'],
    [BOUNCED, undefined, 'it bounced in the session'],
    [FAILED, undefined, 'given up is given up'],
    [SUPPRESSED, undefined, 'never tried'],
    [CANCELLED, undefined, 'stopped'],
  ] as const) {
    it(`${reason}: ${from} → ${to ?? 'stays'}`, () => assert.equal(statusAfterReport(from), to));
  }
});

describe('messageStatus', () => {
  const table: [RecipientStatus[], MessageStatus, string][] = [
    [[QUEUED, QUEUED], MessageStatus.MESSAGE_STATUS_QUEUED, 'nothing tried yet'],
    [[SCHEDULED], MessageStatus.MESSAGE_STATUS_SCHEDULED, 'waits for send_at'],
    [[SCHEDULED, CANCELLED], MessageStatus.MESSAGE_STATUS_SCHEDULED, 'the rest of it still waits'],
    [[DELIVERED, QUEUED], MessageStatus.MESSAGE_STATUS_SENDING, 'half way'],
    [[SENDING], MessageStatus.MESSAGE_STATUS_SENDING, 'an attempt is under way'],
    [[DEFERRED, QUEUED], MessageStatus.MESSAGE_STATUS_SENDING, 'one waits for a retry, one for its first attempt'],
    [[DEFERRED, DELIVERED], MessageStatus.MESSAGE_STATUS_DEFERRED, 'all that is open waits for a retry'],
    [[DELIVERED, DELIVERED], MessageStatus.MESSAGE_STATUS_DELIVERED, 'all there'],
    [[DELIVERED, BOUNCED], MessageStatus.MESSAGE_STATUS_PARTIALLY_DELIVERED, 'some there'],
    [[DELIVERED, CANCELLED], MessageStatus.MESSAGE_STATUS_PARTIALLY_DELIVERED, 'the rest was stopped'],
    [[BOUNCED, FAILED], MessageStatus.MESSAGE_STATUS_BOUNCED, 'a refusal says more than giving up'],
    [[FAILED, CANCELLED], MessageStatus.MESSAGE_STATUS_FAILED, 'given up'],
    [[SUPPRESSED], MessageStatus.MESSAGE_STATUS_SUPPRESSED, 'never tried'],
    [[CANCELLED, CANCELLED], MessageStatus.MESSAGE_STATUS_CANCELLED, 'stopped'],
  ];
  for (const [recipients, expected, reason] of table) {
    it(`${reason}: ${recipients.join()} → ${expected}`, () => {
      const counts = initialCounts(QUEUED, recipients.length);
      for (const status of recipients) moveCount(counts, QUEUED, status);
      assert.equal(messageStatus(counts), expected);
    });
  }
});
