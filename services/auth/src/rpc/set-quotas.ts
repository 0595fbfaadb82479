// SetQuotas: what a tenant may use from now on. What it has used of this day or minute counts.
import type { SetQuotasRequest, SetQuotasResponse } from '@maildoot/proto/maildoot/auth/v1/operator';
import { errors } from '../errors.ts';
import { noSuchTenant, shownTenant, tenantUuid } from '../shown-tenant.ts';
import type { Tenants } from '../store/tenants.ts';

const mostPerMinute = 2 ** 31 - 1;

export function setQuotas({ tenants }: { tenants: Tenants }) {
  return async ({ tenantId, quotas }: SetQuotasRequest): Promise<SetQuotasResponse> => {
    const id = tenantUuid(tenantId);
    const { messagesPerDay = 0n, requestsPerMinute = 0, sendsPerMinute = 0 } = quotas ?? {};
    if (messagesPerDay > BigInt(Number.MAX_SAFE_INTEGER) || Math.max(requestsPerMinute, sendsPerMinute) > mostPerMinute) {
      const issue = { path: 'quotas', code: 'too_large', message: 'A quota is smaller than this. 0 sets the default.' };
      throw errors.VALIDATION_ERROR({ message: 'The quotas can’t be set.', issues: [issue] });
    }
    const detail = `messages_per_day=${messagesPerDay} requests_per_minute=${requestsPerMinute} sends_per_minute=${sendsPerMinute}`;
    const entry = { tenantId: id, action: 'tenant.quotas_set', actorId: 'operator', subjectId: '', detail } as const;
    const tenant = await tenants.setQuotas(id, messagesPerDay || null, requestsPerMinute || null, sendsPerMinute || null, entry);
    if (tenant === undefined) throw noSuchTenant();
    return { tenant: shownTenant(tenant) };
  };
}
