// The decision, situation by situation: what stood before × what was answered → where it stands.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recordsToPublish, type Slot } from './records.ts';
import type { Status } from './status.ts';
import { type Answer, afterLoss, type Decision, decide, neverSeen, type Standing } from './verification.ts';

const claim = {
  name: 'example.com',
  ownershipToken: 'ours',
  keys: [
    { selector: 'md1', active: true, publicKey: 'KEYONE', formerPublicKey: null },
    { selector: 'md2', active: false, publicKey: 'KEYTWO', formerPublicKey: 'KEYOLD' },
  ],
};
const hosts = {
  mailHostname: 'mail.maildoot.test',
  returnPathHost: 'bounces.maildoot.test',
  trackingHost: 'links.maildoot.test',
  mxHost: 'mx.maildoot.test',
};
const expected = recordsToPublish(claim, hosts);
const fresh: Standing = { status: 'pending', records: expected.map((record) => neverSeen(record.slot)) };

const right: Record<Slot, string> = Object.fromEntries(expected.map((record) => [record.slot, record.value]));
const nothing: Answer = { kind: 'nothing' };
const timeout: Answer = { kind: 'unknown', reason: 'timeout' };
const values = (...list: string[]): Answer => ({ kind: 'values', values: list });

/** All records right, but for those that are named. */
function answers(others: Record<Slot, Answer> = {}): Map<Slot, Answer> {
  return new Map(expected.map(({ slot, value }) => [slot, others[slot] ?? values(value)]));
}
function allOf(answer: Answer): Map<Slot, Answer> {
  return new Map(expected.map(({ slot }) => [slot, answer]));
}
function statuses(decision: Decision): Record<Slot, Status> {
  return Object.fromEntries(decision.records.map((record) => [record.slot, record.status]));
}
function record(decision: Decision, slot: Slot) {
  const found = decision.records.find((candidate) => candidate.slot === slot);
  assert.ok(found);
  return found;
}
const verified: Standing = decide(expected, fresh, answers(), undefined);

test('everything right: verified, with what was seen and no problem', () => {
  assert.equal(verified.status, 'verified');
  for (const { slot, status, seen, problem } of verified.records) {
    assert.deepEqual({ status, seen, problem }, { status: 'verified', seen: [right[slot]], problem: '' });
  }
});

test('ownership and the signing selector are enough; the others are advice', () => {
  const decision = decide(
    expected,
    fresh,
    answers({ 'dkim:md2': nothing, spf: nothing, dmarc: nothing, return_path: nothing, tracking: nothing, mx: nothing }),
    undefined,
  );
  assert.equal(decision.status, 'verified');
  assert.deepEqual(statuses(decision), {
    ownership: 'verified',
    'dkim:md1': 'verified',
    'dkim:md2': 'pending',
    spf: 'pending',
    dmarc: 'pending',
    return_path: 'pending',
    tracking: 'pending',
    mx: 'pending',
  });
});

for (const { situation, others, status } of [
  { situation: 'no ownership record', others: { ownership: nothing }, status: 'pending' },
  { situation: 'no key', others: { 'dkim:md1': nothing }, status: 'pending' },
  { situation: 'another token', others: { ownership: values('maildoot-verification=theirs') }, status: 'failed' },
  { situation: 'the token in other letters', others: { ownership: values('maildoot-verification=OURS') }, status: 'failed' },
  { situation: 'another key', others: { 'dkim:md1': values('v=DKIM1; k=rsa; p=OTHER') }, status: 'failed' },
  { situation: "the other selector's key", others: { 'dkim:md1': values('v=DKIM1; k=rsa; p=KEYTWO') }, status: 'failed' },
  {
    situation: 'two keys at one selector',
    others: { 'dkim:md1': values('v=DKIM1; k=rsa; p=KEYONE', 'v=DKIM1; k=rsa; p=OTHER') },
    status: 'failed',
  },
] as { situation: string; others: Record<Slot, Answer>; status: Status }[]) {
  test(`${situation}: ${status}, and the record says what to do`, () => {
    const decision = decide(expected, fresh, answers(others), undefined);
    assert.equal(decision.status, status);
    const slot = Object.keys(others)[0] ?? '';
    assert.equal(record(decision, slot).status, status);
    assert.notEqual(record(decision, slot).problem, '');
  });
}

test('a required record of a verified domain is gone: drifted; back again: verified', () => {
  const drifted = decide(expected, verified, answers({ 'dkim:md1': nothing }), undefined);
  assert.equal(drifted.status, 'drifted');
  assert.equal(record(drifted, 'dkim:md1').status, 'drifted');
  assert.equal(decide(expected, drifted, answers({ 'dkim:md1': values('v=DKIM1; p=OTHER') }), undefined).status, 'drifted');
  assert.equal(decide(expected, drifted, answers(), undefined).status, 'verified');
});

test('an advised record of a verified domain is gone: the domain stays verified', () => {
  const decision = decide(expected, verified, answers({ dmarc: nothing }), undefined);
  assert.equal(decision.status, 'verified');
  assert.equal(record(decision, 'dmarc').status, 'drifted');
});

test('a look that told nothing changes no status and says so', () => {
  for (const before of [fresh, verified, decide(expected, verified, answers({ ownership: nothing }), undefined)]) {
    const decision = decide(expected, before, allOf(timeout), undefined);
    assert.equal(decision.status, before.status);
    for (const state of decision.records) {
      const earlier = before.records.find((candidate) => candidate.slot === state.slot);
      assert.equal(state.status, earlier?.status);
      assert.deepEqual(state.seen, earlier?.seen);
      assert.match(state.problem, /timeout/);
    }
  }
});

test('looks that each told a part add up', () => {
  const first = decide(expected, fresh, answers({ 'dkim:md1': timeout }), undefined);
  assert.equal(first.status, 'pending');
  assert.equal(decide(expected, first, answers({ ownership: timeout }), undefined).status, 'verified');
});

test('several TXT records at a name: ours beside others counts', () => {
  const decision = decide(
    expected,
    fresh,
    answers({
      ownership: values('something=else', 'maildoot-verification=ours'),
      'dkim:md1': values('google-site-verification=x', 'v=DKIM1; k=rsa; p=KEYONE'),
      spf: values('google-site-verification=x', 'v=spf1 a:mail.maildoot.test -all'),
      dmarc: values('unrelated', 'v=DMARC1; p=reject'),
    }),
    undefined,
  );
  assert.deepEqual(new Set(Object.values(statuses(decision))), new Set(['verified']));
});

test('two SPF or two DMARC records: receivers take none', () => {
  const decision = decide(
    expected,
    fresh,
    answers({ spf: values('v=spf1 a:mail.maildoot.test ~all', 'v=spf1 -all'), dmarc: values('v=DMARC1; p=none', 'v=DMARC1; p=reject') }),
    undefined,
  );
  assert.equal(statuses(decision).spf, 'failed');
  assert.equal(statuses(decision).dmarc, 'failed');
});

test('other TXT records at the domain itself are no wrong SPF record', () => {
  assert.equal(statuses(decide(expected, fresh, answers({ spf: values('google-site-verification=x') }), undefined)).spf, 'pending');
});

for (const [situation, others, status] of [
  ['a CNAME by way of a name of their own', { return_path: values('bounces.customer.example', 'bounces.maildoot.test') }, 'verified'],
  ['a CNAME in other letters, with its dot', { tracking: values('LINKS.maildoot.test.') }, 'verified'],
  ['a CNAME that leads elsewhere', { return_path: values('bounces.other.example') }, 'failed'],
  ['ours among other mail hosts', { mx: values('5 other.example', '10 mx.maildoot.test') }, 'verified'],
  ['another priority', { mx: values('0 MX.maildoot.test') }, 'verified'],
  ['mail that goes elsewhere, as most does', { mx: values('10 mx.google.example') }, 'pending'],
  ['no mail at all (RFC 7505)', { mx: values('0 .') }, 'pending'],
  ['the former key, while a new one is to be published', { 'dkim:md2': values('v=DKIM1; k=rsa; p=KEYOLD') }, 'pending'],
] as [string, Record<Slot, Answer>, Status][]) {
  test(`${situation}: ${status}, and the domain is verified all the same`, () => {
    const decision = decide(expected, fresh, answers(others), undefined);
    const slot = Object.keys(others)[0] ?? '';
    assert.equal(record(decision, slot).status, status);
    assert.equal(record(decision, slot).problem === '', status === 'verified');
    assert.equal(decision.status, 'verified');
  });
}

test('another tenant has it and our token is there instead of theirs: ownership decides', () => {
  const decision = decide(expected, fresh, answers(), 'theirs');
  assert.equal(decision.status, 'verified');
  assert.equal(decision.rivalLoses, true);
});

test('another tenant has it and both tokens are there: who has it keeps it, and we are told what to do', () => {
  const both = values('maildoot-verification=theirs', 'maildoot-verification=ours');
  const decision = decide(expected, fresh, answers({ ownership: both }), 'theirs');
  assert.equal(decision.status, 'failed');
  assert.equal(decision.rivalLoses, false);
  assert.match(record(decision, 'ownership').problem, /another account/i);
});

test('another tenant loses it by our ownership record alone, before our key is there', () => {
  const decision = decide(expected, fresh, answers({ 'dkim:md1': nothing }), 'theirs');
  assert.equal(decision.status, 'pending');
  assert.equal(decision.rivalLoses, true);
});

for (const [situation, ownership] of [
  ['the look told nothing', timeout],
  ['nothing is there', nothing],
  ['their token is there', values('maildoot-verification=theirs')],
  ['a third token is there', values('maildoot-verification=third')],
] as const) {
  test(`another tenant keeps it when ${situation}`, () => {
    const owned: Standing = { ...verified, status: 'pending' };
    const decision = decide(expected, owned, answers({ ownership }), 'theirs');
    assert.notEqual(decision.status, 'verified');
    assert.equal(decision.rivalLoses, false);
  });
}

test('who has lost a domain drifts, and the ownership record says why', () => {
  const lost = afterLoss(verified, ['maildoot-verification=ours']);
  assert.equal(lost.status, 'drifted');
  const ownership = lost.records.find((candidate) => candidate.slot === 'ownership');
  assert.equal(ownership?.status, 'drifted');
  assert.deepEqual(ownership?.seen, ['maildoot-verification=ours']);
});
