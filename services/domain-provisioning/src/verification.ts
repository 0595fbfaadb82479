// Verification as a pure decision: what was expected, what the name servers answered, where everything stood before → where it stands
// now. Asking them is lookup.ts. A failed look is no answer: it changes no status, so that somebody else's broken name server never
// stops mail.

import { dkimRecordProblem, isDkimRecord } from './dkim-record.ts';
import { dmarcRecordProblem, isDmarcRecord } from './dmarc-record.ts';
import { type ExpectedRecord, ownershipValue, type Slot } from './records.ts';
import { isSpfRecord, spfRecordProblem } from './spf-record.ts';
import type { Status } from './status.ts';

/** What came back for one name. `unknown` is a look that told nothing: timeout, SERVFAIL, no server reached. */
export type Answer = { kind: 'values'; values: readonly string[] } | { kind: 'nothing' } | { kind: 'unknown'; reason: string };

/** A record as it is stored. */
export interface RecordState {
  slot: Slot;
  status: Status;
  seen: readonly string[];
  /** Why it isn't verified, or why the last look told nothing; empty when all is well. */
  problem: string;
}

export interface Standing {
  status: Status;
  records: readonly RecordState[];
}

export interface Decision extends Standing {
  /** The tenant that had the domain so far has lost it: our ownership record is there and theirs is gone. */
  rivalLoses: boolean;
}

/**
 * 1. judge every record by itself
 * 2. where another tenant has the domain: the ownership TXT decides, and who has it keeps it while their own token is still there
 * 3. the domain is verified when all its required records are
 *
 * @param rivalToken the ownership token of the other tenant for whom the domain is verified, if there is one
 */
export function decide(
  expected: readonly ExpectedRecord[],
  before: Standing,
  answers: ReadonlyMap<Slot, Answer>,
  rivalToken: string | undefined,
): Decision {
  const previous = new Map(before.records.map((record) => [record.slot, record]));
  let records = expected.map((record) => {
    const answer = answers.get(record.slot) ?? { kind: 'unknown', reason: 'it was not asked for' };
    return judge(record, previous.get(record.slot) ?? neverSeen(record.slot), answer);
  });

  const ownership = answers.get('ownership');
  const weOwn = ownership?.kind === 'values' && records.some((record) => record.slot === 'ownership' && record.status === 'verified');
  const theyOwn = rivalToken !== undefined && ownership?.kind === 'values' && carries(ownership.values, ownershipValue(rivalToken));
  if (weOwn && theyOwn) {
    const problem =
      'Another account has verified this domain and its maildoot-verification value is still there beside yours. Remove it to take the domain over.';
    records = records.map((record) => (record.slot === 'ownership' ? { ...record, status: 'failed', problem } : record));
  }
  const rivalStays = rivalToken !== undefined && !(weOwn && !theyOwn);
  return {
    status: domainStatus(expected, records, before.status, rivalStays),
    records,
    rivalLoses: rivalToken !== undefined && !rivalStays,
  };
}

/** How the tenant stands who has just lost a domain to another's ownership record. */
export function afterLoss(before: Standing, ownershipSeen: readonly string[]): Standing {
  const problem = 'The ownership record is gone, and another account has proven that it owns the domain.';
  return {
    status: 'drifted',
    records: before.records.map((record) =>
      record.slot === 'ownership' ? { ...record, status: 'drifted', seen: ownershipSeen, problem } : record,
    ),
  };
}

export function neverSeen(slot: Slot): RecordState {
  return { slot, status: 'pending', seen: [], problem: '' };
}

function judge(expected: ExpectedRecord, before: RecordState, answer: Answer): RecordState {
  const { slot } = expected;
  const wasRight = before.status === 'verified' || before.status === 'drifted';
  switch (answer.kind) {
    case 'unknown':
      return {
        ...before,
        problem: `This look told nothing (${answer.reason}); the status and what was seen are those of the look before. Try again.`,
      };
    case 'nothing':
      return {
        slot,
        status: wasRight ? 'drifted' : 'pending',
        seen: [],
        problem: wasRight ? 'The record is gone: publish it again.' : 'Nothing is published at this name yet.',
      };
    case 'values': {
      const problem = problemOf(expected, answer.values);
      if (problem === undefined) return { slot, status: 'verified', seen: answer.values, problem: '' };
      const status = wasRight ? 'drifted' : isMeant(expected, answer.values) ? 'failed' : 'pending';
      return { slot, status, seen: answer.values, problem };
    }
  }
}

/**
 * Whether one of the values is meant as the record that we look for, right or wrong: other TXT records may stand at the same name, the key
 * before a new one was right when it was published, and mail to the domain may well go elsewhere.
 */
function isMeant(expected: ExpectedRecord, values: readonly string[]): boolean {
  switch (expected.purpose) {
    case 'ownership':
    case 'return_path':
    case 'tracking':
      return true;
    case 'mx':
      return false;
    case 'dkim':
      return !holdsFormerKey(expected, values);
    case 'spf':
      return values.some(isSpfRecord);
    case 'dmarc':
      return values.some(isDmarcRecord);
  }
}

/** undefined when the values hold the record. */
function problemOf(expected: ExpectedRecord, values: readonly string[]): string | undefined {
  switch (expected.purpose) {
    case 'ownership':
      return carries(values, expected.value) ? undefined : 'Other values are there, this one is not: add it beside them.';
    case 'dkim':
      if (holdsFormerKey(expected, values))
        return 'The former key is still there: replace it by this one, so that the keys can change places.';
      return dkimProblem(values, expected.publicKey);
    case 'return_path':
    case 'tracking':
      return values.some((value) => sameHost(value, expected.host)) ? undefined : `The CNAME leads elsewhere, not to ${expected.host}.`;
    case 'mx':
      return values.some((value) => sameHost(value.slice(value.indexOf(' ') + 1), expected.host))
        ? undefined
        : 'Mail to this domain goes to other hosts. Leave it so, unless we are to receive it.';
    case 'spf':
      return oneOf(values.filter(isSpfRecord), 'SPF record', 'RFC 7208 section 4.5', (value) =>
        spfRecordProblem(value, expected.mailHostname),
      );
    case 'dmarc':
      return oneOf(values.filter(isDmarcRecord), 'DMARC record', 'RFC 7489 section 6.6.3', dmarcRecordProblem);
  }
}

function holdsFormerKey(expected: ExpectedRecord & { purpose: 'dkim' }, values: readonly string[]): boolean {
  const { formerPublicKey } = expected;
  const keyRecords = values.filter(isDkimRecord);
  return formerPublicKey !== null && keyRecords.length === 1 && dkimRecordProblem(keyRecords[0] as string, formerPublicKey) === undefined;
}

function sameHost(left: string, right: string): boolean {
  return left.toLowerCase().replace(/\.$/, '') === right.toLowerCase();
}

function dkimProblem(values: readonly string[], publicKey: string): string | undefined {
  const keyRecords = values.filter(isDkimRecord);
  const single = keyRecords[0] ?? values[0];
  if (single === undefined) return 'Nothing is published at this name yet.';
  // RFC 6376 section 3.6.2.2: with several records the result is undefined, each verifier takes another one.
  if (keyRecords.length > 1) return 'There are several DKIM records at this name and receivers take any of them: leave only this one.';
  return dkimRecordProblem(single, publicKey);
}

/** Records of which receivers take exactly one, and none when there are several. */
function oneOf(
  candidates: readonly string[],
  what: string,
  rule: string,
  problem: (value: string) => string | undefined,
): string | undefined {
  const [single, ...others] = candidates;
  if (single === undefined) return `There is no ${what} at this name yet.`;
  if (others.length > 0) return `There are ${candidates.length} of them and receivers then take none (${rule}): merge them into one.`;
  return problem(single);
}

/** White space around is the form's fault in which it was entered; the token itself must be there to the letter. */
function carries(values: readonly string[], wanted: string): boolean {
  return values.some((value) => value.trim() === wanted);
}

function domainStatus(expected: readonly ExpectedRecord[], records: readonly RecordState[], before: Status, rivalStays: boolean): Status {
  const statusOf = (slot: Slot) => records.find((record) => record.slot === slot)?.status;
  const required = expected.filter((record) => record.required).map((record) => statusOf(record.slot));
  if (required.every((status) => status === 'verified')) {
    // Everything was right at some look, but another tenant has the domain and this look didn't show that it's ours now.
    return rivalStays ? before : 'verified';
  }
  if (before === 'verified' || before === 'drifted') return 'drifted';
  return required.includes('failed') ? 'failed' : 'pending';
}
