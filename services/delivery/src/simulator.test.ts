// The simulator, by the session that delivery itself uses: what each name does, and what comes back later.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { readDeliveryReport } from '@maildoot/mail/delivery-report';
import { isComplaint, readFeedbackReport } from '@maildoot/mail/feedback-report';
import { parseMime } from '@maildoot/mail/mime-parts';
import { type SmtpReceiver, startSmtpReceiver } from '@maildoot/testkit/smtp';
import { waitFor } from '@maildoot/testkit/wait';
import { classify } from './classify.ts';
import { openSession, type SessionTrouble } from './session.ts';
import { type Simulator, startSimulator } from './simulator.ts';

const domain = 'simulator.localhost';
const returnPath = 'b+token@bounces.example.com';
const failures: unknown[] = [];
let mx: SmtpReceiver;
let simulator: Simulator;

before(async () => {
  mx = await startSmtpReceiver();
  simulator = await startSimulator({
    domain,
    reportsTo: `127.0.0.1:${mx.port}`,
    now: () => new Date(),
    onFailure: (error) => failures.push(error),
  });
});
after(async () => {
  await simulator[Symbol.asyncDispose]();
  await mx[Symbol.asyncDispose]();
});

/** `delivered`, or what delivery makes of the refusal: `permanent 550 5.1.1`. */
async function send(local: string, envelopeId = 'msg_1'): Promise<string> {
  const address = `${local}@${domain}`;
  const { host, port } = simulator.doorFor(address);
  for (const tlsPolicy of ['opportunistic', 'none'] as const) {
    const socket = connect(port, '127.0.0.1');
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    const session = await openSession({ socket, host, ehlo: 'test', tlsPolicy }).catch((error: SessionTrouble) => error);
    if ('trouble' in session) {
      assert.equal(session.trouble.kind, 'tls');
      continue;
    }
    const content = [Buffer.from('Subject: Hello\r\nMessage-ID: <1@x>\r\n\r\nbody\r\n')];
    const result = await session.send({
      envelopeId,
      mailFrom: returnPath,
      recipients: [address],
      content,
      eightBit: false,
      utf8Header: false,
      mayHandOver: async () => true,
    });
    session.quit();
    const trouble = result.refused[0] ?? (result.end.kind === 'failed' ? result.end.trouble : undefined);
    if (trouble === undefined) return tlsPolicy === 'none' ? 'delivered in clear' : 'delivered';
    const verdict = classify(trouble);
    const reply = trouble.kind === 'reply' ? `${trouble.reply.code} ${trouble.reply.enhancedCode}` : trouble.kind;
    return `${verdict.permanent ? 'permanent' : 'transient'} ${reply}${tlsPolicy === 'none' ? ' in clear' : ''}`;
  }
  return 'no session';
}

for (const [local, expected] of [
  ['accept', 'delivered'],
  ['ACCEPT+label', 'delivered'],
  ['bounce', 'permanent 550 5.1.1'],
  ['bounce+other', 'permanent 550 5.1.1'],
  ['mailbox-full', 'transient 452 4.2.2'],
  ['defer', 'transient 451 4.3.0'],
  ['blocked', 'permanent 554 5.7.1'],
  ['spam', 'permanent 550 5.7.1'],
  ['tls-fail', 'permanent 550 5.7.10 in clear'],
  ['code-452', 'transient 452 4.0.0'],
  ['code-554', 'permanent 554 5.0.0'],
  ['code-250', 'delivered'],
  ['nobody', 'permanent 550 5.1.1'],
  ['code-999', 'permanent 550 5.1.1'],
] as const) {
  test(`${local}: ${expected}`, async () => assert.equal(await send(local), expected));
}

test('greylist: the first time not, the second time taken, each message by itself', async () => {
  assert.equal(await send('greylist', 'msg_a'), 'transient 451 4.7.1');
  assert.equal(await send('greylist', 'msg_b'), 'transient 451 4.7.1');
  assert.equal(await send('greylist', 'msg_a'), 'delivered');
});

test('slow: taken, late', async () => {
  const startedAt = performance.now();
  assert.equal(await send('slow'), 'delivered');
  assert.ok(performance.now() - startedAt >= 1_900);
});

for (const [local, check] of [
  [
    'bounce-later',
    (raw: Buffer) => {
      const report = readDeliveryReport(parseMime(raw));
      assert.deepEqual([report?.action, report?.status, report?.standard], ['failed', '5.1.1', true]);
      assert.match(raw.toString(), /Message-ID: <1@x>/);
    },
  ],
  [
    'complaint',
    (raw: Buffer) => {
      const report = readFeedbackReport(parseMime(raw));
      assert.ok(report !== undefined && isComplaint(report));
      assert.deepEqual(report.returnPaths, [returnPath, returnPath]);
    },
  ],
  ['ooto', (raw: Buffer) => assert.equal(readDeliveryReport(parseMime(raw)), undefined)],
] as const) {
  test(`${local}: taken, and something comes back to the return path as mail does`, async () => {
    const before = mx.messages.length;
    assert.equal(await send(`${local}+x`), 'delivered');
    const message = await waitFor(() => mx.messages.find((one) => one.number > before), { what: 'the report' });
    assert.deepEqual(
      message.recipients.map(({ address }) => address),
      [returnPath],
    );
    if (local === 'bounce-later') assert.equal(message.mailFrom, '', 'a report has the null reverse-path');
    check(message.raw);
    assert.deepEqual(failures, []);
  });
}
