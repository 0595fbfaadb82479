// RecordDeprecatedCalls: keeps that a key calls what will go; the job that writes to owners sees it. A key that isn't the tenant's is nobody's.
import type { RecordDeprecatedCallsRequest, RecordDeprecatedCallsResponse } from '@maildoot/proto/maildoot/auth/v1/deprecation';
import type { Clock } from '@maildoot/runtime/clock';
import { idToUuid } from '@maildoot/runtime/ids';
import type { Deprecations } from '../store/deprecations.ts';

export function recordDeprecatedCalls({ deprecations, clock }: { deprecations: Deprecations; clock: Clock }, kept: () => void) {
  return async ({ calls }: RecordDeprecatedCallsRequest): Promise<RecordDeprecatedCallsResponse> => {
    const known = calls.flatMap(({ tenantId, apiKeyId, ...call }) => {
      const [tenant, key] = [idToUuid('ten', tenantId), idToUuid('key', apiKeyId)];
      return tenant === undefined || key === undefined ? [] : [{ ...call, tenantId: tenant, apiKeyId: key }];
    });
    if (known.length > 0 && (await deprecations.record(known, clock.now()))) kept();
    return {};
  };
}
