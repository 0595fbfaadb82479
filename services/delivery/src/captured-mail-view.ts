// A captured mail as both RPCs of the inbox show it.
import type { CapturedMail } from '@maildoot/proto/maildoot/delivery/v1/delivery';
import { uuidToId } from '@maildoot/runtime/ids';
import type { CapturedMailView } from './store/captured-mail.ts';

export function capturedMailView(row: CapturedMailView): CapturedMail {
  return {
    id: uuidToId('cap', row.id),
    messageId: row.messageId === null ? '' : uuidToId('msg', row.messageId),
    mailFrom: row.mailFrom,
    rcptTo: row.rcptTo,
    from: row.headerFrom,
    to: row.headerTo,
    subject: row.subject,
    sizeBytes: BigInt(row.sizeBytes),
    dkim: row.dkim,
    dkimDomain: row.dkimDomain,
    tlsVersion: row.tlsVersion,
    receivedAt: row.receivedAt,
    text: row.text,
    html: row.html,
    links: row.links,
    codes: row.codes,
  };
}
