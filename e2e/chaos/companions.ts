/**
 * The processes around the platform that no strike meets: the receiving side and the client. Each writes its own record, has a process
 * group of its own (Ctrl-C is for the harness, which ends them in order) and ends when its standard input does, that is with the harness.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { inherited } from '../platform.ts';

const SINK = fileURLToPath(new URL('./sink.py', import.meta.url));
const LOAD = fileURLToPath(new URL('./load.ts', import.meta.url));
const VENV = fileURLToPath(new URL('../../.tools/python/bin/python3', import.meta.url));

/** What the client says once a second. */
export interface Tally {
  sent: number;
  messages: number;
  accepted: number;
  failed: number;
  underWay: number;
  p50: number;
  p99: number;
  max: number;
}

export interface Companion extends AsyncDisposable {
  pid: number;
  /** Rejects when it ended without having been asked to. */
  broken: Promise<never>;
}

/** The witness. @throws an Error in one line when this machine has no aiosmtpd */
export async function startSink(directory: string): Promise<Companion & { address: string }> {
  const python = [VENV, 'python3'].find(
    (candidate) => (candidate === 'python3' || existsSync(candidate)) && spawnSync(candidate, ['-c', 'import aiosmtpd']).status === 0,
  );
  if (python === undefined)
    throw new Error('the receiving side needs aiosmtpd: python3 -m venv .tools/python && .tools/python/bin/pip install aiosmtpd==1.4.6');
  const child = spawn(python, [SINK, join(directory, 'received.jsonl')], {
    env: inherited(),
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const companion = kept(child, 'the receiving side', join(directory, 'sink.log'));
  const line = once(createInterface(child.stdout), 'line') as Promise<[string]>;
  const [first] = await Promise.race([line, companion.broken]);
  return { ...companion, address: (JSON.parse(first) as { address: string }).address };
}

export interface LoadOptions {
  api: string;
  key: string;
  from: string;
  rate: number;
  seed: number;
  directory: string;
  /** The SMTP door with STARTTLS and the file of its certificate, and the template that some messages name. */
  smtp: string;
  ca: string;
  template: string;
}

export interface Load extends Companion {
  /** The last thing it said. */
  tally(): Tally;
  /** Sends nothing more and waits for what is under way. */
  finish(): Promise<void>;
}

export function startLoad({ key, ...args }: LoadOptions): Load {
  const { directory } = args;
  const child = spawn(process.execPath, [LOAD, ...Object.entries(args).flatMap(([name, value]) => [`--${name}`, String(value)])], {
    env: { ...inherited(), MAILDOOT_KEY: key },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const companion = kept(child, 'the client', join(directory, 'load.log'));
  let tally: Tally = { sent: 0, messages: 0, accepted: 0, failed: 0, underWay: 0, p50: 0, p99: 0, max: 0 };
  createInterface(child.stdout).on('line', (line) => {
    tally = { ...tally, ...(JSON.parse(line) as Partial<Tally>) };
  });
  return {
    ...companion,
    tally: () => tally,
    async finish() {
      const code = await companion.end('SIGTERM');
      if (code !== 0) throw new Error(`the client ended with ${code}: see load.log in ${directory}`);
    },
  };
}

function kept(child: ChildProcess, what: string, logFile: string): Companion & { end(name: NodeJS.Signals): Promise<number | null> } {
  let asked = false;
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  const log = createWriteStream(logFile, { flags: 'a' });
  child.stderr?.pipe(log);
  const broken = exited.then(([code, name]) => {
    if (asked) return new Promise<never>(() => {});
    throw new Error(`${what} ended (${name ?? code})`);
  });
  broken.catch(() => {});
  const end = async (name: NodeJS.Signals): Promise<number | null> => {
    asked = true;
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    child.kill(name);
    const [code] = await exited;
    return code;
  };
  return { pid: child.pid as number, broken, end, [Symbol.asyncDispose]: async () => void (await end('SIGKILL')) };
}
