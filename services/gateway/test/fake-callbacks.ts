// What messaging knows of callbacks, kept in memory.
import {
  Callback,
  CallbackAttempt,
  CallbackDisabledReason,
  CallbackOutcome,
  CallbackServiceService,
} from '@maildoot/proto/maildoot/messaging/v1/callback';
import { type ImplementedService, implement } from '@maildoot/rpc/server';
import { newId } from '@maildoot/runtime/ids';
import { type Answer, errors } from './fake-tenant.ts';

export const sampleSecret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

export class FakeCallbacks {
  readonly #lists = new Map<string, Map<string, Callback>>();

  listOf(tenantId: string): Map<string, Callback> {
    let list = this.#lists.get(tenantId);
    if (list === undefined) {
      list = new Map();
      this.#lists.set(tenantId, list);
    }
    return list;
  }

  /** A callback of this tenant; answers its id. */
  add(tenantId: string): string {
    const callback = sampleCallback({});
    this.listOf(tenantId).set(callback.id, callback);
    return callback.id;
  }

  implementation(answer: Answer): ImplementedService {
    const allow = ['gateway'];
    const own = (tenantId: string, id: string): Callback => {
      const callback = this.listOf(tenantId).get(id);
      if (callback === undefined) throw errors.NOT_FOUND({ message: 'There is no such callback.' });
      return callback;
    };
    return implement(CallbackServiceService, {
      createCallback: {
        allow,
        handle: (request, call) =>
          answer('createCallback', request, call, () => {
            const callback = sampleCallback(request);
            this.listOf(call.tenantId).set(callback.id, callback);
            return { callback, secret: sampleSecret, replayed: false };
          }),
      },
      listCallbacks: {
        allow,
        handle: (request, call) =>
          answer('listCallbacks', request, call, () => ({ callbacks: [...this.listOf(call.tenantId).values()], hasMore: false })),
      },
      getCallback: {
        allow,
        handle: (request, call) => answer('getCallback', request, call, () => ({ callback: own(call.tenantId, request.id) })),
      },
      updateCallback: {
        allow,
        handle: (request, call) =>
          answer('updateCallback', request, call, () => {
            const callback = own(call.tenantId, request.id);
            callback.enabled = request.enabled ?? callback.enabled;
            callback.disabledReason = callback.enabled
              ? CallbackDisabledReason.CALLBACK_DISABLED_REASON_UNSPECIFIED
              : CallbackDisabledReason.CALLBACK_DISABLED_REASON_OWNER;
            callback.events = request.events?.patterns ?? callback.events;
            return { callback };
          }),
      },
      deleteCallback: {
        allow,
        handle: (request, call) =>
          answer('deleteCallback', request, call, () => {
            this.listOf(call.tenantId).delete(own(call.tenantId, request.id).id);
            return {};
          }),
      },
      testCallback: {
        allow,
        handle: (request, call) =>
          answer('testCallback', request, call, () => {
            const { id } = own(call.tenantId, request.id);
            const [eventId, at] = [newId('evt'), new Date()];
            const event = { id: eventId, object: 'event', seq: 0, type: 'callback.test', created_at: at, timestamp: at };
            return { eventId, body: JSON.stringify({ ...event, data: { callback_id: id } }), replayed: false, createdAt: at };
          }),
      },
      rotateCallbackSecret: {
        allow,
        handle: (request, call) =>
          answer('rotateCallbackSecret', request, call, () => ({
            callback: own(call.tenantId, request.id),
            secret: sampleSecret,
            replayed: false,
          })),
      },
      listCallbackAttempts: {
        allow,
        handle: (request, call) =>
          answer('listCallbackAttempts', request, call, () => ({
            attempts: [
              CallbackAttempt.fromPartial({
                id: newId('cba'),
                callbackId: own(call.tenantId, request.id).id,
                eventId: newId('evt'),
                eventType: 'message.delivered',
                messageId: newId('msg'),
                number: 1,
                at: new Date(),
                outcome: CallbackOutcome.CALLBACK_OUTCOME_TIMED_OUT,
              }),
            ],
            hasMore: false,
          })),
      },
      replayCallback: {
        allow,
        handle: (request, call) =>
          answer('replayCallback', request, call, () => ({
            id: newId('cbr'),
            callback: own(call.tenantId, request.id),
            createdAt: new Date(),
            since: request.since,
            until: request.until ?? new Date(),
            onlyFailed: request.onlyFailed,
            replayed: false,
          })),
      },
    });
  }
}

function sampleCallback({ url, events, description }: { url?: string; events?: string[]; description?: string }): Callback {
  const at = new Date();
  return Callback.fromPartial({
    id: newId('cbk'),
    url: url ?? 'https://example.com/webhooks',
    events: events ?? [],
    description: description ?? '',
    enabled: true,
    createdAt: at,
    updatedAt: at,
  });
}
