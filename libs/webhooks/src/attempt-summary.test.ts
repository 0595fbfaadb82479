// What a timeline says about an attempt, for each outcome.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AttemptRecordedEvent, BounceClass, BounceType, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { describeAttempt } from './attempt-summary.ts';

const session = { host: 'mx1.example.net', remoteAddress: '203.0.113.5:25', tlsVersion: 'TLSv1.3', command: 'RCPT TO' };
const times = { startedAt: new Date('2026-01-31T08:00:00.000Z'), finishedAt: new Date('2026-01-31T08:00:00.084Z') };

for (const [event, sentence] of [
  [
    {
      outcome: Outcome.OUTCOME_DELIVERED,
      ...times,
      session: { ...session, command: 'DATA', replyCode: 250, enhancedCode: '2.0.0', reply: '2.0.0 OK queued' },
    },
    'mx1.example.net took the message over TLSv1.3 in 84 ms: 250 2.0.0 OK queued.',
  ],
  [
    {
      outcome: Outcome.OUTCOME_DEFERRED,
      nextAttemptAt: new Date('2026-01-31T08:01:00Z'),
      session: { ...session, replyCode: 450, enhancedCode: '4.2.0', reply: 'Greylisted.' },
    },
    'Not now: mx1.example.net answered RCPT TO with 450 4.2.0 Greylisted. The next attempt is at 2026-01-31T08:01:00.000Z.',
  ],
  [
    { outcome: Outcome.OUTCOME_BOUNCED, session: { ...session, replyCode: 550, enhancedCode: '5.1.1', reply: '550 5.1.1 no such\nuser' } },
    'Refused for good: mx1.example.net answered RCPT TO with 550 5.1.1 no such user.',
  ],
  [
    {
      outcome: Outcome.OUTCOME_BOUNCED,
      finishedAt: times.finishedAt,
      bounce: {
        type: BounceType.BOUNCE_TYPE_PERMANENT,
        class: BounceClass.BOUNCE_CLASS_RECIPIENT,
        diagnostic: 'smtp; 550 5.1.1 user unknown',
      },
    },
    'Taken at first, it came back later: 550 5.1.1 user unknown.',
  ],
  [
    {
      outcome: Outcome.OUTCOME_FAILED,
      bounce: {
        type: BounceType.BOUNCE_TYPE_TRANSIENT,
        class: BounceClass.BOUNCE_CLASS_DNS,
        diagnostic: 'dns; no MX of example.net answers',
      },
    },
    'Given up: no MX of example.net answers.',
  ],
  [
    { outcome: Outcome.OUTCOME_INTERRUPTED, session },
    'The attempt was interrupted; whether mx1.example.net took the message is not known.',
  ],
  [{ outcome: Outcome.OUTCOME_CANCELLED }, 'Cancelled before it was handed over.'],
  [{ outcome: Outcome.OUTCOME_SUPPRESSED }, 'Not sent: the address came onto the suppression list after the message was accepted.'],
] as const) {
  test(sentence, () => assert.equal(describeAttempt(AttemptRecordedEvent.fromPartial(event)), sentence));
}

test('a possible duplicate is said', () => {
  const event = AttemptRecordedEvent.fromPartial({
    outcome: Outcome.OUTCOME_DELIVERED,
    possibleDuplicate: true,
    session: { ...session, replyCode: 250, reply: 'ok' },
  });
  assert.match(describeAttempt(event), /may get the message twice/);
});
