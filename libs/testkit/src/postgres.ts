// A throw-away PostgreSQL for tests, run by a process of its own (postgres-main.ts) that outlives a crash of the tests just long enough
// to clean up.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface TestPostgres extends AsyncDisposable {
  /** A superuser's, for TEST_DATABASE_URL. */
  url: string;
  pid: number;
}

/** Starts it in a temporary directory (3 s). It doesn't keep this process alive. */
export async function startTestPostgres(): Promise<TestPostgres> {
  const keeper = spawn(process.execPath, [fileURLToPath(new URL('./postgres-main.ts', import.meta.url))], {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const exited = once(keeper, 'exit');
  let stderr = '';
  keeper.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const lines = createInterface({ input: keeper.stdout });
  const first = await Promise.race([once(lines, 'line'), exited.then(() => undefined)]);
  if (first === undefined) throw new Error(stderr.trim() || 'the test database did not start');
  const { url, pid } = JSON.parse(String(first[0])) as { url: string; pid: number };
  keeper.unref();
  for (const stream of keeper.stdio) (stream as { unref?: () => void } | null)?.unref?.();
  return {
    url,
    pid,
    async [Symbol.asyncDispose]() {
      if (keeper.exitCode !== null || keeper.signalCode !== null) return;
      keeper.ref();
      keeper.stdin.end();
      await exited;
    },
  };
}
