// Asking for a new signing key. Nothing changes hands here: the old key signs until a look has seen the record of the new one, and that
// look is due at once.

import type { IdempotencyRequest } from '@maildoot/db/idempotency';
import type { Repeatable, Repeated } from '@maildoot/db/repeatable';
import { RotateDkimResponse } from '@maildoot/proto/maildoot/domain/v1/domain';
import type { Clock } from '@maildoot/runtime/clock';
import { uuidToId } from '@maildoot/runtime/ids';
import type { Sealer } from '@maildoot/runtime/seal';
import { dkimKeyContext } from './dkim-key.ts';
import { errors } from './errors.ts';
import type { Hosts } from './records.ts';
import { storedAnswer } from './repeatable.ts';
import { nextRotation } from './rotation.ts';
import { shownDomain } from './shown-domain.ts';
import type { SpareKeys } from './spare-keys.ts';
import type { StoredDomain } from './store/stored-domain.ts';
import type { Store } from './store.ts';

const operation = 'rotate_dkim';

export interface Rotator {
  store: Store;
  sealer: Sealer;
  clock: Clock;
  spareKeys: SpareKeys;
  hosts: Hosts;
  /** A domain is due to be looked at. */
  due: () => void;
}

/**
 * 1. answered before → the same answer
 * 2. may it begin, and does the other selector need a new key? One is made before anything is held
 * 3. begin and keep the answer in one transaction, if it is still so
 *
 * undefined when the tenant has no such domain.
 */
export async function rotateDkim(
  rotator: Rotator,
  tenantId: string,
  name: string,
  repeatable: Repeatable | undefined,
): Promise<(RotateDkimResponse & { begun: boolean }) | undefined> {
  const { store, sealer, clock, spareKeys, hosts } = rotator;
  const now = clock.now();
  const request: IdempotencyRequest | undefined = repeatable && { tenantId, operation, ...repeatable };
  if (request !== undefined) {
    const finding = await store.findAnswer(request, now);
    if (finding.outcome !== 'absent') return repeated(finding);
  }
  const found = await store.findDomain(tenantId, name);
  if (found === undefined) return undefined;
  const step = stepOf(found, now);
  const [pair] = step.kind === 'begin' && step.needsNewKey ? (await spareKeys.take(1)).pairs : [];

  const answerOf = (domain: StoredDomain): RotateDkimResponse => ({ domain: shownDomain(domain, hosts, now), replayed: false });
  const outcome = await store.beginRotation(
    tenantId,
    name,
    now,
    (domain) => {
      const { kind, ...begin } = stepOf(domain, now);
      if (kind !== 'begin' || !('to' in begin)) return undefined;
      if (begin.needsNewKey && pair === undefined) throw changedMeanwhile();
      const context = dkimKeyContext(uuidToId('ten', tenantId), name, begin.to);
      const newKey =
        begin.needsNewKey && pair ? { publicKey: pair.publicKey, sealedPrivateKey: sealer.seal(pair.privateKey, context) } : undefined;
      return { from: begin.from, to: begin.to, requestedAt: now, newKey };
    },
    request && { ...request, answerOf: (domain) => RotateDkimResponse.encode(answerOf(domain)).finish() },
  );
  switch (outcome.outcome) {
    case 'missing':
      return undefined;
    case 'unchanged':
      return { ...answerOf(outcome.domain), begun: false };
    case 'done':
      rotator.due();
      return { ...answerOf(outcome.domain), begun: true };
    default:
      return repeated(outcome);
  }
}

/** @throws RpcError CONFLICT while the record of the key before is still needed */
function stepOf(domain: StoredDomain, now: Date) {
  const step = nextRotation(domain.keys, domain.rotation, now);
  if (step.kind !== 'too_early') return step;
  throw errors.CONFLICT({
    message: `The key was changed lately, and the record of the one before is still needed for mail that is on its way. The next change is possible from ${step.possibleFrom.toISOString()}.`,
  });
}

function repeated(once: Repeated): RotateDkimResponse & { begun: boolean } {
  return { ...RotateDkimResponse.decode(storedAnswer(once)), replayed: true, begun: false };
}

function changedMeanwhile() {
  return errors.CONFLICT({ message: 'The domain changed at the same moment. Look at it again, then decide.' });
}
