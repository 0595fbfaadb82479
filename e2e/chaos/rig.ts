/**
 * What a run needs: the cluster with a proxy on every edge, the internet around it, the receiving side and the client; and the ends: drain,
 * look at every message, reconcile. Everything it writes is below one directory.
 */
import assert from 'node:assert/strict';
import { appendFileSync, closeSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadSettings } from '@maildoot/runtime/config';
import { type Cluster, startCluster } from '@maildoot/standalone/cluster';
import { settings } from '@maildoot/standalone/config';
import type { DnsServer } from '@maildoot/testkit/dns';
import { waitFor } from '@maildoot/testkit/wait';
import pg from 'pg';
import { startInternet, verifiedDomain } from '../internet.ts';
import { type Call, client } from '../platform.ts';
import { type Companion, type Load, startLoad, startSink } from './companions.ts';
import { Edges } from './edges.ts';
import { type Fate, fatesOf, listIds } from './fates.ts';
import { reconcile, type Verdict } from './reconcile.ts';
import { type Acknowledged, type Received, type Requested, readRecords } from './records.ts';
import type { Victims } from './strike.ts';

const DOMAIN = 'yard.example';
const TEMPLATE = 'chaos';
/** When the queue stands still for so long, it won't move any more. Longer than the longest delay between two attempts. */
const STALLED_MS = 60_000;

export interface RigOptions {
  /** A fresh one otherwise. */
  directory: string | undefined;
  /** Of the services. */
  logLevel: string;
}

export interface Rig extends AsyncDisposable, Victims {
  directory: string;
  cluster: Cluster;
  call: Call;
  /** Names of all processes that a strike may meet. */
  names: string[];
  startLoad(options: { rate: number; seed: number }): Load;
  /** Rejects when a companion ended that must live through the run. */
  broken: Promise<never>;
  /** A line for people, with the time, also kept in `run.log`. */
  say(text: string): void;
  /** Waits until everything serves again and nothing is on its way any more, and compares the records. */
  settle(): Promise<{ verdict: Verdict; requested: Requested[]; drainedAfterMs: number }>;
}

async function startRig(options: RigOptions): Promise<Rig> {
  await using stack = new AsyncDisposableStack();
  const place = options.directory ?? (await mkdtemp(join(tmpdir(), 'maildoot-chaos-')));
  await mkdir(place, { recursive: true });
  const startedAtMs = performance.now();
  const say = (text: string) => {
    const line = `${((performance.now() - startedAtMs) / 1000).toFixed(1).padStart(6)}  ${text}\n`;
    process.stdout.write(line);
    appendFileSync(join(place, 'run.log'), line);
  };
  say(`everything is written below ${place}`);

  const sink = stack.use(await startSink(place));
  const dns: DnsServer = stack.use(await startInternet());
  const edges = stack.use(new Edges());
  const smarthost = await edges.wire({ from: 'delivery', to: 'receiver', address: sink.address });
  const config = loadSettings(settings, {
    MAILDOOT_HOME: join(place, 'home'),
    HTTP_PORT: '0',
    LOG_LEVEL: options.logLevel,
    DELIVERY: 'smarthost',
    SMARTHOST: smarthost,
    DNS_SERVERS: dns.address,
    // Nothing is refused here, so that an attempt that failed is soon made again, and none is ever given up.
    RETRY_SCHEDULE: ['1', '1', '2', '2', ...Array.from({ length: 60 }, () => '5')].join(','),
  });
  const services = openSync(join(place, 'services.log'), 'a');
  stack.defer(() => closeSync(services));
  const cluster = stack.use(
    await startCluster(config, {
      output: services,
      wire: (edge) => edges.wire(edge),
      progress: (text) => appendFileSync(join(place, 'cluster.log'), `${new Date().toISOString()} ${text}\n`),
    }),
  );
  const call = client(cluster.httpUrl, cluster.key);
  await assertDurable(cluster.databaseUrl);
  await verifiedDomain(call, dns, DOMAIN);
  await makeTemplate(call);
  say(`${cluster.processes.length} processes, ${edges.size} edges, API at ${cluster.httpUrl}`);

  let load: Load | undefined;
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const watch = (companion: Companion) => companion.broken.catch(failed.reject);
  watch(sink);

  const owned = stack.move();
  return {
    directory: place,
    cluster,
    call,
    edges,
    names: cluster.processes.map(({ name }) => name).sort(),
    pidOf: (name) => cluster.processes.find((one) => one.name === name)?.pid,
    broken: failed.promise,
    say,
    startLoad({ rate, seed }) {
      load = startLoad({
        ...{ api: cluster.httpUrl, key: cluster.key, from: `load@${DOMAIN}`, rate, seed, directory: place, template: TEMPLATE },
        ...{ smtp: cluster.smtp.starttls, ca: join(place, 'home', 'smtp.crt') },
      });
      watch(load);
      owned.use(load);
      return load;
    },
    async settle() {
      const since = performance.now();
      await serving(call);
      const fates = new Map<string, Fate>();
      let said = performance.now();
      // A request whose client has given up may still be on its way in: only when the list brings nothing new, everything is known.
      for (let ids = await listIds(call); ids.length > 0; ids = (await listIds(call)).filter((id) => !fates.has(id))) {
        const found = await fatesOf(call, ids, {
          stalledMs: STALLED_MS,
          progress(open) {
            if (open > 0 && performance.now() - said < 5000) return;
            said = performance.now();
            say(`${fates.size + ids.length} messages stored, ${open} not final yet`);
          },
        });
        for (const [id, fate] of found) fates.set(id, fate);
      }
      const drainedAfterMs = performance.now() - since;
      const [acknowledged, received, requested] = await Promise.all([
        readRecords<Acknowledged>(join(place, 'acknowledged.jsonl')),
        readRecords<Received>(join(place, 'received.jsonl')),
        readRecords<Requested>(join(place, 'requests.jsonl')),
      ]);
      const verdict = reconcile({ acknowledged, received, requested, fates });
      await writeFile(join(place, 'verdict.json'), `${JSON.stringify(verdict, null, 2)}\n`);
      await writeFile(join(place, 'fates.jsonl'), [...fates.values()].map((fate) => `${JSON.stringify(fate)}\n`).join(''));
      return { verdict, requested, drainedAfterMs };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Every part answers that it serves, on both gateways' word. */
async function serving(call: Call): Promise<void> {
  await waitFor(async () => (await call<{ status?: string }>('GET', '/healthz')).status === 200, {
    what: 'the cluster to be whole again',
    timeoutMs: 60_000,
    intervalMs: 250,
  });
}

async function makeTemplate(call: Call): Promise<void> {
  const template = {
    name: 'Chaos',
    alias: TEMPLATE,
    subject: 'chaos {{ number }}',
    html: '<h1>{{ number }}</h1><ul>{% for line in lines %}<li>{{ line }}</li>{% endfor %}</ul>',
  };
  const { status, body } = await call('POST', '/v1/templates', template);
  assert.equal(status, 201, JSON.stringify(body));
}

/** The promise rests on these; a platform that runs without them proves nothing. */
async function assertDurable(databaseUrl: string): Promise<void> {
  const database = new pg.Client(databaseUrl);
  await database.connect();
  try {
    for (const setting of ['fsync', 'synchronous_commit', 'full_page_writes']) {
      const { rows } = await database.query<Record<string, string>>(`SHOW ${setting}`);
      assert.equal(rows[0]?.[setting], 'on', setting);
    }
  } finally {
    await database.end();
  }
}

/** Runs with a rig until it is done or Ctrl-C; ends everything it started in either case. The directory stays unless all was well. */
export async function withRig(
  options: RigOptions & { keep: boolean },
  run: (rig: Rig, interrupted: AbortSignal) => Promise<boolean>,
): Promise<number> {
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => interrupted.abort(name));
  const stopped = new Promise<never>((_, reject) => {
    interrupted.signal.addEventListener('abort', () => reject(new Error('stopped')), { once: true });
  });
  stopped.catch(() => {});
  let whole = false;
  let directory: string | undefined;
  try {
    await using rig = await startRig(options);
    directory = rig.directory;
    whole = await Promise.race([run(rig, interrupted.signal), rig.broken, stopped]);
  } catch (error) {
    process.stderr.write(`chaos: ${interrupted.signal.aborted ? 'stopped' : error instanceof Error ? error.stack : String(error)}\n`);
  }
  if (whole && !options.keep && options.directory === undefined && directory !== undefined)
    await rm(directory, { recursive: true, force: true });
  else if (directory !== undefined) process.stdout.write(`kept: ${directory}\n`);
  return whole ? 0 : 1;
}
