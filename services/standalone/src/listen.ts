/**
 * `maildoot listen`: follows the feed as a stream of server-sent events, and posts each event to a developer's own machine, signed by
 * Standard Webhooks as a callback is. From now on; a stream that ends is taken up where it was. One event after the other, each once: what
 * the machine answers is printed and not tried again.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { chooses, isEventPattern } from '@maildoot/webhooks/event-types';
import { keyOfSecret, newSecret, webhookHeaders } from '@maildoot/webhooks/signature';

/** What the user can mend. */
export class ListenError extends Error {}

export interface ListenOptions {
  /** Without a slash at its end. */
  api: string;
  key: string;
  forwardTo: string;
  /** None = all. */
  events: readonly string[];
  /** Undefined: a new one. */
  secret: string | undefined;
  signal: AbortSignal;
  /** One line for the user. */
  say(line: string): void;
}

const reconnectMs = 1_000;
const answerWithinMs = 15_000;

/** Resolves when the signal is aborted. @throws ListenError */
export async function listen(options: ListenOptions): Promise<void> {
  const { events, forwardTo, signal, say } = options;
  for (const pattern of events) if (!isEventPattern(pattern)) throw new ListenError(`there is no event ${pattern}`);
  if (!/^https?:$/.test(URL.parse(forwardTo)?.protocol ?? '')) throw new ListenError(`${forwardTo} is no address to send to`);
  const secret = options.secret ?? newSecret();
  try {
    keyOfSecret(secret);
  } catch {
    throw new ListenError('the secret is none: whsec_ and 24 to 64 bytes in base64');
  }
  say(`signing with ${secret}`);

  let last = await startOf(options);
  let told = false;
  while (!signal.aborted) {
    try {
      const stream = await openStream(options, last);
      if (!told) say(`ready: your events go to ${forwardTo}`);
      told = true;
      for await (const { id, data } of serverSentEvents(stream)) {
        const { type } = JSON.parse(data) as { type: string };
        if (chooses(events, type)) say(await forward(data, options, secret));
        last = id;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ListenError) throw error;
      say(`the stream was lost (${messageOf(error)}); taking it up again`);
    }
    await delay(reconnectMs, undefined, { signal }).catch(() => undefined);
  }
}

/** Where to begin. Whoever can't be reached at once is a wrong address more often than a stream that was lost. */
async function startOf(options: ListenOptions): Promise<string> {
  try {
    return await endOfFeed(options);
  } catch (error) {
    if (error instanceof ListenError) throw error;
    throw new ListenError(`${options.api} can’t be asked for events: ${messageOf(error)}`);
  }
}

/** Where the feed stands: what has happened is not sent. */
async function endOfFeed({ api, key, signal }: ListenOptions): Promise<string> {
  // A place holds the milliseconds at which it was given, above ten bits. A minute back, because clocks differ; then along the pages.
  let last = String(Math.max(0, Date.now() - 60_000) * 1024);
  for (;;) {
    const { data } = (await (await ask(`${api}/v1/events?limit=100&after=${last}`, key, {}, signal)).json()) as { data: { seq: number }[] };
    const end = data.at(-1);
    if (end === undefined) return last;
    last = String(end.seq);
  }
}

async function openStream({ api, key, signal }: ListenOptions, last: string): Promise<AsyncIterable<Uint8Array>> {
  const { body } = await ask(`${api}/v1/events`, key, { Accept: 'text/event-stream', 'Last-Event-ID': last }, signal);
  if (body === null) throw new Error('an empty answer');
  return body;
}

async function ask(url: string, key: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
  const response = await fetch(url, { headers: { Authorization: `Bearer ${key}`, ...headers }, signal });
  if (response.ok) return response;
  const answer = (await response.json().catch(() => undefined)) as { error?: { message?: string } } | undefined;
  const problem = answer?.error?.message ?? `${url} answered ${response.status}`;
  // What another try doesn't change.
  if (response.status >= 400 && response.status < 500 && response.status !== 429) throw new ListenError(problem);
  throw new Error(problem);
}

/** A line that says what was sent, and what was answered. */
async function forward(data: string, { forwardTo, signal }: ListenOptions, secret: string): Promise<string> {
  const { id, type } = JSON.parse(data) as { id: string; type: string };
  const body = Buffer.from(data);
  const startedMs = performance.now();
  const answer = await fetch(forwardTo, {
    method: 'POST',
    redirect: 'manual',
    headers: { 'Content-Type': 'application/json; charset=utf-8', ...webhookHeaders({ id, timestamp: new Date(), body }, [secret]) },
    body,
    signal: AbortSignal.any([signal, AbortSignal.timeout(answerWithinMs)]),
  }).then(
    async (response) => {
      await response.body?.cancel();
      return String(response.status);
    },
    (error: unknown) => {
      signal.throwIfAborted();
      return messageOf(error);
    },
  );
  return `${type} ${id} → ${answer} (${Math.round(performance.now() - startedMs)} ms)`;
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // fetch says what went wrong in its cause.
  return error.cause instanceof Error ? error.cause.message : error.message;
}

/** Of a stream of https://html.spec.whatwg.org/multipage/server-sent-events.html those that have an id and data. */
async function* serverSentEvents(stream: AsyncIterable<Uint8Array>): AsyncGenerator<{ id: string; data: string }> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const fields = new Map(
        text
          .slice(0, end)
          .split('\n')
          .map((line) => {
            const colon = line.indexOf(': ');
            return [line.slice(0, colon), line.slice(colon + 2)] as const;
          }),
      );
      text = text.slice(end + 2);
      const [id, data] = [fields.get('id'), fields.get('data')];
      if (id !== undefined && data !== undefined) yield { id, data };
    }
  }
}
