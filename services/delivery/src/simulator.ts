// The simulator: SMTP servers on the loopback that act by the recipient's local part, so that everything that can become of a message can be
// tried without anybody's mailbox. What comes later (bounces, complaints) is sent as real mail to the role mx.
//
//   accept                    taken                          blocked       554 5.7.1 at RCPT
//   bounce                    550 5.1.1 at RCPT              spam          550 5.7.1 after the final dot
//   mailbox-full              452 4.2.2 at RCPT              slow          taken, every answer a second late
//   defer                     451 4.3.0 at RCPT, always      tls-fail      the TLS handshake breaks, and in clear it is refused
//   greylist                  451 4.7.1 the first time       code-<n>      that code at RCPT
//   bounce-later              taken, then a bounce           complaint     taken, then a complaint
//   ooto                      taken, then the answer of somebody on holiday, which changes nothing
//
// `+label` after the name keeps recipients apart. Any other name does not exist.
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { createCertificate } from '@maildoot/runtime/certificate';
import { splitHostPort } from '@maildoot/runtime/config';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import type { SMTPServerDataStream, SMTPServerSession } from 'smtp-server';
import { PromptServer } from './prompt-server.ts';
import { type SimulatedReport, simulatedReport, type Taken } from './simulator-report.ts';

export interface SimulatorOptions {
  domain: string;
  /** The role mx: `host:port` or `unix:/path`; undefined = nothing comes later. */
  reportsTo: string | undefined;
  now(): Date;
  onFailure(error: unknown): void;
}

export interface Simulator extends AsyncDisposable {
  /** Where mail for a recipient of the domain goes. */
  doorFor(address: string): { host: string; port: number };
}

/** What is said instead of 250, and when. */
type Refusal = { at: 'rcpt' | 'dot'; code: number; text: string };

const slowMs = 1_000;
const maxMessageBytes = 64 << 20;
const headerBytes = 64 << 10;
const closeTimeoutMs = 2_000;
const sessionTimeoutMs = 10_000;
/** A report whose mx is away for longer is lost: it is only a simulated one. */
const reportRetryMs = [0, 500, 2_000, 10_000];
const maxRemembered = 10_000;

export async function startSimulator({ domain, reportsTo, now, onFailure }: SimulatorOptions): Promise<Simulator> {
  const greylisted = new Set<string>();
  const stopping = new AbortController();
  const sending = new Set<Promise<void>>();

  function refusalOf(name: string, recipient: string, session: SMTPServerSession): Refusal | undefined {
    if (name !== 'greylist') return refusalByName(name);
    // By message and recipient, as a server would by sender, recipient and address.
    const key = `${session.envelope.dsn?.envid ?? ''} ${recipient}`;
    if (greylisted.delete(key)) return undefined;
    const oldest = greylisted.values().next();
    if (greylisted.size >= maxRemembered && !oldest.done) greylisted.delete(oldest.value);
    greylisted.add(key);
    return { at: 'rcpt', code: 451, text: '4.7.1 Greylisted, try again in a minute' };
  }

  async function take(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<void> {
    const chunks: Buffer[] = [];
    let kept = 0;
    for await (const piece of stream) {
      if (kept < headerBytes) chunks.push((piece as Buffer).subarray(0, headerBytes - kept));
      kept += (piece as Buffer).length;
    }
    const recipients = session.envelope.rcptTo.map(({ address }) => address);
    const refused = recipients.map((address) => refusalByName(nameIn(address))).find((refusal) => refusal?.at === 'dot');
    if (refused !== undefined) throw replying(refused);
    if (recipients.some((address) => nameIn(address) === 'slow')) await delay(slowMs, undefined, { signal: stopping.signal });
    const text = Buffer.concat(chunks).toString('latin1');
    const [header = ''] = text.split(/\r?\n\r?\n/, 1);
    const returnPath = session.envelope.mailFrom === false ? '' : session.envelope.mailFrom.address;
    for (const recipient of recipients) {
      const kind = nameIn(recipient);
      if (kind !== 'bounce-later' && kind !== 'complaint' && kind !== 'ooto') continue;
      const report = sendReport(kind, { returnPath, recipient, host: domain, header, at: now() });
      sending.add(report);
      void report.finally(() => sending.delete(report));
    }
  }

  async function sendReport(kind: SimulatedReport, taken: Taken): Promise<void> {
    if (reportsTo === undefined || taken.returnPath === '') return;
    const { mailFrom, content } = simulatedReport(kind, taken);
    for (const [attempt, waitMs] of reportRetryMs.entries()) {
      try {
        await delay(waitMs, undefined, { signal: stopping.signal });
        return await sendMail(reportsTo, { ehlo: domain, mailFrom, recipient: taken.returnPath, content });
      } catch (error) {
        if (stopping.signal.aborted) return;
        if (attempt === reportRetryMs.length - 1) onFailure(error);
      }
    }
  }

  const { key, cert } = createCertificate({ names: [domain] });
  const open = async (brokenTls: boolean) => {
    const server = new PromptServer({
      name: domain,
      banner: 'Maildoot simulator',
      key,
      cert,
      // A cipher that no client offers by itself: the handshake ends there.
      ...(brokenTls && { ciphers: 'TLS_AES_128_CCM_8_SHA256', minVersion: 'TLSv1.3' as const }),
      logger: false,
      authOptional: true,
      disabledCommands: ['AUTH'],
      disableReverseLookup: true,
      // Its own codes would stand beside ours.
      hideENHANCEDSTATUSCODES: true,
      hideDSN: false,
      size: maxMessageBytes,
      closeTimeout: closeTimeoutMs,
      onRcptTo({ address }, session, callback) {
        const name = nameIn(address);
        const refusal = refusalOf(name, address, session);
        if (refusal?.at === 'rcpt') callback(replying(refusal));
        else if (name === 'slow') delay(slowMs, undefined, { signal: stopping.signal }).then(() => callback(), callback);
        else callback();
      },
      onData(stream, session, callback) {
        take(stream, session).then(
          () => callback(null, '2.0.0 Taken by the simulator'),
          (error: Error) => callback(error),
        );
      },
    });
    // A handshake that breaks is what one of them is for.
    server.on('error', () => undefined);
    await new Promise<void>((resolve, reject) => {
      server.server.once('error', reject);
      server.listen(0, '127.0.0.1', () => {
        server.server.removeListener('error', reject);
        resolve();
      });
    });
    return { server, port: (server.server.address() as AddressInfo).port };
  };
  const [plain, broken] = await Promise.all([open(false), open(true)]);
  return {
    doorFor: (address) =>
      nameIn(address) === 'tls-fail' ? { host: `tls-fail.${domain}`, port: broken.port } : { host: `mx.${domain}`, port: plain.port },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await Promise.all(sending);
      await Promise.all([plain, broken].map(({ server }) => new Promise<void>((resolve) => server.close(() => resolve()))));
    },
  };
}

/** The local part without its label, in lower case. */
function nameIn(address: string): string {
  const local = address.slice(0, Math.max(0, address.lastIndexOf('@'))).toLowerCase();
  return local.split('+', 1)[0] ?? '';
}

/** undefined: taken. */
function refusalByName(name: string): Refusal | undefined {
  switch (name) {
    case 'accept':
    case 'slow':
    case 'bounce-later':
    case 'complaint':
    case 'ooto':
      return undefined;
    case 'bounce':
      return { at: 'rcpt', code: 550, text: '5.1.1 User unknown' };
    case 'mailbox-full':
      return { at: 'rcpt', code: 452, text: '4.2.2 The mailbox is full' };
    case 'defer':
      return { at: 'rcpt', code: 451, text: '4.3.0 Try again later' };
    case 'blocked':
      return { at: 'rcpt', code: 554, text: '5.7.1 Your address is on a block list' };
    case 'spam':
      return { at: 'dot', code: 550, text: '5.7.1 The message looks like spam' };
    case 'tls-fail':
      return { at: 'rcpt', code: 550, text: '5.7.10 Mail is taken over TLS alone' };
  }
  const code = Number(/^code-([45][0-9]{2})$/.exec(name)?.[1] ?? Number.NaN);
  if (!Number.isNaN(code)) return { at: 'rcpt', code, text: `${Math.floor(code / 100)}.0.0 As you asked: ${code}` };
  return /^code-2[0-9]{2}$/.test(name) ? undefined : { at: 'rcpt', code: 550, text: '5.1.1 The simulator has no recipient of this name' };
}

function replying({ code, text }: Refusal): Error {
  return Object.assign(new Error(text), { responseCode: code });
}

/** One message in one session, as any server hands one in. */
async function sendMail(to: string, mail: { ehlo: string; mailFrom: string; recipient: string; content: string }): Promise<void> {
  const socket: Socket = to.startsWith('unix:') ? connect(to.slice('unix:'.length)) : connect(splitHostPort(to));
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  const connection = new SMTPConnection({
    connection: socket,
    name: mail.ehlo,
    secure: false,
    opportunisticTLS: true,
    logger: false,
    tls: { rejectUnauthorized: false },
    connectionTimeout: sessionTimeoutMs,
    greetingTimeout: sessionTimeoutMs,
    socketTimeout: sessionTimeoutMs,
  });
  try {
    await new Promise<void>((resolve, reject) => {
      connection.once('error', reject);
      connection.connect((error) => (error ? reject(error) : resolve()));
    });
    await new Promise<void>((resolve, reject) => {
      connection.once('error', reject);
      connection.send({ from: mail.mailFrom, to: [mail.recipient] }, mail.content, (error) => (error ? reject(error) : resolve()));
    });
    connection.quit();
  } finally {
    connection.on('error', () => undefined);
    socket.destroySoon();
  }
}
