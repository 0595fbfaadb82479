// Telling a tenant's owners that a callback of theirs was disabled: who they are is auth's to say, the mail goes the way of all notices.
import { Role } from '@maildoot/proto/maildoot/auth/v1/auth';
import type { User } from '@maildoot/proto/maildoot/auth/v1/session';
import type { NoticeServiceService } from '@maildoot/proto/maildoot/messaging/v1/notice';
import type { RpcClient } from '@maildoot/rpc/client';
import { uuidToId } from '@maildoot/runtime/ids';
import type { CallbackNotice } from '../store/callback-work.ts';

/** Rejects when it should be tried again later. */
export type SendNotices = (notice: CallbackNotice) => Promise<void>;

export interface NoticeParts {
  notices: Pick<RpcClient<typeof NoticeServiceService>, 'sendNotice'>;
  /** The addresses of a tenant's owners, those of `toBeTold`. */
  ownersOf(tenantId: string): Promise<readonly string[]>;
}

export function noticeSender({ notices, ownersOf }: NoticeParts): SendNotices {
  return async ({ id, tenantId, subject, text }) => {
    for (const to of await ownersOf(uuidToId('ten', tenantId)))
      await notices.sendNotice({ kind: 'callback_disabled', to, subject, text, idempotencyKey: `callback_disabled ${id} ${to}` });
  };
}

/**
 * Owners who have come, or else the first: whom a key invited may be a stranger, who is not sent what its holder writes. Newest first, as auth
 * lists them.
 */
export function toBeTold(members: readonly Pick<User, 'role' | 'active' | 'email'>[]): string[] {
  const owners = members.filter(({ role }) => role === Role.ROLE_OWNER);
  const come = owners.filter(({ active }) => active);
  return (come.length > 0 ? come : owners.slice(-1)).map(({ email }) => email);
}
