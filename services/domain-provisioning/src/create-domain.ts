// Claiming a domain: its name, the token that proves ownership, its DKIM keys, and what to publish.

import type { IdempotencyRequest } from '@maildoot/db/idempotency';
import type { Repeatable } from '@maildoot/db/repeatable';
import { CreateDomainResponse } from '@maildoot/proto/maildoot/domain/v1/domain';
import type { Clock } from '@maildoot/runtime/clock';
import { newUuid, uuidToId } from '@maildoot/runtime/ids';
import type { Sealer } from '@maildoot/runtime/seal';
import { dkimKeyContext, selectors } from './dkim-key.ts';
import { parseDomainName } from './domain-name.ts';
import { errors, tooManyDomains } from './errors.ts';
import { type Hosts, newOwnershipToken, recordsToPublish } from './records.ts';
import { storedAnswer } from './repeatable.ts';
import { shownDomain } from './shown-domain.ts';
import type { SpareKeys } from './spare-keys.ts';
import type { ClaimedOnce, DomainToStore } from './store/claims.ts';
import type { StoredDomain } from './store/stored-domain.ts';
import type { Store } from './store.ts';
import { neverSeen } from './verification.ts';

const operation = 'create_domain';
const firstCheckAfterMs = 60_000;

export interface DomainMaker {
  store: Store;
  sealer: Sealer;
  clock: Clock;
  spareKeys: SpareKeys;
  hosts: Hosts;
  /** How many domains a tenant can have. */
  maxDomains: number;
}

/**
 * 1. answered before → the same answer
 * 2. check the name, and whether it can be had at all: keys are worth more than a question
 * 3. take the keys, sealed for this tenant, domain and selector
 * 4. keep claim, keys and answer in one transaction
 */
export async function createDomain(
  maker: DomainMaker,
  tenantId: string,
  nameAsTyped: string,
  repeatable: Repeatable | undefined,
): Promise<CreateDomainResponse & { keysFrom?: 'spare' | 'made_now' }> {
  const now = maker.clock.now();
  const request: IdempotencyRequest | undefined = repeatable && { tenantId, operation, ...repeatable };
  if (request !== undefined) {
    const finding = await maker.store.findAnswer(request, now);
    if (finding.outcome !== 'absent') return answerOf(maker, finding);
  }

  const parsed = parseDomainName(nameAsTyped);
  if (!parsed.ok) {
    throw errors.VALIDATION_ERROR({ message: parsed.message, issues: [{ path: 'domain', code: parsed.code, message: parsed.message }] });
  }
  const { name } = parsed;
  const claimable = await maker.store.claimable(tenantId, name, maker.maxDomains);
  if (claimable !== 'done') throw refused(maker, claimable);

  const { domain, keysFrom } = await makeDomain(maker, tenantId, name, now);
  const shown: StoredDomain = {
    ...domain,
    ...{ status: 'pending', checkedAt: null, verifiedAt: null, rotation: null, checkFailures: 0, unchangedLooks: 0 },
  };
  const response: CreateDomainResponse = { domain: shownDomain(shown, maker.hosts, now), replayed: false };
  if (request === undefined) {
    const claimed = await maker.store.insertDomain(domain, maker.maxDomains);
    if (claimed !== 'done') throw refused(maker, claimed);
    return { ...response, keysFrom };
  }
  const answered = { ...request, response: CreateDomainResponse.encode(response).finish() };
  const once = await maker.store.insertDomainOnce(domain, maker.maxDomains, answered, now);
  return once.outcome === 'done' ? { ...response, keysFrom } : answerOf(maker, once);
}

async function makeDomain(
  maker: DomainMaker,
  tenantId: string,
  name: string,
  now: Date,
): Promise<{ domain: DomainToStore; keysFrom: 'spare' | 'made_now' }> {
  const { pairs, from } = await maker.spareKeys.take(selectors.length);
  const publicTenantId = uuidToId('ten', tenantId);
  const keys = selectors.map(({ selector, active }, index) => {
    const pair = pairs[index];
    if (pair === undefined) throw new Error('fewer key pairs came than were asked for');
    return {
      selector,
      active,
      publicKey: pair.publicKey,
      formerPublicKey: null,
      sealedPrivateKey: maker.sealer.seal(pair.privateKey, dkimKeyContext(publicTenantId, name, selector)),
    };
  });
  const ownershipToken = newOwnershipToken();
  const records = recordsToPublish({ name, ownershipToken, keys }, maker.hosts).map(({ slot }) => neverSeen(slot));
  // Nobody publishes anything within a minute of being told what.
  const nextCheckAt = new Date(now.getTime() + firstCheckAfterMs);
  return { domain: { id: newUuid(), tenantId, name, ownershipToken, createdAt: now, nextCheckAt, keys, records }, keysFrom: from };
}

function answerOf(maker: DomainMaker, once: Exclude<ClaimedOnce, { outcome: 'done' }>): CreateDomainResponse {
  if (once.outcome === 'exists' || once.outcome === 'too_many') throw refused(maker, once.outcome);
  return { ...CreateDomainResponse.decode(storedAnswer(once)), replayed: true };
}

function refused({ maxDomains }: DomainMaker, why: 'exists' | 'too_many') {
  if (why === 'too_many') return tooManyDomains(maxDomains);
  return errors.DOMAIN_EXISTS({
    message: 'You have added this domain already, or another account has verified it.',
  });
}
