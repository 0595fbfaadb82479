/**
 * (a) Single POSTs of 2 KB at the highest rate, against the chain without checks. Both are up at the same time on one PostgreSQL; only
 * one is loaded at a time, and they take turns, so that a machine that gets slower gets slower for both.
 */
import type { Arguments } from '../arguments.ts';
import { startBareChain } from '../bare-chain.ts';
import { type Load, runLoad } from '../load.ts';
import { type Costs, cpuText, startMeter, walText } from '../meter.ts';
import { type Platform, startPlatform } from '../platform.ts';
import type { Watched } from '../processes.ts';
import { startProfiling } from '../profile.ts';
import { heading, ms, note, type Report, rate } from '../report.ts';
import { startSink } from '../reporter.ts';
import type { RequestOptions } from '../requests.ts';
import { checkpoint, sequenced } from '../settle.ts';
import { refuseFailures, requestTo } from '../stretch.ts';

const p99LimitMs = 100;

interface Chain {
  name: string;
  url: string;
  request: RequestOptions;
  watched(): Watched[];
}

interface Round {
  chain: string;
  connections: number;
  load: Load;
  costs: Costs;
  /** Outbox rows without a position at the end, and how long they took to get one. */
  behind: number;
  behindSeconds: number;
}

export async function measureAccept(args: Arguments, report: Report): Promise<void> {
  heading('(a) single POSTs of 2 KB, the highest rate');
  await using sink = await startSink();
  const beside = args.withDelivery || args.form !== 'split';
  await using platform = await startPlatform({ ...args, smarthostPort: sink.port, without: beside ? [] : ['delivery'] }, report);
  await using bare = await startBareChain(platform.databaseUrl, platform.database);
  note(beside ? 'mail is delivered beside it' : 'the role delivery is not running: what is accepted is kept and waits');
  const ours: Chain = { name: 'maildoot', url: platform.api, request: requestTo(platform), watched: platform.watched };
  const theirs: Chain = {
    name: 'bare chain',
    url: bare.url,
    request: { ...requestTo(platform), idempotencyKeys: false },
    watched: () => [...bare.watched(), ...platform.watched().filter(({ name }) => name === 'postgres')],
  };
  let said202 = 0;
  const loadOf = async (chain: Chain, connections: number, warmUpSeconds: number, seconds: number, onStart?: () => void): Promise<Load> => {
    const load = await runLoad({ mode: 'closed', url: chain.url, connections, warmUpSeconds, seconds, request: chain.request }, onStart);
    if (chain === ours) said202 += load.sent - load.failed;
    refuseFailures(report, chain.name, load);
    return load;
  };

  const best = new Map<Chain, number>();
  for (const chain of [ours, theirs]) {
    // The first seconds are the compiler's.
    await loadOf(chain, 32, 0, args.short ? 3 : 10);
    best.set(chain, await bestConnections(chain, args, loadOf));
    await sequenced(platform);
  }

  const rounds: Round[] = [];
  for (let number = 1; number <= args.rounds; number++) {
    for (const chain of [ours, theirs]) {
      const round = await measureRound(chain, best.get(chain) ?? 32, platform, args, loadOf);
      rounds.push(round);
      const { load, costs } = round;
      note(
        `${chain.name.padEnd(10)} ${rate(load.rate).padStart(8)}  ${round.connections} connections, p50 ${ms(load.latency.p50)}, p99 ${ms(load.latency.p99)}, max ${ms(load.latency.max)}, ${load.failed} not 202; machine ${Math.round(costs.machineBusyShare * 100)} % busy`,
      );
      note(
        `           CPU ms/message ${costs.cpuMsTotal.toFixed(3)}: ${cpuText(costs)} · generator ${load.cpuMsPerRequest.toFixed(3)}; ${walText(costs)}${chain === ours ? `; ${round.behind} events behind at the end, caught up in ${round.behindSeconds.toFixed(1)} s` : ''}`,
      );
    }
  }
  // In a round of its own: a profiled process is a slower one.
  if (args.profiles !== undefined) await measureRound(ours, best.get(ours) ?? 32, platform, args, loadOf, args.profiles);
  const { rows } = await platform.database.query<{ count: string }>('SELECT count(*) FROM messaging.message');
  if (Number(rows[0]?.count) !== said202)
    report.faults.push(`${said202} requests were answered 202 and ${rows[0]?.count} messages are stored`);
  else note(`${said202} answered 202, as many stored`);

  const of = (chain: Chain) => rounds.filter((round) => round.chain === chain.name);
  const mean = (chain: Chain) => of(chain).reduce((sum, { load }) => sum + load.rate, 0) / of(chain).length;
  const p99 = Math.max(...of(ours).map(({ load }) => load.latency.p99));
  const ratio = mean(ours) / mean(theirs);
  report.lines.push(
    {
      id: '6a',
      what: `single POSTs, 2 KB${beside ? ', delivery beside' : ''}`,
      figure: `${rate(mean(ours))} (bare ${rate(mean(theirs))})`,
      ratio: `${ratio.toFixed(2)} × bare`,
      target: '≥ 0.6 × bare; aim 3,000/s',
      passed: ratio >= 0.6,
    },
    { id: '6a', what: 'p99 at that rate', figure: ms(p99), target: '< 100 ms', passed: p99 < p99LimitMs },
  );
  report.details.accept = { rounds, ratio };
}

async function bestConnections(
  chain: Chain,
  args: Arguments,
  loadOf: (chain: Chain, connections: number, warmUp: number, seconds: number) => Promise<Load>,
): Promise<number> {
  const candidates = args.connections ?? (args.short ? [48] : [16, 32, 64, 128]);
  if (candidates.length === 1) return candidates[0] ?? 32;
  let found = { connections: 16, rate: 0 };
  const said: string[] = [];
  for (const connections of candidates) {
    const load = await loadOf(chain, connections, 1, 6);
    said.push(`${connections}: ${rate(load.rate)} p99 ${ms(load.latency.p99)}`);
    if (load.rate > found.rate && load.latency.p99 < p99LimitMs) found = { connections, rate: load.rate };
  }
  note(`${chain.name.padEnd(10)} by connections: ${said.join(' · ')}`);
  return found.connections;
}

async function measureRound(
  chain: Chain,
  connections: number,
  platform: Platform,
  args: Arguments,
  loadOf: (chain: Chain, connections: number, warmUp: number, seconds: number, onStart?: () => void) => Promise<Load>,
  profiles?: string,
): Promise<Round> {
  await checkpoint(platform);
  let starting: Promise<[Awaited<ReturnType<typeof startMeter>>, Awaited<ReturnType<typeof startProfiling>>]> | undefined;
  const load = await loadOf(chain, connections, args.warmUpSeconds, args.seconds, () => {
    starting = Promise.all([startMeter(chain.watched(), platform.database), startProfiling(platform, 'accept', profiles)]);
  });
  if (starting === undefined) throw new Error('the load ended before its measured time began');
  const [meter, profiling] = await starting;
  const costs = await meter.stop(load.accepted);
  await profiling.stop();
  const { behind, seconds } = await sequenced(platform);
  return { chain: chain.name, connections, load, costs, behind, behindSeconds: seconds };
}
