// Runs tests on one PostgreSQL that is started for them and thrown away: node tools/test.ts [node --test options] [files or globs].
// Without files: every *.test.ts of libs, services, tools, e2e and bench. Exits with the code of `node --test`.
//
// Hundreds of processes load the same TypeScript: what Node makes of a file is kept for the next one, and for the next run. It is keyed by
// the file's content; node_modules/.cache may be removed at any time.
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { availableParallelism, constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startTestPostgres } from '../libs/testkit/src/postgres.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const everything = ['libs', 'services', 'tools', 'e2e', 'bench'].map((directory) => `${directory}/**/*.test.ts`);
const skipped = new Set(['node_modules', 'gen', '.git']);

const options = process.argv.slice(2).filter((argument) => argument.startsWith('-'));
const patterns = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const files = (patterns.length === 0 ? everything : patterns).flatMap((pattern) => {
  const found = globSync(pattern, { cwd: root, exclude: (path) => skipped.has(path.split('/').at(-1) ?? '') });
  if (found.length === 0) {
    console.error(`no test files match ${pattern}`);
    process.exit(1);
  }
  return found.sort();
});
process.exitCode = await main();

async function main(): Promise<number> {
  // Ctrl-C reaches node --test by itself (one terminal, one process group). Here it only means: wait for its end, then clean up. Until
  // the tests run there is nothing to wait for.
  const interrupts = new AbortController();
  let tests: ReturnType<typeof spawn> | undefined;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      interrupts.abort(signal);
      if (signal !== 'SIGINT') tests?.kill(signal);
    });
  }
  const given = process.env.TEST_DATABASE_URL;
  await using postgres = given === undefined || given === '' ? await startTestPostgres() : undefined;
  if (interrupts.signal.aborted) return exitCodeOf(interrupts.signal.reason as NodeJS.Signals);

  // One more than there are cores: a test of the platform waits for most of its time.
  const concurrency = options.some((option) => option.startsWith('--test-concurrency'))
    ? []
    : [`--test-concurrency=${availableParallelism() + 1}`];
  tests = spawn(process.execPath, ['--test', ...concurrency, ...options, ...files], {
    cwd: root,
    stdio: 'inherit',
    env: {
      NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/node-compile'),
      ...process.env,
      TEST_DATABASE_URL: postgres?.url ?? given,
      // What is made in a server of ours goes with it.
      ...(postgres !== undefined && { TEST_DATABASE_THROWN_AWAY: 'true' }),
    },
  });
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    tests?.once('error', reject).once('exit', (...ended) => resolve(ended));
  });
  return code ?? exitCodeOf(signal ?? 'SIGKILL');
}

function exitCodeOf(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}
