/**
 * A key that is revoked or that expires, and a personal access token that is replaced, are worth nothing at any door within five seconds, also
 * where they have been let in before: REST, SMTP (a new AUTH, a session that is open), the stream of events, `maildoot listen`. A suspended
 * account may look at all of them, and send at none, and what it has queued stays where it is.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { idToUuid } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { createTransport } from 'nodemailer';
import pg from 'pg';
import { operator } from '../operator.ts';
import { type Call, client, inherited, type Platform, startPlatform } from '../platform.ts';
import { createTenant } from '../tenant.ts';

const MAILDOOT = fileURLToPath(new URL('../../services/standalone/src/maildoot.ts', import.meta.url));
/** The contract's five seconds, and what a busy machine needs. */
const withinMs = 12_000;

let platform: Platform;
let database: pg.Client;
let smtp: { host: string; port: number; requireTLS: true; tls: object };
before(async () => {
  platform = await startPlatform();
  database = new pg.Client({ connectionString: await platform.databaseUrl() });
  await database.connect();
  const up = JSON.parse(await readFile(join(platform.home, 'up.json'), 'utf8')) as { smtp: { starttls: string } };
  const [host = '', port] = up.smtp.starttls.split(':');
  const ca = await readFile(join(platform.home, 'smtp.crt'), 'utf8');
  smtp = { host, port: Number(port), requireTLS: true, tls: { ca, servername: 'localhost' } };
});
after(async () => {
  await database?.end();
  await platform?.[Symbol.asyncDispose]();
});

const message = { from: 'a@shop.example', to: 'ada@example.com', subject: 'x', text: 'x' };

/** Every door, opened with a key and let in. */
async function openDoors(key: string) {
  const call: Call = client(platform.api, key);
  assert.equal((await call('POST', '/v1/messages', message)).status, 202);
  const auth = { user: 'apikey', pass: key };
  const session = createTransport({ ...smtp, auth, pool: true, maxConnections: 1, maxMessages: Number.POSITIVE_INFINITY });
  await session.sendMail(message);

  const stream = await fetch(`${platform.api}/v1/events`, { headers: { authorization: `Bearer ${key}`, accept: 'text/event-stream' } });
  assert.equal(stream.status, 200);
  let streamEnded = false;
  const read = (async () => {
    for await (const _ of stream.body ?? []);
    streamEnded = true;
  })();

  const listen = spawn(process.execPath, [MAILDOOT, 'listen', '--forward-to', 'http://127.0.0.1:9/', '--api', platform.api, '--key', key], {
    env: inherited(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const output of [listen.stdout, listen.stderr]) output.setEncoding('utf8').on('data', (text: string) => (said += text));
  const exited = once(listen, 'exit') as Promise<[number | null]>;
  await waitFor(() => said.includes('ready:'), { what: 'maildoot listen to be ready' });

  const replyTo = (transport: typeof session): Promise<number> =>
    transport.sendMail(message).then(
      () => 250,
      (error: Error & { responseCode?: number }) => error.responseCode ?? assert.fail(error),
    );
  return {
    rest: async () => (await call('POST', '/v1/messages', message)).status,
    look: async () => (await call('GET', '/v1/messages')).status,
    newSession: () => replyTo(createTransport({ ...smtp, auth }) as never),
    openSession: () => replyTo(session),
    streamEnded: () => streamEnded,
    listenEnded: () => listen.exitCode !== null,
    listened: async () => ({ code: (await exited)[0], said }),
    async [Symbol.asyncDispose]() {
      session.close();
      if (listen.exitCode === null) listen.kill('SIGTERM');
      await exited;
      if (!streamEnded) await stream.body?.cancel().catch(() => undefined);
      await read.catch(() => undefined);
    },
  };
}

/** What is shown at the doors, and how it ends. */
interface Ending {
  credential: string;
  end: () => Promise<unknown>;
}

const endings: Record<string, () => Promise<Ending>> = {
  'a key that is revoked': async () => {
    const { id, key } = await newKey('for revoked');
    return { credential: key, end: () => platform.call('DELETE', `/v1/api-keys/${id}`) };
  },
  'a key that is expired': async () => {
    const name = 'for expired';
    const { key } = await newKey(name);
    return { credential: key, end: () => database.query('UPDATE auth.api_key SET expires_at = now() WHERE name = $1', [name]) };
  },
  'a personal access token that is replaced': async () => {
    const regenerate = (call: Call) => call('POST', '/v1/user/regenerate_auth_pat');
    assert.equal((await regenerate(platform.call)).status, 204);
    const { body } = await platform.call<{ auth_pat: { value: string } }>('GET', '/v1/user/settings');
    const { value } = body.auth_pat;
    return { credential: value, end: () => regenerate(client(platform.api, value)) };
  },
};

async function newKey(name: string): Promise<{ id: string; key: string }> {
  return (await platform.call<{ id: string; key: string }>('POST', '/v1/api-keys', { name, scope: 'full' })).body;
}

for (const [what, begin] of Object.entries(endings)) {
  test(`${what} is worth nothing at any door`, async () => {
    const { credential, end } = await begin();
    await using doors = await openDoors(credential);
    await end();
    const endedAt = performance.now();
    const soon = (what: string, done: () => boolean | Promise<boolean>) =>
      waitFor(done, { what: `${what} to be closed`, timeoutMs: Math.max(1, withinMs - (performance.now() - endedAt)) });
    await Promise.all([
      soon('REST', async () => (await doors.rest()) === 401),
      soon('AUTH', async () => (await doors.newSession()) === 535),
      soon('the open session', async () => (await doors.openSession()) === 535),
      soon('the stream', doors.streamEnded),
      soon('maildoot listen', doors.listenEnded),
    ]);
    const { code, said } = await doors.listened();
    assert.equal(code, 1);
    assert.match(said, /^maildoot: The credential is unknown, revoked or expired/m);
  });
}

test('a suspended account looks at every door, sends at none, and goes on when it is released', async () => {
  const tenant = await createTenant(platform, 'suspended@tenant.example');
  await using doors = await openDoors(tenant.key);
  const call = client(platform.api, tenant.key);
  const inAnHour = { ...message, send_at: new Date(Date.now() + 3_600_000).toISOString() };
  const queued = (await call<{ id: string }>('POST', '/v1/messages', inAnHour)).body.id;
  const ofAnother = (await platform.call<{ id: string }>('POST', '/v1/messages', inAnHour)).body.id;
  await waitFor(async () => (await claimsOf(queued, ofAnother)).length === 2, { what: 'both in the queue' });
  const statusOf = async (id: string, as: Call = call) => (await as<{ status: string }>('GET', `/v1/messages/${id}`)).body.status;
  await operator(platform, 'suspend', tenant.tenant_id, '--reason', 'spam');
  const soon = (what: string, done: () => Promise<boolean>) => waitFor(done, { what, timeoutMs: withinMs });
  await Promise.all([
    soon('403 over REST', async () => (await doors.rest()) === 403),
    soon('525 at AUTH', async () => (await doors.newSession()) === 525),
    soon('525 in the open session', async () => (await doors.openSession()) === 525),
  ]);
  assert.equal(await doors.look(), 200);
  assert.deepEqual([doors.streamEnded(), doors.listenEnded()], [false, false]);
  const uuid = idToUuid('ten', tenant.tenant_id);
  await waitFor(async () => (await database.query('SELECT FROM delivery.suspended_tenant WHERE tenant_id = $1', [uuid])).rowCount === 1, {
    what: 'delivery to know',
  });
  // The hour is over; what waits for longer is taken first.
  await bringForward(queued);
  await bringForward(ofAnother);
  await waitFor(async () => (await statusOf(ofAnother, platform.call)) === 'delivered', {
    what: 'another tenant’s mail',
  });
  assert.deepEqual(await claimsOf(queued), [0], 'nobody has taken it');
  assert.equal(await statusOf(queued), 'queued');
  const timeline = await call<{ recipients: { explain: { who_must_act: string } }[] }>('GET', `/v1/messages/${queued}/timeline`);
  assert.equal(timeline.body.recipients[0]?.explain.who_must_act, 'operator');
  type Destinations = { data: { name: string; suspended: number }[] };
  const { data } = await operator<Destinations>(platform, 'destinations');
  assert.ok(data.some(({ name, suspended }) => name === 'capture' && suspended >= 1));
  await operator(platform, 'release', tenant.tenant_id);
  await Promise.all([
    soon('202 over REST', async () => (await doors.rest()) === 202),
    soon('250 in a new session', async () => (await doors.newSession()) === 250),
    soon('what was queued to go on', async () => (await statusOf(queued)) === 'delivered'),
  ]);
});

/** How often each recipient that is in delivery's queue was taken from there. */
async function claimsOf(...ids: string[]): Promise<number[]> {
  const { rows } = await database.query<{ claims: number }>('SELECT claims FROM delivery.due WHERE message_id = ANY ($1::uuid[])', [
    ids.map((id) => idToUuid('msg', id)),
  ]);
  return rows.map(({ claims }) => claims);
}

/** What was scheduled is due now, as if its time had come. */
async function bringForward(id: string): Promise<void> {
  await database.query(
    `WITH sent AS (
       UPDATE messaging.message SET send_at = now() WHERE id = $1
     ), freed AS (
       UPDATE delivery.due SET next_due_at = now() WHERE message_id = $1 RETURNING destination, tenant_id
     )
     UPDATE delivery.ready SET next_due_at = least(next_due_at, now()) FROM freed
     WHERE ready.destination = freed.destination AND ready.tenant_id = freed.tenant_id`,
    [idToUuid('msg', id)],
  );
}
