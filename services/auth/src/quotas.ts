// What a tenant and a credential may use in a window, and the portions of it that gateways take.
import { Ledger, type Take, type Taken } from '@maildoot/proto/maildoot/auth/v1/quota';
import type { Clock } from '@maildoot/runtime/clock';
import { idToUuid } from '@maildoot/runtime/ids';
import type { QuotaStore, TenantLimits } from './store/quotas.ts';

const minuteS = 60;
const dayS = 24 * 60 * 60;

/** Where the operator has set nothing. They stop a program that runs wild; whoever sends much and reads much doesn't come near them. */
export const defaults = { requestsPerMinute: 120_000, sendsPerMinute: 1_200_000 } as const;

export interface QuotaParts {
  quotas: QuotaStore;
  clock: Clock;
}

export async function takeQuota({ quotas, clock }: QuotaParts, take: Take): Promise<Taken> {
  const tenantId = idToUuid('ten', take.tenantId);
  if (tenantId === undefined) throw new Error('a ledger of no tenant was asked for');
  const ofCredential = take.ledger === Ledger.LEDGER_CREDENTIAL_MESSAGES;
  const subject = ofCredential ? uuidOf(take.credentialId) : tenantId;
  const limit = ofCredential ? BigInt(take.credentialLimit) : limitOf(take.ledger, await quotas.limits(tenantId));
  const windowS = take.ledger === Ledger.LEDGER_REQUESTS || take.ledger === Ledger.LEDGER_SENDS ? minuteS : dayS;
  const nowMs = clock.now().getTime();
  const windowStartS = Math.floor(nowMs / 1000 / windowS) * windowS;
  const endsInMs = Math.ceil((windowStartS + windowS) * 1000 - nowMs);
  const window = { windowStartS: BigInt(windowStartS), windowS, endsInMs };
  if (limit === 0n) return { granted: 0, limit, remaining: 0n, ...window };

  const { granted, taken } = await quotas.take({
    ledger: take.ledger,
    subject,
    windowStart: new Date(windowStartS * 1000),
    limit,
    needed: take.needed,
    wanted: take.wanted,
    // Of a window that is over there is nothing to give back.
    returned: Number(take.returnedWindowS) === windowStartS ? take.returned : 0,
  });
  return { granted, limit, remaining: taken > limit ? 0n : limit - taken, ...window };
}

/** 0 = there is no limit. */
function limitOf(ledger: Ledger, limits: TenantLimits | undefined): bigint {
  switch (ledger) {
    case Ledger.LEDGER_REQUESTS:
      return BigInt(limits?.requestsPerMinute ?? defaults.requestsPerMinute);
    case Ledger.LEDGER_SENDS:
      return BigInt(limits?.sendsPerMinute ?? defaults.sendsPerMinute);
    case Ledger.LEDGER_TENANT_MESSAGES:
      return limits?.messagesPerDay ?? 0n;
    default:
      throw new Error('a ledger that this release does not know');
  }
}

function uuidOf(credentialId: string): string {
  const uuid = idToUuid('key', credentialId) ?? idToUuid('usr', credentialId) ?? idToUuid('smu', credentialId);
  if (uuid === undefined) throw new Error('a ledger of no credential was asked for');
  return uuid;
}
