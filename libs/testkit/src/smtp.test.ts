// The SMTP receiver, seen by a raw client (which can misbehave) and by nodemailer's SMTPConnection (which is what delivery drives).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect as connectTcp, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { connect as connectTls, rootCertificates } from 'node:tls';
import { fileURLToPath } from 'node:url';
import SMTPConnection from 'nodemailer/lib/smtp-connection/index.js';
import { type FileLine, type SmtpReceiver, type SmtpReceiverOptions, startSmtpReceiver } from './smtp.ts';
import { waitFor } from './wait.ts';

// A client that says what it is told to and gives back replies as they come; an empty string when the connection ended.
class RawClient implements Disposable {
  readonly socket: Socket;
  #received = '';
  #ended = false;

  constructor(socket: Socket) {
    this.socket = socket;
    const end = () => {
      this.#ended = true;
    };
    socket.on('data', (chunk) => {
      this.#received += chunk.toString();
    });
    socket.on('end', end).on('close', end).on('error', end);
  }

  static to(receiver: SmtpReceiver): RawClient {
    return new RawClient(connectTcp({ port: receiver.port, host: receiver.host }));
  }

  get received(): string {
    return this.#received;
  }

  async reply(): Promise<string> {
    return waitFor(
      () => {
        const match = /^(?:\d{3}-.*\r\n)*(?:\d{3} |[^\d]).*\r\n/.exec(this.#received);
        if (match === null) return this.#ended ? 'closed' : undefined;
        this.#received = this.#received.slice(match[0].length);
        return match[0].trimEnd();
      },
      { what: `a reply after ${JSON.stringify(this.#received)}`, intervalMs: 1 },
    );
  }

  async say(line: string): Promise<string> {
    this.socket.write(`${line}\r\n`);
    return this.reply();
  }

  // Up to and with RCPT; the last reply.
  async open(...recipients: string[]): Promise<string> {
    assert.match(await this.reply(), /^220 /);
    assert.match(await this.say('EHLO client.test'), /^250-/);
    return this.transaction(...recipients);
  }

  async transaction(...recipients: string[]): Promise<string> {
    assert.match(await this.say('MAIL FROM:<sender@example.com>'), /^250 /);
    let last = '';
    for (const recipient of recipients) last = await this.say(`RCPT TO:<${recipient}>`);
    return last;
  }

  async message(text: string): Promise<string> {
    const start = await this.say('DATA');
    if (!start.startsWith('354')) return start;
    this.socket.write(`${text}\r\n.\r\n`);
    return this.reply();
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

async function start(options: SmtpReceiverOptions = {}) {
  return startSmtpReceiver(options);
}

const mail = 'Message-ID: <m1@example.com>\r\nSubject: hi\r\n\r\nbody';

test('records a whole transaction, byte by byte', async () => {
  await using receiver = await start();
  using client = RawClient.to(receiver);
  assert.match(await client.reply(), /^220 mx\.test ESMTP/);
  assert.equal(
    await client.say('EHLO client.test'),
    ['250-mx.test', '250-PIPELINING', '250-8BITMIME', '250-SMTPUTF8', '250-ENHANCEDSTATUSCODES', '250-SIZE 52428800', '250 STARTTLS'].join(
      '\r\n',
    ),
  );
  assert.equal(await client.say('MAIL FROM:<"a b"@example.com> SIZE=100 BODY=8BITMIME'), '250 2.1.0 sender ok');
  assert.equal(await client.say('RCPT TO:<jane@mx.test> NOTIFY=NEVER'), '250 2.1.5 recipient ok');
  assert.equal(await client.message('A: b\r\n\r\n..dot\r\n...two\r\nx\xe9\r\n'), '250 2.0.0 taken as 1');
  assert.equal(await client.say('QUIT'), '221 2.0.0 bye');
  const [message] = receiver.mailFor('JANE@mx.test');
  assert.ok(message);
  assert.equal(message.raw.toString(), 'A: b\r\n\r\n.dot\r\n..two\r\nx\xe9\r\n\r\n');
  const { number, session, transaction, helo, tlsVersion, mailFrom, mailParams, recipients, result } = message;
  assert.deepEqual(
    { number, session, transaction, helo, tlsVersion, mailFrom, mailParams, recipients, result },
    {
      number: 1,
      session: 1,
      transaction: 1,
      helo: 'client.test',
      tlsVersion: '',
      mailFrom: '"a b"@example.com',
      mailParams: { SIZE: '100', BODY: '8BITMIME' },
      recipients: [{ address: 'jane@mx.test', params: { NOTIFY: 'NEVER' } }],
      result: 'accepted',
    },
  );
  assert.deepEqual(receiver.sessions[0]?.violations, []);
  assert.ok(receiver.sessions[0]?.transcript.includes('> DATA'));
  await waitFor(() => receiver.openSessions === 0, { what: 'the session to end' });
});

test('greets at once', async () => {
  await using receiver = await start();
  const tookMs: number[] = [];
  // The quickest of many: a busy machine is slow at times, a fixed wait always.
  for (let time = 0; time < 50 && !(Math.min(...tookMs) < 90); time++) {
    const startedAt = performance.now();
    using client = RawClient.to(receiver);
    await client.reply();
    tookMs.push(performance.now() - startedAt);
  }
  assert.ok(Math.min(...tookMs) < 90, `smtp-server takes 100 ms; this one ${tookMs}`);
});

test('the message may arrive in any pieces, pipelined or byte by byte', async () => {
  await using receiver = await start();
  const session = `EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<jane@mx.test>\r\nDATA\r\n${mail}\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<jane@mx.test>\r\nDATA\r\n.\r\nQUIT\r\n`;
  for (const size of [1, 2, 3, 7, 10_000]) {
    using client = RawClient.to(receiver);
    await client.reply();
    for (let at = 0; at < session.length; at += size) {
      client.socket.write(session.slice(at, at + size));
      if (size < 10) await new Promise((resolve) => setImmediate(resolve));
    }
    client.socket.end();
    await waitFor(() => client.received.includes('221 '), { what: `the end with pieces of ${size}` });
  }
  assert.deepEqual(
    receiver.messages.map(({ raw }) => raw.toString()),
    Array.from({ length: 5 }, () => [`${mail}\r\n`, '']).flat(),
  );
});

test('5 MB with dots come through nodemailer unchanged, under TLS', async () => {
  await using receiver = await start();
  const line = `${'.x'.repeat(30)}\r\n`;
  const body = `Subject: big\r\n\r\n${line.repeat(Math.ceil(5e6 / line.length))}`;
  const connection = new SMTPConnection({
    host: receiver.host,
    port: receiver.port,
    requireTLS: true,
    tls: { ca: [receiver.certificate], servername: 'mx.test' },
  });
  await new Promise<void>((resolve, reject) => connection.once('error', reject).connect(() => resolve()));
  await new Promise<void>((resolve, reject) =>
    connection.send({ from: 'a@example.com', to: ['jane@mx.test'] }, body, (error) => (error ? reject(error) : resolve())),
  );
  connection.quit();
  const [message] = receiver.messages;
  assert.equal(message?.tlsVersion, 'TLSv1.3');
  assert.equal(message?.raw.toString(), body);
  await waitFor(() => receiver.openSessions === 0, { what: 'the session to end' });
});

test('behaviour by recipient, with labels', async () => {
  await using receiver = await start();
  const table: [string, RegExp][] = [
    ['accept', /^250 2\.1\.5/],
    ['anybody', /^250 2\.1\.5/],
    ['bounce', /^550 5\.1\.1/],
    ['BOUNCE', /^550 5\.1\.1/],
    ['bounce+label', /^550 5\.1\.1/],
    ['mailbox-full', /^452 4\.2\.2/],
    ['blocked+x', /^554 5\.7\.1/],
    ['greylist', /^451 4\.7\.1/],
    ['greylist', /^250/],
    ['greylist+other', /^451 4\.7\.1/],
    ['defer-2', /^451 4\.3\.0/],
    ['defer-2', /^451/],
    ['defer-2', /^250/],
    ['defer', /^451/],
    ['defer', /^451/],
    ['code-550', /^550 5\.0\.0/],
    ['code-251', /^251 2\.0\.0/],
    ['code-999', /^250/],
    ['malformed-rcpt', /^what\?/],
  ];
  using client = RawClient.to(receiver);
  await client.open('accept@mx.test');
  for (const [local, expected] of table) assert.match(await client.say(`RCPT TO:<${local}@mx.test>`), expected, local);
  assert.match(await client.message(mail), /^250/);
  assert.deepEqual(
    receiver.messages[0]?.recipients.map(({ address }) => address),
    ['accept', 'accept', 'anybody', 'greylist', 'defer-2', 'code-251', 'code-999'].map((local) => `${local}@mx.test`),
  );
});

test('refusal after the final dot, and the next transaction in the same session', async () => {
  await using receiver = await start();
  using client = RawClient.to(receiver);
  await client.open('jane@mx.test', 'spam+1@mx.test');
  assert.match(await client.message(mail), /^550 5\.7\.1/);
  await client.transaction('dot-code-451@mx.test');
  assert.match(await client.message(mail), /^451 4\.0\.0/);
  await client.transaction('jane@mx.test');
  assert.match(await client.message(mail), /^250/);
  assert.deepEqual(
    receiver.messages.map(({ result, transaction, session }) => [result, transaction, session]),
    [
      ['rejected', 1, 1],
      ['rejected', 2, 1],
      ['accepted', 3, 1],
    ],
  );
  assert.equal(receiver.mailFor('jane@mx.test').length, 1);
});

test('connections are dropped, left hanging and answered with garbage at every stage', async () => {
  await using receiver = await start();
  for (const stage of ['rcpt', 'data', 'dot']) {
    using closed = RawClient.to(receiver);
    const atRcpt = await closed.open(`close-${stage}@mx.test`);
    const answer = stage === 'rcpt' ? atRcpt : await closed.message(mail);
    assert.equal(answer, 'closed', stage);

    using malformed = RawClient.to(receiver);
    const malformedAtRcpt = await malformed.open(`malformed-${stage}@mx.test`);
    assert.equal(stage === 'rcpt' ? malformedAtRcpt : await malformed.message(mail), 'what?', stage);
  }
  using hanging = RawClient.to(receiver);
  await hanging.open('hang-dot@mx.test');
  hanging.socket.write(`DATA\r\n`);
  await hanging.reply();
  hanging.socket.write(`${mail}\r\n.\r\nQUIT\r\n`);
  await waitFor(() => receiver.mailFor('hang-dot@mx.test').length === 1, { what: 'the message that is never answered' });
  assert.equal(hanging.received, '');
  // What the receiver has though nobody was told.
  assert.deepEqual(
    receiver.messages.map(({ recipients, result }) => [recipients[0]?.address, result]),
    [
      ['close-dot@mx.test', 'unanswered'],
      ['malformed-dot@mx.test', 'rejected'],
      ['hang-dot@mx.test', 'unanswered'],
    ],
  );
  using once = RawClient.to(receiver);
  await once.open('close-dot-1+a@mx.test');
  assert.equal(await once.message(mail), 'closed');
  using twice = RawClient.to(receiver);
  await twice.open('close-dot-1+a@mx.test');
  assert.match(await twice.message(mail), /^250/);
});

test('a callback decides first, at every stage', async () => {
  await using receiver = await start({
    behaviour: ({ stage, time, recipient }) => {
      if (stage === 'connect' && time === 1) return { kind: 'reply', code: 421, enhancedCode: '4.3.2', text: 'not now' };
      if (stage === 'connect' && time === 2) return { kind: 'close' };
      if (stage === 'mail') return { kind: 'reply', code: 250, text: 'fine\nby me' };
      if (recipient.startsWith('bounce')) return { kind: 'accept' };
      return undefined;
    },
  });
  using first = RawClient.to(receiver);
  assert.equal(await first.reply(), '421 4.3.2 not now');
  assert.equal(await first.reply(), 'closed');
  using second = RawClient.to(receiver);
  assert.equal(await second.reply(), 'closed');
  using third = RawClient.to(receiver);
  await third.reply();
  await third.say('EHLO c');
  assert.equal(await third.say('MAIL FROM:<a@example.com>'), '250-fine\r\n250 by me');
  assert.match(await third.say('RCPT TO:<bounce@mx.test>'), /^250/);
  receiver.setBehaviour(({ stage }) => (stage === 'rcpt' ? { kind: 'reply', code: 450, text: 'changed', thenClose: true } : undefined));
  assert.match(await third.say('RCPT TO:<jane@mx.test>'), /^450 changed/);
  assert.equal(await third.reply(), 'closed');
});

test('slow answers come late, and a client that leaves ends the wait', async () => {
  await using receiver = await start();
  using client = RawClient.to(receiver);
  const startedAt = performance.now();
  assert.match(await client.open('slow-40@mx.test'), /^250/);
  assert.ok(performance.now() - startedAt >= 39);
  using leaving = RawClient.to(receiver);
  await leaving.reply();
  await leaving.say('EHLO c');
  await leaving.say('MAIL FROM:<>');
  leaving.socket.write('RCPT TO:<slow-60000@mx.test>\r\n');
  leaving.socket.destroy();
  client.socket.destroy();
  await waitFor(() => receiver.openSessions === 0, { what: 'both sessions to end' });
});

test('TLS in all its states', async () => {
  const starttls = async (tls: NonNullable<SmtpReceiverOptions['tls']>) => {
    const receiver = await start({ tls });
    const client = RawClient.to(receiver);
    await client.reply();
    const ehlo = await client.say('EHLO c');
    return { receiver, client, offered: ehlo.includes('STARTTLS') };
  };
  for (const [tls, offered, answer] of [
    ['off', false, /^502/],
    ['refused', true, /^454/],
    ['garbage', true, /^220/],
    ['close', true, /^220/],
    ['hang', true, /^220/],
  ] as const) {
    const { receiver, client, offered: found } = await starttls(tls);
    await using _ = receiver;
    using __ = client;
    assert.equal(found, offered, tls);
    assert.match(await client.say('STARTTLS'), answer, tls);
    if (tls === 'garbage') assert.match(await client.reply(), /no TLS handshake/);
    if (tls === 'close') assert.equal(await client.reply(), 'closed');
  }

  await using implicit = await start({ tls: 'implicit', maxTlsVersion: 'TLSv1.2' });
  const trusted = { port: implicit.port, host: implicit.host, servername: 'mx.test' };
  const secured = connectTls({ ...trusted, ca: [...rootCertificates, implicit.certificate] });
  using client = new RawClient(secured);
  await client.open('jane@mx.test');
  await client.message(mail);
  assert.equal(implicit.messages[0]?.tlsVersion, 'TLSv1.2');
  const untrusting = connectTls(trusted);
  const [error] = (await once(untrusting, 'error')) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'DEPTH_ZERO_SELF_SIGNED_CERT');
});

test('breaches of the protocol by the client are noted', async () => {
  const slowGreeting = { kind: 'accept', afterMs: 50 } as const;
  await using receiver = await start({ extensions: [], behaviour: ({ stage }) => (stage === 'connect' ? slowGreeting : undefined) });
  using client = RawClient.to(receiver);
  client.socket.write('EHLO early\r\n');
  await client.reply();
  await client.reply();
  client.socket.write('MAIL FROM:<a@example.com>\r\nRCPT TO:<jane@mx.test>\r\n');
  assert.equal(await client.reply(), '250 sender ok', 'no enhanced codes unless offered');
  await client.reply();
  assert.equal(await client.say('MAIL FROM:<ü@example.com> SMTPUTF8'), '503 one MAIL at a time');
  await client.say('RSET');
  assert.match(await client.say('MAIL FROM:<ü@example.com> SMTPUTF8'), /^555/);
  client.socket.write('NOOP\n');
  await client.reply();
  await client.transaction('jane@mx.test');
  await client.message('A: b\r\n\r\nx\ny');
  for (const [line, code] of [
    ['RCPT TO:<jane@mx.test>', '503'],
    ['DATA', '503'],
    ['MAIL FROM:a@example.com', '501'],
    ['MAIL FROM:<a@example.com> =x', '501'],
    ['FOO', '500'],
    ['STARTTLS', '220'],
  ] as const) {
    assert.ok((await client.say(line)).startsWith(code), line);
  }
  assert.deepEqual(
    new Set(receiver.sessions[0]?.violations),
    new Set([
      'talked before the greeting',
      'pipelined though it was not offered',
      'a command ended in a bare line feed',
      'a message had a bare line feed',
    ]),
  );
});

test('size limit, SMTPUTF8 and a limit of sessions', async () => {
  await using receiver = await start({ maxSizeBytes: 100, maxSessions: 1 });
  using client = RawClient.to(receiver);
  await client.reply();
  await client.say('EHLO c');
  assert.match(await client.say('MAIL FROM:<a@example.com> SIZE=101'), /^552/);
  assert.match(await client.say('MAIL FROM:<ü@example.com>'), /^553/);
  assert.match(await client.say('MAIL FROM:<ü@example.com> SMTPUTF8'), /^250/);
  await client.say('RCPT TO:<пошта@mx.test>');
  assert.match(await client.message('x'.repeat(200)), /^552/);
  using second = RawClient.to(receiver);
  assert.match(await second.reply(), /^421/);
  assert.equal(receiver.peakSessions, 2);
  receiver.dropSessions();
  assert.equal(await client.reply(), 'closed');
});

test('the process of its own writes a line per message before it answers', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'maildoot-smtp-'));
  const file = join(directory, 'got.jsonl');
  const child = spawn(process.execPath, [fileURLToPath(new URL('./smtp-main.ts', import.meta.url)), '--port', '0', '--file', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const { address } = JSON.parse(line) as { address: string };
    const [host = '', port = ''] = address.split(':');
    using client = new RawClient(connectTcp({ host, port: Number(port) }));
    await client.open('jane@mx.test');
    assert.match(await client.message(mail), /^250/);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const [written] = (await readFile(file, 'utf8'))
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text) as FileLine);
    assert.equal(written?.messageId, '<m1@example.com>');
    assert.deepEqual(written?.recipients, ['jane@mx.test']);
    assert.equal(written?.acknowledged, true);
  } finally {
    child.kill('SIGKILL');
    await rm(directory, { recursive: true, force: true });
  }
});
