/**
 * A real Kafka for tests: one KRaft node, broker and controller in one JVM, on loopback. The JVM is a child of this process and dies with
 * it; its pid is Kafka's own, so that a test can kill, stop and continue it, and start it again on the same port and data.
 * The jars come from `tools/kafka.sh install`.
 */
import { execFile, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort } from './ports.ts';
import { waitFor } from './wait.ts';

export interface KafkaOptions {
  /** Where its data is, kept at the end; a temporary directory otherwise. */
  directory?: string;
  /** A free one otherwise. The controller takes another one beside it. */
  port?: number;
  /** Writes the archive of loaded classes at its end, for the starts to come. */
  recordClasses?: boolean;
}

export interface Kafka extends AsyncDisposable {
  /** `127.0.0.1:port`, as KAFKA_BROKERS wants it. */
  readonly brokers: string;
  readonly port: number;
  readonly directory: string;
  /** Of the JVM; another one after a restart. */
  readonly pid: number;
  kill(signal: NodeJS.Signals): void;
  /** Resolves when the JVM of now has ended, however. */
  readonly stopped: Promise<void>;
  /** Kills it if it still runs; resolves when the next one answers on the same port with the same data. */
  restart(): Promise<void>;
}

const CLUSTER_ID = '4L6g3nShT-eMCtK--X86sw';
const START_TIMEOUT_MS = 180_000;

function home(): string {
  const given = process.env.MAILDOOT_KAFKA_DIR;
  return given !== undefined && given !== '' ? given : fileURLToPath(new URL('../../../.tools/kafka', import.meta.url));
}

function java(): string {
  const given = process.env.KAFKA_JAVA;
  if (given !== undefined && given !== '') return given;
  const onPath = (process.env.PATH ?? '').split(delimiter).map((directory) => join(directory, 'java'));
  return [...onPath, join(home(), 'java')].find((path) => existsSync(path)) ?? '';
}

/** In one line why Kafka can't be started here; undefined when it can. */
export function kafkaMissing(): string | undefined {
  if (!existsSync(join(home(), 'lib'))) return `Kafka is not in ${home()}: tools/kafka.sh install`;
  if (java() === '') return 'Kafka needs Java 17 or newer: tools/kafka.sh install';
  return undefined;
}

/** Resolves when the broker answers, after 2 to 5 s. */
export async function startKafka({ directory: given, port: givenPort, recordClasses = false }: KafkaOptions = {}): Promise<Kafka> {
  const missing = kafkaMissing();
  if (missing !== undefined) throw new Error(missing);
  const directory = given ?? (await mkdtemp(join(tmpdir(), 'maildoot-kafka-')));
  await mkdir(directory, { recursive: true });
  const port = givenPort ?? (await freePort());
  let controllerPort = await freePort();
  while (controllerPort === port) controllerPort = await freePort();
  const kafka = new RunningKafka(directory, port, given === undefined, recordClasses);
  try {
    await writeFile(kafka.propertiesFile, properties(join(directory, 'data'), port, controllerPort));
    if (!existsSync(join(directory, 'data', 'meta.properties'))) await format(kafka.propertiesFile);
    await kafka.start();
    return kafka;
  } catch (error) {
    await kafka[Symbol.asyncDispose]();
    throw error;
  }
}

class RunningKafka implements Kafka {
  readonly directory: string;
  readonly port: number;
  readonly propertiesFile: string;
  readonly #throwAway: boolean;
  readonly #recordClasses: boolean;
  #jvm: Jvm | undefined;

  constructor(directory: string, port: number, throwAway: boolean, recordClasses: boolean) {
    this.directory = directory;
    this.port = port;
    this.propertiesFile = join(directory, 'server.properties');
    this.#throwAway = throwAway;
    this.#recordClasses = recordClasses;
  }

  get brokers(): string {
    return `127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#jvm!.pid;
  }

  get stopped(): Promise<void> {
    return this.#jvm!.exited;
  }

  kill(signal: NodeJS.Signals): void {
    this.#jvm!.kill(signal);
  }

  async start(): Promise<void> {
    this.#jvm = spawnJvm(this.propertiesFile, join(this.directory, 'broker.log'), this.#recordClasses);
    await this.#answering(this.#jvm);
  }

  async restart(): Promise<void> {
    this.kill('SIGKILL');
    await this.stopped;
    await this.start();
  }

  async #answering(jvm: Jvm): Promise<void> {
    let ended = false;
    void jvm.exited.then(() => {
      ended = true;
    });
    const log = join(this.directory, 'broker.log');
    await waitFor(async () => ended || (await answers(this.port)), {
      what: `Kafka to answer on port ${this.port}; its log is ${log}`,
      timeoutMs: START_TIMEOUT_MS,
      intervalMs: 25,
    });
    if (ended) throw new Error(`Kafka ended while starting: ${(await readFile(log, 'utf8')).trim().split('\n').slice(-5).join('\n')}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#jvm !== undefined) {
      // Continued first: a stopped process would only note the signal. Data that is kept is closed properly, other data isn't worth it.
      this.kill('SIGCONT');
      this.kill(this.#throwAway ? 'SIGKILL' : 'SIGTERM');
      await this.stopped;
    }
    if (this.#throwAway) await rm(this.directory, { recursive: true, force: true });
  }
}

interface Jvm {
  pid: number;
  exited: Promise<void>;
  kill(signal: NodeJS.Signals): void;
}

function spawnJvm(propertiesFile: string, logFile: string, recordClasses: boolean): Jvm {
  const archive = join(home(), 'classes.jsa');
  const flags = [...jvmFlags];
  if (recordClasses) flags.push(`-XX:ArchiveClassesAtExit=${archive}`);
  else if (existsSync(archive)) flags.push(`-XX:SharedArchiveFile=${archive}`);
  const command = [java(), ...flags, '-cp', join(home(), 'lib', '*'), 'kafka.Kafka', propertiesFile];
  // setpriv becomes the JVM, with the same pid; the kernel kills it when this process ends, in whichever way.
  const [file = '', ...args] = existsSync(SETPRIV) ? [SETPRIV, '--pdeathsig', 'KILL', ...command] : command;
  const log = openSync(logFile, 'a');
  // A process group of its own: Ctrl-C in a terminal is for the tests, which then end it.
  const child = spawn(file, args, { stdio: ['ignore', log, log], detached: true });
  closeSync(log);
  const exited = new Promise<void>((resolve) => {
    child.once('error', () => resolve()).once('exit', () => resolve());
  });
  const atExit = (): boolean => child.kill('SIGKILL');
  process.once('exit', atExit);
  void exited.then(() => process.off('exit', atExit));
  child.unref();
  return { pid: child.pid ?? 0, exited, kill: (signal) => void child.kill(signal) };
}

const SETPRIV = '/usr/bin/setpriv';
// C1 and the serial collector: a test's broker lives for seconds on shared cores.
const jvmFlags = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn'];

async function format(propertiesFile: string): Promise<void> {
  const args = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-cp', join(home(), 'lib', '*')];
  await promisify(execFile)(java(), [...args, 'kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', propertiesFile]);
}

function properties(data: string, port: number, controllerPort: number): string {
  return Object.entries({
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'log.dirs': data,
    'auto.create.topics.enable': 'false',
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '5',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.num.partitions': '5',
    'transaction.state.log.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
    'log.cleaner.dedupe.buffer.size': '10485760',
    // Back 5 to 7 s after SIGKILL instead of 13.
    'broker.session.timeout.ms': '1500',
    'broker.heartbeat.interval.ms': '500',
  })
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

// ApiVersions, version 0: the one request that every broker answers to everybody.
const apiVersions = Buffer.from('0000000a' + '0012' + '0000' + '00000001' + 'ffff', 'hex');

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 2_000 }, () => socket.write(apiVersions));
    const end = (answered: boolean) => {
      socket.destroy();
      resolve(answered);
    };
    socket
      .once('data', () => end(true))
      .once('error', () => end(false))
      .once('timeout', () => end(false))
      .once('close', () => end(false));
  });
}
