// One living process per directory. The lock is a file with the owner's pid and start time, so that it dies with its owner (SIGKILL
// included) though Node has no flock. It appears complete, by link(2), so a reader never sees half of it.
import { randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { EmbeddedPostgresError } from './error.ts';
import { processIdentity } from './processes.ts';

/** An owner that was just killed is still there for a moment. */
const patienceMs = 1_000;

export async function lockDirectory(directory: string): Promise<AsyncDisposable> {
  const path = `${directory}/lock`;
  const mine = JSON.stringify({ pid: process.pid, identity: await processIdentity(process.pid), nonce: randomUUID() });
  const prepared = `${path}.${randomUUID()}`;
  await writeFile(prepared, mine, { mode: 0o600 });
  const end = Date.now() + patienceMs;
  try {
    while (!(await isLinked(prepared, path))) {
      const owner = await removeWhenStale(path);
      if (owner === undefined) continue;
      if (Date.now() > end) {
        throw new EmbeddedPostgresError(
          'DIRECTORY_IN_USE',
          `embedded PostgreSQL: ${directory} is in use by process ${owner}: stop that one or choose another directory`,
        );
      }
      await sleep(50);
    }
  } finally {
    await rm(prepared, { force: true });
  }
  return {
    async [Symbol.asyncDispose]() {
      if ((await readFile(path, 'utf8').catch(() => '')) === mine) await rm(path, { force: true });
    },
  };
}

async function isLinked(prepared: string, path: string): Promise<boolean> {
  try {
    await link(prepared, path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

/** The pid of the living owner, or undefined when the lock is gone now. */
async function removeWhenStale(path: string): Promise<number | undefined> {
  const seen = await readFile(path, 'utf8').catch(() => undefined);
  if (seen === undefined) return undefined;
  const owner = parseOwner(seen);
  if (owner !== undefined && (await processIdentity(owner.pid)) === owner.identity) return owner.pid;
  // Moved away before it is deleted: of several starters that judged it stale only one gets it, and one that moved a newer lock sees that and puts it back.
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch {
    return undefined;
  }
  if ((await readFile(aside, 'utf8').catch(() => seen)) !== seen) await link(aside, path).catch(() => {});
  await rm(aside, { force: true });
  return undefined;
}

function parseOwner(text: string): { pid: number; identity: string } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('pid' in value) || !('identity' in value)) return undefined;
    return typeof value.pid === 'number' && typeof value.identity === 'string' ? { pid: value.pid, identity: value.identity } : undefined;
  } catch {
    return undefined;
  }
}
