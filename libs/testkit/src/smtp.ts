// An SMTP server for tests: "the internet's" mailboxes. It speaks RFC 5321 with PIPELINING, SIZE, 8BITMIME, SMTPUTF8, ENHANCEDSTATUSCODES and
// STARTTLS, records every session and message with its bytes as they came, and misbehaves on demand: by the local part of the
// recipient (smtp-behaviour.ts), or by a callback at every stage.
// On node:net: smtp-server waits 100 ms before each greeting, answers for its handlers and can't break the protocol.
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createSecureContext, type SecureVersion, TLSSocket } from 'node:tls';
import { type Certificate, createCertificate } from '@maildoot/runtime/certificate';
import { type Action, actionByRecipient, type Stage } from './smtp-behaviour.ts';
import { waitFor } from './wait.ts';

export interface ReceivedRecipient {
  address: string;
  /** `NOTIFY=NEVER` → `{ NOTIFY: 'NEVER' }`. */
  params: Record<string, string>;
}

/** A message whose final dot came in. */
export interface ReceivedMessage {
  /** Counts from 1 over all sessions. */
  number: number;
  /** Of the session, from 1. */
  session: number;
  /** Which transaction of its session, from 1. */
  transaction: number;
  remoteAddress: string;
  helo: string;
  /** `TLSv1.3`; empty = not encrypted. */
  tlsVersion: string;
  mailFrom: string;
  mailParams: Record<string, string>;
  /** Those that were accepted. */
  recipients: ReceivedRecipient[];
  /** The bytes between DATA and the final dot, dots unstuffed, with the last CRLF. Empty when `keepRaw` is false. */
  raw: Buffer;
  sizeBytes: number;
  sha256: string;
  receivedAt: Date;
  /** `accepted`: answered with 2yz. `rejected`: with another code. `unanswered`: kept, but the sender was never told. */
  result: 'accepted' | 'rejected' | 'unanswered';
}

export interface RecordedSession {
  number: number;
  remoteAddress: string;
  connectedAt: Date;
  helo: string;
  tlsVersion: string;
  /** What was said, in order: `> MAIL FROM:<…>` by the client, `< 250 …` by us; message bytes are left out. */
  transcript: string[];
  /** Breaches of the protocol by the client: pipelining that wasn't offered, talking before the greeting, bare line feeds, … */
  violations: string[];
  closed: boolean;
}

/** What a callback is told. */
export interface StageEvent {
  stage: Stage;
  session: RecordedSession;
  mailFrom: string;
  /** At `rcpt` the one that is asked for. */
  recipient: string;
  /** Those accepted so far. */
  recipients: readonly ReceivedRecipient[];
  /** How often this recipient (or, without one, this stage) was here, from 1. */
  time: number;
}

export type TlsMode =
  /** STARTTLS is offered and works. */
  | 'offered'
  /** Not offered. */
  | 'off'
  /** Offered, then refused with 454. */
  | 'refused'
  /** Offered, then garbage instead of a handshake. */
  | 'garbage'
  /** Offered, then the connection is closed. */
  | 'close'
  /** Offered, then silence. */
  | 'hang'
  /** TLS from the first byte on. */
  | 'implicit';

export interface SmtpReceiverOptions {
  /** Default 0, a free one. */
  port?: number;
  /** Default 127.0.0.1. */
  host?: string;
  /** In greeting and EHLO. Default mx.test. */
  hostname?: string;
  /** Default offered. */
  tls?: TlsMode;
  /** Default a self-signed one for hostname, localhost and 127.0.0.1. */
  certificate?: Certificate;
  maxTlsVersion?: SecureVersion;
  /** Default PIPELINING, 8BITMIME, SMTPUTF8, ENHANCEDSTATUSCODES; SIZE and STARTTLS are added. */
  extensions?: string[];
  /** Default 50 MB. */
  maxSizeBytes?: number;
  /** More sessions at once are greeted with 421. Default no limit. */
  maxSessions?: number;
  /** Asked first, at every stage; undefined = by the recipient's local part. */
  behaviour?: (event: StageEvent) => Action | undefined | Promise<Action | undefined>;
  /** One JSON line per message taken, on the disk (fsync) before the 250 goes out. */
  file?: string;
  /** Keep the bytes in memory. Default true. */
  keepRaw?: boolean;
}

/** A line of `file`. */
export interface FileLine {
  number: number;
  session: number;
  receivedAt: string;
  mailFrom: string;
  recipients: string[];
  /** Message-ID header with its brackets; empty when there is none. */
  messageId: string;
  sizeBytes: number;
  sha256: string;
  /** False for `close-dot` and `hang-dot`: the sender was not told. */
  acknowledged: boolean;
}

export interface SmtpReceiver extends AsyncDisposable {
  host: string;
  port: number;
  /** `127.0.0.1:port`, for SMARTHOST. */
  address: string;
  /** PEM, for clients that verify. */
  certificate: string;
  /** All messages whose final dot came in, also rejected ones. */
  readonly messages: readonly ReceivedMessage[];
  readonly sessions: readonly RecordedSession[];
  /** The most sessions that were open at once. */
  readonly peakSessions: number;
  readonly openSessions: number;
  /** What the receiver holds for a recipient: accepted and unanswered messages. */
  mailFor(address: string): ReceivedMessage[];
  waitForMail(address: string, options?: { count?: number; timeoutMs?: number }): Promise<ReceivedMessage[]>;
  /** Changes the behaviour while it runs. */
  setBehaviour(behaviour: SmtpReceiverOptions['behaviour']): void;
  /** Closes every open connection without a word. */
  dropSessions(): void;
}

const defaultMaxSizeBytes = 50 * 1024 * 1024;
const maxCommandBytes = 2048;
const crlfDotCrlf = Buffer.from('\r\n.\r\n');

export async function startSmtpReceiver(options: SmtpReceiverOptions = {}): Promise<SmtpReceiver> {
  const host = options.host ?? '127.0.0.1';
  const hostname = options.hostname ?? 'mx.test';
  const certificate = options.certificate ?? createCertificate({ names: [hostname, 'localhost', '127.0.0.1'] });
  const journal = options.file === undefined ? undefined : new Journal(await open(options.file, 'a'));
  const state: ReceiverState = {
    options,
    hostname,
    secureContext: createSecureContext({
      ...certificate,
      ...(options.maxTlsVersion === undefined ? {} : { maxVersion: options.maxTlsVersion, minVersion: options.maxTlsVersion }),
    }),
    behaviour: options.behaviour,
    journal,
    messages: [],
    sessions: [],
    times: new Map(),
  };
  const openNow = new Set<Session>();
  let peakSessions = 0;
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    const session = new Session(state, socket, options.maxSessions !== undefined && openNow.size >= options.maxSessions);
    openNow.add(session);
    peakSessions = Math.max(peakSessions, openNow.size);
    socket.once('close', () => openNow.delete(session));
    session.start();
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(options.port ?? 0, host, resolve));
  const { port } = server.address() as AddressInfo;
  const mailFor = (address: string) =>
    state.messages.filter(
      (message) =>
        message.result !== 'rejected' && message.recipients.some((recipient) => recipient.address.toLowerCase() === address.toLowerCase()),
    );
  const dropSessions = () => {
    for (const session of openNow) session.destroy();
  };
  let closed = false;
  return {
    host,
    port,
    address: `${host}:${port}`,
    certificate: certificate.cert,
    messages: state.messages,
    sessions: state.sessions,
    get peakSessions() {
      return peakSessions;
    },
    get openSessions() {
      return openNow.size;
    },
    mailFor,
    waitForMail: (address, { count = 1, ...options } = {}) =>
      waitFor(() => (mailFor(address).length >= count ? mailFor(address) : undefined), {
        what: `${count} message(s) for ${address}`,
        ...options,
      }),
    setBehaviour(behaviour) {
      state.behaviour = behaviour;
    },
    dropSessions,
    async [Symbol.asyncDispose]() {
      if (closed) return;
      closed = true;
      dropSessions();
      await new Promise((resolve) => server.close(resolve));
      await journal?.close();
    },
  };
}

interface ReceiverState {
  options: SmtpReceiverOptions;
  hostname: string;
  secureContext: ReturnType<typeof createSecureContext>;
  behaviour: SmtpReceiverOptions['behaviour'];
  journal: Journal | undefined;
  messages: ReceivedMessage[];
  sessions: RecordedSession[];
  /** How often a recipient was at a stage. */
  times: Map<string, number>;
}

// One connection. Bytes are handled strictly in order: the next command waits for the answer to the one before.
class Session {
  readonly #state: ReceiverState;
  readonly #plain: Socket;
  readonly #record: RecordedSession;
  readonly #tooMany: boolean;
  #socket: Socket;
  #buffer: Buffer = Buffer.alloc(0);
  #working = false;
  #greeted = false;
  #hung = false;
  // The client said all it will say; what it said is still answered.
  #ended = false;
  #transactions = 0;
  #mailFrom: string | undefined;
  #mailParams: Record<string, string> = {};
  #recipients: ReceivedRecipient[] = [];
  #data: DataReader | undefined;
  #silent = false;

  constructor(state: ReceiverState, socket: Socket, tooMany: boolean) {
    this.#state = state;
    this.#plain = socket;
    this.#socket = socket;
    this.#tooMany = tooMany;
    this.#record = {
      number: state.sessions.length + 1,
      remoteAddress: `${socket.remoteAddress}:${socket.remotePort}`,
      connectedAt: new Date(),
      helo: '',
      tlsVersion: '',
      transcript: [],
      violations: [],
      closed: false,
    };
    state.sessions.push(this.#record);
  }

  start(): void {
    this.#plain.on('close', () => {
      this.#record.closed = true;
    });
    if (this.#state.options.tls === 'implicit') this.#secure(() => this.#serve(() => this.#greet()));
    else {
      this.#listen(this.#plain);
      this.#serve(() => this.#greet());
    }
  }

  destroy(): void {
    this.#socket.destroy();
    this.#plain.destroy();
  }

  #listen(socket: Socket): void {
    socket.on('error', () => this.destroy());
    socket.on('end', () => {
      this.#ended = true;
      if (!this.#working) socket.end();
    });
    socket.on('data', (chunk: Buffer) => {
      if (!this.#greeted && this.#record.violations.length === 0) this.#record.violations.push('talked before the greeting');
      if (this.#data === undefined) this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
      else this.#data.push(chunk);
      this.#serve(async () => undefined);
    });
  }

  // Runs a step, then everything that came in meanwhile.
  #serve(step: () => Promise<void>): void {
    if (this.#working || this.#hung) return;
    this.#working = true;
    const run = async () => {
      await step();
      while (!this.#hung && !this.#socket.destroyed && (await this.#nextInput()));
    };
    run()
      .catch(() => this.destroy())
      .finally(() => {
        this.#working = false;
        // What arrived between the last look and now.
        if (!this.#hung && !this.#socket.destroyed && this.#hasInput()) this.#serve(async () => undefined);
        else if (this.#ended) this.#socket.end();
      });
  }

  #hasInput(): boolean {
    return this.#data === undefined ? this.#buffer.includes(0x0a) : this.#data.complete;
  }

  async #nextInput(): Promise<boolean> {
    if (this.#data !== undefined) {
      if (!this.#data.complete) return false;
      const { raw, rest } = this.#data.finish();
      this.#data = undefined;
      this.#buffer = rest;
      await this.#finishMessage(raw);
      return true;
    }
    const lineFeed = this.#buffer.indexOf(0x0a);
    if (lineFeed === -1) {
      if (this.#buffer.length > maxCommandBytes) this.#buffer = Buffer.alloc(0);
      return false;
    }
    if (this.#buffer[lineFeed - 1] !== 0x0d) this.#record.violations.push('a command ended in a bare line feed');
    const line = this.#buffer.toString('utf8', 0, lineFeed).replace(/\r$/, '');
    this.#buffer = this.#buffer.subarray(lineFeed + 1);
    this.#record.transcript.push(`> ${line}`);
    await this.#command(line);
    return true;
  }

  async #greet(): Promise<void> {
    if (this.#tooMany)
      return this.#perform({ kind: 'reply', code: 421, enhancedCode: '4.7.0', text: 'too many connections' }, async () => undefined);
    await this.#step('connect', '', () => {
      this.#greeted = true;
      return this.#reply(220, '', `${this.#state.hostname} ESMTP testkit`);
    });
  }

  async #command(line: string): Promise<void> {
    const [verb = ''] = line.split(' ', 1);
    const rest = line.slice(verb.length + 1);
    if (
      this.#buffer.length > 0 &&
      !this.#offers('PIPELINING') &&
      !this.#record.violations.includes('pipelined though it was not offered')
    ) {
      this.#record.violations.push('pipelined though it was not offered');
    }
    switch (verb.toUpperCase()) {
      case 'EHLO':
      case 'HELO':
        return this.#step('ehlo', '', async () => {
          if (rest.trim() === '') return this.#reply(501, '5.5.4', 'say who you are');
          this.#record.helo = rest.trim();
          this.#resetTransaction();
          if (verb.toUpperCase() === 'HELO') return this.#reply(250, '', this.#state.hostname);
          return this.#reply(250, '', [this.#state.hostname, ...this.#extensions()].join('\n'));
        });
      case 'STARTTLS':
        return this.#step('starttls', '', () => this.#startTls());
      case 'MAIL':
        return this.#mail(rest);
      case 'RCPT':
        return this.#rcpt(rest);
      case 'DATA':
        return this.#dataCommand();
      case 'RSET':
        return this.#step('rset', '', async () => {
          this.#resetTransaction();
          return this.#reply(250, '2.0.0', 'forgotten');
        });
      case 'NOOP':
        return this.#step('noop', '', () => this.#reply(250, '2.0.0', 'ok'));
      case 'QUIT':
        return this.#step('quit', '', async () => {
          await this.#reply(221, '2.0.0', 'bye');
          this.#socket.end();
        });
      default:
        return this.#reply(500, '5.5.2', 'unknown command');
    }
  }

  #offers(keyword: string): boolean {
    return this.#extensions().some((extension) => extension.split(' ', 1)[0] === keyword);
  }

  #extensions(): string[] {
    const {
      extensions = ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'ENHANCEDSTATUSCODES'],
      maxSizeBytes = defaultMaxSizeBytes,
      tls = 'offered',
    } = this.#state.options;
    const startTls = tls !== 'off' && tls !== 'implicit' && this.#record.tlsVersion === '';
    return [...extensions, `SIZE ${maxSizeBytes}`, ...(startTls ? ['STARTTLS'] : [])];
  }

  async #mail(rest: string): Promise<void> {
    const path = readPath(/^FROM:\s*/i, rest);
    if (path === undefined) return this.#reply(501, '5.5.4', 'MAIL FROM:<address> it must be');
    if (this.#record.helo === '') return this.#reply(503, '5.5.1', 'EHLO first');
    if (this.#mailFrom !== undefined) return this.#reply(503, '5.5.1', 'one MAIL at a time');
    const { maxSizeBytes = defaultMaxSizeBytes } = this.#state.options;
    if (Number(path.params.SIZE ?? 0) > maxSizeBytes) return this.#reply(552, '5.3.4', `at most ${maxSizeBytes} bytes`);
    if (!this.#offers('SMTPUTF8') && ('SMTPUTF8' in path.params || !isAscii(path.address)))
      return this.#reply(555, '5.6.7', 'SMTPUTF8 is not offered');
    if (!isAscii(path.address) && !('SMTPUTF8' in path.params)) return this.#reply(553, '5.6.7', 'an address beyond ASCII needs SMTPUTF8');
    return this.#step('mail', '', async () => {
      this.#mailFrom = path.address;
      this.#mailParams = path.params;
      this.#transactions++;
      return this.#reply(250, '2.1.0', 'sender ok');
    });
  }

  async #rcpt(rest: string): Promise<void> {
    const path = readPath(/^TO:\s*/i, rest);
    if (this.#mailFrom === undefined) return this.#reply(503, '5.5.1', 'MAIL first');
    if (path === undefined || path.address === '') return this.#reply(501, '5.5.4', 'RCPT TO:<address> it must be');
    if (!isAscii(path.address) && !('SMTPUTF8' in this.#mailParams))
      return this.#reply(553, '5.6.7', 'an address beyond ASCII needs SMTPUTF8');
    return this.#step('rcpt', path.address, async () => {
      this.#recipients.push(path);
      return this.#reply(250, '2.1.5', 'recipient ok');
    });
  }

  async #dataCommand(): Promise<void> {
    if (this.#mailFrom === undefined) return this.#reply(503, '5.5.1', 'MAIL first');
    if (this.#recipients.length === 0) return this.#reply(554, '5.5.1', 'no valid recipients');
    return this.#step('data', '', async () => {
      // Before the reply: whoever is quick enough has the first bytes here before the write is done.
      this.#data = new DataReader();
      this.#data.push(this.#buffer);
      this.#buffer = Buffer.alloc(0);
      return this.#reply(354, '', 'end with <CRLF>.<CRLF>');
    });
  }

  async #finishMessage(raw: Buffer): Promise<void> {
    const { maxSizeBytes = defaultMaxSizeBytes, keepRaw = true } = this.#state.options;
    const action = await this.#actionAt('dot', '');
    const tooBig = raw.length > maxSizeBytes;
    const refused = tooBig || ((action?.kind === 'reply' || action?.kind === 'raw') && !(action.kind === 'reply' && action.code < 300));
    const told = action === undefined || action.kind === 'accept' || action.kind === 'reply';
    if (hasBareLineFeed(raw)) this.#record.violations.push('a message had a bare line feed');
    const message: ReceivedMessage = {
      number: this.#state.messages.length + 1,
      session: this.#record.number,
      transaction: this.#transactions,
      remoteAddress: this.#record.remoteAddress,
      helo: this.#record.helo,
      tlsVersion: this.#record.tlsVersion,
      mailFrom: this.#mailFrom ?? '',
      mailParams: this.#mailParams,
      recipients: this.#recipients,
      raw: keepRaw ? raw : Buffer.alloc(0),
      sizeBytes: raw.length,
      sha256: createHash('sha256').update(raw).digest('hex'),
      receivedAt: new Date(),
      result: refused ? 'rejected' : told ? 'accepted' : 'unanswered',
    };
    this.#state.messages.push(message);
    this.#resetTransaction();
    if (!refused) await this.#state.journal?.append(fileLine(message, raw));
    if (tooBig) return this.#reply(552, '5.3.4', `at most ${maxSizeBytes} bytes`);
    await this.#perform(action, () => this.#reply(250, '2.0.0', `taken as ${message.number}`));
  }

  async #startTls(): Promise<void> {
    const { tls = 'offered' } = this.#state.options;
    if (tls === 'off' || tls === 'implicit' || this.#record.tlsVersion !== '') return this.#reply(502, '5.5.1', 'not offered');
    if (tls === 'refused') return this.#reply(454, '4.7.0', 'TLS is not available');
    // Bytes that came with the command would count as sent under TLS (CVE-2011-0411).
    if (this.#buffer.length > 0) this.#record.violations.push('talked between STARTTLS and the handshake');
    this.#buffer = Buffer.alloc(0);
    await this.#reply(220, '2.0.0', 'go ahead');
    if (tls === 'garbage') this.#plain.write('this is no TLS handshake at all\r\n');
    else if (tls === 'close') this.#plain.end();
    if (tls !== 'offered') {
      this.#hung = true;
      return;
    }
    this.#plain.removeAllListeners('data').removeAllListeners('end');
    await new Promise<void>((resolve) => this.#secure(resolve));
    this.#record.helo = '';
    this.#resetTransaction();
  }

  #secure(then: () => void): void {
    const secured = new TLSSocket(this.#plain, { isServer: true, secureContext: this.#state.secureContext });
    this.#socket = secured;
    this.#listen(secured);
    secured.once('secure', () => {
      this.#record.tlsVersion = secured.getProtocol() ?? '';
      then();
    });
  }

  // One stage: what the behaviour says, or else the ordinary answer.
  async #step(stage: Stage, recipient: string, ordinary: () => Promise<void>): Promise<void> {
    await this.#perform(await this.#actionAt(stage, recipient), ordinary);
  }

  async #actionAt(stage: Stage, recipient: string): Promise<Action | undefined> {
    const { behaviour } = this.#state;
    const addresses =
      recipient === '' && (stage === 'data' || stage === 'dot') ? this.#recipients.map(({ address }) => address) : [recipient];
    const times = new Map(addresses.map((address) => [address, this.#count(`${stage} ${address}`)]));
    const event = { stage, session: this.#record, mailFrom: this.#mailFrom ?? '', recipient, recipients: this.#recipients };
    const scripted = await behaviour?.({ ...event, time: Math.max(...times.values()) });
    if (scripted !== undefined || (stage !== 'rcpt' && stage !== 'data' && stage !== 'dot')) return scripted;
    // Several recipients share one answer: the first that isn't ordinary.
    for (const [address, time] of times) {
      const action = actionByRecipient(address, stage, time);
      if (action !== undefined) return action;
    }
    return undefined;
  }

  #count(key: string): number {
    const time = (this.#state.times.get(key) ?? 0) + 1;
    this.#state.times.set(key, time);
    return time;
  }

  async #perform(action: Action | undefined, ordinary: () => Promise<void>): Promise<void> {
    if (action !== undefined && 'afterMs' in action && action.afterMs !== undefined) await this.#pause(action.afterMs);
    switch (action?.kind) {
      case undefined:
      case 'accept':
        return ordinary();
      case 'reply':
        // A positive answer in other words still does what was asked.
        if (action.code < 400) await this.#withoutReply(ordinary);
        await this.#reply(action.code, action.enhancedCode ?? '', action.text ?? '');
        if (action.code === 421 || action.thenClose === true) this.#socket.end();
        return;
      case 'raw':
        await this.#write(action.text);
        return;
      case 'close':
        this.destroy();
        return;
      case 'hang':
        this.#hung = true;
        return;
    }
  }

  async #withoutReply(ordinary: () => Promise<void>): Promise<void> {
    this.#silent = true;
    await ordinary();
    this.#silent = false;
  }

  // Ends early when the client leaves.
  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const finish = () => {
        clearTimeout(timer);
        this.#plain.off('close', finish);
        this.#socket.off('end', finish);
        resolve();
      };
      const timer = setTimeout(finish, ms);
      this.#plain.on('close', finish);
      this.#socket.on('end', finish);
    });
  }

  async #reply(code: number, enhancedCode: string, text: string): Promise<void> {
    if (this.#silent) return;
    const enhanced = enhancedCode !== '' && this.#offers('ENHANCEDSTATUSCODES') ? `${enhancedCode} ` : '';
    const lines = text.split('\n');
    await this.#write(lines.map((line, at) => `${code}${at === lines.length - 1 ? ' ' : '-'}${enhanced}${line}\r\n`).join(''));
  }

  async #write(text: string): Promise<void> {
    this.#record.transcript.push(`< ${text.trimEnd()}`);
    if (!this.#socket.destroyed) await new Promise<void>((resolve) => this.#socket.write(text, () => resolve()));
  }

  #resetTransaction(): void {
    this.#mailFrom = undefined;
    this.#mailParams = {};
    this.#recipients = [];
  }
}

// Collects message bytes until CRLF.CRLF, each byte looked at once.
class DataReader {
  #chunks: Buffer[] = [];
  // The last bytes seen; at the start the CRLF of the DATA command, so that a message may begin with the dot.
  #tail: Buffer = Buffer.from('\r\n');
  #end: { inLast: number } | undefined;

  get complete(): boolean {
    return this.#end !== undefined;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    if (this.#end !== undefined) return;
    const seam = Buffer.concat([this.#tail, chunk]);
    const found = seam.indexOf(crlfDotCrlf);
    if (found !== -1) this.#end = { inLast: found + crlfDotCrlf.length - this.#tail.length + this.#lengthBefore() };
    this.#tail = Buffer.from(seam.subarray(-4));
  }

  #lengthBefore(): number {
    return this.#chunks.slice(0, -1).reduce((sum, chunk) => sum + chunk.length, 0);
  }

  finish(): { raw: Buffer; rest: Buffer } {
    const all = Buffer.concat(this.#chunks);
    const end = this.#end?.inLast ?? all.length;
    return { raw: unstuff(all.subarray(0, end - 3)), rest: all.subarray(end) };
  }
}

/** RFC 5321 section 4.5.2: the first dot of a line is taken away. */
function unstuff(stuffed: Buffer): Buffer {
  const parts: Buffer[] = [];
  let from = stuffed[0] === 0x2e ? 1 : 0;
  for (let at = stuffed.indexOf('\r\n.', from); at !== -1; at = stuffed.indexOf('\r\n.', from)) {
    parts.push(stuffed.subarray(from, at + 2));
    from = at + 3;
  }
  parts.push(stuffed.subarray(from));
  return Buffer.concat(parts);
}

function hasBareLineFeed(raw: Buffer): boolean {
  for (let at = raw.indexOf(0x0a); at !== -1; at = raw.indexOf(0x0a, at + 1)) if (raw[at - 1] !== 0x0d) return true;
  return false;
}

function readPath(prefix: RegExp, text: string): ReceivedRecipient | undefined {
  if (!prefix.test(text)) return undefined;
  const match = /^<((?:"(?:\\.|[^"\\])*"|[^<>"])*)>((?: +[A-Za-z0-9][A-Za-z0-9-]*(?:=[^ =]+)?)*) *$/.exec(text.replace(prefix, ''));
  if (match === null) return undefined;
  const params = (match[2] ?? '').split(' ').filter((part) => part !== '');
  return {
    address: match[1] ?? '',
    params: Object.fromEntries(
      params.map((part) => {
        const equals = part.indexOf('=');
        return equals === -1 ? [part.toUpperCase(), ''] : [part.slice(0, equals).toUpperCase(), part.slice(equals + 1)];
      }),
    ),
  };
}

function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}

function fileLine(message: ReceivedMessage, raw: Buffer): FileLine {
  const headerEnd = raw.indexOf('\r\n\r\n');
  const header = raw.toString('latin1', 0, headerEnd === -1 ? Math.min(raw.length, 65_536) : headerEnd);
  return {
    number: message.number,
    session: message.session,
    receivedAt: message.receivedAt.toISOString(),
    mailFrom: message.mailFrom,
    recipients: message.recipients.map(({ address }) => address),
    messageId: /^message-id:[ \t\r\n]*(<[^>\r\n]*>)/im.exec(header)?.[1] ?? '',
    sizeBytes: message.sizeBytes,
    sha256: message.sha256,
    acknowledged: message.result === 'accepted',
  };
}

// Lines that wait while one is being written to the disk go together in the next write.
class Journal {
  readonly #file: FileHandle;
  #waiting: { line: string; resolve: () => void; reject: (error: unknown) => void }[] = [];
  #writing: Promise<void> | undefined;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  append(line: FileLine): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ line: `${JSON.stringify(line)}\n`, resolve, reject });
      this.#writing ??= this.#drain();
    });
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#file.close();
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        await this.#file.appendFile(group.map(({ line }) => line).join(''));
        await this.#file.datasync();
        for (const { resolve } of group) resolve();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#writing = undefined;
  }
}
