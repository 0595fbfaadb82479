// A domain as the API shows it: every purpose and state has its word, and what was never is null.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Domain, DomainStatus, RecordPurpose, RotationState } from '@maildoot/proto/maildoot/domain/v1/domain';
import { domainJson, domainSchema } from './domain-json.ts';

const at = new Date('2026-01-31T08:00:00Z');
const purposes = Object.values(RecordPurpose).filter((purpose) => purpose !== RecordPurpose.RECORD_PURPOSE_UNSPECIFIED);
const domain = (rotation?: Domain['rotation']): Domain =>
  Domain.fromPartial({
    id: 'dom_01kg97xw00fscrrszmz39ef7mv',
    domain: 'yourdomain.com',
    status: DomainStatus.DOMAIN_STATUS_DRIFTED,
    records: purposes.map((purpose) => ({ type: 'TXT', name: 'x', value: 'y', purpose, status: DomainStatus.DOMAIN_STATUS_VERIFIED })),
    createdAt: at,
    signingSelector: 'md2',
    rotation,
  });

test('every purpose has its word, and a key that was never changed has no rotation', () => {
  const json = domainSchema.parse(domainJson(domain()));
  assert.deepEqual(
    json.records.map(({ purpose }) => purpose),
    ['ownership', 'dkim', 'spf', 'dmarc', 'return_path', 'tracking', 'mx'],
  );
  assert.deepEqual([json.status, json.dkim, json.next_check_at], ['drifted', { selector: 'md2', rotation: null }, null]);
});

for (const [state, word] of [
  [RotationState.ROTATION_STATE_WAITING, 'waiting'],
  [RotationState.ROTATION_STATE_CHANGED_OVER, 'changed_over'],
  [RotationState.ROTATION_STATE_FINISHED, 'finished'],
] as const) {
  test(`a change of keys that is ${word}`, () => {
    const isOver = state !== RotationState.ROTATION_STATE_WAITING;
    const json = domainJson(
      domain({
        ...{ state, fromSelector: 'md1', toSelector: 'md2', requestedAt: at },
        changedOverAt: isOver ? at : undefined,
        oldRecordNeededUntil: isOver ? new Date('2026-02-10T08:00:00Z') : undefined,
      }),
    );
    assert.ok(domainSchema.safeParse(json).success);
    assert.deepEqual(json.dkim.rotation, {
      ...{ state: word, from: 'md1', to: 'md2', requested_at: '2026-01-31T08:00:00.000Z' },
      changed_over_at: isOver ? '2026-01-31T08:00:00.000Z' : null,
      old_record_needed_until: isOver ? '2026-02-10T08:00:00.000Z' : null,
    });
  });
}
