// A domain as answers show it: what to publish, and of each record what was seen.

import type { Domain } from '@maildoot/proto/maildoot/domain/v1/domain';
import { uuidToId } from '@maildoot/runtime/ids';
import { purposeNumber, recordsToPublish } from './records.ts';
import { statusNumber } from './status.ts';
import type { StoredDomain } from './store.ts';
import { neverSeen } from './verification.ts';

export function shownDomain(domain: StoredDomain, mailHostname: string): Domain {
  const states = new Map(domain.records.map((record) => [record.slot, record]));
  return {
    id: uuidToId('dom', domain.id),
    domain: domain.name,
    status: statusNumber(domain.status),
    records: recordsToPublish(domain, mailHostname).map((record) => {
      const state = states.get(record.slot) ?? neverSeen(record.slot);
      return {
        type: record.type,
        name: record.name,
        value: record.value,
        purpose: purposeNumber(record.purpose),
        required: record.required,
        status: statusNumber(state.status),
        seen: [...state.seen],
        problem: state.problem,
      };
    }),
    createdAt: domain.createdAt,
    checkedAt: domain.checkedAt ?? undefined,
    verifiedAt: domain.verifiedAt ?? undefined,
  };
}
