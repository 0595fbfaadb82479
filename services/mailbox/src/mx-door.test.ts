// The MX door as strangers meet it: nothing but our own return paths, and a 250 only for what is kept.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { returnPathLocalPart } from '@maildoot/mail/return-path';
import { waitFor } from '@maildoot/testkit/wait';
import { bounceMessage, complaintMessage, smtpClient } from '../test/smtp-client.ts';
import { type MxDoorOptions, startMxDoor } from './mx-door.ts';
import { type Arrived, reportsIn } from './report.ts';

const key = { id: 'k1', key: Buffer.alloc(32, 7) };
const holder = { messageId: '019bd274-f400-7ab3-8c5f-ff9c92679e95', recipientNumber: 3 };
const returnPath = `${returnPathLocalPart(key, holder)}@bounces.customer.example`;
const now = new Date('2026-11-21T12:00:00Z');

async function openDoor(options: Partial<MxDoorOptions> = {}) {
  const arrived: Arrived[] = [];
  const refusals: string[] = [];
  const door = await startMxDoor({
    listen: '127.0.0.1:0',
    hostname: 'mx.maildoot.test',
    keys: [key],
    maxSessions: 10,
    perHolder: { most: 20 },
    maxMessageBytes: 100_000,
    now: () => now,
    async receive(message) {
      arrived.push(message);
    },
    onRefusedRecipient: () => refusals.push('recipient'),
    onRefusedMessage: (reason) => refusals.push(reason),
    onTrouble: () => undefined,
    ...options,
  });
  return { address: door.address, arrived, refusals, [Symbol.asyncDispose]: () => door[Symbol.asyncDispose]() };
}

test('a bounce to a return path of ours is taken, and says whom it is about', async () => {
  await using door = await openDoor();
  await using client = await smtpClient(door.address);
  assert.match(client.greeting, /^220 mx\.maildoot\.test ESMTP/);
  const ehlo = await client.say('EHLO mx.example.net');
  assert.match(ehlo, /STARTTLS/);
  assert.match(ehlo, /SIZE 100000/);
  assert.doesNotMatch(ehlo, /AUTH/);
  assert.match(await client.say('MAIL FROM:<>'), /^250/);
  assert.match(await client.say(`RCPT TO:<${returnPath.toUpperCase()}>`), /^250/);
  assert.match(await client.data(bounceMessage()), /^250 2\.0\.0/);
  const [message] = door.arrived;
  assert.deepEqual(message?.addressees, [{ kind: 'return_path', holder }]);
  assert.equal(message.remoteAddress, '127.0.0.1');
  const [event, ...others] = reportsIn(message, [key]);
  assert.deepEqual(others, []);
  assert.match(event?.messageId ?? '', /^msg_/);
  assert.deepEqual([event?.recipientNumber, event?.action, event?.enhancedCode, event?.receivedAt], [3, 1, '5.1.1', now]);
});

test('all else is refused at RCPT: nothing is relayed, nobody is guessed', async () => {
  await using door = await openDoor();
  await using client = await smtpClient(door.address);
  await client.say('EHLO mx.example.net');
  await client.say('MAIL FROM:<someone@example.net>');
  const local = returnPath.slice(0, returnPath.indexOf('@'));
  const others = [
    'ann@example.net',
    'postmaster@mx.maildoot.test',
    'owner@localhost',
    `${local.slice(0, -1)}${local.endsWith('a') ? 'b' : 'a'}@bounces.customer.example`,
    `${returnPathLocalPart({ id: 'x', key: Buffer.alloc(32, 8) }, holder)}@bounces.customer.example`,
    `x${returnPath}`,
  ];
  for (const other of others) assert.match(await client.say(`RCPT TO:<${other}>`), /^550 5\.1\.1/, other);
  assert.match(await client.data('Subject: relay me\n\nx'), /^5/);
  assert.equal(door.arrived.length, 0);
  assert.equal(door.refusals.length, others.length);
});

test('one address has its share of the sessions, and gets it back', async () => {
  await using door = await openDoor({ perHolder: { most: 2, countLoopback: true } });
  await using _one = await smtpClient(door.address);
  {
    await using two = await smtpClient(door.address);
    assert.match(two.greeting, /^220 /);
    for (let count = 0; count < 3; count++) {
      await using three = await smtpClient(door.address);
      assert.match(three.greeting, /^421 4\.7\.0 /);
    }
    assert.match(await two.say('EHLO mx.example.net'), /^250/, 'those that are open go on');
  }
  await waitFor(
    async () => {
      await using next = await smtpClient(door.address);
      return next.greeting.startsWith('220 ');
    },
    { what: 'the place of the one that left' },
  );
});

test('AUTH is nobody’s business here', async () => {
  await using door = await openDoor();
  await using client = await smtpClient(door.address);
  await client.say('EHLO mx.example.net');
  assert.match(await client.say('AUTH PLAIN AGEAYg=='), /^5/);
});

test('too large: refused by its SIZE, and after the dot where none was told', async () => {
  await using door = await openDoor();
  await using client = await smtpClient(door.address);
  await client.say('EHLO mx.example.net');
  assert.match(await client.say('MAIL FROM:<> SIZE=100001'), /^552/);
  await client.say('MAIL FROM:<>');
  await client.say(`RCPT TO:<${returnPath}>`);
  assert.match(await client.data(`${bounceMessage()}${'x'.repeat(70)}\n`.repeat(200)), /^552 5\.3\.4/);
  assert.deepEqual([door.arrived.length, door.refusals], [0, ['too_large']]);
});

test('what can’t be kept is not taken: 451, and the next one is', async () => {
  let fails = true;
  const kept: Arrived[] = [];
  await using door = await openDoor({
    async receive(message) {
      if (fails) throw new Error('the database is away');
      kept.push(message);
    },
  });
  for (const expected of [/^451 4\.3\.0/, /^250/]) {
    await using client = await smtpClient(door.address);
    await client.say('EHLO mx.example.net');
    await client.say('MAIL FROM:<>');
    await client.say(`RCPT TO:<${returnPath}>`);
    const reply = await client.data(bounceMessage());
    assert.match(reply, expected);
    assert.doesNotMatch(reply, /database/);
    fails = false;
  }
  assert.equal(kept.length, 1);
});

test('complaints: to the return path, or to the common address with our return path inside', async () => {
  await using door = await openDoor();
  await using client = await smtpClient(door.address);
  await client.say('EHLO provider.example');
  for (const [to, inside] of [
    [returnPath, 'whoever@example.net'],
    ['feedback@bounces.maildoot.test', returnPath],
    ['feedback@bounces.maildoot.test', 'b+aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@bounces.maildoot.test'],
  ] as const) {
    await client.say('MAIL FROM:<feedback@provider.example>');
    assert.match(await client.say(`RCPT TO:<${to}>`), /^250/);
    assert.match(await client.data(complaintMessage(inside)), /^250/);
  }
  const events = door.arrived.map((message) => reportsIn(message, [key]));
  assert.deepEqual(
    events.map((list) => list.map((event) => [event.kind, event.recipientNumber, event.feedbackType])),
    [[[2, 3, 'abuse']], [[2, 3, 'abuse']], []],
  );
});

test('answers of people and holiday programs are taken and report nothing; nor does a bounce to the common address', async () => {
  await using door = await openDoor();
  await using client = await smtpClient(door.address);
  await client.say('EHLO mx.example.net');
  for (const [to, message] of [
    [returnPath, 'From: ann@example.net\nSubject: Re: Hello\n\nThanks! 550 5.1.1\n'],
    [returnPath, 'From: ann@example.net\nAuto-Submitted: auto-replied\nSubject: Away\n\n550 5.1.1\n'],
    ['feedback@bounces.maildoot.test', bounceMessage()],
  ] as const) {
    await client.say('MAIL FROM:<ann@example.net>');
    await client.say(`RCPT TO:<${to}>`);
    assert.match(await client.data(message), /^250/);
  }
  assert.deepEqual(
    door.arrived.flatMap((message) => reportsIn(message, [key])),
    [],
  );
});
