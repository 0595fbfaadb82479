// RPC CancelRecipients: stops what no attempt holds, whether or not it has reached the queue.
import type { Database } from '@maildoot/db/database';
import { sqlState, sqlStates } from '@maildoot/db/errors';
import type { CancelRecipientsRequest, CancelRecipientsResponse } from '@maildoot/proto/maildoot/delivery/v1/delivery';
import type { RpcCall } from '@maildoot/rpc/server';
import type { Clock } from '@maildoot/runtime/clock';
import { idToUuid } from '@maildoot/runtime/ids';
import { callingTenant } from '../calling-tenant.ts';
import { errors } from '../errors.ts';
import { cancelRecipients as cancelInStore } from '../store/ledger.ts';
import type { Telemetry } from '../telemetry.ts';

// A message has at most a thousand recipients.
const maxRecipients = 1_000;

export function cancelRecipients(parts: { database: Database; clock: Clock; telemetry: Telemetry; published(): void }) {
  return async (request: CancelRecipientsRequest, call: RpcCall): Promise<CancelRecipientsResponse> => {
    const tenantId = callingTenant(call);
    const messageId = idToUuid('msg', request.messageId);
    if (messageId === undefined) throw errors.VALIDATION_ERROR({ message: 'message_id is no message’s id.' });
    const numbers = [...new Set(request.recipientNumbers)];
    if (numbers.length > maxRecipients || numbers.some((number) => number > 2 ** 31 - 1)) {
      throw errors.VALIDATION_ERROR({ message: `At most ${maxRecipients} recipients can be cancelled at once.` });
    }
    try {
      const { cancelled, tooLate } = await cancelInStore(parts.database, tenantId, messageId, numbers, parts.clock.now());
      parts.telemetry.cancelled(cancelled.length);
      parts.published();
      return { cancelled, tooLate };
    } catch (error) {
      // No ledger partition: the message is older than anything that can still be waiting.
      if (sqlState(error) === sqlStates.checkViolation) return { cancelled: [], tooLate: numbers };
      throw error;
    }
  };
}
