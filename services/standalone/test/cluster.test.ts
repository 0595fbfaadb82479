/**
 * The cluster as a whole: it comes back from the end of any of its processes, Kafka and PostgreSQL among them, tells outsiders who lives,
 * lets them stand between any two, and leaves nothing behind. What cannot work is told before anything starts.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadSettings } from '@maildoot/runtime/config';
import { kafkaMissing } from '@maildoot/testkit/kafka';
import { waitFor } from '@maildoot/testkit/wait';
import { type Cluster, type Edge, startCluster } from '../src/cluster.ts';
import { settings } from '../src/config.ts';
import type { ClusterFile } from '../src/home.ts';

const UP = fileURLToPath(new URL('../src/up.ts', import.meta.url));
const NAMES = ['auth', 'domain-provisioning', 'template', 'messaging', 'callbacks', 'mailbox', 'delivery', 'gateway', 'smtp'].flatMap(
  (role) => [`${role}-1`, `${role}-2`],
);
const WAIT = { timeoutMs: 120_000 };

describe('the cluster', { skip: kafkaMissing() ?? false }, () => {
  let home: string;
  let cluster: Cluster;
  const edges: Edge[] = [];
  const said: string[] = [];
  let throughRelay = 0;
  let relay: ReturnType<typeof createServer>;

  const start = () =>
    startCluster(loadSettings(settings, { MAILDOOT_HOME: home, HTTP_PORT: '0', LOG_LEVEL: 'silent' }), {
      progress: (text) => said.push(text),
      wire: async (edge) => {
        edges.push(edge);
        return edge.from === 'auth-1' && edge.to === 'postgres' ? relayTo(edge.address) : edge.address;
      },
    });

  /** Passes everything on, and counts. */
  async function relayTo(address: string): Promise<string> {
    const [host, port] = address.split(':');
    relay = createServer((near) => {
      throughRelay++;
      const far = connect(Number(port), host);
      near.on('error', () => {}).on('close', () => far.destroy());
      far.on('error', () => {}).on('close', () => near.destroy());
      near.pipe(far).pipe(near);
    }).listen(0, '127.0.0.1');
    await once(relay, 'listening');
    return `127.0.0.1:${(relay.address() as AddressInfo).port}`;
  }

  const send = (text: string) =>
    fetch(`${cluster.httpUrl}/v1/messages`, {
      method: 'POST',
      headers: { authorization: `Bearer ${cluster.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ from: 'a@shop.example', to: 'b@example.org', subject: text, text }),
    });
  const arrives = async (id: string) => {
    const answer = await fetch(`${cluster.httpUrl}/v1/test/inbox?message_id=${id}&wait=20`, {
      headers: { authorization: `Bearer ${cluster.key}` },
    });
    return ((await answer.json()) as { data?: unknown[] }).data?.length === 1;
  };
  /** A message goes through; whoever asks while something is missing asks again. */
  const works = (what: string) =>
    waitFor(
      async () => {
        const answer = await send(what);
        return answer.status === 202 && (await arrives(((await answer.json()) as { id: string }).id));
      },
      { ...WAIT, what: `a message to go through: ${what}` },
    );
  const announced = async () => JSON.parse(await readFile(join(home, 'cluster.json'), 'utf8')) as ClusterFile;
  const pidOf = (name: string) => cluster.processes.find((one) => one.name === name)?.pid;

  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'maildoot-cluster-'));
    cluster = await start();
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
    relay.close();
    await rm(home, { recursive: true, force: true });
  });

  it('is two processes of every role, PostgreSQL and Kafka, and says so', async () => {
    assert.deepEqual(
      cluster.processes.map(({ name }) => name),
      ['postgres', 'kafka', ...NAMES],
    );
    assert.equal(new Set(cluster.processes.map(({ pid }) => pid)).size, NAMES.length + 2);
    const file = await announced();
    assert.deepEqual(file.processes, cluster.processes);
    assert.deepEqual([file.api, file.key, file.gateways], [cluster.httpUrl, cluster.key, cluster.gateways]);
    assert.deepEqual([file.kafka.brokers, file.postgres.url], [cluster.kafkaBrokers, cluster.databaseUrl]);
    await works('at the start');
  });

  it('asks for the wire of every edge, and what comes back is used', () => {
    const asked = (from: string) => new Set(edges.filter((edge) => edge.from === from).map(({ to }) => to));
    assert.deepEqual(asked('balancer'), new Set(['gateway-1', 'gateway-2', 'smtp-1', 'smtp-2']));
    for (const from of NAMES) {
      for (const to of ['postgres', 'kafka', 'auth-1', 'messaging-1', 'messaging-2', 'delivery-1', 'delivery-2', 'domain-provisioning-2']) {
        assert.ok(asked(from).has(to), `${from} → ${to}`);
      }
    }
    assert.ok(edges.every(({ address }) => /^127\.0\.0\.1:\d+$/.test(address)));
    assert.ok(throughRelay > 0);
  });

  for (const name of [
    'delivery-1',
    'messaging-2',
    'auth-1',
    'gateway-2',
    'domain-provisioning-1',
    'template-2',
    'smtp-1',
    'kafka',
    'postgres',
  ]) {
    it(`${name} comes back from SIGKILL where it was`, async () => {
      const pid = pidOf(name) as number;
      const { processes: _, ...facts } = await announced();
      process.kill(pid, 'SIGKILL');
      await waitFor(() => ![undefined, pid].includes(pidOf(name)), { ...WAIT, what: `${name} to live again` });
      await waitFor(async () => (await announced()).processes.some((one) => one.pid === pidOf(name)), { ...WAIT, what: 'cluster.json' });
      const { processes: __, ...now } = await announced();
      assert.deepEqual(now, facts, 'where everything is has not changed');
      assert.ok(said.some((text) => text.startsWith(`${name} ended (`)));
      assert.ok(said.some((text) => text.startsWith(`${name} started (pid `)));
      await works(`after the end of ${name}`);
    });
  }

  it('stopped, it leaves no process and no file that says it runs; started again, it has what it had', async () => {
    const sent = (await (await send('before the stop')).json()) as { id: string };
    const { pids } = cluster;
    await cluster[Symbol.asyncDispose]();
    for (const pid of pids.filter((one) => one !== process.pid)) assert.throws(() => process.kill(pid, 0), /ESRCH/);
    assert.deepEqual(
      (await readdir(home)).filter((file) => ['up.json', 'cluster.json', 'lock'].includes(file)),
      [],
    );
    relay.close();
    const { key } = cluster;
    cluster = await start();
    assert.equal(cluster.key, key);
    await waitFor(() => arrives(sent.id), { ...WAIT, what: 'what was accepted before the stop to arrive after it' });
    await works('after the second start');
  });
});

describe('what can’t work is one line and exit 78', () => {
  for (const [what, env, line] of [
    ['no Kafka on this machine', { MAILDOOT_KAFKA_DIR: '/nowhere' }, /^maildoot: KAFKA_BROKERS is not set, .*tools\/kafka\.sh install$/m],
    ['a door that is open to others', { HTTP_HOST: '0.0.0.0', ALLOW_PLAIN_HTTP: 'true' }, /^maildoot: HTTP_HOST must be /m],
    ['an SMTP door that is open to others', { SMTP_LISTEN: '0.0.0.0:2587' }, /^maildoot: SMTP_LISTEN must be /m],
  ] as const) {
    it(what, async () => {
      const home = join(tmpdir(), `maildoot-never-${process.pid}`);
      const child = spawn(process.execPath, [UP, '--cluster'], {
        env: { PATH: process.env.PATH, MAILDOOT_HOME: home, HTTP_PORT: '0', ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const [output, [code]] = await Promise.all([child.stderr.toArray(), once(child, 'close')]);
      const text = Buffer.concat(output).toString();
      assert.equal(code, 78, text);
      assert.match(text, line);
      assert.equal(text.trim().split('\n').length, 1, text);
      await assert.rejects(readdir(home), /ENOENT/);
    });
  }
});
