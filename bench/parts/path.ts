/** (d) How long a message takes from its 202 to the receiving server having it, with nothing else to do. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Arguments } from '../arguments.ts';
import { Connection } from '../connection.ts';
import { Histogram, percentilesOf } from '../histogram.ts';
import { startPlatform } from '../platform.ts';
import { heading, ms, note, type Report } from '../report.ts';
import { startSink } from '../reporter.ts';
import { createRequests, seeded } from '../requests.ts';
import { delivered } from '../settle.ts';
import { requestTo } from '../stretch.ts';

const targetMs = 150;

export async function measurePath(args: Arguments, report: Report): Promise<void> {
  heading('(d) from the 202 to the receiving server, unloaded');
  await using sink = await startSink({ arrivals: true });
  await using platform = await startPlatform({ ...args, smarthostPort: sink.port }, report);
  const { hostname, port } = new URL(platform.api);
  const connection = await Connection.open(hostname, Number(port));
  const requests = createRequests(requestTo(platform), 1);
  const random = seeded(3);
  const warmUps = args.short ? 20 : 100;
  const count = warmUps + Math.round((args.seconds * 1000) / 300);
  const asked = new Map<number, number>();
  const accepted = new Map<number, number>();
  for (let number = 1; number <= count; number++) {
    asked.set(number, nowMs());
    const status = await new Promise<string>((resolve) => {
      connection.request(requests.next(), (answer) => resolve(answer instanceof Error ? answer.message : String(answer.status)));
    });
    accepted.set(number, nowMs());
    if (status !== '202') report.faults.push(`path: ${status} instead of 202`);
    // Between 100 and 500 ms, so that no timer of the platform's beats in time with us; quicker as long as it warms up.
    await delay(number < warmUps ? 50 : 100 + random() * 400);
  }
  await delivered(platform);
  connection.close();
  const arrivals = new Map((await sink.report()).arrivals);
  const sinceAccepted = new Histogram();
  const sinceAsked = new Histogram();
  for (let number = warmUps + 1; number <= count; number++) {
    const at = arrivals.get(number);
    if (at === undefined) report.faults.push(`path: message ${number} never arrived`);
    // The sink may have it a moment before the client has read its 202.
    else sinceAccepted.record(Math.max(0, at - (accepted.get(number) ?? 0)));
    if (at !== undefined) sinceAsked.record(at - (asked.get(number) ?? 0));
  }
  const since202 = percentilesOf(sinceAccepted);
  const sincePost = percentilesOf(sinceAsked);
  note(
    `since the 202: p50 ${ms(since202.p50)}, p90 ${ms(since202.p90)}, p99 ${ms(since202.p99)}, max ${ms(since202.max)}; ${sinceAccepted.count} messages`,
  );
  note(`since the POST: p50 ${ms(sincePost.p50)}, p99 ${ms(sincePost.p99)}`);
  report.lines.push({
    id: '6d',
    what: 'accept to delivered, unloaded, p50',
    figure: ms(since202.p50),
    target: `< ${targetMs} ms`,
    passed: since202.p50 < targetMs,
  });
  report.details.path = { since202, sincePost, count: sinceAccepted.count };
}

/** The same clock in every process. */
function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
