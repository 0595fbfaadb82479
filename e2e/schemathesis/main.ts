/**
 * `make schemathesis`: a program that knows nothing of Maildoot reads the served OpenAPI document, makes requests of it that fit and requests
 * that don't, follows its links, and checks every answer against what the document says. All of its checks are on.
 *
 * The platform is a real one, as `make up` starts it, in a directory of its own. Two sets: with a full API key, every operation but those of a
 * person's own sessions; with the session of an owner, everything that takes one. What differs from Schemathesis's own expectations is
 * in rules.ts, and printed.
 */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startDnsServer } from '@maildoot/testkit/dns';
import { inherited, type Platform, startPlatform } from '../platform.ts';
import { makePeople, makeTokens, type People, type Tokens } from './people.ts';
import { installedSchemathesis } from './python.ts';
import { rules, unfit } from './rules.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const mostRounds = 8;

/** The names that callbacks are made of lead to this machine, where nothing answers: attempts fail at once. */
const loopback = { '@': { A: ['127.0.0.1'] }, '*': { A: ['127.0.0.1'] } };
const internet = { example: loopback, test: loopback, 'example.com': loopback };

interface Operation {
  readonly operationId: string;
  readonly security: readonly Record<string, unknown>[];
  readonly responses: Record<string, unknown>;
}

/** Which credential, and what part of the cases. */
const sets = [
  { credential: 'key', share: 0.7, phases: 'examples,coverage,fuzzing,stateful' },
  { credential: 'session', share: 0.3, phases: 'fuzzing,stateful' },
] as const;
type CaseSet = (typeof sets)[number];

interface Run {
  readonly program: string;
  readonly platform: Platform;
  /** With the passwords that they have by now. */
  people: People;
  readonly tokens: Tokens;
  readonly operations: readonly Operation[];
  readonly directory: string;
  readonly tally: Map<string, number>;
  readonly signal: AbortSignal;
}

async function main(signal: AbortSignal): Promise<number> {
  const { values } = parseArgs({
    options: {
      cases: { type: 'string', default: '5000' },
      seed: { type: 'string', default: String(randomInt(2 ** 31)) },
      short: { type: 'boolean' },
    },
  });
  const cases = Number(values.cases);
  const seed = Number(values.seed);
  if (!Number.isSafeInteger(cases) || cases < 1 || !Number.isSafeInteger(seed)) throw new Error('CASES and SEED are whole numbers');
  const program = installedSchemathesis();

  const directory = await mkdtemp(join(tmpdir(), 'maildoot-schemathesis-'));
  await using _ = { [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) };
  await using dns = await startDnsServer({ zones: internet });
  await using platform = await startPlatform({ env: { DNS_SERVERS: dns.address } });
  const people = await makePeople(platform);
  const run: Run = {
    program,
    platform,
    people,
    tokens: await makeTokens(platform),
    operations: await operationsOf(platform),
    directory,
    tally: new Map(),
    signal,
  };

  process.stdout.write(`seed ${seed}: make schemathesis CASES=${cases} SEED=${seed} does the same again\n`);
  describeRules();
  let generated = 0;
  let failed = false;
  for (const set of sets) {
    const wanted = Math.ceil(cases * set.share);
    let made = 0;
    for (let round = 0; made < wanted && round < mostRounds; round++) {
      const report = await schemathesis(run, set, { seed: seed + round, cases: wanted - made, short: values.short === true || round > 0 });
      made += report.generated;
      failed ||= report.failed;
      if (report.failed) break;
    }
    generated += made;
    process.stdout.write(`· as ${set.credential}: ${made} cases\n`);
  }
  if (failed) process.stdout.write(errorsOf(platform));
  const untouched = neverDone(run);
  process.stdout.write(`· operations that never did what they are for: ${untouched.join(', ') || 'none'}\n`);
  const few = generated < cases;
  process.stdout.write(`${failed || few ? 'FAILED' : 'ok'}: ${generated} cases, seed ${seed}\n`);
  return failed || few ? 1 : 0;
}

interface Round {
  readonly seed: number;
  readonly cases: number;
  readonly short: boolean;
}

async function schemathesis(run: Run, set: CaseSet, { seed, cases, short }: Round): Promise<{ generated: number; failed: boolean }> {
  const chosen = run.operations.filter((operation) => belongsTo(operation, set));
  const report = join(run.directory, 'report.json');
  const tally = join(run.directory, 'tally.json');
  const config = join(run.directory, 'schemathesis.toml');
  await writeFile(config, configText());
  const child = spawn(
    run.program,
    [
      ...['--config-file', config],
      'run',
      `${run.platform.api}/v1/openapi.json`,
      ...['--seed', String(seed)],
      ...['--phases', short ? 'fuzzing,stateful' : set.phases],
      ...['--max-examples', String(Math.max(4, Math.ceil(cases / chosen.length / 2)))],
      ...['--report', 'json', '--report-json-path', report],
      ...chosen.flatMap(({ operationId }) => ['--include-operation-id', operationId]),
    ],
    {
      stdio: ['ignore', 'inherit', 'inherit'],
      cwd: run.directory,
      signal: run.signal,
      env: {
        ...inherited(),
        PYTHONPATH: here,
        PYTHONDONTWRITEBYTECODE: '1',
        SCHEMATHESIS_HOOKS: 'hooks',
        MAILDOOT_API: run.platform.api,
        MAILDOOT_PEOPLE: JSON.stringify(run.people),
        MAILDOOT_TOKENS: JSON.stringify(run.tokens),
        MAILDOOT_CREDENTIAL: set.credential,
        MAILDOOT_RULES: JSON.stringify(rules.map(([code]) => code)),
        MAILDOOT_TALLY: tally,
      },
    },
  );
  const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('exit', resolve));
  // 1: it found something.
  if (code !== 0 && code !== 1) throw new Error(`it ended with ${code}`);
  const { test_cases, complete } = JSON.parse(await readFile(report, 'utf8')) as { test_cases: { generated: number }; complete: boolean };
  const after = JSON.parse(await readFile(tally, 'utf8')) as { answers: Record<string, number>; people: People };
  run.people = after.people;
  for (const [what, count] of Object.entries(after.answers)) run.tally.set(what, (run.tally.get(what) ?? 0) + count);
  return { generated: test_cases.generated, failed: code !== 0 || !complete };
}

/** With a key: all but what only a person may. With a session: what takes one. */
function belongsTo({ security }: Operation, { credential }: CaseSet): boolean {
  const takes = (scheme: string): boolean => security.some((one) => scheme in one);
  return credential === 'key' ? security.length === 0 || takes('apiKey') : takes('session');
}

async function operationsOf(platform: Platform): Promise<Operation[]> {
  const { body } = await platform.call<{ paths: Record<string, Record<string, Operation>> }>('GET', '/v1/openapi.json');
  return Object.values(body.paths).flatMap((methods) => Object.values(methods));
}

/** Operations that were never answered with a success that they document. */
function neverDone({ operations, tally }: Run): string[] {
  return operations
    .filter(
      ({ operationId, responses }) =>
        !Object.keys(responses).some((status) => /^[23]/.test(status) && tally.has(`${operationId} ${status}`)),
    )
    .map(({ operationId }) => operationId);
}

/** What the platform itself wrote of what went wrong, under the request_id of the answer. */
function errorsOf(platform: Platform): string {
  const lines = platform
    .output()
    .split('\n')
    .filter((line) => line.includes('"level":"error"'));
  return lines.length === 0 ? '' : `the platform says:\n${lines.slice(-20).join('\n')}\n`;
}

function configText(): string {
  const refusals = ['2xx', '3xx', '400', '401', '402', '403', '404', '409', '422', '423', '429'];
  return [
    'color = false',
    'continue-on-failure = true',
    'request-timeout = 30',
    // About how fast values are made here, not about the platform.
    'suppress-health-check = ["all"]',
    '[output.sanitization]',
    'enabled = false',
    '[checks]',
    'enabled = true',
    '[checks.positive_data_acceptance]',
    `expected-statuses = ${JSON.stringify(refusals)}`,
    // What is too long for its field may be too long for a body.
    '[checks.negative_data_rejection]',
    'expected-statuses = ["400","401","403","404","405","406","409","413","415","422","428","429"]',
    ...unfit.flatMap(({ operation, check }) => [
      '[[operations]]',
      `include-operation-id = "${operation}"`,
      `checks.${check}.enabled = false`,
    ]),
    '',
  ].join('\n');
}

function describeRules(): void {
  const lines = [
    'nothing is excluded: every operation of the document, every check of Schemathesis; what it is told:',
    ...unfit.map(({ operation, check, why }) => `  ${check} not for ${operation}: ${why}`),
    '  listSessions, endSession, endSessions, logout, changePassword: as other people than the rest; a credential that the run ended is renewed',
    '  listCapturedMail: a wait of 2 to 60 s is one of 1 s',
    '  a request that fits the schema may be refused with 400 for these alone:',
    ...rules.map(([code, why]) => `    ${code}: ${why}`),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

// The platform is no child of the terminal's: it is stopped here, whatever ends the run.
const interrupts = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interrupts.abort());

process.exitCode = await main(interrupts.signal).catch((error: unknown) => {
  process.stderr.write(`schemathesis: ${error instanceof Error ? error.message : String(error)}\n`);
  return 1;
});
