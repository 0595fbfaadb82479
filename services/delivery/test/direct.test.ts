// Direct delivery: MX by DNS, sessions, replies, retries, and what is said about each.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { BounceClass, BounceType, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { newId } from '@maildoot/runtime/ids';
import { createResolver } from '@maildoot/runtime/resolver';
import { TestClock } from '@maildoot/testkit/clock';
import { type SmtpReceiver, startSmtpReceiver } from '@maildoot/testkit/smtp';
import { waitFor } from '@maildoot/testkit/wait';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { type House, mxZone, openHouse, type RunningDelivery } from './delivery.ts';

describe('direct delivery', () => {
  let house: House;
  let receiver: SmtpReceiver;
  let delivery: RunningDelivery;
  const clock = new TestClock();

  before(async () => {
    house = await openHouse();
    receiver = await startSmtpReceiver({ hostname: 'mx1.example.test' });
    mxZone(house.dns, 'example.test', [['mx1', '127.0.0.1']]);
    delivery = await house.startDelivery(
      { MX_PORT: String(receiver.port), RETRY_SCHEDULE: '60,120', MAX_SESSIONS_PER_DESTINATION: '3' },
      { clock },
    );
  });
  after(async () => {
    await delivery?.[Symbol.asyncDispose]();
    await receiver?.[Symbol.asyncDispose]();
    await house?.[Symbol.asyncDispose]();
  });

  it('delivers a signed message that an independent verifier accepts, and says everything about the session', async () => {
    house.makeKey('shop.test');
    const id = await house.accept({ to: ['accept+signed@example.test'], signingDomain: 'shop.test' });
    const [event] = await house.waitForOutcomes(id, 1);
    assert.equal(event?.outcome, Outcome.OUTCOME_DELIVERED);
    assert.equal(event.attempt, 1);
    assert.equal(event.recipient, 'accept+signed@example.test');
    assert.equal(event.possibleDuplicate, false);
    assert.equal(event.bounce, undefined);
    assert.equal(event.session?.host, 'mx1.example.test');
    assert.equal(event.session?.remoteAddress, `127.0.0.1:${receiver.port}`);
    assert.match(event.session?.localAddress ?? '', /^127\.0\.0\.1:\d+$/);
    assert.equal(event.session?.tlsVersion, 'TLSv1.3');
    assert.equal(event.session?.tlsPolicy, 'opportunistic');
    assert.equal(event.session?.command, 'DATA');
    assert.equal(event.session?.replyCode, 250);
    const [mail] = receiver.mailFor('accept+signed@example.test');
    assert.ok(mail);
    assert.equal(mail.helo, 'out.maildoot.test');
    assert.equal(mail.mailFrom, 'sender@shop.test');
    const verified = await verify(mail.raw);
    assert.equal(verified, 'pass');
    const flipped = Buffer.from(mail.raw);
    flipped[flipped.length - 5] = (flipped[flipped.length - 5] ?? 0) ^ 1;
    assert.notEqual(await verify(flipped), 'pass');
    assert.deepEqual(await house.due(id), []);
  });

  it('keeps the replies of recipients of one message apart, in one transaction', async () => {
    const before = receiver.messages.length;
    const to = ['accept+a@example.test', 'bounce@example.test', 'accept+b@example.test', 'mailbox-full@example.test'];
    const id = await house.accept({ to });
    const events = await house.waitForOutcomes(id, 4);
    const byRecipient = new Map(events.map((event) => [event.recipient, event]));
    assert.equal(byRecipient.get('accept+a@example.test')?.outcome, Outcome.OUTCOME_DELIVERED);
    assert.equal(byRecipient.get('accept+b@example.test')?.outcome, Outcome.OUTCOME_DELIVERED);
    const bounced = byRecipient.get('bounce@example.test');
    assert.equal(bounced?.outcome, Outcome.OUTCOME_BOUNCED);
    assert.equal(bounced.session?.command, 'RCPT TO');
    assert.equal(bounced.session?.enhancedCode, '5.1.1');
    assert.equal(bounced.session?.reply, '550 5.1.1 user unknown');
    assert.deepEqual(bounced.bounce, {
      type: BounceType.BOUNCE_TYPE_PERMANENT,
      class: BounceClass.BOUNCE_CLASS_RECIPIENT,
      diagnostic: 'smtp; 550 5.1.1 user unknown',
    });
    const full = byRecipient.get('mailbox-full@example.test');
    assert.equal(full?.outcome, Outcome.OUTCOME_DEFERRED);
    assert.equal(full.bounce?.class, BounceClass.BOUNCE_CLASS_MAILBOX_FULL);
    assert.equal(full.bounce?.type, BounceType.BOUNCE_TYPE_TRANSIENT);
    const waitSeconds = ((full.nextAttemptAt?.getTime() ?? 0) - clock.now().getTime()) / 1000;
    assert.ok(waitSeconds > 53 && waitSeconds <= 60, `the next attempt is in ${waitSeconds} s`);
    const received = receiver.messages.slice(before);
    assert.equal(received.length, 1);
    assert.deepEqual(
      received[0]?.recipients.map((recipient) => recipient.address),
      ['accept+a@example.test', 'accept+b@example.test'],
    );
  });

  it('tries again on schedule and delivers', async () => {
    const id = await house.accept({ to: ['defer-2@example.test'] });
    await house.waitForOutcomes(id, 1);
    assert.deepEqual(house.outcomes(id), ['deferred']);
    await clock.advance(60_000);
    await house.waitForOutcomes(id, 2);
    await clock.advance(120_000);
    const events = await house.waitForOutcomes(id, 3);
    assert.deepEqual(house.outcomes(id), ['deferred', 'deferred', 'delivered']);
    assert.deepEqual(
      events.map((event) => event.attempt),
      [1, 2, 3],
    );
    assert.equal(receiver.mailFor('defer-2@example.test').length, 1);
  });

  it('gives up after the last retry, with the last words of the server', async () => {
    const id = await house.accept({ to: ['defer@example.test'] });
    await house.waitForOutcomes(id, 1);
    await clock.advance(60_000);
    await house.waitForOutcomes(id, 2);
    await clock.advance(120_000);
    const events = await house.waitForOutcomes(id, 3);
    assert.deepEqual(house.outcomes(id), ['deferred', 'deferred', 'failed']);
    assert.match(events[2]?.bounce?.diagnostic ?? '', /^smtp; 451 4\.3\.0 try again later; given up after the last retry$/);
    assert.equal(events[2]?.nextAttemptAt, undefined);
    assert.deepEqual(await house.due(id), []);
  });

  it('bounces what is refused after the final dot, for everybody in the transaction', async () => {
    const id = await house.accept({ to: ['spam@example.test', 'accept+spam@example.test'] });
    const events = await house.waitForOutcomes(id, 2);
    assert.deepEqual(house.outcomes(id), ['bounced', 'bounced']);
    assert.equal(events[0]?.session?.command, 'DATA');
    assert.equal(events[0]?.bounce?.class, BounceClass.BOUNCE_CLASS_POLICY);
  });

  it('says that the outcome is unknown when the connection is lost after the final dot', async () => {
    const id = await house.accept({ to: ['close-dot-1@example.test'] });
    const [event] = await house.waitForOutcomes(id, 1);
    assert.equal(event?.outcome, Outcome.OUTCOME_DEFERRED);
    assert.equal(event.possibleDuplicate, true);
    assert.equal(event.bounce?.type, BounceType.BOUNCE_TYPE_UNDETERMINED);
    await clock.advance(60_000);
    const events = await house.waitForOutcomes(id, 2);
    assert.equal(events[1]?.outcome, Outcome.OUTCOME_DELIVERED);
    assert.equal(events[1]?.possibleDuplicate, true);
    assert.equal(receiver.mailFor('close-dot-1@example.test').length, 2);
  });

  it('does not call it a possible duplicate when the connection is lost before the message', async () => {
    receiver.setBehaviour(({ stage, recipient, time }) =>
      stage === 'rcpt' && recipient === 'lost@example.test' && time <= 1 ? { kind: 'close' } : undefined,
    );
    const id = await house.accept({ to: ['lost@example.test'] });
    const [event] = await house.waitForOutcomes(id, 1);
    receiver.setBehaviour(undefined);
    // On a session that was reused it got a fresh one at once, and was delivered.
    if (event?.outcome === Outcome.OUTCOME_DEFERRED) {
      assert.equal(event.bounce?.class, BounceClass.BOUNCE_CLASS_NETWORK);
      await clock.advance(60_000);
      await house.waitForOutcomes(id, 2);
    }
    assert.ok(house.events.filter((one) => one.messageId === id).every((one) => !one.possibleDuplicate));
    assert.equal(receiver.mailFor('lost@example.test').length, 1);
  });

  it('reuses sessions and never opens more than the destination may have', async () => {
    const sessionsBefore = receiver.sessions.length;
    const ids = await Promise.all(Array.from({ length: 40 }, (_, index) => house.accept({ to: [`accept+${index}@example.test`] })));
    await Promise.all(ids.map((id) => house.waitForOutcomes(id, 1)));
    const opened = receiver.sessions.slice(sessionsBefore);
    assert.ok(receiver.peakSessions <= 3, `${receiver.peakSessions} sessions at once`);
    assert.ok(opened.length <= 6, `${opened.length} sessions for 40 messages`);
    assert.deepEqual(
      receiver.sessions.flatMap((session) => session.violations),
      [],
    );
  });

  it('takes a new session for a message whose reused one had died', async () => {
    const first = await house.accept({ to: ['accept+idle1@example.test'] });
    await house.waitForOutcomes(first, 1);
    receiver.setBehaviour(({ stage, session }) =>
      stage === 'mail' && session.transcript.some((line) => line.includes('RCPT')) ? { kind: 'close' } : undefined,
    );
    const second = await house.accept({ to: ['accept+idle2@example.test'] });
    await house.waitForOutcomes(second, 1);
    receiver.setBehaviour(undefined);
    assert.deepEqual(house.outcomes(second), ['delivered']);
  });

  it('goes to the second MX when the first one is down, and the timeline says so', async () => {
    const port = receiver.port;
    await using second = await startSmtpReceiver({ host: '127.0.0.2', port, hostname: 'mx2.two.test' });
    mxZone(house.dns, 'two.test', [
      ['mx1', '127.0.0.3'],
      ['mx2', '127.0.0.2'],
    ]);
    const id = await house.accept({ to: ['accept@two.test'] });
    const [event] = await house.waitForOutcomes(id, 1);
    assert.equal(event?.outcome, Outcome.OUTCOME_DELIVERED);
    assert.equal(event.session?.host, 'mx2.two.test');
    assert.match(
      event.session?.reply ?? '',
      /^250 .*\n\[before that mx1\.two\.test: no connection to mx1\.two\.test:\d+: connection refused\]$/s,
    );
    assert.equal(second.mailFor('accept@two.test').length, 1);
  });

  it('goes to the second MX when the first one greets with 421', async () => {
    const port = receiver.port;
    await using first = await startSmtpReceiver({
      host: '127.0.0.4',
      port,
      behaviour: ({ stage }) => (stage === 'connect' ? { kind: 'reply', code: 421, text: 'busy' } : undefined),
    });
    await using second = await startSmtpReceiver({ host: '127.0.0.5', port });
    mxZone(house.dns, 'busy.test', [
      ['mx1', '127.0.0.4'],
      ['mx2', '127.0.0.5'],
    ]);
    const id = await house.accept({ to: ['accept@busy.test'] });
    await house.waitForOutcomes(id, 1);
    assert.deepEqual(house.outcomes(id), ['delivered']);
    assert.equal(first.sessions.length, 1);
    assert.equal(second.mailFor('accept@busy.test').length, 1);
  });

  it('says addresses beyond ASCII with SMTPUTF8, and signs the bytes that go out', async () => {
    house.makeKey('international.test');
    const to = ['jörg@example.test', 'accept+beside@example.test'];
    const id = await house.accept({ to, signingDomain: 'international.test' });
    await house.waitForOutcomes(id, 2);
    assert.deepEqual(house.outcomes(id), ['delivered', 'delivered']);
    const [mail] = receiver.mailFor('jörg@example.test');
    assert.ok(mail);
    assert.deepEqual([mail.mailParams.SMTPUTF8, mail.mailParams.BODY], ['', '8BITMIME']);
    assert.ok(mail.raw.toString('utf8').includes('\r\nTo: jörg@example.test, accept+beside@example.test\r\n'));
    assert.equal(await verify(mail.raw), 'pass');
    assert.notEqual(await verify(Buffer.from(mail.raw.toString('utf8').replace('To: jörg@', 'To: jörq@'))), 'pass');
    const plain = await house.accept({ to: ['accept+plain@example.test'] });
    await house.waitForOutcomes(plain, 1);
    assert.equal(receiver.mailFor('accept+plain@example.test')[0]?.mailParams.SMTPUTF8, undefined);
  });

  it('fails for good, and says why, where the host takes no addresses beyond ASCII', async () => {
    await using old = await startSmtpReceiver({ host: '127.0.0.8', port: receiver.port, extensions: ['PIPELINING', '8BITMIME'] });
    mxZone(house.dns, 'ascii.test', [['mx1', '127.0.0.8']]);
    const id = await house.accept({ to: ['jörg@ascii.test', 'plain@ascii.test'] });
    const events = await house.waitForOutcomes(id, 2);
    assert.deepEqual(house.outcomes(id), ['bounced', 'bounced']);
    const diagnosticOf = (recipient: string) => events.find((event) => event.recipient === recipient)?.bounce?.diagnostic ?? '';
    const because = 'and mx1.ascii.test does not offer SMTPUTF8 (RFC 6531)';
    assert.equal(
      diagnosticOf('jörg@ascii.test'),
      `x-maildoot; 5.6.7 the address of the recipient has characters beyond ASCII before the @, ${because}`,
    );
    assert.equal(
      diagnosticOf('plain@ascii.test'),
      `x-maildoot; 5.6.9 an address in the header of the message (From, Sender, Reply-To, To, Cc or their Resent- forms) has characters beyond ASCII, ${because}`,
    );
    assert.deepEqual(
      new Map(events.map(({ recipient, bounce }) => [recipient, bounce?.class])),
      new Map([
        ['jörg@ascii.test', BounceClass.BOUNCE_CLASS_PROTOCOL],
        ['plain@ascii.test', BounceClass.BOUNCE_CLASS_NON_ASCII_ADDRESS],
      ]),
    );
    assert.equal(old.messages.length, 0, 'nothing is sent in another form');
    // The header is ASCII: only whoever can't be written to is refused.
    const blind = newId('msg');
    const seen = house.accept({ id: blind, to: ['plain@ascii.test', 'jörg@ascii.test'] });
    house.contents.set(blind, Buffer.from('From: sender@shop.test\r\nTo: plain@ascii.test\r\n\r\nHello\r\n'));
    await seen;
    const mixed = await house.waitForOutcomes(blind, 2);
    assert.deepEqual(
      new Map(mixed.map(({ recipient, outcome }) => [recipient, outcome])),
      new Map([
        ['plain@ascii.test', Outcome.OUTCOME_DELIVERED],
        ['jörg@ascii.test', Outcome.OUTCOME_BOUNCED],
      ]),
    );
  });

  it('takes addresses beyond ASCII to the MX that can say them, and waits for one that is away', async () => {
    const port = receiver.port;
    await using old = await startSmtpReceiver({ host: '127.0.0.9', port, extensions: ['PIPELINING', '8BITMIME'] });
    await using able = await startSmtpReceiver({ host: '127.0.0.10', port });
    const zones = {
      'later.test': ['127.0.0.9', '127.0.0.10'],
      'away.test': ['127.0.0.3', '127.0.0.9'],
      'gone.test': ['127.0.0.9', '127.0.0.3'],
    };
    for (const [domain, [first = '', second = '']] of Object.entries(zones)) {
      mxZone(house.dns, domain, [
        ['mx1', first],
        ['mx2', second],
      ]);
    }
    const outcomesAt = async (domain: string) => {
      const id = newId('msg');
      const accepted = house.accept({ id, to: [`plain@${domain}`, `jörg@${domain}`] });
      house.contents.set(id, Buffer.from(`From: sender@shop.test\r\nTo: plain@${domain}\r\n\r\nHello\r\n`));
      await accepted;
      const events = await house.waitForOutcomes(id, 2);
      return ['plain', 'jörg'].map((name) => events.find((event) => event.recipient === `${name}@${domain}`));
    };
    const [plain, taken] = await outcomesAt('later.test');
    assert.deepEqual([plain?.session?.host, taken?.session?.host], ['mx1.later.test', 'mx2.later.test']);
    assert.deepEqual([plain?.outcome, taken?.outcome], [Outcome.OUTCOME_DELIVERED, Outcome.OUTCOME_DELIVERED]);
    assert.deepEqual([old.messages.length, able.mailFor('jörg@later.test').length], [1, 1]);
    for (const domain of ['away.test', 'gone.test']) {
      const [beside, deferred] = await outcomesAt(domain);
      assert.equal(beside?.outcome, Outcome.OUTCOME_DELIVERED);
      assert.equal(deferred?.outcome, Outcome.OUTCOME_DEFERRED, deferred?.bounce?.diagnostic);
      assert.equal(deferred.bounce?.type, BounceType.BOUNCE_TYPE_TRANSIENT);
      assert.match(deferred.bounce.diagnostic, /5\.6\.7 the address of the recipient/);
    }
  });

  for (const [mode, name] of [
    ['refused', 'refusing'],
    ['close', 'closing'],
  ] as const) {
    it(`delivers in clear where TLS is offered and does not work (${name}), and says so`, async () => {
      const address = mode === 'refused' ? '127.0.0.6' : '127.0.0.7';
      await using broken = await startSmtpReceiver({ host: address, port: receiver.port, tls: mode });
      mxZone(house.dns, `${name}.test`, [['mx1', address]]);
      const id = await house.accept({ to: [`accept@${name}.test`] });
      const [event] = await house.waitForOutcomes(id, 1);
      assert.equal(event?.outcome, Outcome.OUTCOME_DELIVERED, event?.bounce?.diagnostic);
      assert.equal(event.session?.tlsVersion, '');
      assert.equal(event.session?.tlsPolicy, mode === 'refused' ? 'opportunistic' : 'none');
      assert.equal(broken.mailFor(`accept@${name}.test`).length, 1);
    });
  }

  it('bounces at a null MX, at a domain that does not exist, and at hosts on networks it must not touch', async () => {
    house.dns.setZone('nullmx.test', { '@': { MX: [{ preference: 0, exchange: '.' }] } });
    mxZone(house.dns, 'inside.test', [['mx1', '10.0.0.1']]);
    for (const [address, words] of [
      ['a@nullmx.test', /takes no mail \(null MX\)/],
      ['a@nothere.nullmx.test', /does not exist/],
      ['a@inside.test', /only addresses that are not connected to \(10\.0\.0\.1\)/],
    ] as const) {
      const id = await house.accept({ to: [address] });
      const [event] = await house.waitForOutcomes(id, 1);
      assert.equal(event?.outcome, Outcome.OUTCOME_BOUNCED, address);
      assert.equal(event.bounce?.class, BounceClass.BOUNCE_CLASS_DNS);
      assert.equal(event.bounce?.type, BounceType.BOUNCE_TYPE_PERMANENT);
      assert.match(event.bounce?.diagnostic ?? '', words);
    }
  });

  it('defers while the name servers fail, and delivers when they are back', async () => {
    mxZone(house.dns, 'flaky.test', [['mx1', '127.0.0.1']]);
    house.dns.fail('flaky.test', 'servfail');
    const id = await house.accept({ to: ['accept@flaky.test'] });
    const [event] = await house.waitForOutcomes(id, 1);
    assert.equal(event?.outcome, Outcome.OUTCOME_DEFERRED);
    assert.equal(event.bounce?.class, BounceClass.BOUNCE_CLASS_DNS);
    house.dns.heal();
    await clock.advance(60_000);
    await house.waitForOutcomes(id, 2);
    assert.deepEqual(house.outcomes(id), ['deferred', 'delivered']);
  });

  it('takes the domain itself where there is no MX', async () => {
    house.dns.setZone('implicit.test', { '@': { A: ['127.0.0.1'] } });
    const id = await house.accept({ to: ['accept@implicit.test'] });
    const [event] = await house.waitForOutcomes(id, 1);
    assert.equal(event?.outcome, Outcome.OUTCOME_DELIVERED);
    assert.equal(event.session?.host, 'implicit.test');
  });

  it('holds scheduled mail until its time', async () => {
    const sendAt = new Date(clock.now().getTime() + 3_600_000);
    const id = await house.accept({ to: ['accept+later@example.test'], sendAt });
    await waitFor(async () => (await house.due(id)).length === 1, { what: 'the due row' });
    const now = await house.accept({ to: ['accept+now@example.test'] });
    await house.waitForOutcomes(now, 1);
    assert.deepEqual(house.outcomes(id), []);
    await clock.advance(3_600_000);
    await house.waitForOutcomes(id, 1);
    assert.deepEqual(house.outcomes(id), ['delivered']);
  });

  async function verify(raw: Buffer): Promise<string | undefined> {
    const resolver = createResolver([house.dns.address]);
    const found = await dkimVerify(raw, { resolver: async (name: string) => (await resolver.resolveTxt(name)).map((record) => [record]) });
    return found.results[0]?.status.result;
  }
});
