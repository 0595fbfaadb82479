// TakeQuota: portions of ledgers.
import type { TakeQuotaRequest, TakeQuotaResponse } from '@maildoot/proto/maildoot/auth/v1/quota';
import { type QuotaParts, takeQuota as take } from '../quotas.ts';

export function takeQuota(parts: QuotaParts) {
  return async ({ takes }: TakeQuotaRequest): Promise<TakeQuotaResponse> => {
    const taken = [];
    // One after the other: each is a row that others want too, and two rows held at a time could deadlock.
    for (const one of takes) taken.push(await take(parts, one));
    return { taken };
  };
}
