// When a domain is looked at by itself the next time. Somebody who has just published records waits for us; a name that nobody publishes
// anything for is asked about ever more seldom; a verified one regularly, so that a drift is known before mail bounces for it.

import type { Status } from './status.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

export interface Looked {
  status: Status;
  /** A new key waits for its record. */
  rotationWaits: boolean;
  /** How long the domain has been there. */
  ageMs: number;
  /** How many looks in a row told nothing, this one included. */
  failures: number;
  /** How many looks in a row found the status as it was before; 0 when this one changed it. */
  unchanged: number;
}

export interface Schedule {
  /** Between two looks at a verified domain. */
  verifiedEveryMs: number;
}

/** 0 ≤ random < 1. Spread by a fifth to either side, so that domains that were added together aren't asked about together for ever. */
export function nextCheckAfterMs(looked: Looked, { verifiedEveryMs }: Schedule, random: number): number {
  return Math.round(pauseMs(looked, verifiedEveryMs) * (0.8 + 0.4 * random));
}

function pauseMs({ status, rotationWaits, ageMs, failures, unchanged }: Looked, verifiedEveryMs: number): number {
  // Nothing was told: whoever is in trouble isn't asked more often than the others.
  if (failures > 0) return Math.min(doubled(minute, failures - 1), Math.max(verifiedEveryMs, hour));
  switch (status) {
    case 'verified':
      return rotationWaits ? Math.min(verifiedEveryMs, doubled(minute, Math.min(unchanged, 4))) : verifiedEveryMs;
    case 'drifted':
      return Math.min(doubled(minute, unchanged), 6 * hour);
    case 'pending':
    case 'failed':
      // For as long as somebody may be sitting in front of it, then less and less, but never not at all.
      if (ageMs < hour) return minute;
      if (ageMs < day) return 15 * minute;
      return ageMs < 14 * day ? 6 * hour : day;
  }
}

function doubled(from: number, times: number): number {
  return from * 2 ** Math.max(0, Math.min(times, 20));
}
