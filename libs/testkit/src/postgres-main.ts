// Holds one PostgreSQL for tests, for as long as standard input is open: whoever started this process may end in any way, SIGKILL
// included, and the server is stopped and its directory removed. Started by postgres.ts, in a process group of its own, so that Ctrl-C
// in the terminal doesn't take the database away from tests that are still finishing.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '@maildoot/db/embedded-postgres';

const ended = new Promise<void>((resolve) => {
  process.stdin.on('end', resolve).on('error', resolve).on('close', resolve).resume();
});
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => process.stdin.destroy());

const directory = await mkdtemp(join(tmpdir(), 'maildoot-test-postgres-'));
try {
  await using postgres = await startEmbeddedPostgres({ directory, maxConnections: 300 });
  process.stdout.write(`${JSON.stringify({ url: postgres.url, pid: postgres.pid })}\n`);
  await Promise.race([ended, postgres.exited]);
} catch (error) {
  process.stderr.write(`the test database did not start: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  await rm(directory, { recursive: true, force: true });
}
process.exit();
