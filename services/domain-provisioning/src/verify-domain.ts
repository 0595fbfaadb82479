// Verifying a domain: look at its name servers now, decide, and write down what was decided.

import type { Clock } from '@maildoot/runtime/clock';
import type { Lookup } from './lookup.ts';
import { type ExpectedRecord, recordsToPublish, type Slot } from './records.ts';
import type { Status } from './status.ts';
import type { Contest, Outcome, Store, StoredDomain } from './store.ts';
import { type Answer, afterLoss, decide } from './verification.ts';

export interface Verifier {
  store: Store;
  lookup: Lookup;
  clock: Clock;
  mailHostname: string;
}

export interface Verified {
  domain: StoredDomain;
  before: Status;
  lookMs: number;
  /** Who had the domain until now and has lost it. */
  lostBy: string | undefined;
}

/**
 * 1. what should be there
 * 2. what is there, outside of any transaction: name servers may take seconds
 * 3. decide and write, one at a time for each name
 *
 * undefined when the tenant has no such domain.
 */
export async function verifyDomain(
  verifier: Verifier,
  tenantId: string,
  name: string,
  budgetMs: number,
  signal: AbortSignal,
): Promise<Verified | undefined> {
  const { store, lookup, clock, mailHostname } = verifier;
  const domain = await store.findDomain(tenantId, name);
  if (domain === undefined) return undefined;

  const expected = recordsToPublish(domain, mailHostname);
  const lookedAt = clock.now();
  const startedAt = performance.now();
  const answers = await lookup.txt(
    expected.map((record) => record.name),
    budgetMs,
    signal,
  );
  // Who gave up hasn't seen the answer; half a look isn't worth writing down.
  signal.throwIfAborted();
  const bySlot = new Map<Slot, Answer>(expected.map((record, index) => [record.slot, answers[index] ?? unasked]));
  const lookMs = performance.now() - startedAt;

  let lostBy: string | undefined;
  const settled = await store.settle(tenantId, name, lookedAt, (contest) => {
    const outcome = settle(expected, bySlot, contest);
    lostBy = outcome.rival && contest.rival?.tenantId;
    return outcome;
  });
  return settled && { domain: settled, before: domain.status, lookMs, lostBy };
}

const unasked: Answer = { kind: 'unknown', reason: 'it was not asked for' };

function settle(expected: readonly ExpectedRecord[], answers: ReadonlyMap<Slot, Answer>, { ours, rival }: Contest): Outcome {
  const { rivalLoses, ...standing } = decide(expected, ours, answers, rival?.ownershipToken);
  const ownership = answers.get('ownership');
  const seen = ownership?.kind === 'values' ? ownership.values : [];
  return { standing, rival: rivalLoses && rival !== undefined ? afterLoss(rival, seen) : undefined };
}
