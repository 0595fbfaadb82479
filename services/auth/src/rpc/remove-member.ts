// RemoveMember: a user goes, with their sessions. The tenant keeps an owner.
import type { RemoveMemberRequest, RemoveMemberResponse } from '@maildoot/proto/maildoot/auth/v1/team';
import type { RpcCall } from '@maildoot/rpc/server';
import type { Clock } from '@maildoot/runtime/clock';
import { idToUuid } from '@maildoot/runtime/ids';
import { callingTenant } from '../calling-tenant.ts';
import { errors } from '../errors.ts';
import type { People } from '../store/people.ts';

export function removeMember({ people, clock }: { people: People; clock: Clock }) {
  return async ({ id, actorId, address }: RemoveMemberRequest, call: RpcCall): Promise<RemoveMemberResponse> => {
    const tenantId = callingTenant(call);
    const userId = idToUuid('usr', id);
    const entry = { tenantId, action: 'member.removed', actorId, subjectId: id, address } as const;
    const outcome = userId === undefined ? 'absent' : await people.removeMember(tenantId, userId, entry, clock.now());
    switch (outcome) {
      case 'absent':
        throw errors.NOT_FOUND({ message: 'There is no such member.' });
      case 'last_owner':
        throw errors.CONFLICT({
          message: 'No owner would be left who can log in. Invite another one first, and wait until they have set a password.',
        });
      case 'done':
        return {};
    }
  };
}
