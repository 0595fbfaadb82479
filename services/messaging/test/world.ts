// What the tests of this service stand on: the real service on a real database, called over real RPC by "gateway" and "delivery", and
// in-test implementations of the two services it calls. Delivery's part of the log is a real outbox with its sequencer.
import { createHash, randomBytes } from 'node:crypto';
import { type Database, openDatabase } from '@maildoot/db/database';
import { migrate } from '@maildoot/db/migrate';
import { outboxMigrations } from '@maildoot/events/migrations';
import { appendOutbox } from '@maildoot/events/outbox';
import { startSequencer } from '@maildoot/events/sequencer';
import { attemptRecorded } from '@maildoot/events/topics';
import { DeliveryServiceService } from '@maildoot/proto/maildoot/delivery/v1/delivery';
import { AttemptRecordedEvent, type DeepPartial } from '@maildoot/proto/maildoot/delivery/v1/events';
import { ScheduleServiceService } from '@maildoot/proto/maildoot/delivery/v1/schedule';
import { DomainServiceService } from '@maildoot/proto/maildoot/domain/v1/domain';
import { CallbackServiceService } from '@maildoot/proto/maildoot/messaging/v1/callback';
import { EngagementServiceService } from '@maildoot/proto/maildoot/messaging/v1/engagement';
import { MessageAcceptedEvent } from '@maildoot/proto/maildoot/messaging/v1/events';
import {
  type Accepted,
  AcceptMessagesRequest,
  type AcceptMessagesResponse,
  ListMessagesRequest,
  type DeepPartial as MessagePartial,
  MessagingServiceService,
  OutgoingMessage,
} from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { NoticeServiceService } from '@maildoot/proto/maildoot/messaging/v1/notice';
import { StatsServiceService } from '@maildoot/proto/maildoot/messaging/v1/stats';
import { SuppressionCheckServiceService, SuppressionServiceService } from '@maildoot/proto/maildoot/messaging/v1/suppression';
import { TenantEventServiceService } from '@maildoot/proto/maildoot/messaging/v1/tenant_event';
import { createRpcClient, type RpcClient } from '@maildoot/rpc/client';
import { RpcError, rpcErrors } from '@maildoot/rpc/errors';
import { implement, startRpcServer } from '@maildoot/rpc/server';
import type { Clock } from '@maildoot/runtime/clock';
import { loadSettings } from '@maildoot/runtime/config';
import { newId } from '@maildoot/runtime/ids';
import { createLogger } from '@maildoot/runtime/logger';
import { createTestDatabase, tablesOf } from '@maildoot/testkit/database';
import { type CapturedLogs, captureLogs } from '@maildoot/testkit/logs';
import { settings } from '../src/config.ts';
import { migrations, schema, start } from '../src/service.ts';

export type Messaging = RpcClient<typeof MessagingServiceService>;
type MessageParts = MessagePartial<OutgoingMessage>;
type RequestParts = Omit<MessagePartial<AcceptMessagesRequest>, 'messages'>;

export interface World extends AsyncDisposable {
  gateway: Messaging;
  delivery: Messaging;
  suppressions: RpcClient<typeof SuppressionServiceService>;
  /** As delivery. */
  suppressionCheck: RpcClient<typeof SuppressionCheckServiceService>;
  engagement: RpcClient<typeof EngagementServiceService>;
  stats: RpcClient<typeof StatsServiceService>;
  notices: RpcClient<typeof NoticeServiceService>;
  /** What RescheduleRecipients answers; the calls so far. */
  schedule: {
    reschedule: (numbers: number[]) => { rescheduled: number[]; tooLate: number[]; notYet: number[] };
    calls: { messageId: string; numbers: number[]; sendAt: Date | undefined }[];
  };
  callbacks: RpcClient<typeof CallbackServiceService>;
  /** As domain-provisioning calls it. */
  tenantEvents: RpcClient<typeof TenantEventServiceService>;
  /** In the service's schema. */
  database: Database;
  databaseUrl: string;
  logs: CapturedLogs;
  tenantId: string;
  /** That services share. */
  secret: string;
  /** `tenant domain`: what domain-provisioning calls verified. */
  verified: Set<string>;
  /** `tenant domain` to the tracking host that domain-provisioning calls verified. */
  trackingHosts: Map<string, string>;
  domainService: { down: boolean; questions: number };
  deliveryService: {
    down: boolean;
    /** What CancelRecipients answers; the calls so far. */
    cancel: (numbers: number[]) => number[];
    calls: { messageId: string; numbers: number[] }[];
  };
  /** Calls AcceptMessages with messages made from these parts, for the world's tenant. */
  accept(messages: MessageParts | MessageParts[], request?: RequestParts, tenantId?: string): Promise<AcceptMessagesResponse>;
  /** The same for one message that must be accepted. */
  acceptOne(message?: MessageParts, request?: RequestParts, tenantId?: string): Promise<Accepted>;
  /** Puts events into delivery's outbox, in order. */
  tellAttempts(...events: DeepPartial<AttemptRecordedEvent>[]): Promise<void>;
  /** The same with bytes that only have to be protobuf. */
  tellRaw(key: string, payload: Uint8Array): Promise<void>;
  /** What is in messaging's outbox about a message. */
  outboxOf(messageId: string): Promise<MessageAcceptedEvent[]>;
  get(id: string, tenantId?: string): ReturnType<Messaging['getMessage']>;
  timeline(id: string, tenantId?: string): ReturnType<Messaging['getTimeline']>;
  cancel(id: string, tenantId?: string): ReturnType<Messaging['cancelMessage']>;
  list(filter?: MessagePartial<ListMessagesRequest>, tenantId?: string): ReturnType<Messaging['listMessages']>;
  content(id: string, tenantId?: string): Promise<Buffer>;
}

export interface WorldOptions {
  clock?: Clock;
  capture?: boolean;
  /** The URL that the service is given, from the real one: a proxy in between. */
  serviceDatabaseUrl?: (url: string) => Promise<string>;
  env?: Record<string, string>;
}

export const secret = randomBytes(32).toString('hex');

const tables = tablesOf({ [schema]: migrations, delivery: [outboxMigrations] });

export async function createWorld(options: WorldOptions = {}): Promise<World> {
  await using making = new AsyncDisposableStack();
  const testDatabase = making.use(await createTestDatabase({ template: tables }));
  const logs = captureLogs();
  const logger = createLogger({ service: 'messaging', level: 'debug', destination: logs.destination });
  const tenantId = newId('ten');
  const trackingHosts = new Map<string, string>();
  const verified = new Set([`${tenantId} sender.example`]);

  const domainService = { down: false, questions: 0 };
  const schedule: World['schedule'] = { reschedule: (rescheduled) => ({ rescheduled, tooLate: [], notYet: [] }), calls: [] };
  const deliveryService: World['deliveryService'] = { down: false, cancel: (numbers) => numbers, calls: [] };
  const unused = () => {
    throw new Error('this test does not expect this call');
  };
  const neverCalled = { allow: [], handle: unused };
  const domainServer = making.use(
    await startRpcServer({
      listen: '127.0.0.1:0',
      secret,
      service: 'domain-provisioning',
      logger,
      implementations: [
        implement(DomainServiceService, {
          checkSenderDomains: {
            allow: ['messaging'],
            handle({ domains }, call) {
              domainService.questions++;
              if (domainService.down) throw rpcErrors.UNAVAILABLE({ message: 'down', retryAfterMs: 1000 });
              return { verified: domains.filter((domain) => verified.has(`${call.tenantId} ${domain}`)) };
            },
          },
          createDomain: neverCalled,
          listDomains: neverCalled,
          verifyDomain: neverCalled,
          getSigningKey: neverCalled,
          getDomain: neverCalled,
          deleteDomain: neverCalled,
          rotateDkim: neverCalled,
          getMailHosts: {
            allow: ['messaging', 'delivery'],
            handle({ domain }: { domain: string }, call: { tenantId: string }) {
              if (domainService.down) throw rpcErrors.UNAVAILABLE({ message: 'down', retryAfterMs: 1000 });
              return { returnPathHost: '', trackingHost: trackingHosts.get(`${call.tenantId} ${domain}`) ?? '' };
            },
          },
        }),
      ],
    }),
  );
  const deliveryServer = making.use(
    await startRpcServer({
      listen: '127.0.0.1:0',
      secret,
      service: 'delivery',
      logger,
      implementations: [
        implement(DeliveryServiceService, {
          cancelRecipients: {
            allow: ['messaging'],
            handle({ messageId, recipientNumbers }) {
              if (deliveryService.down) throw rpcErrors.UNAVAILABLE({ message: 'down', retryAfterMs: 1000 });
              deliveryService.calls.push({ messageId, numbers: recipientNumbers });
              const cancelled = deliveryService.cancel(recipientNumbers);
              return { cancelled, tooLate: recipientNumbers.filter((number) => !cancelled.includes(number)) };
            },
          },
          listCapturedMail: neverCalled,
          getCapturedMail: neverCalled,
        }),
        implement(ScheduleServiceService, {
          rescheduleRecipients: {
            allow: ['messaging'],
            handle({ messageId, recipientNumbers: numbers, sendAt }) {
              if (deliveryService.down) throw rpcErrors.UNAVAILABLE({ message: 'down', retryAfterMs: 1000 });
              schedule.calls.push({ messageId, numbers, sendAt });
              return schedule.reschedule(numbers);
            },
          },
        }),
      ],
    }),
  );

  // Delivery's own schema, with its outbox.
  await migrate({ url: testDatabase.url, schema: 'delivery', migrations: [outboxMigrations] });
  const deliveryDatabase = making.use(
    openDatabase({ url: testDatabase.url, schema: 'delivery', maxConnections: 2, applicationName: 'test' }),
  );
  const deliverySequencer = making.use(startSequencer({ database: deliveryDatabase, logger }));
  await deliverySequencer.ready;

  const config = loadSettings(settings, {
    DATABASE_URL: await (options.serviceDatabaseUrl ?? (async (url: string) => url))(testDatabase.url),
    MIGRATE_AT_START: 'true',
    RPC_SECRET: secret,
    DOMAIN_ADDRESS: domainServer.address,
    DELIVERY_ADDRESS: deliveryServer.address,
    CAPTURE: String(options.capture ?? false),
    SEAL_KEYS: `k1:${Buffer.alloc(32, 1).toString('base64')}`,
    ...options.env,
  });
  const service = making.use(await start(config, { logger, ...(options.clock && { clock: options.clock }) }));
  const database = making.use(openDatabase({ url: testDatabase.url, schema: 'messaging', maxConnections: 3, applicationName: 'test' }));
  const client = (self: string) =>
    making.use(createRpcClient(MessagingServiceService, { address: service.rpcAddress, self, secret, defaultDeadlineMs: 60_000 }));
  const gateway = client('gateway');
  const door = { address: service.rpcAddress, self: 'gateway', secret, defaultDeadlineMs: 60_000 };
  const suppressions = making.use(createRpcClient(SuppressionServiceService, door));
  const suppressionCheck = making.use(createRpcClient(SuppressionCheckServiceService, { ...door, self: 'delivery' }));
  const engagement = making.use(createRpcClient(EngagementServiceService, door));
  const stats = making.use(createRpcClient(StatsServiceService, door));
  const notices = making.use(createRpcClient(NoticeServiceService, { ...door, self: 'auth' }));
  const callbacks = making.use(createRpcClient(CallbackServiceService, door));
  const tenantEvents = making.use(createRpcClient(TenantEventServiceService, { ...door, self: 'domain-provisioning' }));
  const delivery = client('delivery');

  const accept: World['accept'] = (messages, request = {}, tenant = tenantId) =>
    gateway.acceptMessages(
      AcceptMessagesRequest.fromPartial({ linkUrl: 'https://links.example', ...request, messages: [messages].flat().map(outgoing) }),
      {
        tenantId: tenant,
        requestId: newId('req'),
      },
    );
  const running = making.move();
  return {
    gateway,
    delivery,
    suppressions,
    suppressionCheck,
    engagement,
    stats,
    notices,
    schedule,
    secret,
    callbacks,
    tenantEvents,
    database,
    databaseUrl: testDatabase.url,
    logs,
    tenantId,
    verified,
    trackingHosts,
    domainService,
    deliveryService,
    accept,
    async acceptOne(message = {}, request = {}, tenant = tenantId) {
      const { results } = await accept(message, request, tenant);
      const result = results[0]?.result;
      if (result?.$case !== 'accepted') throw new Error(`not accepted: ${JSON.stringify(result)}`);
      return result.value;
    },
    async tellAttempts(...events) {
      await deliveryDatabase.transaction((connection) =>
        appendOutbox(
          connection,
          events.map((event) => ({ topic: attemptRecorded, event: AttemptRecordedEvent.fromPartial({ tenantId, ...event }) })),
        ),
      );
      deliverySequencer.wake();
    },
    async tellRaw(key, payload) {
      const codec = { encode: () => ({ finish: () => payload }), decode: AttemptRecordedEvent.decode };
      await deliveryDatabase.transaction((connection) =>
        appendOutbox(connection, [{ topic: { ...attemptRecorded, codec, key: () => key }, event: AttemptRecordedEvent.fromPartial({}) }]),
      );
      deliverySequencer.wake();
    },
    async outboxOf(messageId) {
      const { rows } = await database.pool.query<{ payload: Buffer }>('SELECT payload FROM outbox WHERE key = $1', [messageId]);
      return rows.map((row) => MessageAcceptedEvent.decode(row.payload));
    },
    get: (id, tenant = tenantId) => gateway.getMessage({ id }, { tenantId: tenant }),
    timeline: (id, tenant = tenantId) => gateway.getTimeline({ id, attemptsAfterId: '' }, { tenantId: tenant }),
    cancel: (id, tenant = tenantId) => gateway.cancelMessage({ id }, { tenantId: tenant }),
    list: (filter = {}, tenant = tenantId) => gateway.listMessages(ListMessagesRequest.fromPartial(filter), { tenantId: tenant }),
    async content(id, tenant = tenantId) {
      const frames: Buffer[] = [];
      for await (const { data } of gateway.getContent({ id }, { tenantId: tenant })) frames.push(data);
      return Buffer.concat(frames);
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** A message that is accepted as it stands. */
export function outgoing(parts: MessageParts = {}): OutgoingMessage {
  return OutgoingMessage.fromPartial({
    id: newId('msg'),
    from: { email: 'shop@sender.example', name: 'The Shop' },
    to: [{ email: 'a@rcpt.example', name: 'A' }],
    subject: 'Your order',
    text: 'It is on its way.',
    ...parts,
  });
}

/** What the gateway sends as a request's hash. */
export function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** For assert.rejects: an RpcError of this code. */
export function rpcError(code: string): (error: unknown) => boolean {
  return (error) => {
    if (error instanceof RpcError && error.code === code) return true;
    throw new Error(
      `expected ${code}, got ${error instanceof Error ? `${'code' in error ? String(error.code) : ''} ${error.message}` : String(error)}`,
    );
  };
}

/** The error of one item of an answer. */
export function errorAt(response: AcceptMessagesResponse, index: number) {
  const result = response.results[index]?.result;
  if (result?.$case !== 'error') throw new Error(`item ${index} has no error: ${JSON.stringify(result)}`);
  return result.value;
}
