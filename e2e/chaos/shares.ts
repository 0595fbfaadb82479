/** How many requests were answered 202, and for those that weren't: what came instead, and who was being struck at that moment. */
import type { Requested, Struck } from './records.ts';

export interface Shares {
  requests: number;
  accepted: number;
  /** accepted / requests */
  share: number;
  /** Answered at the first try. */
  atOnce: number;
  /** What the second try was needed for, and what ended the failed ones, most frequent first. */
  retried: [what: string, count: number][];
  failed: [what: string, count: number][];
  /** The failed ones by who was away, most frequent first. */
  failedDuring: [who: string, count: number][];
  /** Of accepted requests by HTTP, from when they were due, retries included. */
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
}

/** A strike is felt a little longer than it lasts: connections are made again, leases run out. */
const AFTERMATH_MS = 2000;

export function sharesOf(requested: readonly Requested[], strikes: readonly Struck[]): Shares {
  const retried = new Map<string, number>();
  const failed = new Map<string, number>();
  const during = new Map<string, number>();
  const latencies: number[] = [];
  let atOnce = 0;
  let accepted = 0;
  for (const request of requested) {
    if (request.tries.length > 1) add(retried, endOf(request, 0));
    if (isAccepted(request)) {
      // A session's greeting and its TLS are no part of a request.
      if (request.kind !== 'submitted') latencies.push(request.ms);
      accepted++;
      if (request.tries.length === 1) atOnce++;
      continue;
    }
    add(failed, endOf(request, request.tries.length - 1));
    add(during, strikesAt(strikes, request.at, request.at + request.ms));
  }
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0;
  return {
    requests: requested.length,
    accepted,
    share: requested.length === 0 ? 0 : accepted / requested.length,
    atOnce,
    retried: ranked(retried),
    failed: ranked(failed),
    failedDuring: ranked(during),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
  };
}

export function isAccepted({ tries, refused }: Requested): boolean {
  return tries.at(-1)?.end === 202 && refused.length === 0;
}

/** `503 UNAVAILABLE after 812 ms` says more than it can be counted by; the time goes into classes. */
function endOf({ tries, refused }: Requested, index: number): string {
  const one = tries[index];
  if (one === undefined) return 'nothing';
  if (one.end === 202) return `202 with ${[...new Set(refused.map(({ code }) => code))].join(', ')}`;
  const slow = one.ms > 10_000 ? ' after more than 10 s' : one.ms > 1000 ? ' after more than 1 s' : '';
  return `${one.end}${one.code === undefined ? '' : ` ${one.code}`}${slow}`;
}

function strikesAt(strikes: readonly Struck[], from: number, until: number): string {
  const names = strikes
    .filter((strike) => strike.at <= until && from <= strike.until + AFTERMATH_MS)
    .map(({ deed, victim }) => `${deed} ${victim}`);
  return names.length === 0 ? 'nobody' : [...new Set(names)].sort().join(' + ');
}

function add(counts: Map<string, number>, what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}

function ranked(counts: Map<string, number>): [string, number][] {
  return [...counts].sort(([, a], [, b]) => b - a);
}
