// The built-in inbox: a real SMTP server on the loopback, to which captured mail goes like any other mail, over STARTTLS and with AUTH.
// So capture mode exercises everything that direct delivery does. A 250 means that the mail is committed.
import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { TLSSocket } from 'node:tls';
import { normaliseEmail } from '@maildoot/mail/address';
import { createCertificate } from '@maildoot/runtime/certificate';
import { idToUuid, newUuid } from '@maildoot/runtime/ids';
import type { SMTPServerDataStream, SMTPServerSession } from 'smtp-server';
import { PromptServer } from './prompt-server.ts';
import type { NewCapturedMail } from './store/captured-mail.ts';

export interface InboxParts {
  /** Commits before it resolves. */
  store(mail: NewCapturedMail): Promise<void>;
  onFailure(error: unknown): void;
}

export interface Inbox extends AsyncDisposable {
  host: string;
  port: number;
  /** PEM of the one certificate to trust. */
  certificate: string;
  password: string;
}

/** What it calls itself. Below .localhost (RFC 6761), so that it can be nobody else's name. */
const hostname = 'inbox.localhost';

const maxMessageBytes = 64 << 20;
const closeTimeoutMs = 2_000;

export async function startInbox(parts: InboxParts): Promise<Inbox> {
  // Delivery trusts this one and no other for the inbox, so that even on the loopback nobody can stand in between.
  const { key, cert } = createCertificate({ names: [hostname] });
  // Anybody on this machine can connect; only this process knows the word.
  const password = randomBytes(32).toString('base64url');
  const tlsVersions = new WeakMap<SMTPServerSession, string>();
  const server = new PromptServer({
    name: hostname,
    banner: 'Maildoot inbox',
    key,
    cert,
    minVersion: 'TLSv1.3',
    logger: false,
    disableReverseLookup: true,
    authMethods: ['PLAIN'],
    hideENHANCEDSTATUSCODES: false,
    hideDSN: false,
    size: maxMessageBytes,
    rejectOversized: true,
    closeTimeout: closeTimeoutMs,
    onSecure(socket, session, callback) {
      if (socket instanceof TLSSocket) tlsVersions.set(session, socket.getProtocol() ?? '');
      callback();
    },
    onAuth(auth, _session, callback) {
      const tenant = idToUuid('ten', auth.username ?? '');
      if (tenant === undefined || !isSame(auth.password ?? '', password))
        callback(Object.assign(new Error('Authentication failed'), { responseCode: 535 }));
      else callback(null, { user: tenant });
    },
    onData(stream, session, callback) {
      receive(stream, session).then(
        (text) => callback(null, text),
        (error: unknown) => {
          parts.onFailure(error);
          callback(Object.assign(new Error('The mail could not be stored, try again later'), { responseCode: 451 }));
        },
      );
    },
  });
  // An open server without a listener for errors would end the process when a client goes away.
  server.on('error', () => undefined);

  async function receive(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<string> {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    const id = newUuid();
    await parts.store({
      id,
      tenantId: String(session.user),
      messageId: idToUuid('msg', session.envelope.dsn?.envid ?? ''),
      mailFrom: session.envelope.mailFrom === false ? '' : asSent(session.envelope.mailFrom.address),
      rcptTo: session.envelope.rcptTo.map((recipient) => asSent(recipient.address)),
      tlsVersion: tlsVersions.get(session) ?? '',
      raw: Buffer.concat(chunks),
    });
    return 'captured';
  }

  await new Promise<void>((resolve, reject) => {
    server.server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      server.server.removeListener('error', reject);
      resolve();
    });
  });
  let closing: Promise<void> | undefined;
  return {
    host: hostname,
    port: (server.server.address() as AddressInfo).port,
    certificate: cert,
    password,
    [Symbol.asyncDispose]: () => (closing ??= new Promise<void>((resolve) => server.close(() => resolve()))),
  };
}

/** The server turns domains into U-labels; they came as A-labels, and are asked for as such. */
function asSent(address: string): string {
  return normaliseEmail(address) ?? address;
}

function isSame(given: string, wanted: string): boolean {
  const [left, right] = [Buffer.from(given), Buffer.from(wanted)];
  return left.length === right.length && timingSafeEqual(left, right);
}
