// Whose turn it is, for each way in which a recipient can stand.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AttemptRecordedEvent, BounceClass, BounceType } from '@maildoot/proto/maildoot/delivery/v1/events';
import { RecipientStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { type Actor, explain } from './explain.ts';

const at = new Date('2026-01-31T08:01:00Z');
const bounceOf = (name: BounceClass, type: BounceType = BounceType.BOUNCE_TYPE_PERMANENT) => ({
  type,
  class: name,
  diagnostic: 'smtp; 550 5.0.0 no.',
});
const { RECIPIENT_STATUS_BOUNCED, RECIPIENT_STATUS_DEFERRED, RECIPIENT_STATUS_FAILED } = RecipientStatus;

const whose: Readonly<Record<string, Actor>> = {
  BOUNCE_CLASS_RECIPIENT: 'recipient',
  BOUNCE_CLASS_MAILBOX_FULL: 'recipient',
  BOUNCE_CLASS_POLICY: 'you',
  BOUNCE_CLASS_CONTENT: 'you',
  BOUNCE_CLASS_REPUTATION: 'you',
  BOUNCE_CLASS_MESSAGE_TOO_LARGE: 'you',
  BOUNCE_CLASS_RATE_LIMITED: 'you',
  BOUNCE_CLASS_OTHER: 'you',
  BOUNCE_CLASS_NON_ASCII_ADDRESS: 'you',
  BOUNCE_CLASS_DNS: 'receiver',
  BOUNCE_CLASS_TLS: 'receiver',
  BOUNCE_CLASS_NETWORK: 'receiver',
  BOUNCE_CLASS_PROTOCOL: 'receiver',
  BOUNCE_CLASS_INFRASTRUCTURE: 'operator',
};

for (const [name, who] of Object.entries(whose)) {
  const bounce = bounceOf(BounceClass[name as keyof typeof BounceClass]);
  test(`${name} is for ${who} to mend; while it waits for the next attempt, for nobody`, () => {
    for (const status of [RECIPIENT_STATUS_BOUNCED, RECIPIENT_STATUS_FAILED]) {
      const said = explain({ status, bounce, attempt: undefined, nextAttemptAt: undefined });
      assert.equal(said.who_must_act, who);
      assert.equal(said.next_retry_at, null);
      assert.match(said.cause, /: 550 5\.0\.0 no\.$/);
    }
    const attempt = AttemptRecordedEvent.fromPartial({ bounce });
    const deferred = explain({ status: RECIPIENT_STATUS_DEFERRED, bounce: undefined, attempt, nextAttemptAt: at });
    assert.equal(deferred.who_must_act, 'nobody');
    assert.equal(deferred.next_retry_at, at.toISOString());
    assert.match(deferred.cause, /: 550 5\.0\.0 no\.$/, 'the attempt says why');
  });
}

test('every class is somebody’s', () => {
  const known = Object.keys(BounceClass).filter((name) => name.startsWith('BOUNCE_CLASS_') && !name.endsWith('UNSPECIFIED'));
  assert.deepEqual(known.toSorted(), Object.keys(whose).toSorted());
});

test('every state has a cause and an action', () => {
  const nobody = ['SCHEDULED', 'QUEUED', 'SENDING', 'DELIVERED', 'CANCELLED'];
  for (const [name, who] of [...nobody.map((one) => [one, 'nobody'] as const), ['SUPPRESSED', 'you'] as const]) {
    const status = RecipientStatus[`RECIPIENT_STATUS_${name}` as keyof typeof RecipientStatus];
    const said = explain({ status, bounce: undefined, attempt: undefined, nextAttemptAt: undefined });
    assert.equal(said.who_must_act, who, name);
    assert.ok(said.cause !== '' && said.action !== '' && !said.cause.includes('does not know'), name);
  }
});

test('what may have arrived is to be asked after before it is sent again', () => {
  const bounce = bounceOf(BounceClass.BOUNCE_CLASS_NETWORK, BounceType.BOUNCE_TYPE_UNDETERMINED);
  assert.match(
    explain({ status: RECIPIENT_STATUS_FAILED, bounce, attempt: undefined, nextAttemptAt: undefined }).action,
    /ask the recipient before/,
  );
});

test('of a suspended account what waits is for the operator; what ended, and what is under way, stays as it is', () => {
  const who = (name: string) => {
    const status = RecipientStatus[`RECIPIENT_STATUS_${name}` as keyof typeof RecipientStatus];
    const { who_must_act, next_retry_at } = explain({ status, bounce: undefined, attempt: undefined, nextAttemptAt: at, suspended: true });
    return [who_must_act, next_retry_at];
  };
  for (const name of ['SCHEDULED', 'QUEUED', 'DEFERRED']) assert.deepEqual(who(name), ['operator', null], name);
  assert.deepEqual(who('SENDING'), ['nobody', at.toISOString()]);
  assert.deepEqual(who('DELIVERED'), ['nobody', null]);
});
