// A look at a domain: what should be there, what is there, where it stands now. Asked for by its owner, and by the schedule.

import type { Clock } from '@maildoot/runtime/clock';
import { uuidToId } from '@maildoot/runtime/ids';
import { eventsOf } from './domain-event.ts';
import type { Lookup } from './lookup.ts';
import { type ExpectedRecord, type Hosts, recordsToPublish, type SelectorKey, type Slot } from './records.ts';
import { nextCheckAfterMs, type Schedule } from './schedule.ts';
import type { Status } from './status.ts';
import type { AnsweredLook, Contest, Outcome, Settled } from './store/looks.ts';
import type { StoredDomain } from './store/stored-domain.ts';
import type { Store } from './store.ts';
import { type Answer, afterLoss, decide } from './verification.ts';

export interface Verifier {
  store: Store;
  lookup: Lookup;
  clock: Clock;
  hosts: Hosts;
  schedule: Schedule;
  /** There is something to tell. */
  changed: () => void;
}

/** The tenant has no such domain, or the request was answered before. */
export type NotLooked = Exclude<Settled, { outcome: 'done' }>;

export interface Verified {
  outcome: 'done';
  domain: StoredDomain;
  before: Status;
  lookMs: number;
  /** Who had the domain until now and has lost it. */
  lostBy: string | undefined;
  /** The selector that signs from now on. */
  changedOverTo: string | undefined;
}

/**
 * 1. what should be there
 * 2. what is there, outside of any transaction: name servers may take seconds
 * 3. decide and write, one at a time for each name: status, change of keys, the next look, what is to be told
 *
 * With a request its answer is kept where what was seen is written.
 */
export async function verifyDomain(
  verifier: Verifier,
  tenantId: string,
  name: string,
  budgetMs: number,
  signal: AbortSignal,
  request?: AnsweredLook,
): Promise<Verified | NotLooked> {
  const { store, lookup, clock, hosts, schedule } = verifier;
  const domain = await store.findDomain(tenantId, name);
  if (domain === undefined) return { outcome: 'missing' };
  const asked = recordsToPublish(domain, hosts);
  const lookedAt = clock.now();
  const startedAt = performance.now();
  const answers = await lookup.ask(
    asked.map((record) => ({ type: record.type, name: record.name, ...(record.type === 'CNAME' ? { until: record.value } : {}) })),
    budgetMs,
    signal,
  );
  // Who gave up hasn't seen the answer; half a look isn't worth writing down.
  signal.throwIfAborted();
  const bySlot = new Map<Slot, Answer>(asked.map((record, index) => [record.slot, answers[index] ?? unasked]));
  const lookMs = performance.now() - startedAt;
  let lostBy: string | undefined;
  let changedOverTo: string | undefined;
  let told = 0;
  const decided = (contest: Contest): Outcome => {
    const outcome = settle(contest, bySlot, { hosts, schedule, lookedAt });
    lostBy = outcome.rival && contest.rival?.tenantId;
    changedOverTo = outcome.changeOverTo;
    told = outcome.events.length;
    return outcome;
  };
  const settled = await store.settle(tenantId, name, lookedAt, decided, request);
  if (told > 0) verifier.changed();
  if (settled.outcome !== 'done') return settled;
  return { outcome: 'done', domain: settled.domain, before: domain.status, lookMs, lostBy, changedOverTo };
}

const unasked: Answer = { kind: 'unknown', reason: 'it was not asked for' };

interface Look {
  hosts: Hosts;
  schedule: Schedule;
  lookedAt: Date;
}

/**
 * What is expected follows from the domain as it is now, which may have got another key since it was asked about: the names are the same,
 * and what they answered is judged by what they should.
 *
 * 1. a new key whose record this look has seen signs from here on
 * 2. where everything stands, by the keys as they are then
 * 3. when to look again, and what to tell
 */
function settle({ ours, rival }: Contest, answers: ReadonlyMap<Slot, Answer>, { hosts, schedule, lookedAt }: Look): Outcome {
  const changeOverTo = seenAtLast(ours, answers, hosts);
  const expected = recordsToPublish({ ...ours, keys: withActive(ours.keys, changeOverTo) }, hosts);
  const { rivalLoses, ...standing } = decide(expected, ours, answers, rival?.ownershipToken);
  const ownership = answers.get('ownership');
  const lost = rivalLoses && rival !== undefined ? afterLoss(rival, ownership?.kind === 'values' ? ownership.values : []) : undefined;

  const toldNothing = expected.every(({ slot }) => answers.get(slot)?.kind === 'unknown');
  const checkFailures = toldNothing ? ours.checkFailures + 1 : 0;
  const unchangedLooks = standing.status === ours.status ? ours.unchangedLooks + 1 : 0;
  const pauseMs = nextCheckAfterMs(
    {
      status: standing.status,
      rotationWaits: ours.rotation !== null && ours.rotation.changedOverAt === null && changeOverTo === undefined,
      ageMs: lookedAt.getTime() - ours.createdAt.getTime(),
      failures: checkFailures,
      unchanged: unchangedLooks,
    },
    schedule,
    Math.random(),
  );
  return {
    standing,
    rival: lost,
    changeOverTo,
    checkFailures,
    unchangedLooks,
    nextCheckAt: new Date(lookedAt.getTime() + pauseMs),
    events: [
      ...changeOf(ours, expected, standing, lookedAt),
      ...(rival && lost ? changeOf(rival, recordsToPublish(rival, hosts), lost, lookedAt) : []),
    ],
  };
}

/** The selector that is to take over, once its record is there: seen by this very look, not remembered. */
function seenAtLast(ours: StoredDomain, answers: ReadonlyMap<Slot, Answer>, hosts: Hosts): string | undefined {
  if (ours.rotation === null || ours.rotation.changedOverAt !== null) return undefined;
  const { to } = ours.rotation;
  const slot = `dkim:${to}`;
  const record = recordsToPublish(ours, hosts).filter((candidate) => candidate.slot === slot);
  if (answers.get(slot)?.kind !== 'values') return undefined;
  return decide(record, ours, answers, undefined).records[0]?.status === 'verified' ? to : undefined;
}

function withActive(keys: readonly SelectorKey[], selector: string | undefined): SelectorKey[] {
  return keys.map((key) => (selector === undefined ? key : { ...key, active: key.selector === selector }));
}

function changeOf(domain: StoredDomain, expected: readonly ExpectedRecord[], after: Outcome['standing'], at: Date) {
  const { tenantId, name } = domain;
  return eventsOf({ tenantId, id: uuidToId('dom', domain.id), name, expected, before: domain, after, at });
}
