// One attempt: a message to some of its recipients that share a destination, made in one transaction on the wire.
//   0. whether the recipient is still written to, where its address came onto a list of its tenant lately
//   1. the message's bytes, with the recipient's own links in them where it has some
//   2. its DKIM signature
//   3. the hosts that take mail for them (MX)
//   4. per host, how the session is encrypted (TLS policy)
//   5. a session, reused or new, and the transaction in it
//   6. what the answer means, per recipient
//   7. the record, handed over and not waited for
// The attempt was written down by the claim, before any of this.
import { isAscii } from 'node:buffer';
import { connect as connectTcp, type Socket } from 'node:net';
import { signDkim } from '@maildoot/mail/dkim';
import { fillMarks, type LinkKey, tokensFor } from '@maildoot/mail/tracking-token';
import type { Clock } from '@maildoot/runtime/clock';
import { splitHostPort } from '@maildoot/runtime/config';
import { GuardedConnectError, guardedConnect } from '@maildoot/runtime/guarded-connect';
import { uuidToId } from '@maildoot/runtime/ids';
import type { Resolver } from '@maildoot/runtime/resolver';
import { traceparentOf } from '@maildoot/runtime/telemetry';
import type { Span } from '@opentelemetry/api';
import { classify, type Trouble } from './classify.ts';
import type { Config } from './config.ts';
import type { PinnedContent } from './contents.ts';
import { type DkimKeys, NoSigningKey } from './dkim-keys.ts';
import { inOrder } from './mx.ts';
import { type Answer, endOf, type HostFailure, suppressedEnd } from './outcome.ts';
import type { ReturnPaths } from './return-paths.ts';
import { captureDestination, destinationNow, fixedDestination, smarthostDestination } from './route.ts';
import type { Routes } from './routes.ts';
import { openSession, type Session, type SessionFacts, SessionTrouble, type TransactionResult } from './session.ts';
import type { Sessions } from './sessions.ts';
import type { Simulator } from './simulator.ts';
import type { AttemptEnd } from './store/attempt.ts';
import type { DueRow } from './store/due.ts';
import { attemptSpan, endAttemptSpan, smtpSpan, type Telemetry } from './telemetry.ts';
import type { TlsPolicies, TlsPolicy } from './tls-policy.ts';
import { hasUtf8Address } from './utf8-address.ts';

/** Recipients of one message whose mail goes to the same hosts; their addresses are all in ASCII, or none of them is. */
export interface Delivery {
  rows: readonly [DueRow, ...DueRow[]];
  content: PinnedContent;
}

export interface DeliverParts {
  config: Config;
  clock: Clock;
  resolver: Resolver;
  keys: DkimKeys;
  /** Signs recipients' links. */
  linkKey: LinkKey;
  routes: Routes;
  returnPaths: Pick<ReturnPaths, 'of'>;
  tlsPolicies: TlsPolicies;
  sessions: Sessions;
  inbox: InboxAddress;
  simulator: Pick<Simulator, 'doorFor'>;
  telemetry: Telemetry;
  /** Aborted when the service stops: what is not handed over yet is given back. */
  stopping: AbortSignal;
  /** Whether the row is this process's to send, and nobody has stopped it since it was claimed. */
  mayStart(row: DueRow): boolean;
  /** Room for so many outcomes, before the message is handed over. */
  reserve(count: number): Promise<boolean>;
  releaseReserved(count: number): void;
  record(end: AttemptEnd, reserved: boolean): void;
  /** Messaging's answer of this moment for a recipient whose address came onto a list. */
  isSuppressed(row: DueRow): Promise<boolean>;
  /** The attempt was not made. */
  giveBack(rows: readonly DueRow[]): void;
  /** No host of the destination could be reached. */
  unreachable(destination: string): void;
  reached(destination: string): void;
}

/** Where the built-in inbox listens and how delivery gets in. */
export interface InboxAddress {
  port: number;
  host: string;
  certificate: string;
  password: string;
}

const connectTimeoutMs = 30_000;
// The smarthost is the operator's own choice, on whatever network.
const everyNetwork = ['0.0.0.0/0', '::/0'];

export async function deliver(delivery: Delivery, parts: DeliverParts): Promise<void> {
  const { rows } = delivery;
  if (!mayGoOn(rows, parts)) {
    parts.giveBack(rows);
    return;
  }
  const startedAt = parts.clock.now();
  const wanted = await stillWanted(rows[0], parts);
  if (wanted === false) {
    parts.record(suppressedEnd(rows[0], parts.clock.now()), false);
    return;
  }
  const spans = rows.map(attemptSpan);
  const made = wanted === true ? await attempt(delivery, spans, parts) : forAll(rows, wanted, undefined, [], false);
  if (made === 'withheld') {
    for (const span of spans) span.end();
    parts.giveBack(rows);
    return;
  }
  const finishedAt = parts.clock.now();
  for (const [index, row] of rows.entries()) {
    const answer = made.answers[index];
    const span = spans[index];
    if (answer === undefined || span === undefined) continue;
    const { facts, earlier, reserved } = made;
    const end = endOf(
      {
        row,
        answer,
        facts,
        earlier,
        startedAt,
        finishedAt,
        destination: destinationNow(parts.config.delivery, row, parts.routes.peek(row.domain)?.destination),
        traceparent: traceparentOf(span),
      },
      parts.config.retrySchedule,
    );
    endAttemptSpan(span, end.event.outcome);
    parts.record(end, reserved);
  }
}

// 0 ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async function stillWanted(row: DueRow, parts: DeliverParts): Promise<boolean | Trouble> {
  if (!row.listed) return true;
  try {
    return !(await parts.isSuppressed(row));
  } catch (error) {
    parts.telemetry.failed('suppression', error, { message: row.messageId });
    return { kind: 'list_unavailable', detail: 'whether the recipient still wants mail could not be asked; it is tried again' };
  }
}

/** What came of an attempt: an answer per row, or nothing was handed over and nothing is to be said. */
type Made = { answers: Answer[]; facts: SessionFacts | undefined; earlier: HostFailure[]; reserved: boolean } | 'withheld';

async function attempt(delivery: Delivery, spans: readonly Span[], parts: DeliverParts): Promise<Made> {
  const message = await bytesOf(delivery, parts);
  if ('trouble' in message) return forAll(delivery.rows, message.trouble, undefined, [], false);
  const hosts = await hostsOf(delivery.rows[0], parts);
  if ('trouble' in hosts) return forAll(delivery.rows, hosts.trouble, undefined, [], false);
  return await handOver(delivery.rows, message, hosts.hosts, spans, parts);
}

// 1 and 2 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Bytes {
  content: Buffer[];
  eightBit: boolean;
  utf8Header: boolean;
}

async function bytesOf({ rows, content }: Delivery, parts: DeliverParts): Promise<Bytes | { trouble: Trouble }> {
  const [row] = rows;
  let mime: Buffer | 'missing';
  try {
    mime = await content.content;
  } catch (error) {
    parts.telemetry.failed('content', error, { message: row.messageId });
    return { trouble: { kind: 'content_unavailable', detail: 'the message could not be read; it is tried again' } };
  }
  if (mime === 'missing') return { trouble: { kind: 'content_missing', detail: 'the content of this message is not kept any more' } };
  const bytes = row.personal ? fillMarks(mime, tokensFor(parts.linkKey, row)) : mime;
  const eightBit = !isAscii(bytes);
  const needs = { eightBit, utf8Header: eightBit && hasUtf8Address(bytes) };
  if (row.signingDomain === '') return { content: [bytes], ...needs };
  try {
    const sign = async (): Promise<Buffer> => {
      const { domain, selector, key } = await parts.keys.keyOf(row.tenantId, row.signingDomain);
      return await signDkim(bytes, { domain, selector, key, signTime: parts.clock.now() });
    };
    // One signature is for one recipient's bytes, or for those that all have.
    const header = await (row.personal ? sign() : content.signature(sign));
    return { content: [header, bytes], ...needs };
  } catch (error) {
    // Unsigned mail would be worse than late mail: it fails DMARC, and nobody learns why.
    parts.telemetry.failed('sign', error, { domain: row.signingDomain });
    const why = error instanceof NoSigningKey ? error.message : `the signature of ${row.signingDomain} could not be made`;
    return { trouble: { kind: 'no_signing_key', detail: `${why}; mail of this domain waits rather than go out unsigned` } };
  }
}

// 3 ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Target {
  name: string;
  port: number;
  /** Which open session will do. */
  sessionKey: string;
  connect(signal: AbortSignal): Promise<Socket>;
  /** How to get into the built-in inbox; undefined for hosts of others. */
  user: string | undefined;
}

async function hostsOf(row: DueRow, parts: DeliverParts): Promise<{ hosts: Target[] } | { trouble: Trouble }> {
  const { config, resolver, inbox, sessions, simulator } = parts;
  if (row.domain === config.simulatorDomain) {
    const { host, port } = simulator.doorFor(row.address);
    return { hosts: [{ name: host, port, sessionKey: `simulator ${port}`, connect: () => connectLocally(port), user: undefined }] };
  }
  // By the mode and never by the stored destination: in capture mode nothing leaves the house, whatever was meant once.
  const fixed = fixedDestination(config.delivery, row.captured);
  if (fixed === captureDestination) {
    const user = uuidToId('ten', row.tenantId);
    const connect = (): Promise<Socket> => connectLocally(inbox.port);
    return { hosts: [{ name: inbox.host, port: inbox.port, sessionKey: `${captureDestination} ${user}`, connect, user }] };
  }
  if (fixed === smarthostDestination && config.smarthost !== undefined) {
    const { host, port } = splitHostPort(config.smarthost);
    return { hosts: [target(host, port, { resolver, allowNetworks: everyNetwork })] };
  }
  const { found } = await parts.routes.find(row.domain);
  if (found.kind !== 'hosts') return { trouble: found };
  const port = config.mxPort;
  const ordered = inOrder(found.hosts, (name) => sessions.has(`${name}:${port}`));
  return { hosts: ordered.map((host) => target(host.name, port, { resolver, allowNetworks: config.allowNetworks })) };
}

function target(name: string, port: number, guard: { resolver: Resolver; allowNetworks: readonly string[] }): Target {
  return {
    name,
    port,
    sessionKey: `${name}:${port}`,
    user: undefined,
    async connect(signal) {
      const { socket } = await guardedConnect({ host: name, port, ...guard, timeoutMs: connectTimeoutMs, signal });
      return socket;
    },
  };
}

function connectLocally(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host: '127.0.0.1', port });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.removeListener('error', reject);
      resolve(socket);
    });
  });
}

// 4 and 5 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

async function handOver(
  rows: Delivery['rows'],
  message: Bytes,
  hosts: readonly Target[],
  spans: readonly Span[],
  parts: DeliverParts,
): Promise<Made> {
  const { destination } = rows[0];
  const earlier: HostFailure[] = [];
  let last: { trouble: Trouble; facts: SessionFacts } | undefined;
  for (const host of hosts) {
    if (last !== undefined) earlier.push({ host: last.facts.host, verdict: classify(last.trouble) });
    const tried = await tryHost(rows, message, host, spans, parts);
    if (tried === 'withheld' || (tried.kind === 'failed' && !mayGoOn(rows, parts))) return 'withheld';
    if (tried.kind === 'answered') {
      parts.reached(destination);
      return { answers: answersOf(tried.result), facts: tried.facts, earlier, reserved: tried.reserved };
    }
    last = tried;
    // It works, and only can't say this.
    if (tried.trouble.kind === 'no_smtputf8') parts.reached(destination);
    if (!classify(tried.trouble).nextHost) break;
  }
  if (last === undefined)
    return forAll(rows, { kind: 'no_such_domain', detail: `${rows[0].domain} has no mail host` }, undefined, [], false);
  if (isUnreachable(last.trouble)) parts.unreachable(destination);
  return forAll(rows, last.trouble, last.facts, earlier, false);
}

type Tried =
  | { kind: 'answered'; result: TransactionResult; facts: SessionFacts; reserved: boolean }
  /** The host is the trouble, and nothing was handed over. */
  | { kind: 'failed'; trouble: Trouble; facts: SessionFacts }
  | 'withheld';

async function tryHost(rows: Delivery['rows'], message: Bytes, host: Target, spans: readonly Span[], parts: DeliverParts): Promise<Tried> {
  const span = smtpSpan(host.name, spans);
  try {
    let reused = parts.sessions.take(host.sessionKey);
    for (;;) {
      if (!mayGoOn(rows, parts)) {
        if (reused !== undefined) parts.sessions.giveBack(host.sessionKey, rows[0].destination, reused);
        return 'withheld';
      }
      parts.telemetry.session(reused === undefined ? 'opened' : 'reused');
      const session = reused ?? (await open(host, rows, parts));
      if (session === 'withheld' || !('send' in session)) return session;
      // Opening may have taken long, and the recipients be somebody else's by now.
      if (!mayGoOn(rows, parts)) {
        parts.sessions.giveBack(host.sessionKey, rows[0].destination, session);
        return 'withheld';
      }
      // Several recipients share the sender's own address: hand-out lets whoever has a return path go alone.
      const mailFrom = (rows.length === 1 ? parts.returnPaths.of(rows[0]) : undefined) ?? rows[0].mailFrom;
      const unsayable = session.hasSmtpUtf8 ? undefined : withoutUtf8(rows[0], mailFrom, message, host);
      if (unsayable !== undefined) {
        parts.sessions.giveBack(host.sessionKey, rows[0].destination, session);
        return { kind: 'failed', trouble: unsayable, facts: session.facts };
      }
      const { result, reserved } = await transact(rows, mailFrom, message, session, host, parts);
      // The server had closed the session that was kept open: that says nothing about this message, so it gets a new one, once.
      if (result.unheard && reused !== undefined) {
        reused = undefined;
        continue;
      }
      if (result.end.kind === 'withheld') return 'withheld';
      if (result.end.kind === 'failed' && classify(result.end.trouble).nextHost && result.refused.every((one) => one === undefined)) {
        return { kind: 'failed', trouble: result.end.trouble, facts: session.facts };
      }
      return { kind: 'answered', result, facts: session.facts, reserved };
    }
  } finally {
    span.end();
  }
}

async function open(host: Target, rows: Delivery['rows'], parts: DeliverParts): Promise<Session | Tried> {
  const { tlsPolicies, sessions, telemetry } = parts;
  const { destination } = rows[0];
  if (!(await sessions.opening(destination))) return 'withheld';
  if (!mayGoOn(rows, parts)) {
    sessions.dropped(destination);
    return 'withheld';
  }
  let policy: TlsPolicy = host.user === undefined ? tlsPolicies.policyFor(host.sessionKey) : 'opportunistic';
  for (;;) {
    try {
      return await openOnce(host, policy, parts);
    } catch (error) {
      const failure = openingFailure(error, host, policy);
      if (failure.trouble.kind === 'tls' && policy === 'opportunistic' && host.user === undefined && !parts.stopping.aborted) {
        // Rather in clear than not at all (RFC 7435), and the timeline says so: the policy becomes `none`.
        policy = tlsPolicies.handshakeFailed(host.sessionKey);
        continue;
      }
      sessions.dropped(destination);
      telemetry.session('failed');
      return { kind: 'failed', ...failure };
    }
  }
}

async function openOnce(host: Target, tlsPolicy: TlsPolicy, { config, inbox, stopping }: DeliverParts): Promise<Session> {
  const socket = await host.connect(stopping);
  const abort = (): void => {
    socket.destroy();
  };
  stopping.addEventListener('abort', abort, { once: true });
  try {
    const trusted =
      host.user === undefined ? undefined : { ca: inbox.certificate, servername: inbox.host, user: host.user, pass: inbox.password };
    return await openSession({ socket, host: host.name, ehlo: config.mailHostname, tlsPolicy, ...(trusted !== undefined && { trusted }) });
  } finally {
    stopping.removeEventListener('abort', abort);
  }
}

async function transact(
  rows: Delivery['rows'],
  mailFrom: string,
  message: Bytes,
  session: Session,
  host: Target,
  parts: DeliverParts,
): Promise<{ result: TransactionResult; reserved: boolean }> {
  let reserved = false;
  let over = false;
  const abandon = (): void => session.abandon();
  parts.stopping.addEventListener('abort', abandon, { once: true });
  const result = await session.send({
    envelopeId: uuidToId('msg', rows[0].messageId),
    mailFrom,
    recipients: rows.map((row) => row.address),
    content: message.content,
    eightBit: message.eightBit,
    utf8Header: message.utf8Header,
    async mayHandOver() {
      if (!mayGoOn(rows, parts)) return false;
      if (!(await parts.reserve(rows.length))) return false;
      // The wait for room may have been long.
      if (over || !mayGoOn(rows, parts)) {
        parts.releaseReserved(rows.length);
        return false;
      }
      reserved = true;
      return true;
    },
  });
  over = true;
  parts.stopping.removeEventListener('abort', abandon);
  parts.sessions.giveBack(host.sessionKey, rows[0].destination, session);
  return { result, reserved };
}

/**
 * RFC 6531 section 3.5, at a host without SMTPUTF8: nothing is written in another way. It fails for good, with a code of section 4.2, where
 * no other host can take it.
 */
function withoutUtf8(row: DueRow, mailFrom: string, message: Bytes, host: Target): Trouble | undefined {
  const because = `${host.name} does not offer SMTPUTF8 (RFC 6531)`;
  const addressed = (whose: 'recipient' | 'sender'): Trouble => ({
    kind: 'no_smtputf8',
    whose,
    detail: `5.6.7 the address of the ${whose} has characters beyond ASCII before the @, and ${because}`,
  });
  if (!isAscii(Buffer.from(row.address))) return addressed('recipient');
  if (!isAscii(Buffer.from(mailFrom))) return addressed('sender');
  if (!message.utf8Header) return undefined;
  return {
    kind: 'no_smtputf8',
    whose: 'sender',
    detail: `5.6.9 an address in the header of the message (From, Sender, Reply-To, To, Cc or their Resent- forms) has characters beyond ASCII, and ${because}`,
  };
}

// 6 ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

function answersOf(result: TransactionResult): Answer[] {
  return result.refused.map((refused): Answer => {
    if (refused !== undefined) return failed(refused);
    // Everybody who was not refused at RCPT shares the end: the reply to the dot is for all of them.
    if (result.end.kind === 'accepted') return result.end;
    return failed(
      result.end.kind === 'failed' ? result.end.trouble : { kind: 'lost', stage: 'mail', detail: 'the transaction was given up' },
    );
  });
}

function forAll(
  rows: readonly DueRow[],
  trouble: Trouble,
  facts: SessionFacts | undefined,
  earlier: HostFailure[],
  reserved: boolean,
): Made {
  const answer = failed(trouble);
  // One host that may take it later outweighs another that never will.
  if (answer.kind === 'failed' && answer.verdict.permanent && earlier.some((failure) => !failure.verdict.permanent)) {
    const temporary = earlier.findLast((failure) => !failure.verdict.permanent);
    answer.verdict = { ...answer.verdict, permanent: false, type: temporary?.verdict.type ?? answer.verdict.type };
  }
  return { answers: rows.map(() => answer), facts, earlier, reserved };
}

function failed(trouble: Trouble): Answer {
  return { kind: 'failed', trouble, verdict: classify(trouble) };
}

function openingFailure(error: unknown, host: Target, tlsPolicy: TlsPolicy): { trouble: Trouble; facts: SessionFacts } {
  if (error instanceof SessionTrouble) return { trouble: error.trouble, facts: error.facts };
  const addresses = error instanceof GuardedConnectError ? error.addresses : [];
  const facts: SessionFacts = {
    host: host.name,
    remoteAddress: addresses.length === 1 ? `${addresses[0]}:${host.port}` : '',
    localAddress: '',
    tlsVersion: '',
    tlsPolicy,
  };
  return { trouble: connectTrouble(error, host), facts };
}

function connectTrouble(error: unknown, host: Target): Trouble {
  const lost = (why: string): Trouble => ({ kind: 'lost', stage: 'connect', detail: `no connection to ${host.name}:${host.port}: ${why}` });
  if (!(error instanceof GuardedConnectError)) return lost(systemWords(error));
  switch (error.code) {
    case 'ADDRESS_REFUSED':
      return {
        kind: 'refused_address',
        detail: `${host.name} has only addresses that are not connected to (${error.addresses.join(', ')})`,
      };
    case 'NO_ADDRESS':
      return { kind: 'no_address', detail: `the mail host ${host.name} has no address` };
    case 'DNS_FAILED':
      return { kind: 'dns_unavailable', detail: `the address of ${host.name} could not be looked up` };
    case 'CONNECT_FAILED':
      return lost(systemWords(error.cause));
    case 'TIMEOUT':
      return { kind: 'timeout', stage: 'connect', detail: `no connection to ${host.name}:${host.port}: no answer in time` };
  }
}

function systemWords(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  const words: Record<string, string> = {
    ECONNREFUSED: 'connection refused',
    ECONNRESET: 'connection reset',
    EHOSTUNREACH: 'host unreachable',
    ENETUNREACH: 'network unreachable',
    ETIMEDOUT: 'no answer in time',
  };
  return typeof code === 'string' ? (words[code] ?? code) : 'it failed';
}

function isUnreachable(trouble: Trouble): boolean {
  return (trouble.kind === 'lost' || trouble.kind === 'timeout') && trouble.stage === 'connect';
}

function mayGoOn(rows: Delivery['rows'], parts: DeliverParts): boolean {
  return !parts.stopping.aborted && parts.mayStart(rows[0]);
}
