/** (b) Batches of 100 at the highest rate. */
import type { Arguments } from '../arguments.ts';
import { cpuText, walText } from '../meter.ts';
import { startPlatform } from '../platform.ts';
import { heading, ms, note, type Report, rate } from '../report.ts';
import { startSink } from '../reporter.ts';
import { sequenced } from '../settle.ts';
import { measuredLoad, requestTo } from '../stretch.ts';

const batch = 100;

export async function measureBatches(args: Arguments, report: Report): Promise<void> {
  heading(`(b) batches of ${batch}, 2 KB each, the highest rate`);
  await using sink = await startSink();
  const beside = args.withDelivery || args.form !== 'split';
  await using platform = await startPlatform({ ...args, smarthostPort: sink.port, without: beside ? [] : ['delivery'] }, report);
  const request = requestTo(platform, { batch });
  await measuredLoad(platform, args, report, { request, connections: 6, seconds: args.short ? 2 : 8, warmUpSeconds: 0 });

  let best = args.connections?.[0] ?? 6;
  if (args.connections === undefined && !args.short) {
    const tried = [];
    for (const connections of [3, 6, 12, 24]) {
      const { load } = await measuredLoad(platform, args, report, { request, connections, seconds: 5, warmUpSeconds: 1 });
      tried.push({ connections, rate: load.rate * batch });
    }
    note(`by connections: ${tried.map((one) => `${one.connections}: ${rate(one.rate)}`).join(' · ')}`);
    best = tried.reduce((a, b) => (b.rate > a.rate ? b : a)).connections;
  }
  await sequenced(platform);
  const { load, costs } = await measuredLoad(platform, args, report, { request, connections: best });
  const behind = await sequenced(platform);
  // In a stretch of its own: a profiled process is a slower one.
  if (args.profiles !== undefined) await measuredLoad(platform, args, report, { request, connections: best, profile: 'batches' });
  const perSecond = load.rate * batch;
  note(
    `${rate(perSecond)} in ${rate(load.rate)} requests, ${best} connections, p50 ${ms(load.latency.p50)}, p99 ${ms(load.latency.p99)}, ${load.failed} not 202; machine ${Math.round(costs.machineBusyShare * 100)} % busy`,
  );
  note(
    `CPU ms/message ${costs.cpuMsTotal.toFixed(3)}: ${cpuText(costs)}; ${walText(costs)}; ${behind.behind} events behind at the end, caught up in ${behind.seconds.toFixed(1)} s`,
  );
  report.lines.push({
    id: '6b',
    what: `batches of ${batch}${beside ? ', delivery beside' : ''}`,
    figure: `${rate(perSecond)} messages`,
    ratio: `${(perSecond / 8000).toFixed(2)} × 8,000`,
    target: '≥ 8,000/s; aim 15,000/s',
    passed: perSecond >= 8000,
  });
  report.details.batches = { load, costs, behind };
}
