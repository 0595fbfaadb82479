// A message that came to a return path → what it reports. The return path decides whom it is about; of a complaint that came to the common
// address, the return path that stands in the returned message does. Pure.

import { type DsnAction, readDeliveryReport } from '@maildoot/mail/delivery-report';
import { isComplaint, readFeedbackReport } from '@maildoot/mail/feedback-report';
import { parseMime } from '@maildoot/mail/mime-parts';
import { readReturnPath } from '@maildoot/mail/return-path';
import type { LinkHolder, LinkKey } from '@maildoot/mail/tracking-token';
import { ReportAction, ReportKind, ReportReceivedEvent } from '@maildoot/proto/maildoot/mailbox/v1/events';
import { uuidToId } from '@maildoot/runtime/ids';
import { bounceOf } from './report-bounce.ts';

/** Where mailbox providers may send complaints: `feedback@<return-path host>`. */
const feedbackLocalPart = 'feedback';

/** A recipient that RCPT named and that was taken. */
export type Addressee = { kind: 'return_path'; holder: LinkHolder } | { kind: 'feedback' };

/** undefined for what is not ours to take. */
export function addresseeOf(address: string, keys: readonly LinkKey[]): Addressee | undefined {
  const at = address.lastIndexOf('@');
  if (at < 0) return undefined;
  const localPart = address.slice(0, at);
  if (localPart.toLowerCase() === feedbackLocalPart) return { kind: 'feedback' };
  const holder = readReturnPath(keys, localPart);
  return holder && { kind: 'return_path', holder };
}

export interface Arrived {
  raw: Buffer;
  addressees: readonly Addressee[];
  remoteAddress: string;
  receivedAt: Date;
}

/** One event per recipient that the message reports about; none where it is no report. */
export function reportsIn({ raw, addressees, remoteAddress, receivedAt }: Arrived, keys: readonly LinkKey[]): ReportReceivedEvent[] {
  const message = parseMime(raw);
  const about = (holder: LinkHolder, fields: Partial<ReportReceivedEvent>): ReportReceivedEvent =>
    ReportReceivedEvent.fromPartial({
      messageId: uuidToId('msg', holder.messageId),
      recipientNumber: holder.recipientNumber,
      remoteAddress,
      receivedAt,
      ...fields,
    });
  const holders = addressees.flatMap((one) => (one.kind === 'return_path' ? [one.holder] : []));

  const feedback = readFeedbackReport(message);
  if (feedback !== undefined) {
    if (!isComplaint(feedback)) return [];
    // The first that is signed by us: what else stands there is what others wrote.
    const named = feedback.returnPaths.flatMap((address) => readReturnPath(keys, address.slice(0, address.lastIndexOf('@'))) ?? []);
    const concerned = holders.length > 0 ? holders : named.slice(0, 1);
    const fields = { kind: ReportKind.REPORT_KIND_FEEDBACK, feedbackType: feedback.type, userAgent: feedback.userAgent };
    return concerned.map((holder) => about(holder, fields));
  }

  const report = holders.length === 0 ? undefined : readDeliveryReport(message);
  if (report === undefined) return [];
  const fields = {
    kind: ReportKind.REPORT_KIND_DELIVERY,
    action: actions[report.action],
    bounce: report.action === 'failed' ? bounceOf(report) : undefined,
    enhancedCode: report.status ?? '',
    reportingMta: report.reportingMta,
  };
  return holders.map((holder) => about(holder, fields));
}

const actions: Record<DsnAction, ReportAction> = {
  failed: ReportAction.REPORT_ACTION_FAILED,
  delayed: ReportAction.REPORT_ACTION_DELAYED,
  delivered: ReportAction.REPORT_ACTION_DELIVERED,
  relayed: ReportAction.REPORT_ACTION_RELAYED,
  expanded: ReportAction.REPORT_ACTION_EXPANDED,
};
