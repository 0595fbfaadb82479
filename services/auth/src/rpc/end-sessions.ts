// EndSessions: one session of a user, all of them, or all but one.
import type { EndSessionsRequest, EndSessionsResponse } from '@maildoot/proto/maildoot/auth/v1/session';
import type { RpcCall } from '@maildoot/rpc/server';
import { idToUuid } from '@maildoot/runtime/ids';
import { callingTenant } from '../calling-tenant.ts';
import { errors } from '../errors.ts';
import type { SessionParts } from '../sessions.ts';

export function endSessions({ people, clock, note }: Pick<SessionParts, 'people' | 'clock' | 'note'>) {
  return async (request: EndSessionsRequest, call: RpcCall): Promise<EndSessionsResponse> => {
    const tenantId = callingTenant(call);
    const userId = idToUuid('usr', request.userId);
    const only = request.sessionId === '' ? undefined : idToUuid('ses', request.sessionId);
    if (userId === undefined || (request.sessionId !== '' && only === undefined)) throw notFound();
    const but = request.keepSessionId === '' ? undefined : idToUuid('ses', request.keepSessionId);
    const ended = await people.endSessions(tenantId, userId, { only, but }, clock.now());
    if (only !== undefined && ended.length === 0) throw notFound();
    if (ended.length > 0)
      note({
        tenantId,
        action: 'session.ended',
        actorId: request.userId,
        subjectId: request.sessionId || request.userId,
        address: request.address,
        detail: String(ended.length),
      });
    return { ended: ended.length };
  };
}

function notFound() {
  return errors.NOT_FOUND({ message: 'There is no such session.' });
}
