// What the tests of this library share: a directory that goes away, a database of their own, waiting for a condition.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Database, openDatabase } from '../src/database.ts';
import { startEmbeddedPostgres } from '../src/embedded-postgres.ts';

export async function temporaryDirectory(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'maildoot-db-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}

/** A server for one test file. */
export async function testServer(): Promise<AsyncDisposable & { url: string }> {
  const directory = await temporaryDirectory();
  const server = await startEmbeddedPostgres({ directory: directory.path });
  return {
    url: server.url,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await directory[Symbol.asyncDispose]();
    },
  };
}

let schemas = 0;

/** A schema of its own for one test. */
export async function testDatabase(url: string, options: Partial<Parameters<typeof openDatabase>[0]> = {}): Promise<Database> {
  const schema = `test_${++schemas}`;
  const database = openDatabase({ url, schema, maxConnections: 8, applicationName: 'test', ...options });
  await database.pool.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
  return database;
}

export async function waitFor(what: string, condition: () => Promise<boolean> | boolean, timeoutMs = 60_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  // Looked at once more when the time is over: what is waited for may have come while this process stood still.
  for (let isLast = false; !(await condition()); isLast = performance.now() > end) {
    if (isLast) throw new Error(`waited ${timeoutMs} ms for: ${what}`);
    await sleep(10);
  }
}
