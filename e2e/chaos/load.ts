/**
 * The client of the chaos run, a process of its own: open loop, requests leave when they are due whatever became of earlier ones. A request
 * that was answered 503, or not at all because the connection failed, is sent once more. What was acknowledged is on the disk before it counts.
 *
 *   MAILDOOT_KEY=mdsk_… node e2e/chaos/load.ts --api http://127.0.0.1:8080 --from load@yard.example --rate 200 --seed 1 --directory run
 *
 * Prints a JSON line per second; on SIGTERM it sends nothing more, waits for what is under way and ends.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Planned, planner, written } from './load-plan.ts';
import { startSubmitting } from './load-smtp.ts';
import { seeded } from './random.ts';
import type { Acknowledged, Requested, Try } from './records.ts';

/** Longer than anything is stopped: whoever gives up earlier makes the platform look worse, and himself no better. */
const PATIENCE_MS = 40_000;
/** A connection that broke is tried again after this, so that the second try doesn't meet the same moment. */
const AFTER_FAILURE_MS = 250;
/** It does as it is told, within reason. */
const MOST_RETRY_AFTER_MS = 10_000;

export interface Answered {
  /** 202 for what was taken, whatever the way; of SMTP otherwise its own code. */
  status: number;
  retryAfterMs: number | undefined;
  body: unknown;
}

/** What passes by itself: sent once more, like what was not answered at all. */
const PASSING: ReadonlySet<number | string> = new Set([503, 421, 451, 454]);

async function load(): Promise<void> {
  const { values } = parseArgs({
    options: {
      api: { type: 'string', default: '' },
      from: { type: 'string', default: '' },
      rate: { type: 'string', default: '200' },
      seed: { type: 'string', default: '1' },
      directory: { type: 'string', default: '.' },
      // Where some are submitted by SMTP, with its certificate's file, and the template that some name; none are when these are left out.
      smtp: { type: 'string', default: '' },
      ca: { type: 'string', default: '' },
      template: { type: 'string', default: '' },
    },
  });
  const key = process.env.MAILDOOT_KEY ?? '';
  const random = seeded(Number(values.seed));
  const perMessageMs = 1000 / Number(values.rate);
  const target = new URL('/v1/messages', values.api);
  const submit =
    values.smtp === '' ? undefined : await startSubmitting({ door: values.smtp, caFile: values.ca, key, patienceMs: PATIENCE_MS });
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: 1024, scheduling: 'fifo' });
  const acknowledged = await SyncedFile.open(join(values.directory, 'acknowledged.jsonl'));
  const requests = openSync(join(values.directory, 'requests.jsonl'), 'a');
  const tally = { sent: 0, messages: 0, accepted: 0, failed: 0, underWay: 0 };
  let latencies: number[] = [];
  let stopping = false;
  process.once('SIGTERM', () => {
    stopping = true;
  });
  // Whoever started us is gone.
  process.stdin.on('end', () => process.exit(1)).resume();

  const report = setInterval(() => {
    const sorted = latencies.sort((a, b) => a - b);
    latencies = [];
    const at = (share: number) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
    process.stdout.write(`${JSON.stringify({ ...tally, p50: at(0.5), p99: at(0.99), max: at(1) })}\n`);
  }, 1000);

  const send = async (planned: Planned, dueMs: number): Promise<void> => {
    const what = written(planned);
    const post = () =>
      tried(() =>
        what.way === 'smtp' && submit !== undefined
          ? submit(what)
          : postJson(target, agent, { authorization: `Bearer ${key}`, ...what.headers }, what.body),
      );
    tally.sent++;
    tally.messages += planned.messages.length;
    tally.underWay++;
    const at = Date.now();
    const tries: Try[] = [];
    let { outcome, answer } = await post();
    tries.push(outcome);
    if (PASSING.has(outcome.end) || answer === undefined) {
      if (outcome.end !== 'timeout') {
        await delay(answer === undefined ? AFTER_FAILURE_MS : Math.min(outcome.retryAfterMs ?? AFTER_FAILURE_MS, MOST_RETRY_AFTER_MS));
        ({ outcome, answer } = await post());
        tries.push(outcome);
      }
    }
    const { taken, refused } = resultsOf(planned, answer);
    await acknowledged.append(taken);
    const ms = performance.now() - dueMs;
    latencies.push(ms);
    if (outcome.end === 202 && refused.length === 0) tally.accepted++;
    else tally.failed++;
    tally.underWay--;
    const line: Requested = {
      request: planned.request,
      kind: planned.kind,
      key: planned.key,
      numbers: planned.messages.map(({ number }) => number),
      at,
      tries,
      ms: Math.round(ms),
      refused,
    };
    writeSync(requests, `${JSON.stringify(line)}\n`);
  };

  const running = new Set<Promise<void>>();
  const plan = planner(random, { from: values.from, template: values.template, bySmtp: submit !== undefined });
  let dueMs = performance.now();
  while (!stopping) {
    while (dueMs <= performance.now()) {
      const planned = plan();
      const sending = send(planned, dueMs).finally(() => running.delete(sending));
      running.add(sending);
      // Evenly on average, never in step with anything.
      dueMs += planned.messages.length * perMessageMs * random.between(0.5, 1.5);
    }
    await delay(Math.max(1, dueMs - performance.now()));
  }
  await Promise.all(running);
  clearInterval(report);
  closeSync(requests);
  await acknowledged[Symbol.asyncDispose]();
  agent.destroy();
  process.exit(0);
}

/** What of it was acknowledged, and what a batch refused. */
function resultsOf(planned: Planned, answer: Answered | undefined): { taken: Acknowledged[]; refused: Requested['refused'] } {
  if (answer?.status !== 202) return { taken: [], refused: [] };
  type Result = { id?: string; error?: { code?: string } };
  const results = planned.kind === 'batch' ? (answer.body as { data: Result[] }).data : [answer.body as Result];
  const taken: Acknowledged[] = [];
  const refused: Requested['refused'] = [];
  for (const [index, { number, recipients }] of planned.messages.entries()) {
    const result = results[index];
    if (result?.id !== undefined) taken.push({ id: result.id, number, request: planned.request, recipients });
    else refused.push({ number, code: result?.error?.code ?? JSON.stringify(result ?? null) });
  }
  return { taken, refused };
}

async function tried(post: () => Promise<Answered>): Promise<{ outcome: Try; answer: Answered | undefined }> {
  const startedAt = performance.now();
  try {
    const answer = await post();
    const code = answer.status === 202 ? undefined : (answer.body as { error?: { code?: string } } | undefined)?.error?.code;
    return {
      outcome: {
        end: answer.status,
        ...(code === undefined ? {} : { code }),
        ms: Math.round(performance.now() - startedAt),
        ...(answer.retryAfterMs === undefined ? {} : { retryAfterMs: answer.retryAfterMs }),
      },
      answer,
    };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return { outcome: { end: code ?? message, ms: Math.round(performance.now() - startedAt) }, answer: undefined };
  }
}

/** @throws an error whose `code` says how the connection failed; `timeout` when nothing came for too long */
function postJson(target: URL, agent: Agent, headers: Record<string, string>, body: string): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(target, {
      agent,
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers },
    });
    const patience = setTimeout(() => outgoing.destroy(Object.assign(new Error('no answer'), { code: 'timeout' })), PATIENCE_MS);
    const failed = (error: unknown): void => {
      clearTimeout(patience);
      reject(error);
    };
    outgoing.on('error', failed);
    outgoing.on('response', (response: IncomingMessage) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('error', failed);
      response.on('end', () => {
        clearTimeout(patience);
        const retryAfter = Number(response.headers['retry-after']);
        resolve({
          status: response.statusCode ?? 0,
          retryAfterMs: Number.isFinite(retryAfter) ? retryAfter * 1000 : undefined,
          body: response.headers['content-type']?.includes('json') ? JSON.parse(text) : undefined,
        });
      });
    });
    outgoing.end(body);
  });
}

/** Lines that are on the disk when `append` resolves; those that wait at the same moment share one fdatasync. */
class SyncedFile implements AsyncDisposable {
  readonly #handle: Awaited<ReturnType<typeof open>>;
  #waiting: { text: string; done(): void; failed(error: unknown): void }[] = [];
  #writing: Promise<void> | undefined;

  private constructor(handle: Awaited<ReturnType<typeof open>>) {
    this.#handle = handle;
  }

  static async open(path: string): Promise<SyncedFile> {
    return new SyncedFile(await open(path, 'a'));
  }

  append(records: readonly unknown[]): Promise<void> {
    if (records.length === 0) return Promise.resolve();
    return new Promise((done, failed) => {
      this.#waiting.push({ text: records.map((record) => `${JSON.stringify(record)}\n`).join(''), done, failed });
      this.#writing ??= this.#write().finally(() => {
        this.#writing = undefined;
      });
    });
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0);
      try {
        await this.#handle.appendFile(batch.map(({ text }) => text).join(''));
        await this.#handle.datasync();
        for (const { done } of batch) done();
      } catch (error) {
        for (const { failed } of batch) failed(error);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
    await this.#handle.close();
  }
}

await load();
