/** The client's way by SMTP: a session for each message, as a program does that sends one now and then. */
import { readFile } from 'node:fs/promises';
import { createTransport } from 'nodemailer';
import type { Answered } from './load.ts';
import type { Written } from './load-plan.ts';

/** A mail server would come back later than this, and a person who waits for the answer sooner. */
const COME_BACK_MS = 5000;

export interface SubmittingOptions {
  /** `host:port`, with STARTTLS. */
  door: string;
  caFile: string;
  key: string;
  patienceMs: number;
}

/** Rejects, as a request does, with an error whose `code` says how the connection failed. */
export async function startSubmitting({ door, caFile, key, patienceMs }: SubmittingOptions): Promise<(what: Written) => Promise<Answered>> {
  const [host, port] = door.split(':') as [string, string];
  const ca = await readFile(caFile, 'utf8');
  return async ({ body, envelope }) => {
    const transport = createTransport({
      host,
      port: Number(port),
      requireTLS: true,
      auth: { user: 'apikey', pass: key },
      tls: { ca, servername: 'localhost' },
      ...{ connectionTimeout: patienceMs, greetingTimeout: patienceMs, socketTimeout: patienceMs },
    });
    try {
      const { response = '' } = await transport.sendMail({ envelope, raw: body });
      const [, id] = /^250 2\.0\.0 queued as (msg_[0-9a-z]{26})/.exec(response) ?? [];
      return { status: 202, retryAfterMs: undefined, body: { id } };
    } catch (error) {
      const { responseCode, response } = error as { responseCode?: number; response?: string };
      if (responseCode === undefined) throw error;
      return { status: responseCode, retryAfterMs: COME_BACK_MS, body: { error: { code: response?.slice(0, 60) } } };
    } finally {
      transport.close();
    }
  };
}
