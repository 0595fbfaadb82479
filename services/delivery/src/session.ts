// One SMTP session to one host: RFC 5321 as a client. nodemailer's SMTPConnection speaks the protocol on a socket of ours; this file adds
// what an MTA needs around it: a time limit per phase (RFC 5321 section 4.5.3.2), the stage at which something broke, and the one fact
// that decides about duplicates: whether the final dot may have left.
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { parseReply, type SmtpReply } from '@maildoot/mail/reply';
import SMTPConnection, { type SMTPConnectionEnvelope } from 'nodemailer/lib/smtp-connection';
import type { Stage, Trouble } from './classify.ts';
import type { TlsPolicy } from './tls-policy.ts';
import { WireForm } from './wire-form.ts';

/** What `open` needs. The connection is made by the caller: who may be connected to is not decided here. */
export interface SessionOptions {
  socket: Socket;
  /** The host's name, for SNI and for people. */
  host: string;
  /** Said in EHLO. */
  ehlo: string;
  tlsPolicy: TlsPolicy;
  /** Asked for by the built-in inbox only: STARTTLS with this certificate and no other, then AUTH. */
  trusted?: { ca: string; servername: string; user: string; pass: string };
  limits?: Partial<PhaseLimits>;
}

/** Where a session went, for the timeline. */
export interface SessionFacts {
  host: string;
  remoteAddress: string;
  localAddress: string;
  /** `TLSv1.3`; empty = in clear. */
  tlsVersion: string;
  tlsPolicy: TlsPolicy;
}

/** The session could not be opened. */
export class SessionTrouble extends Error {
  override readonly name = 'SessionTrouble';
  readonly trouble: Trouble;
  readonly facts: SessionFacts;

  constructor(trouble: Trouble, facts: SessionFacts) {
    super(trouble.kind);
    this.trouble = trouble;
    this.facts = facts;
  }
}

export interface Transaction {
  /** `msg_…`, sent as ENVID (RFC 3461) where the server has DSN. */
  envelopeId: string;
  mailFrom: string;
  recipients: readonly string[];
  /** Pieces of the message, in order. */
  content: readonly Buffer[];
  eightBit: boolean;
  /** A field of the header has an address beyond ASCII, so SMTPUTF8 is asked for (RFC 6531) whatever the envelope has. */
  utf8Header: boolean;
  /** Asked after 354 and before the first byte: false ends the transaction with nothing handed over. */
  mayHandOver(): Promise<boolean>;
}

/** How a transaction ended. */
export interface TransactionResult {
  /** Per recipient, in order: a refusal at RCPT of its own, or undefined where the end below is its. */
  refused: (Trouble | undefined)[];
  /** The server's reply to the final dot, the trouble that came instead, or `withheld`: mayHandOver said no. */
  end: { kind: 'accepted'; reply: SmtpReply } | { kind: 'failed'; trouble: Trouble } | { kind: 'withheld' };
  /** Nothing but a broken or closing connection came in answer to MAIL: on a reused session that says nothing about this message. */
  unheard: boolean;
}

/** How long each phase may take. */
export interface PhaseLimits {
  greetingMs: number;
  handshakeMs: number;
  envelopeMs: number;
  blockMs: number;
  finalDotMs: number;
  resetMs: number;
}

// RFC 5321 section 4.5.3.2. The greeting's five minutes are cut: a host that needs so long loses to the next one. A TLS handshake is two
// round trips; who hangs in it gets his mail in clear instead.
const defaultLimits: PhaseLimits = {
  greetingMs: 60_000,
  handshakeMs: 10_000,
  envelopeMs: 5 * 60_000,
  blockMs: 3 * 60_000,
  finalDotMs: 10 * 60_000,
  resetMs: 20_000,
};
const pieceBytes = 64 << 10;

/** Makes the session ready for MAIL: greeting, EHLO, STARTTLS, AUTH. Rejects with SessionTrouble. */
export async function openSession(options: SessionOptions): Promise<Session> {
  const { socket, trusted } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const facts: SessionFacts = {
    host: options.host,
    remoteAddress: addressOf(socket.remoteAddress, socket.remotePort),
    localAddress: addressOf(socket.localAddress, socket.localPort),
    tlsVersion: '',
    tlsPolicy: options.tlsPolicy,
  };
  const connection = new SMTPConnection({
    connection: socket,
    host: options.host,
    port: socket.remotePort ?? 25,
    secure: false,
    name: options.ehlo,
    logger: false,
    greetingTimeout: limits.greetingMs,
    connectionTimeout: 3 * limits.greetingMs,
    // The limits are the phases' own, below; this one only catches what they would forget.
    socketTimeout: 15 * 60_000,
    maxResponseSize: 64 << 10,
    ...(trusted !== undefined
      ? { requireTLS: true, tls: { ca: trusted.ca, servername: trusted.servername } }
      : options.tlsPolicy === 'none'
        ? { ignoreTLS: true }
        : { opportunisticTLS: true, tls: { rejectUnauthorized: false, minVersion: 'TLSv1' as const } }),
  });
  const handshake = new HandshakeTimer(connection, limits.handshakeMs);
  try {
    await new Promise<void>((resolve, reject) => {
      handshake.onOver = () => reject(new Error('no end of the TLS handshake in time'));
      connection.once('error', reject);
      connection.once('end', () => reject(new Error('the connection was closed')));
      connection.connect((error) => (error ? reject(error) : resolve()));
    });
    if (connection._socket instanceof TLSSocket) facts.tlsVersion = connection._socket.getProtocol() ?? '';
    if (trusted !== undefined) {
      await new Promise<void>((resolve, reject) => {
        connection.once('error', reject);
        connection.login({ user: trusted.user, pass: trusted.pass }, (error) => (error ? reject(error) : resolve()));
      });
    }
  } catch (error) {
    connection.on('error', ignore);
    connection.close();
    // `upgrading` stays true when the handshake broke, whichever way nodemailer learned of it (an error of the socket, a close, a timeout).
    throw new SessionTrouble(openingTrouble(error as SmtpClientError, connection.upgrading === true), facts);
  } finally {
    handshake.stop();
  }
  connection.removeAllListeners('error');
  connection.removeAllListeners('end');
  return new Session(connection, facts, limits);
}

// What nodemailer declares no type for. Its version is pinned.
interface Inside {
  _socket: Socket;
  _responseActions: ((reply: string) => void)[];
  _actionSMTPStream(reply: string, callback: (error: Error | null, reply?: string) => void): void;
  _createSendStream(callback: (error: Error | null, reply?: string) => void): { outByteCount: number };
  _sendCommand(command: string, logged?: string): void;
  _supportedExtensions: string[];
}

function socketOf(connection: SMTPConnection): Socket {
  return (connection as unknown as Inside)._socket;
}

/** In place of the streams that would write the message: only the answer to the dot is waited for, MessageWriter writes. */
function writeItself(connection: SMTPConnection): void {
  const inside = connection as unknown as Inside;
  inside._createSendStream = (callback) => {
    inside._responseActions.push((reply) => inside._actionSMTPStream(reply, callback));
    return { outByteCount: 0 };
  };
}

/** The composer of commands asks for SMTPUTF8 by the envelope alone; `isWanted` says whether a message needs it besides. */
function askForUtf8(connection: SMTPConnection, isWanted: () => boolean): void {
  const inside = connection as unknown as Inside;
  const send = inside._sendCommand.bind(connection);
  inside._sendCommand = (command, logged) => {
    const isMissing = isWanted() && command.startsWith('MAIL FROM:') && !/> (?:.* )?SMTPUTF8(?: |$)/.test(command);
    send(isMissing ? `${command} SMTPUTF8` : command, logged);
  };
}

export class Session {
  readonly facts: SessionFacts;
  /** Transactions made in it. */
  used = 0;
  /** RFC 6531: addresses beyond ASCII may be sent. */
  readonly hasSmtpUtf8: boolean;
  readonly #connection: SMTPConnection;
  readonly #limits: PhaseLimits;
  #broken = false;
  // A transaction that did not end with a reply to the dot leaves the server in doubt about what comes next.
  #needsReset = false;
  #onEnd: (() => void) | undefined;
  #abandon: (() => void) | undefined;
  #utf8Header = false;

  constructor(connection: SMTPConnection, facts: SessionFacts, limits: PhaseLimits) {
    this.#limits = limits;
    this.#connection = connection;
    this.facts = facts;
    // nodemailer says this nowhere else, and sends such addresses bare where the server can't take them.
    const { _supportedExtensions: offered } = connection as unknown as Inside;
    // RFC 6531 section 3.1: whoever offers it offers 8BITMIME as well, or could not be sent such a header.
    this.hasSmtpUtf8 = offered.includes('SMTPUTF8') && offered.includes('8BITMIME');
    writeItself(connection);
    askForUtf8(connection, () => this.#utf8Header);
    connection.on('error', () => {
      this.#broken = true;
    });
    connection.on('end', () => {
      this.#broken = true;
      this.#onEnd?.();
    });
  }

  /** False once the connection is gone. */
  get alive(): boolean {
    return !this.#broken;
  }

  /** Calls back when the server closes the idle connection. */
  onEnd(callback: (() => void) | undefined): void {
    this.#onEnd = callback;
  }

  /** MAIL, RCPT, DATA, the message, and what came of it. Never rejects. */
  async send(transaction: Transaction): Promise<TransactionResult> {
    if (this.#needsReset && !(await this.#reset())) return unheard(transaction, 'the connection was lost before this message');
    this.#needsReset = true;
    this.used++;
    const result = await this.#transact(transaction);
    if (result.end.kind === 'accepted') this.#needsReset = false;
    return result;
  }

  /** Ends a transaction whose message was not handed over yet, and the session with it. */
  abandon(): void {
    this.#abandon?.();
  }

  /** QUIT, without waiting long for an answer. */
  quit(): void {
    if (this.#broken) return;
    this.#broken = true;
    this.#connection.quit();
    const timer = setTimeout(() => this.#connection.close(), 2_000);
    timer.unref();
    this.#connection.once('end', () => clearTimeout(timer));
  }

  /** Without a word: for a session that is in nobody's order any more. */
  destroy(): void {
    this.#broken = true;
    this.#connection.close();
  }

  async #transact(transaction: Transaction): Promise<TransactionResult> {
    this.#utf8Header = transaction.utf8Header;
    const size = transaction.content.reduce((sum, piece) => sum + piece.length, 0);
    // nodemailer keeps its books in this very object: which recipients were refused, with what words, also when the end is an error.
    const envelope = {
      from: transaction.mailFrom === '' ? (false as const) : transaction.mailFrom,
      to: [...transaction.recipients],
      size,
      use8BitMime: transaction.eightBit,
      dsn: { envid: transaction.envelopeId },
    };
    const progress: { stage: 'envelope' | 'body' | 'dot'; withheld: boolean } = { stage: 'envelope', withheld: false };
    const ended = Promise.withResolvers<TransactionResult['end']>();
    const timer = new PhaseTimer((stage) => {
      ended.resolve({ kind: 'failed', trouble: { kind: 'timeout', stage, detail: `${this.facts.host} did not answer in time` } });
      this.destroy();
    });
    timer.start('mail', this.#limits.envelopeMs);
    this.#abandon = () => {
      if (progress.stage !== 'envelope') return;
      ended.resolve({ kind: 'withheld' });
      this.destroy();
    };
    // A command written to a socket that is just gone ends the connection without a word to the transaction. An error that has words
    // comes in the same turn as this event, so it has its turn first.
    this.#onEnd = () =>
      setImmediate(() => {
        const stage = progress.stage === 'envelope' ? 'mail' : progress.stage;
        ended.resolve({ kind: 'failed', trouble: { kind: 'lost', stage, detail: `the connection to ${this.facts.host} was lost` } });
      });
    const message = new MessageWriter(transaction, socketOf(this.#connection), {
      body: () => {
        progress.stage = 'body';
        timer.start('body', this.#limits.blockMs);
      },
      dot: () => {
        progress.stage = 'dot';
        timer.start('dot', this.#limits.finalDotMs);
      },
      withheld: () => {
        progress.withheld = true;
        ended.resolve({ kind: 'withheld' });
        this.destroy();
      },
    });
    this.#connection.send(envelope, message as unknown as Readable, (error, info) => {
      // A reply that came while the message was still on its way (nobody may answer before the dot, some do): the rest of it would be
      // taken for commands.
      if (progress.stage === 'body') this.destroy();
      if (error) {
        ended.resolve({ kind: 'failed', trouble: this.#trouble(error as SmtpClientError, progress.stage) });
        return;
      }
      const parsed = parseReply(info?.response ?? '');
      if (parsed.ok) ended.resolve({ kind: 'accepted', reply: parsed.reply });
      else
        ended.resolve({
          kind: 'failed',
          trouble: { kind: 'protocol', stage: 'dot', detail: `${this.facts.host} answered: ${parsed.verbatim}` },
        });
    });
    const end = await ended.promise;
    timer.stop();
    this.#abandon = undefined;
    this.#onEnd = undefined;
    message.destroy();
    const books = envelope as Partial<SMTPConnectionEnvelope>;
    const refused = refusals(transaction.recipients, books);
    const answered = (books.accepted?.length ?? 0) + (books.rejected?.length ?? 0) > 0;
    const unheard =
      end.kind === 'failed' &&
      !answered &&
      progress.stage === 'envelope' &&
      (end.trouble.kind === 'lost' || end.trouble.kind === 'timeout' || (end.trouble.kind === 'reply' && end.trouble.reply.code === 421));
    return { refused, end, unheard };
  }

  #trouble(error: SmtpClientError, progress: 'envelope' | 'body' | 'dot'): Trouble {
    const stage = stageOf(error, progress);
    if (error.code === 'EMESSAGE' && error.response === undefined && error.command === 'MAIL FROM') {
      return { kind: 'too_large', detail: `${this.facts.host} takes no message of this size` };
    }
    return troubleOf(error, stage, this.facts.host);
  }

  async #reset(): Promise<boolean> {
    if (this.#broken) return false;
    const done = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => done.resolve(false), this.#limits.resetMs);
    this.#onEnd = () => done.resolve(false);
    this.#connection.reset((error) => done.resolve(!error));
    const ok = await done.promise;
    this.#onEnd = undefined;
    clearTimeout(timer);
    if (ok) this.#needsReset = false;
    else this.destroy();
    return ok;
  }
}

/**
 * The message as nodemailer takes it: something with pipe(), which it calls when the server has said 354. Its own way from there is two
 * streams that look at every byte twice and write the dot by itself; this writes to the socket, the usual message and its dot at once.
 */
class MessageWriter {
  readonly #transaction: Transaction;
  readonly #socket: Socket;
  readonly #phases: { body(): void; dot(): void; withheld(): void };
  #over = false;

  constructor(transaction: Transaction, socket: Socket, phases: { body(): void; dot(): void; withheld(): void }) {
    this.#transaction = transaction;
    this.#socket = socket;
    this.#phases = phases;
  }

  pipe(): void {
    this.#write().catch(() => this.#phases.withheld());
  }

  /** Errors are the connection's; there is nothing here to listen to. */
  on(): void {}

  removeListener(): void {}

  /** Nothing more is written. */
  destroy(): void {
    this.#over = true;
  }

  async #write(): Promise<void> {
    if (!(await this.#transaction.mayHandOver())) {
      this.#phases.withheld();
      return;
    }
    const wire = new WireForm();
    for (const piece of pieces(this.#transaction.content)) {
      if (this.#over) return;
      this.#phases.body();
      this.#socket.cork();
      const goesOn = this.#socket.write(wire.of(piece.bytes));
      if (piece.last) {
        // From here on the dot may leave at any time.
        this.#phases.dot();
        this.#socket.write(wire.end());
      }
      this.#socket.uncork();
      if (!goesOn && !piece.last && !(await this.#drained())) return;
    }
  }

  /** False: the connection is gone. */
  async #drained(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const drained = (): void => resolve(true);
    const gone = (): void => resolve(false);
    this.#socket.once('drain', drained).once('close', gone);
    if (this.#socket.destroyed) gone();
    const goesOn = await promise;
    this.#socket.off('drain', drained).off('close', gone);
    return goesOn;
  }
}

function* pieces(parts: readonly Buffer[]): Generator<{ bytes: Buffer; last: boolean }> {
  const content = parts.filter((part) => part.length > 0);
  // One write, one TLS record and one system call less for the usual message: a copy costs less than those.
  if (content.reduce((sum, part) => sum + part.length, 0) <= pieceBytes) {
    yield { bytes: content.length === 1 && content[0] !== undefined ? content[0] : Buffer.concat(content), last: true };
    return;
  }
  for (const [index, part] of content.entries()) {
    for (let at = 0; at < part.length; at += pieceBytes) {
      const last = index === content.length - 1 && at + pieceBytes >= part.length;
      yield { bytes: part.subarray(at, at + pieceBytes), last };
    }
  }
}

/** nodemailer gives the handshake as long as the greeting and doesn't say when it begins, so this looks. */
class HandshakeTimer {
  onOver: () => void = ignore;
  readonly #timer: NodeJS.Timeout;

  constructor(connection: SMTPConnection, limitMs: number) {
    const stepMs = Math.min(500, limitMs);
    let passedMs = 0;
    this.#timer = setInterval(() => {
      if (connection.upgrading !== true) return;
      passedMs += stepMs;
      if (passedMs >= limitMs) this.onOver();
    }, stepMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

class PhaseTimer {
  readonly #over: (stage: Stage) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(over: (stage: Stage) => void) {
    this.#over = over;
  }

  start(stage: Stage, ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#over(stage), ms);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

// What nodemailer puts on its errors; its type declares less.
interface SmtpClientError extends Error {
  code?: string;
  command?: string;
  response?: string;
  responseCode?: number;
  recipient?: string;
}

function openingTrouble(error: SmtpClientError, upgrading: boolean): Trouble {
  const stage = openingStage(error);
  if (upgrading || (error.code === 'ETLS' && error.response === undefined))
    return { kind: 'tls', stage: 'starttls', detail: `the TLS handshake failed: ${plainMessage(error)}` };
  return troubleOf(error, stage, '');
}

function openingStage(error: SmtpClientError): Stage {
  const command = error.command ?? '';
  if (command === 'EHLO' || command === 'HELO') return 'ehlo';
  if (command === 'STARTTLS') return 'starttls';
  if (command.startsWith('AUTH') || error.code === 'EAUTH') return 'auth';
  return 'greeting';
}

function stageOf(error: SmtpClientError, progress: 'envelope' | 'body' | 'dot'): Stage {
  if (progress !== 'envelope') return progress;
  if (error.command === 'MAIL FROM') return 'mail';
  if (error.command === 'RCPT TO') return 'rcpt';
  return error.command === 'DATA' ? 'data' : 'mail';
}

function troubleOf(error: SmtpClientError, stage: Stage, host: string): Trouble {
  const who = host === '' ? 'the host' : host;
  if (error.response !== undefined) {
    const parsed = parseReply(error.response);
    if (parsed.ok && parsed.reply.code >= 400) return { kind: 'reply', stage, reply: parsed.reply };
    const said = parsed.ok ? parsed.reply.verbatim : parsed.verbatim;
    return { kind: 'protocol', stage, detail: `${who} answered out of order: ${said}` };
  }
  if (error.code === 'ETIMEDOUT') return { kind: 'timeout', stage, detail: `${who} did not answer in time` };
  if (error.code === 'EPROTOCOL') return { kind: 'protocol', stage, detail: `${who} broke the protocol: ${plainMessage(error)}` };
  return { kind: 'lost', stage, detail: `the connection to ${who} was lost` };
}

/** Who was refused at RCPT, by position: the same address may stand twice. */
function refusals(recipients: readonly string[], books: Partial<SMTPConnectionEnvelope>): (Trouble | undefined)[] {
  const errors = [...((books.rejectedErrors ?? []) as SmtpClientError[])];
  return recipients.map((recipient) => {
    const at = errors.findIndex((error) => error.recipient === recipient);
    const error = errors[at];
    if (error === undefined) return undefined;
    errors.splice(at, 1);
    return troubleOf(error, 'rcpt', '');
  });
}

function unheard(transaction: Transaction, detail: string): TransactionResult {
  return {
    refused: transaction.recipients.map(() => undefined),
    end: { kind: 'failed', trouble: { kind: 'lost', stage: 'mail', detail } },
    unheard: true,
  };
}

function addressOf(address: string | undefined, port: number | undefined): string {
  if (address === undefined) return '';
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function plainMessage(error: Error): string {
  return error.message.replace(/[\r\n]+/g, ' ').slice(0, 300);
}

function ignore(): void {}
