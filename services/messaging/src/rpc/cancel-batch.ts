// CancelBatch: cancels what is not yet handed over of every message of a batch, one after another; see cancel.ts. Asked again it goes on
// where it was, because cancelling what is cancelled changes nothing.
import { MessageStatus, type MessagingServiceService, RecipientStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { RpcError } from '@maildoot/rpc/errors';
import { idToUuid, uuidToId } from '@maildoot/runtime/ids';
import { type CancelParts, cancelMessage } from '../cancel.ts';
import { errors } from '../errors.ts';
import { tenantOf, unary } from './door.ts';

// Each is a call to delivery and a transaction; a thousand of them one by one would take longer than anybody waits.
const concurrency = 8;

export function cancelBatch(parts: CancelParts) {
  return unary<typeof MessagingServiceService.cancelBatch>(['gateway'], async ({ batchId }, call) => {
    const tenantId = tenantOf(call);
    const uuid = idToUuid('bat', batchId);
    const ids = uuid === undefined ? [] : await parts.messages.ofBatch(tenantId, uuid);
    if (ids.length === 0) throw errors.NOT_FOUND({ message: 'There is no such batch.' });
    const caller = { tenantId, requestId: call.requestId };
    const waiting = ids.values();
    const work = async (): Promise<void> => {
      for (const id of waiting) {
        await cancelMessage(parts, caller, id).catch((error: unknown) => {
          // Too late for this one; the others are not.
          if (!(error instanceof RpcError && error.code === 'MESSAGE_NOT_CANCELLABLE')) throw error;
        });
      }
    };
    await Promise.all(Array.from({ length: Math.min(concurrency, ids.length) }, work));
    return { messages: await stand(parts, tenantId, ids) };
  });
}

async function stand({ messages }: CancelParts, tenantId: string, ids: readonly string[]) {
  const recipients = await messages.recipientsOf(tenantId, ids);
  const statuses = await messages.statusesOf(tenantId, ids);
  return ids.map((id) => {
    const own = recipients.get(id) ?? [];
    return {
      id: uuidToId('msg', id),
      status: (statuses.get(id) ?? MessageStatus.MESSAGE_STATUS_UNSPECIFIED) as MessageStatus,
      cancelled: own.filter(({ status }) => status === RecipientStatus.RECIPIENT_STATUS_CANCELLED).length,
      recipients: own.length,
    };
  });
}
