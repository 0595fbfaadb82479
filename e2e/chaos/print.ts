/** The report, for people. */

import { broken, type Verdict } from './reconcile.ts';
import type { Struck } from './records.ts';
import type { Shares } from './shares.ts';

const MOST_LINES = 15;

export function printVerdict(verdict: Verdict): void {
  const { twice, unacknowledged } = verdict;
  const apart = twice.map(({ apartSeconds }) => apartSeconds).sort((a, b) => a - b);
  section('Three records');
  row('acknowledged', `${verdict.acknowledged} messages, ${verdict.acknowledgedPairs} recipients`);
  row('received', `${verdict.receivedPairs} recipients`);
  row('lost', verdict.lost.length);
  row('stranded', `${verdict.stranded.length} (stored without an acknowledgement, never received)`);
  row('not final', verdict.open.length);
  row('disagreeing', `${verdict.disagreeing.length} (receiver and API)`);
  row('foreign', verdict.foreign.length);
  row('twice', twice.length === 0 ? 0 : `${twice.length}, ${apart[0]?.toFixed(1)} to ${apart.at(-1)?.toFixed(1)} s apart`);
  row('unmarked', `${verdict.unmarked.length} of them`);
  row('outside', `${verdict.outside.length} of them (of the documented window)`);
  row('marked in vain', verdict.markedInVain);
  row(
    'unacknowledged',
    `${unacknowledged.messages} messages received: ${unacknowledged.unanswered} whose request got no 202, ${unacknowledged.sentAgain} sent again without a key, ` +
      `${unacknowledged.keyedTwice.length} in spite of a key, ${unacknowledged.unexplained.length} unexplained`,
  );
  const examples: [string, readonly unknown[]][] = [
    ['lost', verdict.lost],
    ['stranded', verdict.stranded],
    ['not final', verdict.open],
    ['disagreeing', verdict.disagreeing],
    ['unmarked', verdict.unmarked],
    ['outside', verdict.outside],
    ['two under one key', unacknowledged.keyedTwice],
    ['unexplained', unacknowledged.unexplained],
  ];
  for (const [what, found] of examples) if (found.length > 0) row(`e.g. ${what}`, JSON.stringify(found.slice(0, 3)));
}

export function printShares(shares: Shares, wanted: number): void {
  section('Requests');
  row('answered 202', `${percent(shares.share)} of ${shares.requests} (wanted: ${percent(wanted)})`);
  row('at the first try', percent(shares.requests === 0 ? 0 : shares.atOnce / shares.requests));
  row('latency', `p50 ${shares.p50Ms} ms, p99 ${shares.p99Ms} ms, max ${shares.maxMs} ms`);
  list('retried after', shares.retried);
  list('failed with', shares.failed);
  list('failed during', shares.failedDuring);
}

export function printStrikes(strikes: readonly Struck[]): void {
  section(`Strikes: ${strikes.length}`);
  const counts = new Map<string, number>();
  for (const { deed, victim } of strikes) counts.set(`${victim.padEnd(22)} ${deed}`, (counts.get(`${victim.padEnd(22)} ${deed}`) ?? 0) + 1);
  for (const [what, count] of [...counts].sort(([a], [b]) => a.localeCompare(b))) process.stdout.write(`  ${what} ×${count}\n`);
}

export function printEnd(verdict: Verdict, others: readonly string[]): boolean {
  const problems = [...broken(verdict), ...others];
  process.stdout.write(problems.length === 0 ? '\nwhole: nothing lost, nothing unmarked\n' : `\nBROKEN: ${problems.join('; ')}\n`);
  return problems.length === 0;
}

export function section(title: string): void {
  process.stdout.write(`\n${title}\n`);
}

export function row(name: string, value: unknown): void {
  process.stdout.write(`  ${name.padEnd(16)} ${value}\n`);
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(3)} %`;
}

function list(name: string, counts: readonly [string, number][]): void {
  for (const [what, count] of counts.slice(0, MOST_LINES)) row(name, `${String(count).padStart(6)}  ${what}`);
  const rest = counts.slice(MOST_LINES).reduce((sum, [, count]) => sum + count, 0);
  if (rest > 0) row(name, `${String(rest).padStart(6)}  something else`);
}
