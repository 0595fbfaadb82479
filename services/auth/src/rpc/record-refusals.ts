// RecordRefusals: good credentials that were shown where they may not be used.
import type { RecordRefusalsRequest, RecordRefusalsResponse } from '@maildoot/proto/maildoot/auth/v1/audit';
import { idToUuid } from '@maildoot/runtime/ids';
import type { EntryToStore } from '../store/audit.ts';

export function recordRefusals({ note }: { note: (entry: EntryToStore) => void }) {
  return async ({ refusals }: RecordRefusalsRequest): Promise<RecordRefusalsResponse> => {
    for (const { tenantId, credentialId, address } of refusals) {
      const tenant = idToUuid('ten', tenantId);
      if (tenant !== undefined)
        note({ tenantId: tenant, action: 'api_key.refused', actorId: '', subjectId: credentialId, address, detail: 'address_not_allowed' });
    }
    return {};
  };
}
