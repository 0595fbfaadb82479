/** (c) 500 POSTs a second, due at times that don't depend on the answers, with everything being delivered beside it. */
import type { Arguments } from '../arguments.ts';
import { cpuText, walText } from '../meter.ts';
import { startPlatform } from '../platform.ts';
import { heading, ms, note, type Report, rate } from '../report.ts';
import { startSink } from '../reporter.ts';
import { delivered } from '../settle.ts';
import { measuredLoad, requestTo } from '../stretch.ts';

const perSecond = 500;

export async function measureLatency(args: Arguments, report: Report): Promise<void> {
  heading(`(c) ${perSecond} POSTs/s, open loop, delivery beside`);
  await using sink = await startSink();
  await using platform = await startPlatform({ ...args, smarthostPort: sink.port }, report);
  const request = requestTo(platform);
  // Slowly first: a cold compiler at full rate would build a queue that the measured time pays for.
  const warmUp = await measuredLoad(platform, args, report, {
    request,
    mode: 'open',
    rate: perSecond / 2,
    connections: 64,
    seconds: args.short ? 4 : 15,
    warmUpSeconds: 0,
  });
  await delivered(platform);
  const { load, costs } = await measuredLoad(platform, args, report, {
    request,
    mode: 'open',
    rate: perSecond,
    connections: 128,
  });
  const { messages: atEnd } = await sink.report();
  const startedAtMs = performance.now();
  await delivered(platform);
  const caughtUpSeconds = (performance.now() - startedAtMs) / 1000;
  const { messages } = await sink.report();
  const sent = warmUp.load.sent + load.sent;
  if (messages !== sent) report.faults.push(`${sent} messages were accepted and the sink has ${messages}`);
  // In a stretch of its own: a profiled process is a slower one.
  if (args.profiles !== undefined)
    await measuredLoad(platform, args, report, { request, mode: 'open', rate: perSecond, connections: 128, profile: 'latency' });
  note(
    `${rate(load.rate)}: p50 ${ms(load.latency.p50)}, p90 ${ms(load.latency.p90)}, p99 ${ms(load.latency.p99)}, p99.9 ${ms(load.latency.p999)}, max ${ms(load.latency.max)}; ${load.failed} not 202; the generator's own lateness p99 ${ms(load.latenessP99Ms)} is contained; machine ${Math.round(costs.machineBusyShare * 100)} % busy`,
  );
  note(`CPU ms/message ${costs.cpuMsTotal.toFixed(3)}: ${cpuText(costs)}; ${walText(costs)}`);
  note(
    `${sent - atEnd} not delivered yet at the end of the load, all of them ${caughtUpSeconds.toFixed(1)} s later; sink has ${messages} of ${sent}`,
  );
  const what = `at ${perSecond} POSTs/s with delivery`;
  report.lines.push(
    { id: '6c', what: `p50 ${what}`, figure: ms(load.latency.p50), target: '< 8 ms', passed: load.latency.p50 < 8 },
    { id: '6c', what: `p99 ${what}`, figure: ms(load.latency.p99), target: '< 30 ms', passed: load.latency.p99 < 30 },
  );
  report.details.latency = { load, costs, undeliveredAtEnd: sent - atEnd };
}
