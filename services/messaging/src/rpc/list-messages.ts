// ListMessages: the tenant's messages, newest first. The order of ids is the order of time, so dates become bounds on the id.
import { normaliseEmail } from '@maildoot/mail/address';
import { normaliseDomain } from '@maildoot/mail/domain';
import { type ListMessagesRequest, MessageStatus, type MessagingServiceService } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import type { Clock } from '@maildoot/runtime/clock';
import { idToUuid, uuidAt, uuidToId } from '@maildoot/runtime/ids';
import { errors } from '../errors.ts';
import { viewMessage } from '../message-view.ts';
import type { MessageFilter, MessageStore } from '../store/messages.ts';
import { tenantOf, unary } from './door.ts';

const defaultLimit = 20;
const maxLimit = 100;

export function listMessages({ messages, clock }: { messages: MessageStore; clock: Clock }) {
  return unary<typeof MessagingServiceService.listMessages>(['gateway'], async (request, call) => {
    const tenantId = tenantOf(call);
    const now = clock.now();
    const list = await messages.list({
      tenantId,
      limit: Math.min(request.limit || defaultLimit, maxLimit),
      beforeId: beforeId(request),
      // Both bounds are exclusive, and ids know milliseconds.
      fromId: request.createdAfter === undefined ? undefined : uuidAt(new Date(request.createdAfter.getTime() + 1)),
      filter: filterOf(request),
      now,
    });
    const recipients = await messages.recipientsOf(
      tenantId,
      list.messages.map((message) => message.id),
    );
    return {
      messages: list.messages.map((message) => viewMessage(message, recipients.get(message.id) ?? [], now)),
      nextAfterId: list.nextBeforeId === undefined ? '' : uuidToId('msg', list.nextBeforeId),
      searchedBackTo: list.searchedBackTo,
    };
  });
}

/** Where the page starts: behind the last message of the page before, or at created_before, whichever is older. */
function beforeId(request: ListMessagesRequest): string | undefined {
  const bounds: string[] = [];
  if (request.afterId !== '') bounds.push(parsedId('msg', request.afterId, 'after_id'));
  if (request.createdBefore !== undefined) bounds.push(uuidAt(request.createdBefore));
  return bounds.sort()[0];
}

function filterOf(request: ListMessagesRequest): MessageFilter {
  return {
    status: request.status === MessageStatus.MESSAGE_STATUS_UNSPECIFIED ? undefined : request.status,
    // What is no address matches none.
    from: request.from === '' ? undefined : (normaliseEmail(request.from) ?? request.from),
    to: request.to === '' ? undefined : (normaliseEmail(request.to) ?? request.to),
    subject: request.subject || undefined,
    tag: request.tag || undefined,
    metadata: Object.keys(request.metadata).length === 0 ? undefined : request.metadata,
    domain: request.domain === '' ? undefined : (normaliseDomain(request.domain) ?? request.domain),
    batchId: request.batchId === '' ? undefined : parsedId('bat', request.batchId, 'batch_id'),
    templateId: request.templateId === '' ? undefined : parsedId('tpl', request.templateId, 'template_id'),
    stream: request.stream || undefined,
  };
}

function parsedId(prefix: 'msg' | 'bat' | 'tpl', id: string, path: string): string {
  const uuid = idToUuid(prefix, id);
  if (uuid !== undefined) return uuid;
  const issue = { path, code: 'invalid_id', message: 'This is not an id that was given out.' };
  throw errors.VALIDATION_ERROR({ message: issue.message, issues: [issue] });
}
