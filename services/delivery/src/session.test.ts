import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { type SmtpReceiver, type SmtpReceiverOptions, startSmtpReceiver } from '@maildoot/testkit/smtp';
import { waitFor } from '@maildoot/testkit/wait';
import { openSession, type PhaseLimits, type Session, SessionTrouble, type Transaction } from './session.ts';

const patience = 60_000;
const limits: PhaseLimits = {
  greetingMs: patience,
  handshakeMs: patience,
  envelopeMs: patience,
  blockMs: patience,
  finalDotMs: patience,
  resetMs: patience,
};

describe('openSession', () => {
  const failing: [string, SmtpReceiverOptions, { kind: string; stage: string }, Partial<PhaseLimits>?][] = [
    [
      'a greeting that refuses',
      { behaviour: at('connect', { kind: 'reply', code: 554, text: 'no' }) },
      { kind: 'reply', stage: 'greeting' },
    ],
    ['a connection closed before the greeting', { behaviour: at('connect', { kind: 'close' }) }, { kind: 'lost', stage: 'greeting' }],
    ['no greeting', { behaviour: at('connect', { kind: 'hang' }) }, { kind: 'timeout', stage: 'greeting' }, { greetingMs: 300 }],
    ['a handshake that is answered with garbage', { tls: 'garbage' }, { kind: 'tls', stage: 'starttls' }, { handshakeMs: 300 }],
    ['a handshake that is answered by closing', { tls: 'close' }, { kind: 'tls', stage: 'starttls' }],
    ['a handshake that never ends', { tls: 'hang' }, { kind: 'tls', stage: 'starttls' }, { handshakeMs: 300 }],
  ];
  for (const [name, options, expected, short] of failing) {
    it(`tells what broke: ${name}`, async () => {
      await using receiver = await startSmtpReceiver(options);
      await assert.rejects(open(receiver, { ...limits, ...short }), (error) => {
        assert.ok(error instanceof SessionTrouble);
        const { kind } = error.trouble;
        assert.deepEqual({ kind, stage: 'stage' in error.trouble ? error.trouble.stage : '' }, expected);
        return true;
      });
      await waitFor(() => receiver.openSessions === 0, { what: 'the connection to be closed' });
    });
  }

  it('goes on in clear where STARTTLS is refused or not offered', async () => {
    for (const tls of ['refused', 'off'] as const) {
      await using receiver = await startSmtpReceiver({ tls });
      const session = await open(receiver);
      assert.equal(session.facts.tlsVersion, '');
      session.quit();
    }
  });
});

describe('Session.send', () => {
  const cases: [string, Behaviour, { kind: string; stage: string; unheard: boolean }, Partial<PhaseLimits>?][] = [
    ['421 to MAIL', at('mail', { kind: 'reply', code: 421, text: 'bye' }), { kind: 'reply', stage: 'mail', unheard: true }],
    [
      '550 to MAIL',
      at('mail', { kind: 'reply', code: 550, enhancedCode: '5.7.1', text: 'no' }),
      { kind: 'reply', stage: 'mail', unheard: false },
    ],
    ['closed at MAIL', at('mail', { kind: 'close' }), { kind: 'lost', stage: 'mail', unheard: true }],
    ['no answer to RCPT', at('rcpt', { kind: 'hang' }), { kind: 'timeout', stage: 'mail', unheard: true }, { envelopeMs: 300 }],
    ['closed at DATA', at('data', { kind: 'close' }), { kind: 'lost', stage: 'mail', unheard: false }],
    ['451 to DATA', at('data', { kind: 'reply', code: 451, text: 'later' }), { kind: 'reply', stage: 'data', unheard: false }],
    ['closed after the dot', at('dot', { kind: 'close' }), { kind: 'lost', stage: 'dot', unheard: false }],
    ['no answer to the dot', at('dot', { kind: 'hang' }), { kind: 'timeout', stage: 'dot', unheard: false }, { finalDotMs: 300 }],
    ['nonsense after the dot', at('dot', { kind: 'raw', text: 'what?\r\n' }), { kind: 'protocol', stage: 'dot', unheard: false }],
    ['552 after the dot', at('dot', { kind: 'reply', code: 552, text: 'too big' }), { kind: 'reply', stage: 'dot', unheard: false }],
  ];
  for (const [name, behaviour, expected, short] of cases) {
    it(`tells how far it came: ${name}`, async () => {
      await using receiver = await startSmtpReceiver({ behaviour });
      const session = await open(receiver, { ...limits, ...short });
      const result = await session.send(transaction());
      assert.equal(result.end.kind, 'failed');
      const trouble = result.end.kind === 'failed' ? result.end.trouble : undefined;
      assert.deepEqual(
        { kind: trouble?.kind, stage: trouble !== undefined && 'stage' in trouble ? trouble.stage : '', unheard: result.unheard },
        expected,
      );
      session.quit();
    });
  }

  it('delivers the very bytes, dots and all, and goes on after a refusal', async () => {
    await using receiver = await startSmtpReceiver();
    const session = await open(receiver);
    const refused = await session.send(transaction({ recipients: ['bounce@x.test'] }));
    assert.equal(refused.end.kind, 'failed');
    assert.equal(refused.refused[0]?.kind, 'reply');
    const content = [Buffer.from('Subject: a\r\n\r\n.\r\n..\r\n'), Buffer.from('.end\r\n')];
    const result = await session.send(transaction({ content }));
    assert.equal(result.end.kind, 'accepted');
    assert.deepEqual(receiver.messages[0]?.raw, Buffer.concat(content));
    assert.ok(receiver.sessions[0]?.transcript.includes('> RSET'));
    assert.equal(receiver.sessions.length, 1);
    session.quit();
  });

  it('hands nothing over when it may not', async () => {
    await using receiver = await startSmtpReceiver();
    const session = await open(receiver);
    const result = await session.send(transaction({ mayHandOver: async () => false }));
    assert.equal(result.end.kind, 'withheld');
    assert.equal(session.alive, false);
    await waitFor(() => receiver.openSessions === 0, { what: 'the session to end' });
    assert.equal(receiver.messages.length, 0);
  });

  it('can be abandoned before the message and not after', async () => {
    await using receiver = await startSmtpReceiver({ behaviour: at('rcpt', { kind: 'hang' }) });
    const session = await open(receiver, { ...limits, envelopeMs: 60_000 });
    const sending = session.send(transaction());
    session.abandon();
    assert.equal((await sending).end.kind, 'withheld');
    let dotReached = false;
    await using slow = await startSmtpReceiver({
      behaviour(event) {
        if (event.stage !== 'dot') return undefined;
        dotReached = true;
        return { kind: 'accept', afterMs: 50 };
      },
    });
    const other = await open(slow, { ...limits, finalDotMs: 60_000 });
    const going = other.send(transaction());
    await waitFor(() => dotReached, { what: 'the final dot', intervalMs: 1 });
    other.abandon();
    assert.equal((await going).end.kind, 'accepted');
    other.quit();
  });

  it('knows whether the server takes addresses beyond ASCII', async () => {
    await using without = await startSmtpReceiver({ extensions: ['PIPELINING', '8BITMIME'] });
    // RFC 6531 section 3.1 wants both.
    await using half = await startSmtpReceiver({ extensions: ['PIPELINING', 'SMTPUTF8'] });
    await using with8 = await startSmtpReceiver();
    const sessions = [await open(without), await open(half), await open(with8)];
    assert.deepEqual(
      sessions.map((session) => session.hasSmtpUtf8),
      [false, false, true],
    );
    for (const session of sessions) session.quit();
  });

  it('asks for SMTPUTF8 when the envelope or the header needs it, once, and for nothing else', async () => {
    await using receiver = await startSmtpReceiver();
    const session = await open(receiver);
    const content = [Buffer.from('To: jörg@x.test\r\nSubject: hello\r\n\r\nhello\r\n')];
    for (const [recipients, utf8Header] of [
      [['a@x.test'], false],
      [['a@x.test'], true],
      [['jörg@x.test'], true],
      [['jörg@x.test', 'a@x.test'], false],
      [['a@x.test'], false],
    ] as const) {
      const { end } = await session.send(transaction({ recipients, utf8Header, eightBit: utf8Header, ...(utf8Header && { content }) }));
      assert.equal(end.kind, 'accepted');
    }
    session.quit();
    assert.deepEqual(
      receiver.messages.map(({ mailParams, recipients }) => [
        'SMTPUTF8' in mailParams,
        mailParams.BODY ?? '',
        recipients.map(({ address }) => address).join(),
      ]),
      [
        [false, '', 'a@x.test'],
        [true, '8BITMIME', 'a@x.test'],
        [true, '8BITMIME', 'jörg@x.test'],
        [true, '', 'jörg@x.test,a@x.test'],
        [false, '', 'a@x.test'],
      ],
    );
    assert.deepEqual(receiver.messages[1]?.raw, content[0]);
  });
});

async function open(receiver: SmtpReceiver, phaseLimits: PhaseLimits = limits): Promise<Session> {
  const socket = await new Promise<Socket>((resolve, reject) => {
    const made = connect(receiver.port, '127.0.0.1', () => resolve(made));
    made.once('error', reject);
  });
  return await openSession({ socket, host: 'mx.test', ehlo: 'me.test', tlsPolicy: 'opportunistic', limits: phaseLimits });
}

function transaction(more: Partial<Transaction> = {}): Transaction {
  return {
    envelopeId: 'msg_1',
    mailFrom: 'a@me.test',
    recipients: ['accept@x.test'],
    content: [Buffer.from('Subject: hello\r\n\r\nhello\r\n')],
    eightBit: false,
    utf8Header: false,
    mayHandOver: async () => true,
    ...more,
  };
}

type Behaviour = NonNullable<SmtpReceiverOptions['behaviour']>;
function at(stage: Parameters<Behaviour>[0]['stage'], action: Awaited<ReturnType<Behaviour>>): Behaviour {
  return (event) => (event.stage === stage ? action : undefined);
}
