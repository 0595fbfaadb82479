/** The verdict on made-up records: each kind of broken promise is seen, and what is allowed is not mistaken for one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Attempt, Fate } from './fates.ts';
import { broken, type Records, reconcile } from './reconcile.ts';
import type { Requested } from './records.ts';

const delivered: Attempt = { number: 1, outcome: 'delivered', started_at: null, finished_at: null, possible_duplicate: false };
const interrupted: Attempt = { ...delivered, outcome: 'interrupted', possible_duplicate: true };
const afterwards: Attempt = { ...delivered, number: 2, possible_duplicate: true };

function fate(id: string, attempts: Attempt[] = [delivered], status = 'delivered'): [string, Fate] {
  return [id, { id, status, recipients: [{ email: 'a@x', status, attempts }] }];
}

function request(numbers: number[], more: Partial<Requested> = {}): Requested {
  return { request: 1, kind: 'single', key: 'none', numbers, at: 0, tries: [{ end: 202, ms: 1 }], ms: 1, refused: [], ...more };
}

/** One message, acknowledged, received once, delivered. */
function records(more: Partial<Records> = {}): Records {
  return {
    acknowledged: [{ id: 'm1', number: 1, request: 1, recipients: ['a@x'] }],
    received: [{ at: 1, id: 'm1', number: 1, to: ['a@x'] }],
    requested: [request([1])],
    fates: new Map([fate('m1')]),
    ...more,
  };
}

test('what agrees is whole', () => {
  const verdict = reconcile(records());
  assert.deepEqual(broken(verdict), []);
  assert.equal(verdict.acknowledged, 1);
  assert.equal(verdict.receivedPairs, 1);
});

test('acknowledged and not received is lost, also when the API says delivered, and then the two disagree', () => {
  const verdict = reconcile(records({ received: [] }));
  assert.deepEqual(verdict.lost, ['m1 a@x']);
  assert.deepEqual(broken(verdict), ['acknowledged and never received: 1', 'receiver and API disagree: 1']);
});

test('one recipient of several lost is lost', () => {
  const acknowledged = [{ id: 'm1', number: 1, request: 1, recipients: ['a@x', 'b@x'] }];
  assert.deepEqual(reconcile(records({ acknowledged })).lost, ['m1 b@x']);
});

test('not final, or unknown to the API, is told', () => {
  assert.deepEqual(broken(reconcile(records({ fates: new Map([fate('m1', [], 'sending')]) }))), [
    'acknowledged and not final: 1',
    'receiver and API disagree: 1',
  ]);
  assert.deepEqual(reconcile(records({ fates: new Map() })).open, ['m1']);
});

test('stored, not acknowledged and not received is stranded', () => {
  const verdict = reconcile(records({ fates: new Map([fate('m1'), fate('m2', [], 'queued')]) }));
  assert.deepEqual(verdict.stranded, ['m2 a@x']);
});

test('twice: marked and after an attempt whose end nobody knows is allowed', () => {
  const received = [1, 12].map((at) => ({ at, id: 'm1', number: 1, to: ['a@x'] }));
  const verdict = reconcile(records({ received, fates: new Map([fate('m1', [interrupted, afterwards])]) }));
  assert.deepEqual(broken(verdict), []);
  assert.deepEqual(verdict.twice, [{ id: 'm1', recipient: 'a@x', times: 2, apartSeconds: 11 }]);
});

test('twice without a mark, or more often than attempts ended unknown, is not', () => {
  const received = [1, 12].map((at) => ({ at, id: 'm1', number: 1, to: ['a@x'] }));
  assert.deepEqual(broken(reconcile(records({ received }))), ['twice without a mark: 1', 'twice outside the window: 1']);
  const thrice = [...received, { at: 13, id: 'm1', number: 1, to: ['a@x'] }];
  assert.deepEqual(broken(reconcile(records({ received: thrice, fates: new Map([fate('m1', [interrupted, afterwards])]) }))), [
    'twice outside the window: 1',
  ]);
});

test('received without an acknowledgement: explained by a request that was not answered, or sent again without a key', () => {
  const extra = { at: 2, id: 'm2', number: 2, to: ['a@x'] };
  const received = [...records().received, extra];
  const fates = new Map([fate('m1'), fate('m2')]);
  const lostAnswer = request([2], {
    tries: [
      { end: 'ECONNRESET', ms: 1 },
      { end: 503, ms: 1 },
    ],
  });
  const unanswered = reconcile(records({ received, fates, requested: [request([1]), lostAnswer] }));
  assert.deepEqual(broken(unanswered), []);
  assert.deepEqual([unanswered.unacknowledged.messages, unanswered.unacknowledged.unanswered], [1, 1]);

  const again = {
    tries: [
      { end: 'ECONNRESET', ms: 1 },
      { end: 202, ms: 1 },
    ],
  };
  const same = received.map((one) => ({ ...one, number: 1 }));
  const unkeyed = reconcile(records({ received: same, fates, requested: [request([1], again)] }));
  assert.deepEqual(broken(unkeyed), []);
  assert.equal(unkeyed.unacknowledged.sentAgain, 1);
  const keyed = reconcile(records({ received: same, fates, requested: [request([1], { ...again, key: 'header' })] }));
  assert.deepEqual(broken(keyed), ['two messages under one idempotency key: 1']);
  assert.deepEqual(broken(reconcile(records({ received, fates }))), ['received without any request: 1']);
});

test('received for somebody the message was not for is foreign', () => {
  const received = [{ at: 1, id: 'm1', number: 1, to: ['a@x', 'c@x'] }];
  assert.deepEqual(reconcile(records({ received })).foreign, ['m1 c@x']);
});
