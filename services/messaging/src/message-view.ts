// A message as callers see it. What stands in the rows is what was decided; what follows from the time of asking is worked out here.
import { Bounce } from '@maildoot/proto/maildoot/delivery/v1/events';
import { EngagementKind } from '@maildoot/proto/maildoot/messaging/v1/engagement';
import {
  type Message,
  MessageStatus,
  type Recipient,
  type RecipientKind,
  RecipientStatus,
} from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { uuidTime, uuidToId } from '@maildoot/runtime/ids';
import { flagOf } from './engagement.ts';
import { personalClicks, personalOpens } from './personal.ts';
import type { MessageRow, RecipientView } from './store/messages.ts';

/** A message with its recipients. Delivery owns the time, so nothing writes `queued` when send_at comes: it is `queued` from then on. */
export function viewMessage(row: MessageRow, recipients: readonly RecipientView[], now: Date): Message {
  const isDue = row.sendAt === null || row.sendAt <= now;
  return {
    id: uuidToId('msg', row.id),
    status: viewStatus(row.status as MessageStatus, isDue),
    from: { email: row.fromEmail, name: row.fromName },
    recipients: recipients.map((recipient) => viewRecipient(recipient, row.sendAt, isDue)),
    replyTo: row.replyTo,
    subject: row.subject,
    tags: row.tags,
    metadata: row.metadata,
    createdAt: uuidTime(row.id),
    sendAt: row.sendAt ?? undefined,
    batchId: row.batchId === null ? '' : uuidToId('bat', row.batchId),
    sizeBytes: BigInt(row.sizeBytes),
    captured: row.captured,
    stream: row.stream,
    templateId: row.templateId === null ? '' : uuidToId('tpl', row.templateId),
    pool: row.pool,
    trackOpens: (row.personal & personalOpens) !== 0,
    trackClicks: (row.personal & personalClicks) !== 0,
  };
}

function viewStatus(status: MessageStatus, isDue: boolean): MessageStatus {
  return status === MessageStatus.MESSAGE_STATUS_SCHEDULED && isDue ? MessageStatus.MESSAGE_STATUS_QUEUED : status;
}

function viewRecipient(row: RecipientView, sendAt: Date | null, isDue: boolean): Recipient {
  const isScheduled = row.status === RecipientStatus.RECIPIENT_STATUS_SCHEDULED;
  return {
    number: row.number,
    address: { email: row.email, name: row.name },
    kind: row.kind as RecipientKind,
    status: isScheduled && isDue ? RecipientStatus.RECIPIENT_STATUS_QUEUED : (row.status as RecipientStatus),
    attempts: row.attempts,
    // When the first one is due nobody has to write down: the message says it.
    nextAttemptAt: row.nextAttemptAt ?? (isScheduled && !isDue ? (sendAt ?? undefined) : undefined),
    bounce: row.bounce === null ? undefined : Bounce.decode(row.bounce),
    opened: (row.flags & flagOf[EngagementKind.ENGAGEMENT_KIND_OPENED]) !== 0,
    clicked: (row.flags & flagOf[EngagementKind.ENGAGEMENT_KIND_CLICKED]) !== 0,
    complained: (row.flags & flagOf[EngagementKind.ENGAGEMENT_KIND_COMPLAINED]) !== 0,
    unsubscribed: (row.flags & flagOf[EngagementKind.ENGAGEMENT_KIND_UNSUBSCRIBED]) !== 0,
  };
}
