// Telling a tenant's owners that a callback of theirs was disabled: who they are is auth's to say, the mail goes the way of all notices.
import type { NoticeServiceService } from '@maildoot/proto/maildoot/messaging/v1/notice';
import type { RpcClient } from '@maildoot/rpc/client';
import { uuidToId } from '@maildoot/runtime/ids';
import type { CallbackNotice } from '../store/callback-work.ts';

/** Rejects when it should be tried again later. */
export type SendNotices = (notice: CallbackNotice) => Promise<void>;

export interface NoticeParts {
  notices: Pick<RpcClient<typeof NoticeServiceService>, 'sendNotice'>;
  /** The addresses of a tenant's owners. */
  ownersOf(tenantId: string): Promise<readonly string[]>;
}

export function noticeSender({ notices, ownersOf }: NoticeParts): SendNotices {
  return async ({ id, tenantId, subject, text }) => {
    for (const to of await ownersOf(uuidToId('ten', tenantId)))
      await notices.sendNotice({ kind: 'callback_disabled', to, subject, text, idempotencyKey: `callback_disabled ${id} ${to}` });
  };
}
