// Who gets a message: To, Cc and Bcc as one list, each address once. Somebody who stands in To and in Cc gets one copy; the headers, which
// are made from the message itself, still show both.
import { type Address, type OutgoingMessage, RecipientKind } from '@maildoot/proto/maildoot/messaging/v1/messaging';

/** One envelope recipient. */
export interface EnvelopeRecipient {
  /** From 0, in the order To, Cc, Bcc. */
  number: number;
  kind: RecipientKind;
  email: string;
  name: string;
}

/** The envelope's recipients. Addresses are compared as they are: their domains are in one form, and local parts belong to their server. */
export function envelopeRecipients(message: Pick<OutgoingMessage, 'to' | 'cc' | 'bcc'>): EnvelopeRecipient[] {
  const byEmail = new Map<string, EnvelopeRecipient>();
  const add = (kind: RecipientKind, addresses: Address[]) => {
    for (const { email, name } of addresses) if (!byEmail.has(email)) byEmail.set(email, { number: byEmail.size, kind, email, name });
  };
  add(RecipientKind.RECIPIENT_KIND_TO, message.to);
  add(RecipientKind.RECIPIENT_KIND_CC, message.cc);
  add(RecipientKind.RECIPIENT_KIND_BCC, message.bcc);
  return [...byEmail.values()];
}
