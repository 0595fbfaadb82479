// The MX door: an SMTP server that takes what comes back about our mail and nothing else. At RCPT it knows whether an address is a return
// path that we signed, so nothing for others gets as far as DATA and there is nothing to relay. A 250 to the dot means that what the
// message reports is committed.

import { rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import type { LinkKey } from '@maildoot/mail/tracking-token';
import { createCertificate } from '@maildoot/runtime/certificate';
import { splitHostPort } from '@maildoot/runtime/config';
import { SessionsPerHolder, type SessionsPerHolderOptions } from '@maildoot/runtime/sessions-per-holder';
import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from 'smtp-server';
import { type Addressee, type Arrived, addresseeOf } from './report.ts';

export interface MxDoorOptions {
  /** `host:port` or `unix:/path`. */
  listen: string;
  hostname: string;
  keys: readonly LinkKey[];
  maxSessions: number;
  /** Of one address; of IPv6, of one /64. */
  perHolder: SessionsPerHolderOptions;
  maxMessageBytes: number;
  now(): Date;
  /** Commits before it resolves. */
  receive(arrived: Arrived): Promise<void>;
  onRefusedRecipient(): void;
  onRefusedMessage(reason: 'too_large' | 'unavailable', error?: unknown): void;
  onTrouble(error: unknown): void;
}

export interface MxDoor extends AsyncDisposable {
  /** `host:port` or `unix:/path`. */
  address: string;
}

/** What is read of a message. Reports stand before the message that they return. */
const readBytes = 1024 * 1024;
const maxRecipients = 50;
const socketTimeoutMs = 5 * 60_000;
const closeTimeoutMs = 5_000;

export async function startMxDoor(options: MxDoorOptions): Promise<MxDoor> {
  const { listen, hostname, keys, maxSessions, maxMessageBytes } = options;
  // Nobody checks the certificate of an MX host (RFC 7435) without DANE or MTA-STS; it keeps reports from being read on the way.
  const { key, cert } = createCertificate({ names: [hostname] });
  const perHolder = new SessionsPerHolder(options.perHolder);
  const server = new SMTPServer({
    name: hostname,
    banner: 'Maildoot',
    key,
    cert,
    logger: false,
    authOptional: true,
    disabledCommands: ['AUTH'],
    disableReverseLookup: true,
    // Its own codes would stand beside ours, and say less.
    hideENHANCEDSTATUSCODES: true,
    size: maxMessageBytes,
    maxClients: maxSessions,
    socketTimeout: socketTimeoutMs,
    closeTimeout: closeTimeoutMs,
    onConnect({ id, remoteAddress }, callback) {
      if (perHolder.begin(id, remoteAddress)) callback();
      else callback(replying(421, '4.7.0 Too many sessions from your address, come back later'));
    },
    onClose: ({ id }) => perHolder.end(id),
    onRcptTo(address, session, callback) {
      if (addresseeOf(address.address, keys) === undefined) {
        options.onRefusedRecipient();
        callback(replying(550, '5.1.1 No such mailbox here, and nothing is relayed'));
      } else if (session.envelope.rcptTo.length >= maxRecipients) callback(replying(452, '4.5.3 Too many recipients'));
      else callback();
    },
    onData(stream, session, callback) {
      take(stream, session).then(
        () => callback(null, '2.0.0 Thank you'),
        (error: unknown) => {
          if (error instanceof Refused) callback(error);
          else {
            options.onRefusedMessage('unavailable', error);
            callback(replying(451, '4.3.0 It could not be kept, come back later'));
          }
        },
      );
    },
  });
  // An open server without a listener for errors would end the process when a client goes away.
  server.on('error', (error) => options.onTrouble(error));

  async function take(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<void> {
    const chunks: Buffer[] = [];
    let kept = 0;
    // To the end, however long: only then may an answer be given (RFC 5321 section 4.1.1.4).
    for await (const piece of stream) {
      const chunk = piece as Buffer;
      if (kept < readBytes) chunks.push(chunk.subarray(0, readBytes - kept));
      kept += Math.min(chunk.length, readBytes - kept);
    }
    if (stream.sizeExceeded) {
      options.onRefusedMessage('too_large');
      throw replying(552, `5.3.4 The message has more than ${maxMessageBytes} bytes`);
    }
    const addressees = session.envelope.rcptTo
      .map(({ address }) => addresseeOf(address, keys))
      .filter((one): one is Addressee => one !== undefined);
    await options.receive({
      raw: Buffer.concat(chunks),
      addressees,
      remoteAddress: session.remoteAddress ?? '',
      receivedAt: options.now(),
    });
  }

  const path = listen.startsWith('unix:') ? listen.slice('unix:'.length) : undefined;
  // What a killed process left behind would keep the place.
  if (path !== undefined) await rm(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.server.once('error', reject);
    const listening = () => {
      server.server.removeListener('error', reject);
      resolve();
    };
    if (path !== undefined) server.server.listen(path, listening);
    else {
      const { host, port } = splitHostPort(listen);
      server.listen(port, host, listening);
    }
  });
  let closing: Promise<void> | undefined;
  return {
    address: path === undefined ? `${splitHostPort(listen).host}:${(server.server.address() as AddressInfo).port}` : listen,
    [Symbol.asyncDispose]: () => (closing ??= new Promise<void>((resolve) => server.close(() => resolve()))),
  };
}

class Refused extends Error {
  readonly responseCode: number;
  constructor(responseCode: number, message: string) {
    super(message);
    this.responseCode = responseCode;
  }
}

function replying(code: number, text: string): Refused {
  return new Refused(code, text);
}
