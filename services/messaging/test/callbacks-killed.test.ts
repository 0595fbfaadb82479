// Nothing is lost when the processes that tell callbacks are killed under load, and nobody is told twice by two that live.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { newId } from '@maildoot/runtime/ids';
import { startDnsServer } from '@maildoot/testkit/dns';
import { waitFor } from '@maildoot/testkit/wait';
import { startReceiver } from '@maildoot/testkit/webhook-receiver';
import { everything } from './feed-load.ts';
import { createWorld, type World } from './world.ts';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

function startProcess(world: World, env: Record<string, string> = {}): ChildProcess {
  return spawn(process.execPath, [main], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: {
      PATH: process.env.PATH,
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
      DATABASE_URL: world.databaseUrl,
      DATABASE_CONNECTIONS: '5',
      RPC_SECRET: 'a secret that nobody is asked with in this test',
      SEAL_KEYS: `k1:${Buffer.alloc(32, 1).toString('base64')}`,
      DOMAIN_ADDRESS: '127.0.0.1:1',
      DELIVERY_ADDRESS: '127.0.0.1:1',
      MESSAGING_ROLE: 'callbacks',
      CALLBACK_ALLOW_NETWORKS: '127.0.0.0/8',
      LOG_LEVEL: 'error',
      ...env,
    },
  });
}

async function end(child: ChildProcess, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await once(child, 'exit');
}

it('1,050 events to two receivers, both processes killed twice meanwhile: each receiver gets each event at least once, verified', async () => {
  await using receiver = await startReceiver();
  await using world = await createWorld({ env: { MESSAGING_ROLE: 'api', CALLBACK_ALLOW_NETWORKS: '127.0.0.0/8' } });
  const { tenantId } = world;
  const paths = ['fast', 'slow'];
  for (const path of paths) {
    const { secret } = await world.callbacks.createCallback(
      { url: receiver.url(path), events: [], description: '', repeatable: undefined },
      { tenantId },
    );
    await receiver.behave(path, { secrets: [secret], delayMs: path === 'slow' ? 40 : 2 });
  }
  const processes = [startProcess(world), startProcess(world)];
  try {
    const load = async () => {
      for (let batch = 0; batch < 7; batch++) {
        const { results } = await world.accept(Array.from({ length: 50 }, () => ({})));
        const at = new Date();
        await world.tellAttempts(
          ...results.map(({ result }) => ({
            messageId: result?.$case === 'accepted' ? result.value.id : '',
            recipientNumber: 0,
            recipient: 'a@rcpt.example',
            attempt: 1,
            outcome: Outcome.OUTCOME_DELIVERED,
            queuedAt: at,
            startedAt: at,
            finishedAt: at,
          })),
        );
      }
    };
    const loading = load();
    for (const many of [100, 500]) {
      await waitFor(async () => (await receiver.seen('fast')).length >= many, { what: `${many} webhooks`, timeoutMs: 60_000 });
      await Promise.all(processes.splice(0).map((child) => end(child, 'SIGKILL')));
      processes.push(startProcess(world), startProcess(world));
    }
    await loading;
    const feed = await waitFor(
      async () => {
        const all = await everything(world, tenantId);
        return all.length >= 1_050 && all;
      },
      { what: 'the feed', timeoutMs: 60_000 },
    );
    const wanted = feed.map(({ event }) => event!.id).sort();
    assert.equal(wanted.length, 1_050);
    for (const path of paths) {
      const came = await waitFor(
        async () => {
          const list = await receiver.seen(path);
          return new Set(list.map((one) => one.id)).size >= wanted.length && list;
        },
        { what: `every event at ${path}`, timeoutMs: 90_000 },
      );
      assert.deepEqual([...new Set(came.map((one) => one.id))].sort(), wanted);
      assert.ok(
        came.every((one) => one.verified[0]),
        'all verified',
      );
      // Twice came at most what was under way when a process was killed: ten places of each of two processes, two kills.
      assert.ok(came.length - wanted.length <= 40, `${came.length - wanted.length} came twice at ${path}`);
    }
    await waitFor(async () => (await world.database.pool.query('SELECT FROM callback_due')).rowCount === 0, {
      what: 'nothing to be due',
      timeoutMs: 30_000,
    });
  } finally {
    await Promise.all(processes.map((child) => end(child, 'SIGKILL')));
  }
});

it('a process that stops in an orderly way gives back what it could not finish, and another goes on at once', async () => {
  await using receiver = await startReceiver();
  await using world = await createWorld({ env: { MESSAGING_ROLE: 'api', CALLBACK_ALLOW_NETWORKS: '127.0.0.0/8' } });
  const { tenantId } = world;
  await world.callbacks.createCallback(
    { url: receiver.url('p'), events: ['domain.*'], description: '', repeatable: undefined },
    { tenantId },
  );
  await receiver.behave('p', { hang: true });
  const first = startProcess(world);
  let second: ChildProcess | undefined;
  try {
    const id = newId('evt');
    await world.tenantEvents.appendTenantEvent({ id, type: 'domain.verified', at: new Date(), dataJson: Buffer.from('{}') }, { tenantId });
    await waitFor(async () => (await receiver.seen('p')).length === 1, { what: 'the first attempt', timeoutMs: 30_000 });
    await receiver.behave('p', {});
    await end(first, 'SIGTERM');
    assert.equal(first.exitCode, 0);
    assert.equal((await world.database.pool.query('SELECT FROM callback_worker')).rowCount, 0);
    second = startProcess(world);
    const list = await waitFor(async () => (await receiver.seen('p')).length === 2 && (await receiver.seen('p')), {
      what: 'the second',
      timeoutMs: 30_000,
    });
    assert.deepEqual(
      list.map((one) => one.id),
      [id, id],
    );
  } finally {
    await end(first, 'SIGKILL');
    if (second !== undefined) await end(second, 'SIGKILL');
  }
});

it('a name is refused when it leads inside, when saved and again when it leads there by the time of the attempt', async () => {
  await using dns = await startDnsServer({
    zones: { 'hooks.example': { inside: { A: ['10.0.0.1'] }, moves: { A: ['8.8.8.8'] }, both: { A: ['8.8.8.8', '10.0.0.1'] } } },
  });
  await using receiver = await startReceiver();
  // Loopback is no exception here: a request that came all the same would be seen.
  await using world = await createWorld({ env: { DNS_SERVERS: dns.address } });
  const { tenantId } = world;
  const create = (name: string) =>
    world.callbacks.createCallback(
      { url: `https://${name}.hooks.example:${receiver.port}/hook/p`, events: ['domain.*'], description: '', repeatable: undefined },
      { tenantId },
    );
  for (const name of ['inside', 'both', 'absent']) await assert.rejects(create(name), /callback can’t be like this/, name);
  const { callback } = await create('moves');
  dns.setRecords('moves.hooks.example', { A: ['127.0.0.1'] });
  const event = { id: newId('evt'), type: 'domain.verified', at: new Date(), dataJson: Buffer.from('{}') };
  await world.tenantEvents.appendTenantEvent(event, { tenantId });
  const attempt = await waitFor(
    async () =>
      (await world.callbacks.listCallbackAttempts({ id: callback!.id, limit: 1, afterId: '', eventId: '' }, { tenantId })).attempts[0],
    { what: 'the attempt' },
  );
  assert.equal(attempt.outcome, 8, 'ADDRESS_REFUSED');
  assert.match(attempt.detail, /127\.0\.0\.1/);
  assert.deepEqual(await receiver.seen('p'), []);
});
