// What the services of these tests have and answer: one of each kind.
import { Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { type Domain, Domain as DomainMessage, DomainStatus, RecordPurpose } from '@maildoot/proto/maildoot/domain/v1/domain';
import {
  type AcceptMessagesRequest,
  AcceptMessagesResponse,
  type Message,
  MessageEvent,
  Message as MessageMessage,
  MessageStatus,
  RecipientKind,
  RecipientStatus,
} from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { type Template, Template as TemplateMessage } from '@maildoot/proto/maildoot/template/v1/template';
import { newId } from '@maildoot/runtime/ids';

export function acceptedAll(request: AcceptMessagesRequest): AcceptMessagesResponse {
  return AcceptMessagesResponse.fromPartial({
    batchId: request.batchId,
    results: request.messages.map(({ id }) => ({
      result: {
        $case: 'accepted' as const,
        value: { id, status: MessageStatus.MESSAGE_STATUS_QUEUED, createdAt: new Date(), estimatedSendAt: new Date() },
      },
    })),
  });
}

/** The aliases that every tenant here has. */
const aliases = ['order-confirmed', 'one', 'other'];

export function acceptedIn(templates: ReadonlyMap<string, Template>, request: AcceptMessagesRequest): AcceptMessagesResponse {
  const response = acceptedAll(request);
  for (const [index, { templateId }] of request.messages.entries()) {
    if (templateId === '' || templates.has(templateId) || aliases.includes(templateId)) continue;
    const issues = [{ path: 'template_id', code: 'unknown_template', message: 'There is no such template.' }];
    const value = { code: 'VALIDATION_ERROR', message: 'There is no such template.', issues, retryAfterMs: 0 };
    response.results[index] = { replayed: false, result: { $case: 'error', value } };
  }
  return response;
}

export function sampleTemplate(id: string): Template {
  return TemplateMessage.fromPartial({
    id,
    alias: 'order-confirmed',
    name: 'Order confirmed',
    createdAt: new Date(),
    updatedAt: new Date(),
    publishedVersion: 1,
    latestVersion: 1,
    version: {
      number: 1,
      subject: 'Order',
      html: '<p>{{ name }}</p>',
      variables: [{ name: 'name', required: true }],
      published: true,
      createdAt: new Date(),
    },
  });
}

export function sampleMessage(id: string): Message {
  return MessageMessage.fromPartial({
    id,
    status: MessageStatus.MESSAGE_STATUS_DELIVERED,
    from: { email: 'no-reply@shop.example', name: 'Shop' },
    recipients: [
      {
        number: 0,
        address: { email: 'user@example.com' },
        kind: RecipientKind.RECIPIENT_KIND_TO,
        status: RecipientStatus.RECIPIENT_STATUS_DELIVERED,
        attempts: 1,
      },
      {
        number: 1,
        address: { email: 'hidden@example.com' },
        kind: RecipientKind.RECIPIENT_KIND_BCC,
        status: RecipientStatus.RECIPIENT_STATUS_BOUNCED,
        attempts: 1,
        bounce: { type: 1, class: 1, diagnostic: 'smtp; 550 5.1.1 user unknown' },
      },
    ],
    subject: 'hello',
    tags: ['t'],
    metadata: { order: '7' },
    createdAt: new Date(),
    sizeBytes: 700n,
  });
}

export function sampleEvent(): MessageEvent {
  return MessageEvent.fromPartial({
    id: newId('evt'),
    type: 'message.delivered',
    at: new Date(),
    recipient: 'user@example.com',
    attempt: {
      attempt: 1,
      outcome: Outcome.OUTCOME_DELIVERED,
      startedAt: new Date(0),
      finishedAt: new Date(42),
      session: {
        host: 'mx.example.com',
        remoteAddress: '203.0.113.5:25',
        tlsVersion: 'TLSv1.3',
        command: 'DATA',
        replyCode: 250,
        enhancedCode: '2.0.0',
        reply: '2.0.0 OK',
      },
    },
  });
}

export function sampleDomain(domain: string): Domain {
  return DomainMessage.fromPartial({
    id: newId('dom'),
    domain,
    status: DomainStatus.DOMAIN_STATUS_PENDING,
    records: [
      {
        type: 'TXT',
        name: `_maildoot.${domain}`,
        value: 'v',
        purpose: RecordPurpose.RECORD_PURPOSE_OWNERSHIP,
        required: true,
        status: DomainStatus.DOMAIN_STATUS_PENDING,
      },
    ],
    createdAt: new Date(),
  });
}
