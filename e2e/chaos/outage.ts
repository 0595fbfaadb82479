/**
 * A server that everything rests on is down for long, under load.
 *
 *   node e2e/chaos/outage.ts --of kafka --seconds 60      202s go on, nothing is lost, delivery catches up
 *   node e2e/chaos/outage.ts --of postgres --seconds 30   503 with Retry-After within a second, ready again by itself, nothing lost
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { holdDown, type Outage } from './hold-down.ts';
import { percent, printEnd, printShares, printVerdict, row, section } from './print.ts';
import { type Acknowledged, type Received, type Requested, readRecords } from './records.ts';
import { type Rig, withRig } from './rig.ts';
import { isAccepted, sharesOf } from './shares.ts';

const WANTED_SHARE = 0.999;
const BEFORE_MS = 10_000;
const AFTERWARDS_MS = 10_000;
/** What was refused is refused within this. */
const REFUSED_WITHIN_MS = 1000;
const CAUGHT_UP_WITHIN_MS = 120_000;

const { values } = parseArgs({
  options: {
    of: { type: 'string', default: 'kafka' },
    seconds: { type: 'string' },
    rate: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    directory: { type: 'string' },
    keep: { type: 'boolean', default: false },
    'log-level': { type: 'string', default: 'warn' },
  },
});
const of = values.of;
const seconds = Number(values.seconds ?? { kafka: 60, postgres: 30 }[of as 'kafka' | 'postgres']);
if (!['kafka', 'postgres'].includes(of) || !(seconds > 0)) {
  process.stderr.write(
    'usage: outage.ts --of kafka|postgres [--seconds 60] [--rate 200] [--seed 1] [--directory run] [--keep] [--log-level warn]\n',
  );
  process.exit(64);
}

process.exitCode = await withRig({ directory: values.directory, keep: values.keep, logLevel: values['log-level'] }, async (rig) => {
  const load = rig.startLoad({ rate: Number(values.rate), seed: Number(values.seed) });
  await delay(BEFORE_MS);
  rig.say(`${of} is down for ${seconds} s`);
  const outage = await holdDown(of, seconds * 1000, rig);
  rig.say(`${of} is back, ${((outage.until - outage.from) / 1000).toFixed(1)} s after it went`);
  const [caughtUpMs] = await Promise.all([untilCaughtUp(rig.directory, outage), delay(AFTERWARDS_MS)]);
  rig.say(`delivery has caught up ${(caughtUpMs / 1000).toFixed(1)} s after ${of} was back`);
  await load.finish();
  const { verdict, requested } = await rig.settle();

  section(`${of} down for ${((outage.until - outage.from) / 1000).toFixed(1)} s`);
  for (const [phase, requests] of phasesOf(requested, outage)) {
    const { share, p50Ms, p99Ms, maxMs } = sharesOf(requests, []);
    row(phase, `${requests.length} requests, ${percent(share)} answered 202; p50 ${p50Ms} ms, p99 ${p99Ms} ms, max ${maxMs} ms`);
  }
  row('caught up', `${(caughtUpMs / 1000).toFixed(1)} s after it was back`);
  const problems = of === 'kafka' ? acceptedThroughout(requested) : refusedAtOnce(requested, outage, rig);
  printShares(sharesOf(requested, []), of === 'kafka' ? WANTED_SHARE : 0);
  printVerdict(verdict);
  return printEnd(verdict, problems);
});
process.exit();

function phasesOf(requested: readonly Requested[], { from, until }: Outage): [string, Requested[]][] {
  return [
    ['before', requested.filter(({ at }) => at < from)],
    ['while down', requested.filter(({ at }) => at >= from && at < until)],
    ['afterwards', requested.filter(({ at }) => at >= until)],
  ];
}

/** The time until the receiving side had everything that had been acknowledged when the server was back. */
async function untilCaughtUp(directory: string, { until }: Outage): Promise<number> {
  const pairs = (records: readonly { id: string | null; to: readonly string[] }[]) =>
    new Set(records.flatMap(({ id, to }) => to.map((recipient) => `${id} ${recipient}`)));
  const owed = pairs(
    (await readRecords<Acknowledged>(join(directory, 'acknowledged.jsonl'))).map(({ id, recipients }) => ({ id, to: recipients })),
  );
  for (;;) {
    const got = pairs(await readRecords<Received>(join(directory, 'received.jsonl')));
    const missing = [...owed].filter((pair) => !got.has(pair)).length;
    if (missing === 0) return Date.now() - until;
    if (Date.now() - until > CAUGHT_UP_WITHIN_MS) throw new Error(`${missing} recipients have not been reached`);
    await delay(200);
  }
}

/** Without the broker, accepting goes on as if nothing were missing. */
function acceptedThroughout(requested: readonly Requested[]): string[] {
  return sharesOf(requested, []).share < WANTED_SHARE ? ['too few requests answered 202 without the broker'] : [];
}

/** Without the database nothing can be accepted, and everybody is told so at once, with a time to come back. */
function refusedAtOnce(requested: readonly Requested[], { from, until }: Outage, rig: Rig): string[] {
  const down = requested
    .flatMap((request) => {
      let at = request.at;
      return request.tries.map((one) => {
        const began = at;
        at += one.ms + (one.retryAfterMs ?? 0);
        return { ...one, began };
      });
    })
    .filter(({ began, ms }) => began > from && began + ms < until);
  const accepted = down.filter(({ end }) => end === 202).length;
  const refused = down.filter(({ end }) => end === 503);
  const others = down.filter(({ end }) => end !== 503 && end !== 202);
  const slowestMs = Math.max(0, ...refused.map(({ ms }) => ms));
  const silent = refused.filter(({ retryAfterMs }) => retryAfterMs === undefined).length;
  const firstAccepted = Math.min(...requested.filter((one) => one.at + one.ms >= until && isAccepted(one)).map(({ at, ms }) => at + ms));
  row('refused', `${refused.length} with 503, slowest ${slowestMs} ms, ${silent} without Retry-After`);
  row(
    'otherwise',
    `${others.length}${others.length > 0 ? `: ${[...new Set(others.map(({ end, code }) => `${end} ${code ?? ''}`.trim()))].join(', ')}` : ''}`,
  );
  row('ready again', `first 202 ${firstAccepted - until} ms after it was back`);
  rig.say(`${accepted} were accepted in the moment of the fall`);
  return [
    ...(refused.length === 0 ? ['nothing was refused: was it down?'] : []),
    ...(slowestMs > REFUSED_WITHIN_MS ? [`a 503 took ${slowestMs} ms`] : []),
    ...(silent > 0 ? ['a 503 without Retry-After'] : []),
    ...(others.length > 0 ? [`${others.length} answers other than 503`] : []),
  ];
}
