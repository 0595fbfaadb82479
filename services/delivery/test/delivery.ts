// The house around delivery for its tests: a real database, a DNS server, SMTP receivers, and messaging and domain-provisioning played by
// this process over real RPC. Messages come through messaging's outbox like real ones, outcomes are read from delivery's topic.
import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Database, openDatabase } from '@maildoot/db/database';
import { migrate } from '@maildoot/db/migrate';
import { outboxMigrations } from '@maildoot/events/migrations';
import { appendOutbox } from '@maildoot/events/outbox';
import { createPostgresLog } from '@maildoot/events/postgres-log';
import { startSequencer } from '@maildoot/events/sequencer';
import { addressSuppressed, attemptRecorded, messageAccepted } from '@maildoot/events/topics';
import { StandingServiceService } from '@maildoot/proto/maildoot/auth/v1/standing';
import { DeliveryServiceService } from '@maildoot/proto/maildoot/delivery/v1/delivery';
import { type AttemptRecordedEvent, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { ScheduleServiceService } from '@maildoot/proto/maildoot/delivery/v1/schedule';
import { DomainServiceService } from '@maildoot/proto/maildoot/domain/v1/domain';
import { MessageAcceptedEvent } from '@maildoot/proto/maildoot/messaging/v1/events';
import { MessagingServiceService } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { SuppressionCheckServiceService } from '@maildoot/proto/maildoot/messaging/v1/suppression';
import { createRpcClient, type RpcClient } from '@maildoot/rpc/client';
import { rpcErrors } from '@maildoot/rpc/errors';
import { implement, type RpcCall, startRpcServer } from '@maildoot/rpc/server';
import { type Clock, systemClock } from '@maildoot/runtime/clock';
import { loadSettings } from '@maildoot/runtime/config';
import { idToUuid, newId } from '@maildoot/runtime/ids';
import { createLogger } from '@maildoot/runtime/logger';
import { createSealer } from '@maildoot/runtime/seal';
import { createTestDatabase, tablesOf } from '@maildoot/testkit/database';
import { type DnsServer, startDnsServer } from '@maildoot/testkit/dns';
import { type CapturedLogs, captureLogs } from '@maildoot/testkit/logs';
import { waitFor } from '@maildoot/testkit/wait';
import { settings } from '../src/config.ts';
import { migrations, type Running, schema, start } from '../src/service.ts';

export const rpcSecret = 'a secret of tests, thirty-two characters long';
const sealKey = Buffer.alloc(32, 9);

const tables = tablesOf({ messaging: [outboxMigrations], [schema]: migrations });

export interface AcceptOptions {
  to: string[];
  tenantId?: string;
  from?: string;
  /** Default none: unsigned. */
  signingDomain?: string;
  subject?: string;
  text?: string;
  sendAt?: Date;
  captured?: boolean;
  /** The content has marks. */
  personal?: boolean;
  traceparent?: string;
  id?: string;
}

export interface House extends AsyncDisposable {
  database: Database;
  dns: DnsServer;
  logs: CapturedLogs;
  tenantId: string;
  /** What messaging answers to ReadContents. */
  contents: Map<string, Buffer>;
  /** What messaging answers for ids that aren't there. */
  contentOf: ((id: string) => Buffer) | undefined;
  /** How many recipients were delivered to. */
  readonly delivered: number;
  /** Messaging answers UNAVAILABLE while true. */
  contentsDown: boolean;
  /** Messages whose recipients are on their tenant's list, as messaging says when it is asked; undefined: it can't be asked. */
  suppressed: Set<string> | undefined;
  /** Tenants that are suspended, as auth says when it is asked; undefined: it can't be asked. */
  suspended: Set<string> | undefined;
  /** Domains with a key; others answer DOMAIN_NOT_VERIFIED like domain-provisioning. */
  signingKeys: Map<string, { selector: string; privateKey: KeyObject }>;
  /** Return-path hosts of domains that have one. */
  returnPathHosts: Map<string, string>;
  /** How often keys and contents were asked for. */
  calls: { getSigningKey: number; readContents: number; findSuppressed: number };
  /** Everything that came out of delivery's topic. */
  events: AttemptRecordedEvent[];
  databaseUrl: string;
  /** A delivery in a process of its own, as it runs in production. */
  spawnDelivery(env?: Record<string, string>): Promise<DeliveryProcess>;
  /** Starts a delivery; several may run beside each other. */
  startDelivery(env?: Record<string, string>, options?: { clock?: Clock }): Promise<RunningDelivery>;
  /** Puts a message into messaging's outbox. Answers its id. */
  accept(options: AcceptOptions): Promise<string>;
  /** Many in one transaction. */
  acceptAll(options: readonly AcceptOptions[]): Promise<string[]>;
  /** Tells that an address came onto the tenant's list, and waits until delivery knows. */
  suppress(address: string): Promise<void>;
  /** Says so for auth: these tenants are suspended, and no others; waits until delivery goes by it. */
  suspend(...tenantIds: string[]): Promise<void>;
  /** The same event once more. */
  acceptAgain(messageId: string): Promise<void>;
  makeKey(domain: string, selector?: string): void;
  outcomes(messageId: string): string[];
  waitForOutcomes(messageId: string, count: number, timeoutMs?: number): Promise<AttemptRecordedEvent[]>;
  due(messageId: string): Promise<Record<string, unknown>[]>;
}

export interface RunningDelivery extends Running {
  rpc: RpcClient<typeof DeliveryServiceService>;
  asGateway: RpcClient<typeof DeliveryServiceService>;
  schedule: RpcClient<typeof ScheduleServiceService>;
}

export interface DeliveryProcess extends AsyncDisposable {
  pid: number;
  asGateway: RpcClient<typeof DeliveryServiceService>;
  /** Everything it wrote. */
  output(): string;
  signal(signal: NodeJS.Signals): void;
  exited: Promise<unknown>;
}

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

export async function openHouse(options: { logs?: boolean } = {}): Promise<House> {
  await using opening = new AsyncDisposableStack();
  const testDatabase = opening.use(await createTestDatabase({ template: tables }));
  const logs = captureLogs();
  const logger = createLogger({ service: 'test', level: options.logs === false ? 'warn' : 'debug', destination: logs.destination });
  await migrate({ url: testDatabase.url, schema: 'messaging', migrations: [outboxMigrations], logger });
  const messagingDatabase = opening.use(
    openDatabase({ url: testDatabase.url, schema: 'messaging', maxConnections: 3, applicationName: 'test' }),
  );
  const sequencer = opening.use(startSequencer({ database: messagingDatabase, logger }));
  await sequencer.ready;
  const database = opening.use(openDatabase({ url: testDatabase.url, schema: 'delivery', maxConnections: 4, applicationName: 'test' }));
  const dns = opening.use(await startDnsServer());
  const sealer = createSealer([{ id: 'k1', key: sealKey }]);

  const contents = new Map<string, Buffer>();
  const signingKeys: House['signingKeys'] = new Map();
  const returnPathHosts: House['returnPathHosts'] = new Map();
  const calls = { getSigningKey: 0, readContents: 0, findSuppressed: 0 };
  const sent = new Map<string, MessageAcceptedEvent>();
  const events: AttemptRecordedEvent[] = [];
  const state: {
    contentsDown: boolean;
    delivered: number;
    contentOf: ((id: string) => Buffer) | undefined;
    suppressed: Set<string> | undefined;
    suspended: Set<string> | undefined;
  } = { contentsDown: false, delivered: 0, contentOf: undefined, suppressed: new Set(), suspended: new Set() };
  const refuse = () => {
    throw rpcErrors.UNIMPLEMENTED({ message: 'not played here' });
  };
  const refused = { allow: [], handle: refuse };
  const messagingServer = opening.use(
    await startRpcServer({
      listen: '127.0.0.1:0',
      secret: rpcSecret,
      service: 'messaging',
      logger,
      implementations: [
        implement(MessagingServiceService, {
          acceptMessages: refused,
          listMessages: refused,
          getMessage: refused,
          getTimeline: refused,
          listEvents: refused,
          cancelMessage: refused,
          cancelBatch: refused,
          rescheduleMessage: refused,
          resendMessage: refused,
          dryRun: refused,
          getContent: { allow: [], handle: refuse as never },
          readContents: {
            allow: ['delivery'],
            async *handle(request) {
              calls.readContents++;
              if (state.contentsDown) throw rpcErrors.UNAVAILABLE({ message: 'down' });
              for (const id of request.ids) {
                const content = contents.get(id) ?? state.contentOf?.(id);
                if (content === undefined) yield { id, data: Buffer.alloc(0), last: true, missing: true };
                else {
                  // Two frames, so that putting them together is exercised.
                  const half = Math.floor(content.length / 2);
                  yield { id, data: content.subarray(0, half), last: false, missing: false };
                  yield { id, data: content.subarray(half), last: true, missing: false };
                }
              }
            },
          },
        }),
        implement(SuppressionCheckServiceService, {
          findSuppressed: {
            allow: ['delivery'],
            handle({ messageId, recipientNumbers }: { messageId: string; recipientNumbers: number[] }) {
              calls.findSuppressed++;
              if (state.suppressed === undefined) throw rpcErrors.UNAVAILABLE({ message: 'down' });
              return { recipientNumbers: state.suppressed.has(messageId) ? recipientNumbers : [] };
            },
          },
        }),
      ],
    }),
  );
  const authServer = opening.use(
    await startRpcServer({
      listen: '127.0.0.1:0',
      secret: rpcSecret,
      service: 'auth',
      logger,
      implementations: [
        implement(StandingServiceService, {
          listSuspendedTenants: {
            allow: ['delivery'],
            handle() {
              if (state.suspended === undefined) throw rpcErrors.UNAVAILABLE({ message: 'down' });
              return { tenantIds: [...state.suspended] };
            },
          },
        }),
      ],
    }),
  );
  const domainServer = opening.use(
    await startRpcServer({
      listen: '127.0.0.1:0',
      secret: rpcSecret,
      service: 'domain-provisioning',
      logger,
      implementations: [
        implement(DomainServiceService, {
          createDomain: refused,
          listDomains: refused,
          verifyDomain: refused,
          checkSenderDomains: refused,
          getDomain: refused,
          deleteDomain: refused,
          rotateDkim: refused,
          getMailHosts: {
            allow: ['delivery'],
            handle: ({ domain }: { domain: string }) => ({ returnPathHost: returnPathHosts.get(domain) ?? '', trackingHost: '' }),
          },
          getSigningKey: {
            allow: ['delivery'],
            handle(request: { domain: string }, call: RpcCall) {
              calls.getSigningKey++;
              const key = signingKeys.get(request.domain);
              if (key === undefined) throw rpcErrors.UNAVAILABLE({ message: 'no key' });
              const der = key.privateKey.export({ format: 'der', type: 'pkcs8' });
              const sealed = sealer.seal(der, `dkim:${call.tenantId}:${request.domain}:${key.selector}`);
              return { selector: key.selector, sealedPrivateKey: sealed };
            },
          },
        }),
      ],
    }),
  );
  const log = opening.use(createPostgresLog({ url: testDatabase.url, logger }));
  const running = new Set<Running>();
  opening.defer(async () => {
    for (const one of running) await one[Symbol.asyncDispose]();
  });
  log.subscribe(attemptRecorded, {
    group: 'test',
    maxBatch: 100,
    async handle(records) {
      for (const { event } of records) {
        if (event.outcome === Outcome.OUTCOME_DELIVERED) state.delivered++;
        // A measurement has no use for a hundred thousand of them.
        if (state.contentOf === undefined) events.push(event);
      }
    },
  });

  const tenantId = newId('ten');
  async function publish(events: readonly { event: MessageAcceptedEvent; traceparent?: string | undefined }[]): Promise<void> {
    await messagingDatabase.transaction((client) =>
      appendOutbox(
        client,
        events.map(({ event, traceparent }) => ({ topic: messageAccepted, event, ...(traceparent !== undefined && { traceparent }) })),
      ),
    );
    sequencer.wake();
  }

  function made(accepted: AcceptOptions): MessageAcceptedEvent {
    const id = accepted.id ?? newId('msg');
    const from = accepted.from ?? 'sender@shop.test';
    const mime = mimeOf(id, from, accepted);
    contents.set(id, mime);
    const event = MessageAcceptedEvent.fromPartial({
      messageId: id,
      tenantId: accepted.tenantId ?? tenantId,
      mailFrom: from,
      signingDomain: accepted.signingDomain ?? '',
      recipients: accepted.to.map((address, number) => ({ number, address })),
      acceptedAt: new Date(),
      sizeBytes: BigInt(mime.length),
      captured: accepted.captured ?? false,
      personal: accepted.personal ?? false,
    });
    event.sendAt = accepted.sendAt;
    sent.set(id, event);
    return event;
  }

  const sockets = await mkdtemp(join(tmpdir(), 'maildoot-delivery-'));
  opening.defer(() => rm(sockets, { recursive: true, force: true }));
  let spawned = 0;
  const environment = {
    DATABASE_URL: testDatabase.url,
    MIGRATE_AT_START: 'true',
    RPC_SECRET: rpcSecret,
    SEAL_KEYS: `k1:${sealKey.toString('base64')}`,
    AUTH_ADDRESS: authServer.address,
    MESSAGING_ADDRESS: messagingServer.address,
    DOMAIN_ADDRESS: domainServer.address,
    DNS_SERVERS: dns.address,
    ALLOW_NETWORKS: '127.0.0.0/8',
    MAIL_HOSTNAME: 'out.maildoot.test',
    DELIVERY: 'direct',
    LOG_LEVEL: 'debug',
  };
  const opened = opening.move();
  const house: House = {
    databaseUrl: testDatabase.url,
    database,
    dns,
    logs,
    tenantId,
    contents,
    get contentsDown() {
      return state.contentsDown;
    },
    get contentOf() {
      return state.contentOf;
    },
    set contentOf(contentOf) {
      state.contentOf = contentOf;
    },
    get suppressed() {
      return state.suppressed;
    },
    set suppressed(suppressed) {
      state.suppressed = suppressed;
    },
    get suspended() {
      return state.suspended;
    },
    set suspended(suspended) {
      state.suspended = suspended;
    },
    get delivered() {
      return state.delivered;
    },
    set contentsDown(down) {
      state.contentsDown = down;
    },
    signingKeys,
    returnPathHosts,
    calls,
    events,
    async spawnDelivery(env = {}) {
      const listen = `unix:${join(sockets, `${++spawned}.sock`)}`;
      const child = spawn(process.execPath, [main], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          PATH: process.env.PATH,
          NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
          ...environment,
          LOG_LEVEL: 'info',
          RPC_LISTEN: listen,
          ...env,
        },
      });
      const asGateway = createRpcClient(DeliveryServiceService, {
        address: listen,
        self: 'gateway',
        secret: rpcSecret,
        defaultDeadlineMs: 60_000,
      });
      return await started(child, asGateway);
    },
    async startDelivery(env = {}, options = {}) {
      const config = loadSettings(settings, { ...environment, ...env });
      const service = await start(config, { clock: options.clock ?? systemClock, logger });
      running.add(service);
      const client = (self: string) =>
        createRpcClient(DeliveryServiceService, { address: service.rpcAddress, self, secret: rpcSecret, defaultDeadlineMs: 60_000 });
      const rpc = client('messaging');
      const asGateway = client('gateway');
      const messaging = { address: service.rpcAddress, self: 'messaging', secret: rpcSecret, defaultDeadlineMs: 60_000 };
      const schedule = createRpcClient(ScheduleServiceService, messaging);
      return {
        rpcAddress: service.rpcAddress,
        rpc,
        asGateway,
        schedule,
        async [Symbol.asyncDispose]() {
          running.delete(service);
          await service[Symbol.asyncDispose]();
          await rpc[Symbol.asyncDispose]();
          await asGateway[Symbol.asyncDispose]();
          await schedule[Symbol.asyncDispose]();
        },
      };
    },
    async accept(accepted) {
      const event = made(accepted);
      await publish([{ event, traceparent: accepted.traceparent }]);
      return event.messageId;
    },
    async acceptAll(list) {
      const all = list.map((accepted) => ({ event: made(accepted), traceparent: accepted.traceparent }));
      await publish(all);
      return all.map(({ event }) => event.messageId);
    },
    async suppress(address) {
      const event = { tenantId, address, stream: 'transactional' };
      await messagingDatabase.transaction((client) => appendOutbox(client, [{ topic: addressSuppressed, event }]));
      sequencer.wake();
      await waitFor(async () => (await database.pool.query('SELECT 1 FROM suppressed WHERE address = $1', [address])).rowCount === 1, {
        what: `delivery knows of ${address}`,
      });
    },
    async suspend(...tenantIds) {
      state.suspended = new Set(tenantIds);
      await waitFor(async () => (await database.pool.query('SELECT FROM suspended_tenant')).rowCount === tenantIds.length, {
        what: 'delivery knows who is suspended',
      });
    },
    async acceptAgain(messageId) {
      const event = sent.get(messageId);
      if (event === undefined) throw new Error('unknown message');
      await publish([{ event }]);
    },
    makeKey(domain, selector = 'md1') {
      const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
      signingKeys.set(domain, { selector, privateKey });
      const p = publicKey.export({ format: 'der', type: 'spki' }).toString('base64');
      dns.setZone(domain, { [`${selector}._domainkey`]: { TXT: [`v=DKIM1; k=rsa; p=${p}`] } });
    },
    outcomes: (messageId) => events.filter((event) => event.messageId === messageId).map((event) => nameOf(event.outcome)),
    waitForOutcomes: (messageId, count, timeoutMs = 60_000) =>
      waitFor(
        () => {
          const found = events.filter((event) => event.messageId === messageId);
          return found.length >= count ? found : undefined;
        },
        { what: `${count} outcome(s) of ${messageId}`, timeoutMs },
      ),
    async due(messageId) {
      const result = await database.pool.query('SELECT * FROM due WHERE message_id = $1 ORDER BY recipient_number', [
        idToUuid('msg', messageId),
      ]);
      return result.rows;
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
  return house;
}

/** Waits until it answers. */
async function started(child: ChildProcess, asGateway: RpcClient<typeof DeliveryServiceService>): Promise<DeliveryProcess> {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
  const exited = once(child, 'exit');
  const one: DeliveryProcess = {
    pid: child.pid as number,
    asGateway,
    output: () => output,
    signal: (signal) => void child.kill(signal),
    exited,
    async [Symbol.asyncDispose]() {
      await asGateway[Symbol.asyncDispose]();
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGCONT');
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
      await exited;
      clearTimeout(timer);
    },
  };
  try {
    await waitFor(
      async () => {
        if (child.exitCode !== null) throw new Error(output);
        await asGateway.getCapturedMail({ id: newId('cap') }, { tenantId: newId('ten') }).catch((error: { code?: string }) => {
          if (error.code !== 'NOT_FOUND') throw error;
        });
        return true;
      },
      { what: 'a delivery process', timeoutMs: 60_000, intervalMs: 50 },
    );
    return one;
  } catch (error) {
    await one[Symbol.asyncDispose]();
    throw new Error(`it did not start:\n${output}`, { cause: error });
  }
}

/** An MX zone: every host is given as name → addresses, in order of preference. */
export function mxZone(dns: DnsServer, domain: string, hosts: [string, string][]): void {
  dns.setZone(domain, {
    '@': { MX: hosts.map(([name], index) => ({ preference: (index + 1) * 10, exchange: `${name}.${domain}` })) },
    ...Object.fromEntries(hosts.map(([name, address]) => [name, { A: [address] }])),
  });
}

export function nameOf(outcome: Outcome): string {
  return (Object.entries(Outcome).find(([, value]) => value === outcome)?.[0] ?? '?').slice('OUTCOME_'.length).toLowerCase();
}

function mimeOf(id: string, from: string, { to, subject, text }: AcceptOptions): Buffer {
  return Buffer.from(
    [
      `From: ${from}`,
      `To: ${to.join(', ')}`,
      `Subject: ${subject ?? 'Hello'}`,
      `Message-ID: <${id}@shop.test>`,
      `Date: Sat, 21 Nov 2026 10:00:00 +0000`,
      'MIME-Version: 1.0',
      'Content-Type: text/plain; charset=utf-8',
      '',
      text ?? 'Hello there.',
      '.a line that begins with a dot',
      '',
    ].join('\r\n'),
  );
}
