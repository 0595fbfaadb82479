// What a tenant's feed is told of its domains: that one may send now, and that records which were right are not any more, before mail
// bounces for it.

import { newUuid } from '@maildoot/runtime/ids';
import type { ExpectedRecord, Slot } from './records.ts';
import type { Status } from './status.ts';
import type { Standing } from './verification.ts';

export interface DomainEvent {
  /** The event's own, so that telling it twice is telling it once. */
  id: string;
  /** uuid */
  tenantId: string;
  type: 'domain.verified' | 'domain.drifted';
  at: Date;
  data: DomainEventData;
}

/** As the API shows it. */
export interface DomainEventData {
  domain: {
    id: string;
    domain: string;
    /** Whether it may send: a record that is only advised can drift, and the domain is still `verified`. */
    status: Status;
    /** What is not as it should be, or of a verified domain: nothing. */
    records: {
      type: string;
      name: string;
      value: string;
      purpose: string;
      required: boolean;
      status: Status;
      seen: string[];
      problem: string;
    }[];
  };
}

export interface Change {
  tenantId: string;
  /** `dom_…` */
  id: string;
  name: string;
  expected: readonly ExpectedRecord[];
  before: Standing;
  after: Standing;
  at: Date;
}

/** Nothing where nothing became better or worse in a way that somebody has to know. */
export function eventsOf({ tenantId, id, name, expected, before, after, at }: Change): DomainEvent[] {
  const was = new Map(before.records.map((record) => [record.slot, record.status]));
  const now = new Map(after.records.map((record) => [record.slot, record]));
  const event = (type: DomainEvent['type'], slots: ReadonlySet<Slot>): DomainEvent => ({
    id: newUuid(),
    tenantId,
    type,
    at,
    data: {
      domain: {
        id,
        domain: name,
        status: after.status,
        records: expected
          .filter(({ slot }) => slots.has(slot))
          .map(({ slot, type: kind, name: at, value, purpose, required }) => {
            const { status, seen, problem } = now.get(slot) ?? { status: 'pending' as const, seen: [], problem: '' };
            return { type: kind, name: at, value, purpose, required, status, seen: seen.slice(0, 3).map(short), problem };
          }),
      },
    },
  });
  const drifted = after.records.filter(({ slot, status }) => status === 'drifted' && was.get(slot) === 'verified').map(({ slot }) => slot);
  if (drifted.length > 0 || (after.status === 'drifted' && before.status === 'verified'))
    return [event('domain.drifted', new Set(drifted))];
  return after.status === 'verified' && before.status !== 'verified' ? [event('domain.verified', new Set())] : [];
}

/** An event has 16 KB; what name servers answer may be longer. */
function short(text: string): string {
  return text.length > 150 ? `${text.slice(0, 150)}…` : text;
}
