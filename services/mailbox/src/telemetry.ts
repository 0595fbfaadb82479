// Every counter and log line that mailbox emits. Addresses and content are never logged.

import type { Logger } from '@maildoot/runtime/logger';
import { counter } from '@maildoot/runtime/telemetry';

const received = counter('mailbox', 'reports.received', { description: 'What came to return paths, by what it was.' });
const refusedRecipients = counter('mailbox', 'mx.recipients.refused', { description: 'RCPT commands that named no return path of ours.' });
const refusedMessages = counter('mailbox', 'mx.messages.refused', { description: 'Messages that were not taken, by reason.' });

/** What a message to a return path was. */
export type Arrival = 'delivery_report' | 'feedback_report' | 'no_report' | 'other_message';

export const telemetry = {
  received(logger: Logger, arrival: Arrival, facts: { messageId: string; action?: string; code?: string }): void {
    received.add(1, { arrival });
    logger.info({ arrival, message_id: facts.messageId, action: facts.action, code: facts.code }, 'mail came to a return path');
  },
  recipientRefused(): void {
    refusedRecipients.add(1);
  },
  messageRefused(reason: 'too_large' | 'unavailable'): void {
    refusedMessages.add(1, { reason });
  },
  notKept(logger: Logger, error: unknown): void {
    logger.warn({ err: error }, 'a report could not be kept; the sender was told to come back');
  },
  serverTrouble(logger: Logger, error: unknown): void {
    logger.debug({ err: error }, 'an SMTP session at the MX door ended badly');
  },
};
