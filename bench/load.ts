/** Runs the load generator and reads what it says. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Histogram, type Percentiles, percentilesOf } from './histogram.ts';
import type { RequestOptions } from './requests.ts';

const main = fileURLToPath(new URL('./load-main.ts', import.meta.url));

export interface LoadJob {
  mode: 'closed' | 'open';
  host: string;
  port: number;
  connections: number;
  /** Requests a second; open only. */
  rate: number;
  warmUpSeconds: number;
  seconds: number;
  /** Ends after so many requests, closed only. */
  count?: number | undefined;
  request: RequestOptions;
  /** The status that is wanted. */
  expect: string;
  /** Bodies and keys are numbered on from here. */
  firstNumber: number;
}

export interface LoadResult {
  sent: number;
  /** Measured answers with the wanted status. */
  accepted: number;
  /** Requests with another answer, the warm-up included. */
  failed: number;
  others: Record<string, number>;
  /** Up to three of those answers. */
  samples: string[];
  seconds: number;
  latency: { counts: number[]; maxUs: number };
  /** Open only: how much later than scheduled the generator itself got to a request. Is contained in the latency. */
  lateness: { counts: number[]; maxUs: number };
  cpuMs: number;
}

export interface Load {
  sent: number;
  accepted: number;
  failed: number;
  others: Record<string, number>;
  samples: string[];
  seconds: number;
  rate: number;
  latency: Percentiles;
  latenessP99Ms: number;
  /** The generator's own, per request. */
  cpuMsPerRequest: number;
}

let nextNumber = 1;

/** @param onStart called when the warm-up is over and the measured time begins */
export async function runLoad(
  job: Omit<LoadJob, 'host' | 'port' | 'firstNumber' | 'expect' | 'rate'> & { url: string; rate?: number },
  onStart?: () => void,
): Promise<Load> {
  const { hostname, port } = new URL(job.url);
  const child = fork(main, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const { promise, resolve, reject } = Promise.withResolvers<LoadResult>();
  child.on('message', (message: LoadResult | { started: true }) => ('started' in message ? onStart?.() : resolve(message)));
  child.once('error', reject);
  child.once('exit', (code, signal) => reject(new Error(`the load generator ended early (${signal ?? code})`)));
  child.send({ rate: 0, ...job, host: hostname, port: Number(port), expect: '202', firstNumber: nextNumber } satisfies LoadJob);
  const result = await promise;
  nextNumber += result.sent;
  const { latency, lateness } = result;
  const { sent, accepted, failed, others, samples, seconds } = result;
  return {
    sent,
    accepted,
    failed,
    others,
    samples,
    seconds,
    rate: result.accepted / result.seconds,
    latency: percentilesOf(new Histogram(latency.counts, latency.maxUs)),
    latenessP99Ms: new Histogram(lateness.counts, lateness.maxUs).percentileMs(99),
    cpuMsPerRequest: result.cpuMs / Math.max(1, result.accepted),
  };
}
