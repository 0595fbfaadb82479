// One living process per directory. The lock is a file with the owner's pid and start time, so that it dies with its owner (SIGKILL
// included) though Node has no flock. It appears complete, by link(2), so a reader never sees half of it.
import { randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { EmbeddedPostgresError } from './error.ts';
import { processIdentity } from './processes.ts';

export async function lockDirectory(directory: string): Promise<AsyncDisposable> {
  const path = `${directory}/lock`;
  const mine = JSON.stringify({ pid: process.pid, identity: await processIdentity(process.pid), nonce: randomUUID() });
  const prepared = `${path}.${randomUUID()}`;
  await writeFile(prepared, mine, { mode: 0o600 });
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        await link(prepared, path);
        break;
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST') || attempt === 20) throw error;
      }
      await removeWhenStale(path, directory);
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

async function removeWhenStale(path: string, directory: string): Promise<void> {
  const seen = await readFile(path, 'utf8').catch(() => undefined);
  if (seen === undefined) return;
  const owner = parseOwner(seen);
  if (owner !== undefined && (await processIdentity(owner.pid)) === owner.identity) {
    throw new EmbeddedPostgresError(
      'DIRECTORY_IN_USE',
      `embedded PostgreSQL: ${directory} is in use by process ${owner.pid}: stop that one or choose another directory`,
    );
  }
  // Moved away before it is deleted: of several starters that judged it stale only one gets it, and one that moved a newer lock sees that and puts it back.
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch {
    return;
  }
  if ((await readFile(aside, 'utf8').catch(() => seen)) !== seen) await link(aside, path).catch(() => {});
  await rm(aside, { force: true });
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
