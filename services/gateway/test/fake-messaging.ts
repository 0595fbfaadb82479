// What messaging knows of messages, kept in memory.
import assert from 'node:assert/strict';
import { DryRunResponse } from '@maildoot/proto/maildoot/messaging/v1/dry_run';
import {
  GetTimelineResponse,
  type Message,
  MessageStatus,
  MessagingServiceService,
  ResendMessageResponse,
} from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { type ImplementedService, implement } from '@maildoot/rpc/server';
import { newId } from '@maildoot/runtime/ids';
import { type Answer, errors, type Tenant } from './fake-tenant.ts';
import { acceptedIn, sampleEvent } from './samples.ts';

/** With the frames of each message's content. */
export function messagingService(answer: Answer, content: ReadonlyMap<string, Buffer[]>): ImplementedService {
  const allow = ['gateway'];
  const find = (tenant: Tenant, id: string): Message => {
    const message = tenant.messages.get(id);
    if (!message) throw errors.NOT_FOUND({ message: 'There is no such message.' });
    return message;
  };
  return implement(MessagingServiceService, {
    acceptMessages: {
      allow,
      handle: (request, call) => answer('acceptMessages', request, call, (tenant) => acceptedIn(tenant.templates, request)),
    },
    listMessages: {
      allow,
      handle: (request, call) =>
        answer('listMessages', request, call, (tenant) => ({
          messages: [...tenant.messages.values()],
          nextAfterId: '',
          searchedBackTo: new Date(),
        })),
    },
    getMessage: {
      allow,
      handle: (request, call) =>
        answer('getMessage', request, call, (tenant) => ({ message: find(tenant, request.id), events: [sampleEvent()] })),
    },
    getTimeline: {
      allow,
      handle: (request, call) =>
        answer('getTimeline', request, call, (tenant) => {
          const message = find(tenant, request.id);
          return GetTimelineResponse.fromPartial({
            id: message.id,
            status: message.status,
            events: [{ id: newId('evt'), type: 'message.accepted', at: new Date() }],
            recipients: message.recipients.map((recipient) => ({ recipient, events: [sampleEvent()] })),
          });
        }),
    },
    listEvents: {
      allow,
      handle: (request, call) =>
        answer('listEvents', request, call, (tenant) => {
          const [message] = tenant.messages.values();
          const seq = 1_832_000_000_000_000n;
          const known = {
            seq,
            event: sampleEvent(),
            messageId: message?.id ?? '',
            batchId: '',
            tags: ['t'],
            metadata: { order: '7' },
            recordedAt: new Date(),
            dataJson: Buffer.alloc(0),
          };
          const events = request.after < seq ? [known] : [];
          return { events, nextAfter: events.at(-1)?.seq ?? request.after, hasMore: false };
        }),
    },
    cancelMessage: {
      allow,
      handle: (request, call) =>
        answer('cancelMessage', request, call, (tenant) => ({
          message: { ...find(tenant, request.id), status: MessageStatus.MESSAGE_STATUS_CANCELLED },
        })),
    },
    getContent: {
      allow,
      handle: async function* (request, call) {
        const frames = await answer('getContent', request, call, (tenant) => content.get(find(tenant, request.id).id) ?? []);
        for (const data of frames) yield { data };
      },
    },
    cancelBatch: {
      allow,
      handle: (request, call) =>
        answer('cancelBatch', request, call, (tenant) => {
          if (request.batchId !== tenant.batchId) throw errors.NOT_FOUND({ message: 'There is no such batch.' });
          const status = MessageStatus.MESSAGE_STATUS_CANCELLED;
          return { messages: [...tenant.messages.keys()].map((id) => ({ id, status, cancelled: 1, recipients: 2 })) };
        }),
    },
    rescheduleMessage: {
      allow,
      handle: (request, call) =>
        answer('rescheduleMessage', request, call, (tenant) => ({
          message: { ...find(tenant, request.id), status: MessageStatus.MESSAGE_STATUS_SCHEDULED, sendAt: request.sendAt },
        })),
    },
    resendMessage: {
      allow,
      handle: (request, call) =>
        answer('resendMessage', request, call, (tenant) => {
          find(tenant, request.id);
          return ResendMessageResponse.fromPartial({
            accepted: {
              id: request.newId,
              status: MessageStatus.MESSAGE_STATUS_QUEUED,
              createdAt: new Date(),
              estimatedSendAt: new Date(),
            },
          });
        }),
    },
    dryRun: {
      allow,
      handle: (request, call) =>
        answer('dryRun', request, call, () =>
          DryRunResponse.fromPartial({ mime: Buffer.from('Subject: hello\r\n\r\nHello!\r\n'), sizeBytes: 26n, recipients: 1 }),
        ),
    },
    readContents: { allow: ['delivery'], handle: () => assert.fail('not for the gateway') },
  });
}
