// The submission door (RFC 6409): SMTP with STARTTLS, and with TLS from the start (RFC 8314). It reads, asks who it is and hands over; what a
// message may be is decided where it is for REST. A 250 to the dot is said after the same commit as a 202.
import type { AddressInfo, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { mailboxOf } from '@maildoot/mail/address';
import type { Certificate } from '@maildoot/runtime/certificate';
import { splitHostPort } from '@maildoot/runtime/config';
import { SessionsPerHolder, type SessionsPerHolderOptions } from '@maildoot/runtime/sessions-per-holder';
import { SMTPServer, type SMTPServerAddress, type SMTPServerDataStream, type SMTPServerSession } from 'smtp-server';
import type { Principal } from './authentication.ts';
import { callerAddress } from './caller-address.ts';
import type { BodyBudget } from './request-body.ts';
import { authReply, messageReply, SmtpReply } from './smtp-replies.ts';

export const maxMessageBytes = 40 * 1024 * 1024;
export const maxRecipients = 1000;
const maxSessions = 1000;
const socketTimeoutMs = 5 * 60_000;
const closeTimeoutMs = 10_000;

export interface SmtpDoorOptions {
  /** `host:port`, each undefined where there is none. */
  readonly listen: { readonly starttls: string | undefined; readonly tls: string | undefined };
  readonly hostname: string;
  readonly certificate: Certificate;
  /** Sessions of one address, over both doors; of IPv6, of one /64. */
  readonly perHolder: SessionsPerHolderOptions;
  readonly budget: BodyBudget;
  /** @throws ApiError */
  authenticate(username: string, password: string, address: string): Promise<Principal>;
  /** Resolves when it is committed, with what is said behind the code. @throws ApiError */
  submit(message: { raw: Buffer; recipients: readonly string[]; principal: Principal }): Promise<string>;
  ended(outcome: { tenantId: string | undefined; code: number; cause: unknown }): void;
}

export interface SmtpDoor extends AsyncDisposable {
  /** `host:port` */
  readonly starttls: string | undefined;
  readonly tls: string | undefined;
}

/** What a session showed at AUTH: asked about again at each message, so that a revoked credential ends within seconds. */
interface User {
  principal(): Promise<Principal>;
}

export async function startSmtpDoor(options: SmtpDoorOptions): Promise<SmtpDoor> {
  await using starting = new AsyncDisposableStack();
  const perHolder = new SessionsPerHolder(options.perHolder);
  const open = async (listen: string | undefined, secure: boolean): Promise<string | undefined> => {
    if (listen === undefined) return undefined;
    const server = serverFor(options, perHolder, secure);
    const { host, port } = splitHostPort(listen);
    await new Promise<void>((resolve, reject) => {
      server.server.once('error', reject);
      server.listen(port, host, () => {
        server.server.removeListener('error', reject);
        resolve();
      });
    });
    starting.defer(() => new Promise<void>((resolve) => server.close(() => resolve())));
    return `${host}:${(server.server.address() as AddressInfo).port}`;
  };
  const starttls = await open(options.listen.starttls, false);
  const tls = await open(options.listen.tls, true);
  const running = starting.move();
  return { starttls, tls, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

function serverFor(options: SmtpDoorOptions, perHolder: SessionsPerHolder, secure: boolean): SMTPServer {
  const { key, cert } = options.certificate;
  const server = new SubmissionServer({
    name: options.hostname,
    banner: 'Maildoot',
    secure,
    key,
    cert,
    minVersion: 'TLSv1.2',
    logger: false,
    disableReverseLookup: true,
    authMethods: ['PLAIN', 'LOGIN'],
    allowInsecureAuth: false,
    authRequiredMessage: 'Authentication is required',
    maxAllowedUnauthenticatedCommands: 20,
    hideENHANCEDSTATUSCODES: false,
    hideREQUIRETLS: true,
    size: maxMessageBytes,
    maxClients: maxSessions,
    socketTimeout: socketTimeoutMs,
    closeTimeout: closeTimeoutMs,
    onConnect({ id, remoteAddress }, callback) {
      if (perHolder.begin(id, callerAddress(remoteAddress, undefined, undefined))) callback();
      else callback(new SmtpReply(421, '4.7.0 Too many sessions from your address, come back later'));
    },
    onClose: ({ id }) => perHolder.end(id),
    onAuth({ username, password }, session, callback) {
      const address = callerAddress(session.remoteAddress, undefined, undefined);
      const user: User = { principal: () => options.authenticate(username ?? '', password ?? '', address) };
      user.principal().then(
        () => callback(null, { user }),
        (error: unknown) => callback(authReply(error)),
      );
    },
    onMailFrom({ address, args }, session, callback) {
      const unknown = parameterBeyond(args, mailParameters);
      if (unknown !== undefined) return callback(unknown);
      const read = address === '' ? undefined : mailboxOf(address);
      if (read?.ok === false) callback(new SmtpReply(553, '5.1.7 The sender is not an address'));
      else if (read?.mailbox.needsSmtpUtf8 === true && !saysUtf8({ args })) callback(withoutUtf8());
      else {
        (session.user as User).principal().then(
          () => callback(),
          (error: unknown) => callback(authReply(error)),
        );
      }
    },
    onRcptTo({ address, args }, session, callback) {
      const unknown = parameterBeyond(args, []);
      if (unknown !== undefined) return callback(unknown);
      const read = mailboxOf(address);
      const { mailFrom } = session.envelope;
      if (!read.ok) callback(new SmtpReply(553, '5.1.3 The recipient is not an address'));
      else if (read.mailbox.needsSmtpUtf8 && !saysUtf8(mailFrom)) callback(withoutUtf8());
      else if (session.envelope.rcptTo.length >= maxRecipients)
        callback(new SmtpReply(452, `4.5.3 A message has at most ${maxRecipients} recipients`));
      else callback();
    },
    onData(stream, session, callback) {
      receive(stream, session).then(
        (text) => callback(null, text),
        (error: unknown) => callback(messageReply(error)),
      );
    },
  });
  // An open server without a listener for errors would end the process when a client goes away.
  server.on('error', () => undefined);

  async function receive(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<string> {
    let tenantId: string | undefined;
    try {
      const user = session.user as User;
      const principal = await user.principal();
      tenantId = principal.tenantId;
      using share = options.budget.open(tenantId);
      const raw = await readMessage(stream, share);
      // A large message takes its time, and a credential may have ended since.
      const still = await user.principal();
      const recipients = new Set<string>();
      for (const { address } of session.envelope.rcptTo) {
        const read = mailboxOf(address);
        if (read.ok) recipients.add(read.mailbox.address);
      }
      const text = await options.submit({ raw, recipients: [...recipients], principal: still });
      options.ended({ tenantId, code: 250, cause: undefined });
      return text;
    } catch (error) {
      const reply = messageReply(error);
      options.ended({ tenantId, code: reply.responseCode, cause: reply.responseCode < 500 ? error : undefined });
      throw reply;
    } finally {
      // To the end, however long: only then may an answer be given (RFC 5321 section 4.1.1.4).
      if (!stream.readableEnded) stream.resume();
    }
  }
  return server;
}

/** @throws SmtpReply for what is too large, or has line ends of two minds (RFC 5321 section 2.3.8) */
async function readMessage(stream: SMTPServerDataStream, share: { take(bytes: number): boolean }): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let problem: SmtpReply | undefined;
  let last = 0;
  for await (const piece of stream) {
    const chunk = piece as Buffer;
    if (problem !== undefined) continue;
    if (stream.sizeExceeded) problem = tooLarge();
    else if (!share.take(chunk.length))
      problem = new SmtpReply(451, '4.3.1 Too many large messages are being read at the moment, come back later');
    else if (hasBareLineEnd(chunk, last))
      problem = new SmtpReply(554, '5.6.0 The message has a CR or LF alone; lines end in CRLF (RFC 5321 section 2.3.8)');
    if (problem === undefined) chunks.push(chunk);
    else chunks.length = 0;
    last = chunk.at(-1) ?? last;
  }
  if (stream.sizeExceeded) throw tooLarge();
  if (problem !== undefined) throw problem;
  return Buffer.concat(chunks);
}

/** By the MAIL that was taken: the envelope's `smtpUtf8` stays true after one that was refused. */
function saysUtf8(mail: Pick<SMTPServerAddress, 'args'> | false): boolean {
  return mail !== false && mail.args !== false && mail.args.SMTPUTF8 === true;
}

function withoutUtf8(): SmtpReply {
  return new SmtpReply(553, '5.6.7 An address with characters beyond ASCII before the @ takes MAIL FROM with SMTPUTF8 (RFC 6531)');
}

// RFC 1870, 6152, 4954, 6531: of what EHLO offers.
const mailParameters = ['SIZE', 'BODY', 'AUTH', 'SMTPUTF8'];

/** Taken in silence, NOTIFY would be a promise that nobody keeps: 555 (RFC 5321 section 4.1.1.11). */
function parameterBeyond(args: SMTPServerAddress['args'], known: readonly string[]): SmtpReply | undefined {
  const unknown = Object.keys(args || {}).filter((name) => !known.includes(name));
  return unknown.length === 0 ? undefined : new SmtpReply(555, '5.5.4 A parameter of this command is none that EHLO offers');
}

function tooLarge(): SmtpReply {
  return new SmtpReply(552, `5.3.4 A message has at most ${maxMessageBytes} bytes, attachments encoded`);
}

const CR = 0x0d;
const LF = 0x0a;

/** @param last the byte before the chunk */
function hasBareLineEnd(chunk: Buffer, last: number): boolean {
  if (last === CR && chunk.length > 0 && chunk[0] !== LF) return true;
  for (let at = chunk.indexOf(LF); at !== -1; at = chunk.indexOf(LF, at + 1)) if ((at === 0 ? last : chunk[at - 1]) !== CR) return true;
  for (let at = chunk.indexOf(CR); at !== -1; at = chunk.indexOf(CR, at + 1))
    if (at + 1 < chunk.length && chunk[at + 1] !== LF) return true;
  return false;
}

const ownCode = /^[245]\.\d{1,3}\.\d{1,3} /;

/** Where a reply brings its own enhanced code, that stands and none is put in front of it. */
class SubmissionServer extends SMTPServer {
  override connect(socket: Socket | TLSSocket, options?: Parameters<SMTPServer['connect']>[1]): void {
    const before = new Set(this.connections);
    super.connect(socket, options);
    for (const connection of this.connections) {
      if (before.has(connection)) continue;
      const send = connection.send.bind(connection);
      connection.send = (code, data, context) => send(code, data, typeof data === 'string' && ownCode.test(data) ? false : context);
    }
  }
}
