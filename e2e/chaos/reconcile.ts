/**
 * Three records that don't know each other: what the client was told, what the receiving side wrote down, what the API says. Pure: the
 * same files give the same verdict.
 */
import type { Fate } from './fates.ts';
import { isFinal } from './fates.ts';
import type { Acknowledged, Received, Requested } from './records.ts';

export interface Records {
  acknowledged: readonly Acknowledged[];
  received: readonly Received[];
  requested: readonly Requested[];
  /** By message id; the API's list of all messages has every one of them. */
  fates: ReadonlyMap<string, Fate>;
}

export interface Duplicate {
  id: string;
  recipient: string;
  /** Seconds between the first and the last time. */
  apartSeconds: number;
  times: number;
}

/** Pairs are a message id and a recipient, in one string. */
export interface Verdict {
  acknowledged: number;
  acknowledgedPairs: number;
  receivedPairs: number;
  /** Acknowledged and never received. Must be empty. */
  lost: string[];
  /** Stored, whether or not anybody was told so, and never received. Must be empty. */
  stranded: string[];
  /** Acknowledged, and not final in the API. Must be empty. */
  open: string[];
  /** Received, and not `delivered` in the API; or the other way round. Must be empty. */
  disagreeing: string[];
  /** Received for somebody the message wasn't for. Must be empty. */
  foreign: string[];
  /** Received more than once. */
  twice: Duplicate[];
  /** Of those: no attempt of the recipient says possible_duplicate. Must be empty. */
  unmarked: Duplicate[];
  /** Of those: not as many attempts with an unknown end as it came too often. Must be empty. */
  outside: Duplicate[];
  /** Marked as possible duplicates and received once. */
  markedInVain: number;
  unacknowledged: {
    /** Messages received whose id no 202 gave. */
    messages: number;
    /** Their request was never answered with a 202. */
    unanswered: number;
    /** Sent again without a key after the connection was lost, so that the number was acknowledged under another id. */
    sentAgain: number;
    /** Sent again with a key, and yet there are two. Must be empty. */
    keyedTwice: string[];
    /** No request had that number. Must be empty. */
    unexplained: string[];
  };
}

export function reconcile({ acknowledged, received, requested, fates }: Records): Verdict {
  const times = new Map<string, number[]>();
  const numberOf = new Map<string, number | null>();
  for (const { id, number, to, at } of received) {
    numberOf.set(id ?? 'no id', number);
    for (const recipient of to) {
      const pair = `${id} ${recipient}`;
      const seen = times.get(pair);
      if (seen) seen.push(at);
      else times.set(pair, [at]);
    }
  }
  const acknowledgedIds = new Map(acknowledged.map((one) => [one.id, one]));
  const acknowledgedPairs = new Set(acknowledged.flatMap(({ id, recipients }) => recipients.map((recipient) => `${id} ${recipient}`)));
  const statuses = new Map<string, Fate['recipients'][number]>();
  for (const { id, recipients } of fates.values()) for (const recipient of recipients) statuses.set(`${id} ${recipient.email}`, recipient);

  const twice = [...times].flatMap(([pair, at]): Duplicate[] => {
    if (at.length < 2) return [];
    const [id = '', recipient = ''] = pair.split(' ');
    const sorted = at.toSorted((a, b) => a - b);
    return [{ id, recipient, times: at.length, apartSeconds: (sorted.at(-1) as number) - (sorted[0] as number) }];
  });
  const attemptsOf = ({ id, recipient }: Duplicate) => statuses.get(`${id} ${recipient}`)?.attempts ?? [];

  return {
    acknowledged: acknowledgedIds.size,
    acknowledgedPairs: acknowledgedPairs.size,
    receivedPairs: times.size,
    lost: [...acknowledgedPairs].filter((pair) => !times.has(pair)),
    stranded: [...statuses.keys()].filter((pair) => !times.has(pair) && !acknowledgedPairs.has(pair)),
    open: acknowledged.flatMap(({ id }) => {
      const fate = fates.get(id);
      return fate !== undefined && isFinal(fate) ? [] : [id];
    }),
    disagreeing: [...new Set([...statuses.keys(), ...times.keys()])].filter(
      (pair) => (statuses.get(pair)?.status === 'delivered') !== times.has(pair),
    ),
    foreign: [...times.keys()].filter((pair) => {
      const one = acknowledgedIds.get(pair.split(' ')[0] as string);
      return one !== undefined && !acknowledgedPairs.has(pair);
    }),
    twice,
    unmarked: twice.filter((duplicate) => !attemptsOf(duplicate).some((attempt) => attempt.possible_duplicate)),
    outside: twice.filter((duplicate) => endsUnknown(attemptsOf(duplicate)) < duplicate.times - 1),
    markedInVain: [...statuses].filter(
      ([pair, { attempts }]) => attempts.some((attempt) => attempt.possible_duplicate) && (times.get(pair)?.length ?? 0) < 2,
    ).length,
    unacknowledged: explain(acknowledged, requested, acknowledgedIds, numberOf),
  };
}

/**
 * Attempts whose end nobody knows: the process that made them died or lost its lease (`interrupted`), or the connection was lost after
 * the final dot (deferred, marked). These are the documented window, the only attempts that another may repeat.
 */
function endsUnknown(attempts: Fate['recipients'][number]['attempts']): number {
  return new Set(
    attempts
      .filter(({ outcome, possible_duplicate }) => outcome === 'interrupted' || (outcome !== 'delivered' && possible_duplicate))
      .map(({ number }) => number),
  ).size;
}

function explain(
  acknowledged: readonly Acknowledged[],
  requested: readonly Requested[],
  acknowledgedIds: ReadonlyMap<string, Acknowledged>,
  numberOf: ReadonlyMap<string, number | null>,
): Verdict['unacknowledged'] {
  const requestOf = new Map(requested.flatMap((request) => request.numbers.map((number) => [number, request] as const)));
  const acknowledgedNumbers = new Set(acknowledged.map(({ number }) => number));
  const unacknowledged = [...numberOf.keys()].filter((id) => !acknowledgedIds.has(id));
  const explained: Verdict['unacknowledged'] = {
    messages: unacknowledged.length,
    unanswered: 0,
    sentAgain: 0,
    keyedTwice: [],
    unexplained: [],
  };
  for (const id of unacknowledged) {
    const number = numberOf.get(id);
    const request = number === null || number === undefined ? undefined : requestOf.get(number);
    if (number === null || number === undefined || request === undefined) explained.unexplained.push(id);
    else if (!acknowledgedNumbers.has(number)) explained.unanswered++;
    else if (request.key === 'none' && request.tries.length > 1) explained.sentAgain++;
    else explained.keyedTwice.push(`${id} (number ${number})`);
  }
  return explained;
}

/** What must be empty and isn't; empty = the promise holds. */
export function broken(verdict: Verdict): string[] {
  const { unacknowledged } = verdict;
  const must: [string, readonly unknown[]][] = [
    ['acknowledged and never received', verdict.lost],
    ['stored and never received', verdict.stranded],
    ['acknowledged and not final', verdict.open],
    ['receiver and API disagree', verdict.disagreeing],
    ['received for a foreign recipient', verdict.foreign],
    ['twice without a mark', verdict.unmarked],
    ['twice outside the window', verdict.outside],
    ['two messages under one idempotency key', unacknowledged.keyedTwice],
    ['received without any request', unacknowledged.unexplained],
  ];
  return must.filter(([, found]) => found.length > 0).map(([what, found]) => `${what}: ${found.length}`);
}
