// RecordActions: what was done to things of other services, for the log of its tenant. An entry has an id of its caller's, so that telling it
// twice writes it once.
import type { Database } from '@maildoot/db/database';
import type { RecordActionsRequest, RecordActionsResponse } from '@maildoot/proto/maildoot/auth/v1/audit';
import { idToUuid } from '@maildoot/runtime/ids';
import { errors } from '../errors.ts';
import { insertActions } from '../store/audit.ts';

const maxActions = 1_000;
const word = /^[a-z_]+\.[a-z_]+$/;

export function recordActions({ database }: { database: Database }) {
  return async ({ actions }: RecordActionsRequest): Promise<RecordActionsResponse> => {
    if (actions.length > maxActions) throw errors.VALIDATION_ERROR({ message: `At most ${maxActions} actions are recorded at once.` });
    const entries = actions.map(({ id, tenantId, action, actorId, subjectId, address }) => {
      const [uuid, tenant] = [idToUuid('aud', id), idToUuid('ten', tenantId)];
      if (uuid === undefined || tenant === undefined || !word.test(action))
        throw errors.VALIDATION_ERROR({ message: 'An action names no entry, no tenant, or nothing that was done.' });
      return { id: uuid, tenantId: tenant, action, actorId, subjectId, address };
    });
    await insertActions(database.pool, entries);
    return {};
  };
}
