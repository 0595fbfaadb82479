/**
 * The platform as it runs in production, on one machine: every role in processes of its own, two of each, with Kafka and PostgreSQL beside
 * them and a balancer in front. Roles reach each other by TCP on loopback. Whatever ends is started again, with the same addresses and
 * data, until the cluster is stopped.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, isIPv4 } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { SettingsError, splitHostPort } from '@maildoot/runtime/config';
import { createLogger } from '@maildoot/runtime/logger';
import { type Kafka, kafkaMissing, startKafka } from '@maildoot/testkit/kafka';
import { startDoors } from './cluster-doors.ts';
import type { Config } from './config.ts';
import { startDatabase } from './database.ts';
import { firstTenant } from './first-tenant.ts';
import { type ClusterFile, Home, HomeError } from './home.ts';
import type { SmtpDoors } from './one-process.ts';
import { steadyPorts } from './ports.ts';
import { inherited, spawnRole } from './role-process.ts';
import { isDoor, MAX_CONNECTIONS, PEERS, type Peer, ROLES, type Role, type Surroundings } from './roles.ts';
import { withCertificate } from './smtp-certificate.ts';
import { type Life, type Supervised, supervise } from './supervise.ts';

/** One process that calls another: `messaging-2` calls `delivery-1`, `postgres` or `kafka` at an address; `balancer` calls `gateway-1` and `smtp-1`. */
export interface Edge {
  from: string;
  to: string;
  /** `127.0.0.1:port` */
  address: string;
}

export interface ClusterParts {
  /** One line per step that takes time, and for every process that ends or starts. */
  progress?: (text: string) => void;
  /**
   * Lets somebody put themselves between a caller and a server: asked once per edge, before anything starts; the caller is given the
   * address that comes back. Kafka's clients go on to the address that Kafka itself tells them, whatever they were given first.
   */
  wire?: (edge: Edge) => Promise<string> | string;
  /** An open file that the roles write to, instead of where we write. */
  output?: number;
}

export interface ClusterProcess {
  name: string;
  role: Role | 'postgres' | 'kafka';
  pid: number;
}

export interface Cluster extends AsyncDisposable {
  /** The one public door: `http://127.0.0.1:8080`. */
  httpUrl: string;
  /** A full key of the first tenant. */
  key: string;
  /** The public doors where messages are submitted by SMTP. */
  smtp: SmtpDoors;
  home: Home;
  /** The doors behind it. */
  gateways: readonly string[];
  /** Those that live now; pids change when one is started again. */
  readonly processes: readonly ClusterProcess[];
  kafkaBrokers: string;
  databaseUrl: string;
  /** All processes, ours included. */
  readonly pids: number[];
}

const OF_EACH = 2;
/** Eighteen processes that begin at once on a machine with other work take their time. */
const READY_WITHIN_MS = 180_000;
/** What a kubelet gives a container between SIGTERM and SIGKILL. */
const GRACE_MS = 30_000;
const EXIT_CONFIG = 78;

export async function startCluster(given: Config, parts: ClusterParts = {}): Promise<Cluster> {
  checkConfig(given);
  const progress = parts.progress ?? (() => {});
  const wire = parts.wire ?? (({ address }: Edge) => address);
  await using stack = new AsyncDisposableStack();
  const home = await Home.open(given.home);
  stack.use(await home.lock());
  const config = await withCertificate(given, home, progress);

  const supervised: { role: ClusterProcess['role']; keeper: Supervised }[] = [];
  let announce: (() => void) | undefined;
  const keep = async (role: ClusterProcess['role'], name: string, start: () => Promise<Life>): Promise<Supervised> => {
    const keeper = await supervise({ name, start, say: progress, changed: () => announce?.() });
    supervised.push({ role, keeper });
    return keeper;
  };

  // ── what the roles rest on ──
  const names = ROLES.flatMap((role) => Array.from({ length: OF_EACH }, (_, index) => ({ role, name: `${role}-${index + 1}` })));
  const [postgresPort, kafkaPort, ...ports] = (await steadyPorts(2 + names.length + 3 * OF_EACH)) as [number, number, ...number[]];
  const [mxPorts, smtpPorts] = [ports.splice(names.length, OF_EACH), ports.splice(names.length)];
  progress('starting PostgreSQL and Kafka');
  const postgres = postgresOf(config, home, postgresPort, progress);
  const kafka = kafkaOf(config, home, kafkaPort);
  // The last to stop, whatever the order in which they are up.
  const foundations = stack.use(new AsyncDisposableStack());
  const beginning = await Promise.allSettled([
    (async () => {
      if (postgres.start) foundations.use(await keep('postgres', 'postgres', postgres.start));
      await migrate(await postgres.url());
    })(),
    (async () => {
      if (kafka.start) foundations.use(await keep('kafka', 'kafka', kafka.start));
    })(),
  ]);
  for (const outcome of beginning) if (outcome.status === 'rejected') throw outcome.reason;
  const databaseUrl = await postgres.url();

  // ── the roles ──
  progress(`starting ${names.length} processes`);
  const members = names.map((one, index) => ({ ...one, address: `127.0.0.1:${ports[index]}` }));
  const gateways = members.filter(({ role }) => role === 'gateway');
  const smtpProcesses = members
    .filter(({ role }) => role === 'smtp')
    .map((member, index) => ({
      ...member,
      smtp: { starttls: `127.0.0.1:${smtpPorts[2 * index]}`, tls: `127.0.0.1:${smtpPorts[2 * index + 1]}` },
    }));
  const doors = stack.use(await startDoors({ config, gateways, smtp: smtpProcesses, wire, say: progress }));
  const httpUrl = config.publicUrl ?? `http://${config.httpHost}:${doors.httpPort}`;

  const surroundingsOf = async ({ role, name, address }: (typeof members)[number]): Promise<Surroundings> => {
    const to = async (peer: Peer) => {
      const of = members.filter((member) => member.role === peer);
      return (await Promise.all(of.map((member) => wire({ from: name, to: member.name, address: member.address })))).join(',');
    };
    const addresses = Object.fromEntries(await Promise.all(PEERS.map(async (peer) => [peer, await to(peer)]))) as Record<Peer, string>;
    const { host: httpHost, port: httpPort } = splitHostPort(address);
    const smtp = smtpProcesses.find((one) => one.name === name)?.smtp;
    const ownPlaces = isDoor(role)
      ? { publicUrl: httpUrl, httpHost, httpPort, ...(smtp && { smtpListen: smtp.starttls, smtpsListen: smtp.tls }) }
      : // What is one place for all processes of a role, one of them has.
        { mxListen: name === 'mailbox-2' ? undefined : config.mxListen };
    return {
      config: { ...config, ...ownPlaces },
      smtpHealth: address,
      secrets: home.secrets,
      databaseUrl: await throughWire(databaseUrl, (database) => wire({ from: name, to: 'postgres', address: database })),
      kafkaBrokers: await Promise.all(kafka.brokers.map((broker) => wire({ from: name, to: 'kafka', address: broker }))),
      addresses,
      rpcListen: address,
      migrateAtStart: false,
      mxListen: `127.0.0.1:${mxPorts[name === 'mailbox-2' ? 1 : 0]}`,
    };
  };
  // In the order of their roles, so that stopping begins with the doors: a role ends only after everything that calls it.
  const stages = ROLES.map((role) => ({ role, keepers: [] as Supervised[] }));
  for (const { keepers } of stages)
    stack.defer(async () => void (await Promise.all(keepers.map((keeper) => keeper[Symbol.asyncDispose]()))));
  stack.defer(() => doors.close());
  const hopeless = new AbortController();
  const started = await Promise.allSettled(
    members.map(async (member) => {
      const surroundings = await surroundingsOf(member);
      const start = async () => {
        const life = await lifeOfRole(member.role, surroundings, parts.output);
        // Whatever else it failed at may be better the next time.
        void life.ended.then((how) => {
          if (how === `exit ${EXIT_CONFIG}`) hopeless.abort(new HomeError(`${member.name} refuses its settings`));
        });
        return life;
      };
      const keeper = await keep(member.role, member.name, start);
      stages.find(({ role }) => role === member.role)?.keepers.push(keeper);
      await untilUp(member, hopeless.signal);
    }),
  );
  for (const outcome of started) if (outcome.status === 'rejected') throw outcome.reason;

  const addressOf = (wanted: Role): string =>
    members
      .filter(({ role }) => role === wanted)
      .map(({ address }) => address)
      .join(',');
  const [authAddress, deliveryAddress] = [addressOf('auth'), addressOf('delivery')];
  // One process of it: what has answered is what is asked.
  const key = await firstTenant(home, authAddress.split(',')[0] as string);
  await home.keepRun({ databaseUrl, authAddress, deliveryAddress });

  const order = ['postgres', 'kafka', ...names.map(({ name }) => name)];
  const living = (): ClusterProcess[] =>
    supervised
      .flatMap(({ role, keeper: { name, pid } }) => (pid === undefined ? [] : [{ name, role, pid }]))
      .sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  const facts = {
    httpUrl,
    smtp: doors.smtp,
    key,
    home,
    gateways: gateways.map(({ address }) => `http://${address}`),
    kafkaBrokers: kafka.brokers.join(','),
    databaseUrl,
  };
  let writing: Promise<void> = Promise.resolve();
  let stopping = false;
  announce = () => {
    writing = writing
      .then(() => (stopping ? undefined : home.announceCluster(clusterFile(facts, living()))))
      .catch((error: unknown) => {
        progress(`cluster.json can’t be written: ${error instanceof Error ? error.message : String(error)}`);
      });
  };
  announce();
  await writing;

  const owned = stack.move();
  return {
    ...facts,
    get processes() {
      return living();
    },
    get pids() {
      return [process.pid, ...living().map(({ pid }) => pid)];
    },
    async [Symbol.asyncDispose]() {
      stopping = true;
      await writing;
      await home.withdraw();
      await owned.disposeAsync();
    },
  };
}

/** @throws SettingsError for what this machine or these settings can't do */
export function checkConfig(config: Pick<Config, 'httpHost' | 'kafkaBrokers' | 'smtpListen' | 'smtpsListen'>): void {
  const message =
    'must be an address of loopback such as 127.0.0.1 for a cluster: behind its balancer, gateways could not tell other callers apart';
  const doors: [string, string][] = [
    ['HTTP_HOST', config.httpHost],
    ['SMTP_LISTEN', splitHostPort(config.smtpListen).host],
    ['SMTPS_LISTEN', splitHostPort(config.smtpsListen).host],
  ];
  const open = doors.filter(([, host]) => !(isIPv4(host) && host.startsWith('127.')) && host !== 'localhost');
  if (open.length > 0) throw new SettingsError(open.map(([name]) => ({ name, message })));
  const missing = config.kafkaBrokers === undefined ? kafkaMissing() : undefined;
  if (missing !== undefined) {
    throw new SettingsError([{ name: 'KAFKA_BROKERS', message: `is not set, and a Kafka can’t be started here. ${missing}` }]);
  }
}

function clusterFile(
  { httpUrl, key, gateways, kafkaBrokers, databaseUrl }: Pick<Cluster, 'httpUrl' | 'key' | 'gateways' | 'kafkaBrokers' | 'databaseUrl'>,
  processes: ClusterProcess[],
): ClusterFile {
  return { api: httpUrl, key, gateways, processes, kafka: { brokers: kafkaBrokers }, postgres: { url: databaseUrl } };
}

// ── what each life is ────────────────────────────────────────────────────────────────────────────────────────────────────

/** With a database of somebody else there is nothing to start. */
function postgresOf(config: Config, home: Home, port: number, progress: (text: string) => void) {
  const logger = createLogger({ service: 'standalone', level: config.logLevel });
  let url: string | undefined;
  const open = async () => {
    const database = await startDatabase({ config, home, progress, logger, maxConnections: MAX_CONNECTIONS.cluster, port });
    url = database.url;
    return database;
  };
  const start = async (): Promise<Life> => {
    const database = await open();
    const stop = async () => await database[Symbol.asyncDispose]();
    // Its directory is free for the next one when this one has been put away.
    const ended = database.exited.then(async ({ code, signal }) => {
      await stop();
      return signal ?? `exit ${code}`;
    });
    return { pid: database.pid as number, ended, stop };
  };
  return {
    start: config.databaseUrl === undefined ? start : undefined,
    url: async () => url ?? (await open()).url,
  };
}

/** With a Kafka of somebody else there is nothing to start. */
function kafkaOf(config: Config, home: Home, port: number) {
  let kafka: Kafka | undefined;
  const start = async (): Promise<Life> => {
    if (kafka === undefined) kafka = await startKafka({ directory: home.kafkaDirectory, port });
    else await kafka.restart();
    const { pid, stopped } = kafka;
    const stop = async () => {
      // The JVM is no child that Node waits for.
      const awake = setInterval(() => {}, GRACE_MS);
      await kafka?.[Symbol.asyncDispose]();
      clearInterval(awake);
    };
    return { pid, ended: stopped.then(() => 'its JVM is gone'), stop };
  };
  return { start: config.kafkaBrokers === undefined ? start : undefined, brokers: config.kafkaBrokers ?? [`127.0.0.1:${port}`] };
}

async function lifeOfRole(role: Role, surroundings: Surroundings, output: number | undefined): Promise<Life> {
  const child = spawnRole(role, surroundings, output);
  await once(child, 'spawn');
  const ended = once(child, 'exit').then(([code, signal]) => String(signal ?? `exit ${code}`));
  return {
    pid: child.pid as number,
    ended,
    async stop() {
      child.kill('SIGTERM');
      const tooLong = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
      await ended;
      clearTimeout(tooLong);
    },
  };
}

/** All tables, before anything uses them. */
async function migrate(databaseUrl: string): Promise<void> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('migrate.ts', import.meta.url))], {
    env: { ...inherited(), DATABASE_URL: databaseUrl },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const [code, signal] = await once(child, 'exit');
  if (code !== 0) throw new HomeError(`the tables could not be brought up to date (${signal ?? `exit ${code}`})`);
}

/** The RPC door of a service opens when all else of it is up; a gateway says whether it is. */
async function untilUp({ role, name, address }: { role: Role; name: string; address: string }, giveUp: AbortSignal): Promise<void> {
  const deadline = performance.now() + READY_WITHIN_MS;
  const answers = async () => (isDoor(role) ? (await fetch(`http://${address}/readyz`)).ok : takesConnections(address));
  while (!(await answers().catch(() => false))) {
    giveUp.throwIfAborted();
    if (performance.now() > deadline) throw new HomeError(`${name} was not up within ${READY_WITHIN_MS / 1000} s`);
    await delay(50);
  }
}

async function takesConnections(address: string): Promise<true> {
  const socket = connect(splitHostPort(address));
  try {
    await once(socket, 'connect');
    return true;
  } finally {
    socket.destroy();
  }
}

async function throughWire(databaseUrl: string, wire: (address: string) => Promise<string> | string): Promise<string> {
  const url = new URL(databaseUrl);
  url.host = await wire(`${url.hostname}:${url.port || '5432'}`);
  return url.href;
}
