// Sending a message once more, as a new one: the same bytes with an id and a date of their own, and the marks of the new message. Whatever
// accepting checks is checked again: the sender may be gone, a recipient may be on the list.
import { domainOfAddress } from '@maildoot/mail/address';
import { parseHeaderBlock } from '@maildoot/mail/headers';
import { fillMarks, type LinkPurpose, linkMark } from '@maildoot/mail/tracking-token';
import {
  AcceptMessagesRequest,
  type AcceptMessagesResponse,
  OutgoingMessage,
  RecipientKind,
} from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { idToUuid, uuidTime, uuidToId } from '@maildoot/runtime/ids';
import type { AcceptCaller, Acceptor } from './accept.ts';
import { framesOf } from './content.ts';
import { errors, noSuchMessage } from './errors.ts';
import type { ContentStore } from './store/content.ts';
import type { MessageRow, MessageStore, RecipientView } from './store/messages.ts';

export interface ResendParts {
  messages: MessageStore;
  contents: ContentStore;
  acceptor: Pick<Acceptor, 'accept'>;
}

/** What the request says beside the id. */
export type ResendTerms = Pick<
  AcceptMessagesRequest,
  'idempotencyKey' | 'requestSha256' | 'allowedDomains' | 'credentialId' | 'replayOnly'
> & {
  newId: string;
  test: boolean;
};

export async function resendMessage(
  { messages, contents, acceptor }: ResendParts,
  caller: AcceptCaller,
  messageId: string,
  { newId, test, ...terms }: ResendTerms,
): Promise<AcceptMessagesResponse> {
  const uuid = idToUuid('msg', newId);
  const message = await messages.find(caller.tenantUuid, messageId);
  if (message === undefined || uuid === undefined) throw noSuchMessage();
  const recipients = (await messages.recipientsOf(caller.tenantUuid, [messageId])).get(messageId) ?? [];
  const mime = await readContent(contents, caller.tenantUuid, messageId);
  const outgoing = outgoingFrom(message, recipients, newId, test);
  const request = AcceptMessagesRequest.fromPartial({ ...terms, messages: [outgoing] });
  const { personal, templateId, fromEmail } = message;
  const frozen = { mime: resentMime(mime, { from: messageId, to: uuid, domain: domainOfAddress(fromEmail) }), personal, templateId };
  return await acceptor.accept(request, caller, frozen);
}

async function readContent(contents: ContentStore, tenantId: string, messageId: string): Promise<Buffer> {
  for await (const { chunks } of contents.read([messageId], tenantId)) {
    if (chunks === undefined) break;
    const frames: Buffer[] = [];
    for await (const { data } of framesOf(chunks)) frames.push(data);
    return Buffer.concat(frames);
  }
  throw errors.NOT_FOUND({ message: 'The content of this message is not kept any more, so it can’t be sent again.' });
}

function outgoingFrom(row: MessageRow, recipients: readonly RecipientView[], id: string, test: boolean): OutgoingMessage {
  const ofKind = (kind: RecipientKind) => recipients.filter((one) => one.kind === kind).map(({ email, name }) => ({ email, name }));
  return OutgoingMessage.fromPartial({
    id,
    from: { email: row.fromEmail, name: row.fromName },
    to: ofKind(RecipientKind.RECIPIENT_KIND_TO),
    cc: ofKind(RecipientKind.RECIPIENT_KIND_CC),
    bcc: ofKind(RecipientKind.RECIPIENT_KIND_BCC),
    replyTo: row.replyTo,
    subject: row.subject,
    // The rules want a body; the bytes are there already.
    text: '(sent before)',
    tags: row.tags,
    metadata: row.metadata,
    // For the list of those who are not written to; the header fields are in the bytes.
    ...(row.unsubscribeGroup !== null && { unsubscribe: { group: row.unsubscribeGroup, url: 'https://resent.invalid/' } }),
    pool: row.pool,
    stream: row.stream,
    test,
  });
}

/** The bytes under another id. Ids are the database's. */
function resentMime(mime: Buffer, { from, to, domain }: { from: string; to: string; domain: string }): Buffer {
  const { fields, bodyOffset } = parseHeaderBlock(mime);
  const instead: Record<string, string> = {
    'message-id': `Message-ID: <${uuidToId('msg', to)}@${domain}>`,
    date: `Date: ${uuidTime(to).toUTCString().replace('GMT', '+0000')}`,
  };
  const header = fields.map((field) => `${instead[field.name.toLowerCase()] ?? field.raw}\r\n`).join('');
  const purposes: LinkPurpose[] = ['open', 'click', 'unsubscribe'];
  const marks = new Map(purposes.map((purpose) => [linkMark(purpose, from), linkMark(purpose, to)]));
  return fillMarks(Buffer.concat([Buffer.from(`${header}\r\n`, 'latin1'), mime.subarray(bodyOffset)]), marks);
}
