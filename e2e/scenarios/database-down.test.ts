/**
 * PostgreSQL is killed under load, and later stands still without a word. Each time: every operation of the API answers 503 with Retry-After
 * instead of waiting for it (after how long is printed), /healthz names the database while /readyz stays, all is well again by itself when
 * it is back, what was acknowledged is delivered, and what was answered 503 happened wholly or not at all.
 *
 * OUTAGE_SECONDS says how long it is away each time; 5 by default.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@maildoot/db/embedded-postgres';
import { waitFor } from '@maildoot/testkit/wait';
import { type Call, type Platform, startPlatform } from '../platform.ts';

const OUTAGE_MS = Number(process.env.OUTAGE_SECONDS ?? 5) * 1000;
/**
 * The promise is a second, on a machine that has nothing else to do; what was measured is printed. Who waits for the pool to give up
 * connecting waits for five: most are answered well before that. The slowest of all may be anywhere on a busy machine, and is bounded to tell
 * an answer from a wait without end.
 */
const ANSWERED_WITHIN_MS = { median: 2000, slowest: 6000 };
/** Whoever had asked a server before it was known to hang is told when that is certain, after two seconds; see libs/db/src/watch.ts. */
const FIRST_ANSWERED_WITHIN_MS = { median: 4500, slowest: 9000 };
const BACK_WITHIN_MS = 60_000;

interface Operation {
  method: string;
  path: string;
  body?: unknown;
}

test(`a database that is killed, and one that hangs, for ${OUTAGE_MS / 1000} s each`, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'maildoot-outage-'));
  let postgres = await startEmbeddedPostgres({ directory, maxConnections: 300 });
  const port = Number(new URL(postgres.url).port);
  const platform = await startPlatform({ env: { DATABASE_URL: postgres.url, RETRY_SCHEDULE: '1,1,1,2,2,2,5,5,5' } });
  try {
    const operations = await everyOperation(platform.call);

    await t.test('killed', async (t) => {
      await using load = startLoad(platform.call, 'killed');
      await load.until(20);
      process.kill(postgres.pid, 'SIGKILL');
      await postgres.exited;
      await outage(platform, operations, t, ANSWERED_WITHIN_MS);
      await postgres[Symbol.asyncDispose]();
      postgres = await startEmbeddedPostgres({ directory, maxConnections: 300, port });
      await back(platform, operations, t);
      await reconcile(platform.call, await load.stop(), t);
    });

    await t.test('hanging', async (t) => {
      await using load = startLoad(platform.call, 'hanging');
      await load.until(20);
      const pids = processesOf(postgres);
      for (const pid of pids) signal(pid, 'SIGSTOP');
      try {
        await outage(platform, operations, t, FIRST_ANSWERED_WITHIN_MS);
      } finally {
        for (const pid of pids) signal(pid, 'SIGCONT');
      }
      await back(platform, operations, t);
      await reconcile(platform.call, await load.stop(), t);
    });
  } finally {
    await platform[Symbol.asyncDispose]();
    await postgres[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  }
});

/** Of an operation in the document: who may call it, and what it is called with. */
interface Documented {
  security?: Record<string, unknown>[];
  requestBody?: { content: Record<string, { examples?: Record<string, { value: unknown }> }> };
}

/** All operations that need the database, one call each; a new one on a new kind of thing fails here until it is given one. */
async function everyOperation(call: Call): Promise<Operation[]> {
  const message = { from: 'a@down.example', to: 'b@example.org', subject: 'Before', text: 'Hello' };
  const sent = await call<{ id: string }>('POST', '/v1/messages', message);
  assert.equal(sent.status, 202, JSON.stringify(sent.body));
  const mail = await call<{ data: { id: string }[] }>('GET', `/v1/test/inbox?message_id=${sent.body.id}&wait=20`);
  const domain = await call('POST', '/v1/user-settings/domains', { domain: 'down.example' });
  assert.equal(domain.status, 201, JSON.stringify(domain.body));
  const { batch_id } = (await call<{ batch_id: string }>('POST', '/v1/messages', [message, message])).body;
  const made = async (path: string, body: unknown): Promise<string> => {
    const answer = await call<{ id: string }>('POST', path, body);
    assert.equal(answer.status, 201, `${path}: ${JSON.stringify(answer.body)}`);
    return answer.body.id;
  };
  const callback = { url: 'http://127.0.0.1:9/hook', events: ['message.bounced'] };
  const suppressed = { email: 'gone@example.org', stream: 'transactional' };
  await made('/v1/user-settings/suppressions', suppressed);
  const things: Record<string, string | undefined> = {
    '/v1/messages/{id}': sent.body.id,
    '/v1/api-keys/{id}': await made('/v1/api-keys', { name: 'to be revoked', scope: 'read' }),
    '/v1/user-settings/domains/{domain}': 'down.example',
    '/v1/test/inbox/{id}': mail.body.data[0]?.id,
    '/v1/templates/{id}': await made('/v1/templates', { name: 'a note', subject: 'Hello', text: 'Hello' }),
    '/v1/user-settings/callbacks/{id}': await made('/v1/user-settings/callbacks', callback),
    '/v1/user-settings/smtp-users/{id}': await made('/v1/user-settings/smtp-users', { username: 'down-user' }),
    '/v1/user-settings/suppressions/{email}': suppressed.email,
    '/v1/team/members/{id}': await made('/v1/team/members', { email: 'colleague@down.example', role: 'viewer' }),
  };
  const bodies: Record<string, unknown> = {
    '/v1/messages': { ...message, subject: 'From the rounds' },
    '/v1/user-settings/domains': { domain: 'another.example' },
    '/v1/user-settings/callbacks': callback,
  };
  const { body } = await call<{ paths: Record<string, Record<string, Documented>> }>('GET', '/v1/openapi.json');
  const operations = Object.entries(body.paths).flatMap(([path, item]) =>
    Object.entries(item)
      .filter(([, { security }]) => security?.some((one) => 'apiKey' in one) ?? true)
      .map(([method, { requestBody }]): Operation => {
        const full = path.startsWith('/v1') ? path : `/v1${path}`;
        const [prefix, id] = Object.entries(things).find(([start]) => full.startsWith(start)) ?? [];
        const asked = prefix === undefined ? full : full.replace(prefix, prefix.replace(/\{[^}]+\}/, id ?? ''));
        assert.doesNotMatch(asked, /[{}]/, `${path}: this scenario knows no such thing yet; add one to its table`);
        const [example] = Object.values(requestBody?.content['application/json']?.examples ?? {});
        const sends = (method === 'post' ? bodies[full] : undefined) ?? example?.value;
        // The one operation that does nothing without its query.
        const query = method === 'delete' && full === '/v1/messages' ? `?batch_id=${batch_id}` : '';
        return { method: method.toUpperCase(), path: `${asked}${query}`, ...(sends === undefined ? {} : { body: sends }) };
      }),
  );
  assert.ok(operations.length >= 50, `only ${operations.length} operations`);
  return operations;
}

/** Rounds through all operations until the time is over. The key was checked a moment ago at first, and hasn't been for long at the end. */
async function outage(
  platform: Platform,
  operations: Operation[],
  t: TestContext,
  firstWithinMs: typeof ANSWERED_WITHIN_MS,
): Promise<void> {
  const endAt = performance.now() + OUTAGE_MS;
  const longest = { first: 0, later: 0, ready: 0, median: 0 };
  let rounds = 0;
  do {
    const askedAt = performance.now();
    const answers = operations.map(async ({ method, path, body }) => {
      const answer = await platform.call<{ error: { code: string } }>(method, path, body);
      const tookMs = performance.now() - askedAt;
      const what = `${method} ${path}, round ${rounds}: ${answer.status} after ${Math.round(tookMs)} ms, ${JSON.stringify(answer.body).slice(0, 300)}`;
      const right =
        answer.status === 503 && answer.body.error.code === 'UNAVAILABLE' && /^[1-9]\d*$/.test(answer.headers.get('retry-after') ?? '');
      return { tookMs, what, right };
    });
    // Behind all of them, at a platform that may share its processor with other tests.
    assert.equal((await platform.call('GET', '/readyz')).status, 200);
    const readyMs = performance.now() - askedAt;
    const answered = await Promise.all(answers);
    assert.deepEqual(
      answered.filter(({ right }) => !right).map(({ what }) => what),
      [],
    );
    const within = rounds === 0 ? firstWithinMs : ANSWERED_WITHIN_MS;
    const bySpeed = answered.toSorted((one, other) => one.tookMs - other.tookMs);
    const medianMs = bySpeed[Math.floor(bySpeed.length / 2)]!.tookMs;
    assert.ok(medianMs - readyMs < within.median, `round ${rounds}: median ${medianMs} ms; /readyz took ${readyMs} ms`);
    if (rounds > 0) longest.median = Math.max(longest.median, medianMs);
    for (const { tookMs, what } of answered) {
      assert.ok(tookMs - readyMs < within.slowest, `${what}; /readyz took ${readyMs} ms`);
      if (rounds === 0) longest.first = Math.max(longest.first, tookMs);
      else longest.later = Math.max(longest.later, tookMs);
    }
    longest.ready = Math.max(longest.ready, readyMs);
    for (const service of ['auth', 'messaging', 'delivery', 'domain-provisioning', 'template']) {
      await waitFor(async () => (await healthOf(platform))[`${service}.database`]?.ok === false, { what: `/healthz to name ${service}’s` });
    }
    rounds++;
    await delay(Math.max(0, Math.min(500, endAt - performance.now())));
  } while (performance.now() < endAt);
  const { first, later, ready, median } = longest;
  t.diagnostic(
    `${operations.length} operations, ${rounds} rounds: 503 within ${Math.round(first)} ms in the first, ${Math.round(later)} ms in the others, the median within ${Math.round(median)} ms; /readyz within ${Math.round(ready)} ms`,
  );
}

async function healthOf({ call }: Platform) {
  return (await call<{ dependencies: Record<string, { ok: boolean; detail: string | null }> }>('GET', '/healthz')).body.dependencies;
}

/** Nobody does anything but wait. */
async function back(platform: Platform, operations: Operation[], t: TestContext): Promise<void> {
  const startedAt = performance.now();
  const failing = new Set(operations);
  while (failing.size > 0) {
    for (const operation of failing) {
      const { status } = await platform.call(operation.method, operation.path, operation.body);
      if (status < 500) failing.delete(operation);
    }
    assert.ok(
      performance.now() - startedAt < BACK_WITHIN_MS,
      `still failing: ${[...failing].map(({ method, path }) => `${method} ${path}`)}`,
    );
    if (failing.size > 0) await delay(50);
  }
  t.diagnostic(`every operation answered again ${Math.round(performance.now() - startedAt)} ms after the database was back`);
  await waitFor(async () => Object.values(await healthOf(platform)).every(({ ok }) => ok), {
    what: '/healthz to be well',
    intervalMs: 100,
  });
}

interface Sent {
  subject: string;
  /** Of the request. */
  key: string;
  status: number;
  id: string | undefined;
}

/** Four senders that write down what they were told. Each message has a subject of its own; what is refused isn't sent again here. */
function startLoad(call: Call, name: string) {
  const sent: Sent[] = [];
  let running = true;
  let number = 0;
  const sender = async () => {
    while (running) {
      const subject = `${name} ${number++}`;
      const answer = await send(call, subject, subject);
      sent.push({ subject, key: subject, status: answer.status, id: answer.body.id });
      await delay(answer.status === 202 ? 20 : 150);
    }
  };
  const senders = Array.from({ length: 4 }, sender);
  return {
    until: (count: number) => waitFor(() => sent.filter(({ status }) => status === 202).length >= count, { what: `${count} messages` }),
    async stop() {
      await waitFor(() => sent.at(-1)?.status === 202, { what: 'sending to work again' });
      running = false;
      await Promise.all(senders);
      return sent;
    },
    async [Symbol.asyncDispose]() {
      running = false;
      await Promise.allSettled(senders);
    },
  };
}

const send = (call: Call, subject: string, key: string) =>
  call<{ id?: string }>(
    'POST',
    '/v1/messages',
    { from: 'a@down.example', to: 'b@example.org', subject, text: subject },
    { 'idempotency-key': key },
  );

async function reconcile(call: Call, sent: Sent[], t: TestContext): Promise<void> {
  const acknowledged = sent.filter(({ status }) => status === 202);
  const refused = sent.filter(({ status }) => status === 503);
  assert.deepEqual(
    sent.filter((one) => one.status !== 202 && one.status !== 503),
    [],
  );
  assert.ok(refused.length > 0, 'somebody sent while the database was away');
  // Every other one is asked for again, as the answer said: that gives one message, whatever had become of the first request.
  const again = refused.filter((_, index) => index % 2 === 0);
  for (const one of again) {
    const answer = await send(call, one.subject, one.key);
    assert.equal(answer.status, 202, one.subject);
    one.id = answer.body.id;
  }
  let kept = 0;
  for (const one of [...acknowledged, ...again]) await delivered(call, one);
  for (const { subject } of refused) {
    const found = (await messagesOf(call, subject)).filter((message) => message.subject === subject);
    assert.ok(found.length <= 1, `${subject}: there are ${found.length}`);
    // Wholly or not at all: who is there is delivered.
    for (const { id } of found) await delivered(call, { subject, id });
    kept += found.length;
  }
  t.diagnostic(
    `acknowledged ${acknowledged.length}, all delivered; 503 ${refused.length}, of which ${again.length} were sent again, and ${kept - again.length} of the others had been kept`,
  );
}

const messagesOf = async (call: Call, subject: string) =>
  (await call<{ data: { id: string; subject: string }[] }>('GET', `/v1/messages?subject=${encodeURIComponent(subject)}&limit=100`)).body
    .data;

async function delivered(call: Call, { subject, id }: { subject: string; id: string | undefined }): Promise<void> {
  await waitFor(async () => (await call<{ status: string }>('GET', `/v1/messages/${id}`)).body.status === 'delivered', {
    what: `${subject} (${id}) to be delivered`,
    intervalMs: 50,
  });
}

/** The postmaster and everything it has forked. */
function processesOf({ pid }: EmbeddedPostgres): number[] {
  const children = execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' });
  return [pid, ...children.split('\n').filter(Boolean).map(Number)];
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
