/**
 * (e) How fast a queue that was loaded beforehand drains, signed and with every outcome recorded, against Postfix that doesn't sign.
 *
 * Ours is loaded through the API with a `send_at`: every row is in the due queue, and at that moment all are due. Postfix's is loaded
 * over SMTP on hold and then released. Both deliver to smtp-sink in the same number of sessions, without TLS, and take turns.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { waitFor } from '@maildoot/testkit/wait';
import type { Arguments } from '../arguments.ts';
import { runLoad } from '../load.ts';
import { type Costs, cpuText, startMeter, walText } from '../meter.ts';
import { type Platform, startPlatform } from '../platform.ts';
import { type Postfix, postfixMissing, startPostfix } from '../postfix.ts';
import { cpuBetween, cpuOf } from '../processes.ts';
import { startProfiling } from '../profile.ts';
import { heading, note, type Report, rate } from '../report.ts';
import { checkpoint, delivered } from '../settle.ts';
import { type CountingSink, startCountingSink } from '../smtp-sink.ts';
import { refuseFailures, requestTo } from '../stretch.ts';

const messageBytes = 10_240;
/** The default of MAX_SESSIONS_PER_DESTINATION, and of Postfix's smtp_destination_concurrency_limit. */
const sessions = 20;
const cpuTargetMs = 2;

interface Drained {
  /** `relay`: Postfix receiving from smtp-source and passing on at the same time. */
  who: 'maildoot' | 'postfix' | 'relay';
  rate: number;
  /** Until the sink had everything; the rate counts until every outcome was recorded. */
  sinkRate: number;
  cpuMsPerMessage: number;
  costs?: Costs;
}

export async function measureDrain(args: Arguments, report: Report): Promise<void> {
  heading(`(e) a queue of ${args.messages.toLocaleString('en')} messages of 10 KB drains: signed, against Postfix that doesn't sign`);
  await using sink = await startCountingSink();
  await using platform = await startPlatform({ ...args, smarthostPort: sink.port }, report);
  const missing = postfixMissing();
  await using theirSink = missing === undefined ? await startCountingSink() : undefined;
  await using postfix = theirSink === undefined ? undefined : await startPostfix({ sinkPort: theirSink.port, sessions });
  note(
    missing === undefined
      ? `Postfix ${postfix?.version}, ${sessions} sessions, to ${theirSink?.name}; ours ${sessions} sessions, to ${sink.name}`
      : `no comparison: ${missing}`,
  );
  await drainOurs(platform, sink, args, report, args.short ? 300 : 2000);
  const rounds: Drained[] = [];
  for (let number = 1; number <= args.rounds; number++) {
    rounds.push(await drainOurs(platform, sink, args, report, args.messages));
    tell(rounds.at(-1));
    if (postfix !== undefined && theirSink !== undefined) {
      rounds.push(await drainPostfix(postfix, theirSink, args.messages));
      tell(rounds.at(-1));
      rounds.push(await relayPostfix(postfix, theirSink, args.messages));
      tell(rounds.at(-1));
    }
  }
  // In a round of its own: a profiled process is a slower one.
  if (args.profiles !== undefined) await drainOurs(platform, sink, args, report, args.messages, args.profiles);
  const mean = (who: Drained['who'], of: (one: Drained) => number) => {
    const own = rounds.filter((round) => round.who === who);
    return own.reduce((sum, one) => sum + of(one), 0) / own.length;
  };
  const ours = mean('maildoot', (one) => one.rate);
  const theirs = mean('postfix', (one) => one.rate);
  const relayed = mean('relay', (one) => one.rate);
  const cpu = mean('maildoot', (one) => one.cpuMsPerMessage);
  const compared = postfix !== undefined;
  const target = '≥ 1.2 × Postfix; aim 2.0';
  const against = (what: string, rateOfTheirs: number) => ({
    id: '6e',
    what: `drain, 10 KB, DKIM RSA-2048${what}`,
    figure: compared ? `${rate(ours)} (Postfix unsigned ${rate(rateOfTheirs)})` : rate(ours),
    ...(compared ? { ratio: `${(ours / rateOfTheirs).toFixed(2)} × Postfix` } : {}),
    target,
    passed: compared ? ours / rateOfTheirs >= 1.2 : undefined,
  });
  report.lines.push(
    against(compared ? ', Postfix draining its queue' : '', theirs),
    ...(compared ? [against(', Postfix taking in and sending', relayed)] : []),
    {
      id: '6e',
      what: 'CPU per delivered message',
      figure: `${cpu.toFixed(2)} ms${
        compared
          ? ` (Postfix ${mean('postfix', (one) => one.cpuMsPerMessage).toFixed(2)}, taking in too ${mean('relay', (one) => one.cpuMsPerMessage).toFixed(2)})`
          : ''
      }`,
      target: '< 2.0 ms with PostgreSQL',
      passed: cpu < cpuTargetMs,
    },
  );
  report.details.drain = { rounds, missing };
}

function tell(drained: Drained | undefined): void {
  if (drained === undefined) return;
  note(
    `${drained.who.padEnd(9)} ${rate(drained.rate).padStart(7)} recorded, ${rate(drained.sinkRate)} at the sink; CPU ms/message ${drained.cpuMsPerMessage.toFixed(2)}${
      drained.costs === undefined
        ? ''
        : `: ${cpuText(drained.costs)}; ${walText(drained.costs)}; machine ${Math.round(drained.costs.machineBusyShare * 100)} % busy`
    }`,
  );
}

async function drainOurs(
  platform: Platform,
  sink: CountingSink,
  args: Arguments,
  report: Report,
  messages: number,
  profiles?: string,
): Promise<Drained> {
  const { loaded, dueAtMs } = await loadQueue(platform, args, report, messages);
  const before = await sink.messages();
  await delay(dueAtMs - Date.now() - 100);
  const meter = await startMeter(platform.watched(), platform.database);
  const profiling = await startProfiling(platform, 'drain', profiles);
  await delay(Math.max(0, dueAtMs - Date.now()));
  const startedAtMs = performance.now();
  await waitFor(async () => (await sink.messages()) - before >= loaded, { what: 'the sink to have everything', timeoutMs: 600_000 });
  const atSinkMs = performance.now() - startedAtMs;
  await waitFor(async () => (await dueRows(platform)) === 0, { what: 'every outcome to be recorded', timeoutMs: 600_000 });
  const recordedMs = performance.now() - startedAtMs;
  // Telling messaging is part of the price, whenever it is done.
  await delivered(platform);
  const costs = await meter.stop(loaded);
  await profiling.stop();
  const got = (await sink.messages()) - before;
  if (got !== loaded) report.faults.push(`drain: ${loaded} messages were loaded and the sink has ${got}`);
  return {
    who: 'maildoot',
    rate: loaded / (recordedMs / 1000),
    sinkRate: loaded / (atSinkMs / 1000),
    cpuMsPerMessage: costs.cpuMsTotal,
    costs,
  };
}

/** Accepts messages for a time at which they are all in the queue; a machine that was too slow for it gets twice the time. */
async function loadQueue(
  platform: Platform,
  args: Arguments,
  report: Report,
  messages: number,
): Promise<{ loaded: number; dueAtMs: number }> {
  const batch = 50;
  for (let leadMs = (args.short ? 4_000 : 8_000) + messages * 2.5; ; leadMs *= 2) {
    const dueAtMs = Date.now() + leadMs;
    const load = await runLoad({
      mode: 'closed',
      url: platform.api,
      connections: 4,
      warmUpSeconds: 0,
      seconds: 600,
      count: messages / batch,
      request: requestTo(platform, { textBytes: messageBytes, batch, sendAt: new Date(dueAtMs).toISOString() }),
    });
    refuseFailures(report, 'maildoot', load);
    const loaded = load.sent * batch;
    const arrived = async () => Date.now() > dueAtMs - 500 || (await dueRows(platform)) === loaded;
    await waitFor(arrived, { what: 'the queue to be loaded', timeoutMs: leadMs + 60_000, intervalMs: 200 });
    if (Date.now() < dueAtMs - 500) await checkpoint(platform);
    if (Date.now() < dueAtMs - 200) return { loaded, dueAtMs };
    note('the messages were due before they were all in the queue: once more, with twice the time');
    await delivered(platform);
  }
}

async function drainPostfix(postfix: Postfix, sink: CountingSink, messages: number): Promise<Drained> {
  const before = await sink.messages();
  await postfix.load(messages, messageBytes, 10);
  const watched = [{ name: 'postfix', pid: postfix.pid, tree: true }];
  const cpu = cpuOf(watched);
  await postfix.release();
  // The release itself is not counted: it moves files that a queue in use would not have to move.
  const startedAtMs = performance.now();
  await waitFor(async () => (await sink.messages()) - before >= messages, { what: 'smtp-sink to have everything', timeoutMs: 600_000 });
  const atSinkMs = performance.now() - startedAtMs;
  await waitFor(async () => (await postfix.queued()) === 0, { what: 'Postfix’ queue to be empty', timeoutMs: 60_000 });
  const recordedMs = performance.now() - startedAtMs;
  const used = [...cpuBetween(cpu, cpuOf(watched)).values()][0] ?? 0;
  return { who: 'postfix', rate: messages / (recordedMs / 1000), sinkRate: messages / (atSinkMs / 1000), cpuMsPerMessage: used / messages };
}

/** What Postfix does for a message in all: take it in durably and pass it on. The published figures of its speed are of this kind. */
async function relayPostfix(postfix: Postfix, sink: CountingSink, messages: number): Promise<Drained> {
  const before = await sink.messages();
  const watched = [{ name: 'postfix', pid: postfix.pid, tree: true }];
  const cpu = cpuOf(watched);
  const startedAtMs = performance.now();
  await postfix.relay(messages, messageBytes, sessions);
  await waitFor(async () => (await sink.messages()) - before >= messages, { what: 'smtp-sink to have everything', timeoutMs: 600_000 });
  const seconds = (performance.now() - startedAtMs) / 1000;
  const used = [...cpuBetween(cpu, cpuOf(watched)).values()][0] ?? 0;
  await waitFor(async () => (await postfix.queued()) === 0, { what: 'Postfix’ queue to be empty', timeoutMs: 60_000 });
  return { who: 'relay', rate: messages / seconds, sinkRate: messages / seconds, cpuMsPerMessage: used / messages };
}

async function dueRows(platform: Platform): Promise<number> {
  const { rows } = await platform.database.query<{ count: string }>('SELECT count(*) FROM delivery.due');
  return Number(rows[0]?.count);
}
