/** One measured stretch of load on the platform: figures, costs and, when asked for, profiles of the same seconds. */
import type { Arguments } from './arguments.ts';
import { type Load, type LoadJob, runLoad } from './load.ts';
import { type Costs, startMeter } from './meter.ts';
import { domain, type Platform } from './platform.ts';
import { startProfiling } from './profile.ts';
import type { Report } from './report.ts';
import type { RequestOptions } from './requests.ts';
import { checkpoint } from './settle.ts';

export function requestTo(platform: Platform, options: Partial<RequestOptions> = {}): RequestOptions {
  return {
    host: 'bench',
    path: '/v1/messages',
    key: platform.key,
    from: `shop@${domain}`,
    to: 'someone@recipient.example',
    textBytes: 2048,
    batch: 0,
    idempotencyKeys: true,
    run: `r${Date.now()}`,
    ...options,
  };
}

export interface Stretch {
  request: RequestOptions;
  connections: number;
  mode?: LoadJob['mode'];
  /** Requests a second, open loop. */
  rate?: number;
  seconds?: number;
  warmUpSeconds?: number;
  count?: number;
  /** Names the profiles. */
  profile?: string;
}

export async function measuredLoad(
  platform: Platform,
  args: Arguments,
  report: Report,
  stretch: Stretch,
): Promise<{ load: Load; costs: Costs }> {
  await checkpoint(platform);
  const { request, connections, mode = 'closed', rate, count } = stretch;
  let starting: Promise<[Awaited<ReturnType<typeof startMeter>>, Awaited<ReturnType<typeof startProfiling>>]> | undefined;
  const load = await runLoad(
    {
      mode,
      url: platform.api,
      connections,
      warmUpSeconds: stretch.warmUpSeconds ?? args.warmUpSeconds,
      seconds: stretch.seconds ?? args.seconds,
      request,
      count,
      ...(rate === undefined ? {} : { rate }),
    },
    () => {
      starting = Promise.all([
        startMeter(platform.watched(), platform.database),
        startProfiling(platform, stretch.profile ?? '', stretch.profile === undefined ? undefined : args.profiles),
      ]);
    },
  );
  refuseFailures(report, 'maildoot', load);
  if (starting === undefined) throw new Error('the load ended before its measured time began');
  const [meter, profiling] = await starting;
  const costs = await meter.stop(load.accepted * Math.max(1, request.batch));
  await profiling.stop();
  return { load, costs };
}

/** Anything but 202 spoils a measurement. */
export function refuseFailures(report: Report, who: string, load: Load): void {
  if (load.failed === 0) return;
  report.faults.push(`${who}: ${load.failed} answers other than 202: ${JSON.stringify(load.others)} ${load.samples[0] ?? ''}`);
}
