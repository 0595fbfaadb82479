// ListSmtpUsers: a page of the tenant's SMTP users, newest first.
import type { ListSmtpUsersRequest, ListSmtpUsersResponse } from '@maildoot/proto/maildoot/auth/v1/smtp_user';
import type { RpcCall } from '@maildoot/rpc/server';
import { idToUuid } from '@maildoot/runtime/ids';
import { callingTenant } from '../calling-tenant.ts';
import { errors } from '../errors.ts';
import { shownSmtpUser } from '../smtp-user.ts';
import type { SmtpUsers } from '../store/smtp-users.ts';

const defaultLimit = 20;
const maxLimit = 100;

export function listSmtpUsers({ smtpUsers }: { smtpUsers: SmtpUsers }) {
  return async (request: ListSmtpUsersRequest, call: RpcCall): Promise<ListSmtpUsersResponse> => {
    const limit = request.limit === 0 ? defaultLimit : Math.min(request.limit, maxLimit);
    const users = await smtpUsers.list(callingTenant(call), { limit: limit + 1, afterId: positionOf(request.afterId) });
    return { smtpUsers: users.slice(0, limit).map(shownSmtpUser), hasMore: users.length > limit };
  };
}

function positionOf(afterId: string): string | undefined {
  if (afterId === '') return undefined;
  const uuid = idToUuid('smu', afterId);
  if (uuid !== undefined) return uuid;
  const issue = { path: 'cursor', code: 'invalid_cursor', message: 'Give the next_cursor of the page before, or leave it out.' };
  throw errors.VALIDATION_ERROR({ message: 'The list can’t go on from there.', issues: [issue] });
}
