// Changing the signing key (RFC 6376 section 3.1: selectors are there for this). Two selectors take turns: one signs, the record of the
// other is published ahead. The old key signs until the record of the new one is seen, then they change places at once; the old record
// stays published for as long as mail that it signed may still be on its way.

/** Longer than any queue holds mail (RFC 5321 section 4.5.4.1: 4 to 5 days), the 24 hours for which delivery keeps a key, and what recipients take to look. */
export const oldRecordNeededMs = 10 * 24 * 60 * 60 * 1000;

export interface Rotation {
  /** The selector that signed before. */
  from: string;
  to: string;
  requestedAt: Date;
  /** null = the record of the new key has not been seen yet. */
  changedOverAt: Date | null;
}

/** `waiting` the old key signs · `changed_over` the new one signs, the old record is still needed · `finished` it may go. */
export type RotationState = 'waiting' | 'changed_over' | 'finished';

export function rotationState({ changedOverAt }: Rotation, now: Date): RotationState {
  if (changedOverAt === null) return 'waiting';
  return now < oldRecordNeededUntil(changedOverAt) ? 'changed_over' : 'finished';
}

export function oldRecordNeededUntil(changedOverAt: Date): Date {
  return new Date(changedOverAt.getTime() + oldRecordNeededMs);
}

export type RotationStep =
  /** It was asked for already. */
  | { kind: 'under_way' }
  /** The selector that would take over still has the key of mail that is under way. */
  | { kind: 'too_early'; possibleFrom: Date }
  | { kind: 'begin'; from: string; to: string; needsNewKey: boolean };

/** What asking for a new key means now. */
export function nextRotation(keys: readonly { selector: string; active: boolean }[], last: Rotation | null, now: Date): RotationStep {
  const from = keys.find((key) => key.active)?.selector;
  const to = keys.find((key) => !key.active)?.selector;
  if (from === undefined || to === undefined) throw new Error('a domain has two selectors, and one of them signs');
  if (last === null) return { kind: 'begin', from, to, needsNewKey: false };
  switch (rotationState(last, now)) {
    case 'waiting':
      return { kind: 'under_way' };
    case 'changed_over':
      return { kind: 'too_early', possibleFrom: oldRecordNeededUntil(last.changedOverAt as Date) };
    case 'finished':
      // That selector has signed before: what is to be new must not be the key of the time before.
      return { kind: 'begin', from, to, needsNewKey: true };
  }
}
