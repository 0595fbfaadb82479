// Guessing passwords, slowed: per account and per address, over all processes, and for accounts that don't exist just the same. The first few
// failures are free, because people mistype; then each costs a wait that doubles. Nobody is locked out for long by somebody else: an
// account's wait ends at a minute, an address's at a quarter of an hour. What is counted is forgotten an hour after the last failure.
import { createHash } from 'node:crypto';
import { holderOf } from '@maildoot/runtime/networks';

export interface Pace {
  free: number;
  longestMs: number;
}

export const paces = {
  account: { free: 5, longestMs: 60_000 },
  address: { free: 20, longestMs: 15 * 60_000 },
  /** Links to an account that were asked for. */
  reset: { free: 3, longestMs: 15 * 60_000 },
  /** Invitations of one address, whoever invites and however often they are withdrawn. */
  invitation: { free: 3, longestMs: 15 * 60_000 },
  /** Invitations of one account: people who build a team are quick, and few. */
  inviter: { free: 50, longestMs: 15 * 60_000 },
} as const satisfies Record<string, Pace>;

export const forgottenAfterMs = 60 * 60_000;

export interface Failures {
  failures: number;
  lastAt: Date;
}

/** How long the next try has to wait still; 0 = not at all. */
export function waitMs(known: Failures | undefined, { free, longestMs }: Pace, now: Date): number {
  if (known === undefined || known.failures < free) return 0;
  const sinceMs = now.getTime() - known.lastAt.getTime();
  if (sinceMs >= forgottenAfterMs) return 0;
  const pauseMs = Math.min(longestMs, 1000 * 2 ** Math.min(30, known.failures - free));
  return Math.max(0, pauseMs - sinceMs);
}

/** What is counted, as a hash: a table of who tries which addresses would be one more thing to lose. */
export function guessed(kind: keyof typeof paces, subject: string): Buffer {
  return createHash('sha256')
    .update(`${kind}\0${kind === 'address' ? holderOf(subject) : subject}`)
    .digest();
}
