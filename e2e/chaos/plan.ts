/**
 * What is done to whom, and when: a sequence that the seed and the names of the processes determine, and nothing else. One process is struck
 * at a time of each role: with two of a role away nobody is left to answer, and the share of answers says nothing any more.
 */
import { seeded } from './random.ts';

/**
 * `kill`: SIGKILL. `stop`: SIGSTOP, then SIGCONT after `forMs`, longer than its lease. `cut`: every connection to and from the process is
 * destroyed and new ones are refused for `forMs`.
 */
export type Deed = 'kill' | 'stop' | 'cut';
export const DEEDS: readonly Deed[] = ['kill', 'stop', 'cut'];

export interface Strike {
  /** From 1. */
  number: number;
  /** After the start of the load. */
  atMs: number;
  victim: string;
  deed: Deed;
  /** 0 for `kill`. */
  forMs: number;
}

/** The first strike comes when the platform is warm; the gaps keep below the ten seconds that are promised. */
const FIRST_AFTER_MS = 4000;
const GAP_MS = { least: 4000, most: 9500 };
/** Delivery's incarnation expires after 10 s, the sequencer's leases sooner. */
const STOPPED_MS = { least: 12_000, most: 20_000 };
/** PostgreSQL holds no lease, and there is one: long enough to be taken for gone, which is after a second. A long one is outage.ts. */
const POSTGRES_STOPPED_MS = { least: 2_000, most: 4_000 };
const CUT_MS = { least: 200, most: 2000 };
/** After a strike its role is left alone for so long: a process that starts on busy cores needs some seconds to serve again. */
const RECOVERY_MS = 12_000;
/** There is one PostgreSQL, and everybody waits for it: its strikes stand apart, or a client that tries twice meets two of them. */
const AFTER_POSTGRES_MS = GAP_MS.most;

export interface PlanOptions {
  seed: number;
  victims: readonly string[];
  forMs: number;
  deeds?: readonly Deed[];
}

export function planStrikes({ seed, victims, forMs, deeds = DEEDS }: PlanOptions): Strike[] {
  const random = seeded(seed);
  const strikes: Strike[] = [];
  const wholeAgainAtMs = new Map<string, number>();
  let gapMs = 0;
  for (let atMs = FIRST_AFTER_MS; atMs < forMs; atMs += gapMs) {
    const whole = victims.filter((name) => (wholeAgainAtMs.get(roleOf(name)) ?? 0) <= atMs);
    // Of few victims none may be left; a strike must come all the same.
    const victim = random.pick(whole.length > 0 ? whole : victims);
    const deed = random.pick(deeds);
    const stopped = victim === 'postgres' ? POSTGRES_STOPPED_MS : STOPPED_MS;
    const lasts = { kill: 0, stop: random.between(stopped.least, stopped.most), cut: random.between(CUT_MS.least, CUT_MS.most) }[deed];
    strikes.push({ number: strikes.length + 1, atMs, victim, deed, forMs: Math.round(lasts) });
    wholeAgainAtMs.set(roleOf(victim), atMs + lasts + RECOVERY_MS);
    const drawnMs = Math.round(random.between(GAP_MS.least, GAP_MS.most));
    gapMs = victim === 'postgres' ? AFTER_POSTGRES_MS : drawnMs;
  }
  return strikes;
}

/** `gateway` of `gateway-2`. */
export function roleOf(name: string): string {
  return name.replace(/-\d+$/, '');
}
