/** Starts the chain without checks that the 202 path is compared with, on the platform's own PostgreSQL in a schema `bare`. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import type { Watched } from './processes.ts';

export interface BareChain extends AsyncDisposable {
  url: string;
  watched(): Watched[];
}

export async function startBareChain(databaseUrl: string, database: pg.Client): Promise<BareChain> {
  await using stack = new AsyncDisposableStack();
  await makeTables(database);
  const directory = await mkdtemp(join(tmpdir(), 'maildoot-bare-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const socket = join(directory, 'store.sock');
  const store = start('store-main.ts', [databaseUrl, socket], stack);
  await once(store, 'message');
  const door = start('door-main.ts', [socket], stack);
  const [{ port }] = (await once(door, 'message')) as [{ port: number }];
  const owned = stack.move();
  return {
    url: `http://127.0.0.1:${port}`,
    watched: () => [
      { name: 'bare door', pid: door.pid as number, tree: false },
      { name: 'bare store', pid: store.pid as number, tree: false },
    ],
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function start(file: string, args: string[], stack: AsyncDisposableStack): ChildProcess {
  const child = fork(fileURLToPath(new URL(`./bare-chain/${file}`, import.meta.url)), args, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  stack.defer(async () => {
    const ended = once(child, 'exit');
    if (child.kill('SIGKILL')) await ended;
  });
  return child;
}

async function makeTables(database: pg.Client): Promise<void> {
  await database.query('CREATE SCHEMA bare');
  await database.query('SET search_path = bare');
  await database.query(await readFile(new URL('./bare-chain/tables.sql', import.meta.url), 'utf8'));
  await database.query('RESET search_path');
}
