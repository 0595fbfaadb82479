// A domain as answers show it: what to publish, and of each record what was seen.

import { type DkimRotation, type Domain, RotationState as State } from '@maildoot/proto/maildoot/domain/v1/domain';
import { uuidToId } from '@maildoot/runtime/ids';
import { type Hosts, purposeNumber, recordsToPublish } from './records.ts';
import { oldRecordNeededUntil, type Rotation, type RotationState, rotationState } from './rotation.ts';
import { statusNumber } from './status.ts';
import type { StoredDomain } from './store/stored-domain.ts';
import { neverSeen } from './verification.ts';

export function shownDomain(domain: StoredDomain, hosts: Hosts, now: Date): Domain {
  const states = new Map(domain.records.map((record) => [record.slot, record]));
  return {
    id: uuidToId('dom', domain.id),
    domain: domain.name,
    status: statusNumber(domain.status),
    records: recordsToPublish(domain, hosts).map((record) => {
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
    signingSelector: domain.keys.find((key) => key.active)?.selector ?? '',
    rotation: domain.rotation === null ? undefined : shownRotation(domain.rotation, now),
    nextCheckAt: domain.nextCheckAt,
  };
}

const states: Record<RotationState, State> = {
  waiting: State.ROTATION_STATE_WAITING,
  changed_over: State.ROTATION_STATE_CHANGED_OVER,
  finished: State.ROTATION_STATE_FINISHED,
};

function shownRotation(rotation: Rotation, now: Date): DkimRotation {
  const { from, to, requestedAt, changedOverAt } = rotation;
  return {
    state: states[rotationState(rotation, now)],
    fromSelector: from,
    toSelector: to,
    requestedAt,
    changedOverAt: changedOverAt ?? undefined,
    oldRecordNeededUntil: changedOverAt === null ? undefined : oldRecordNeededUntil(changedOverAt),
  };
}
