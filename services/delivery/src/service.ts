// Builds delivery from its parts and starts it. main.ts, standalone and the tests call the same function.
import { fileURLToPath } from 'node:url';
import { openDatabase } from '@maildoot/db/database';
import { GroupCommit } from '@maildoot/db/group-commit';
import { migrate } from '@maildoot/db/migrate';
import { keepPartitions } from '@maildoot/db/partitions';
import { watchDatabase } from '@maildoot/db/watch';
import { createEventLog } from '@maildoot/events/event-log';
import { outboxMigrations } from '@maildoot/events/migrations';
import { startSequencer } from '@maildoot/events/sequencer';
import { together } from '@maildoot/events/together';
import { addressSuppressed, messageAccepted, PARTITIONS } from '@maildoot/events/topics';
import { linkKeys } from '@maildoot/mail/tracking-token';
import { StandingServiceService } from '@maildoot/proto/maildoot/auth/v1/standing';
import { DeliveryServiceService } from '@maildoot/proto/maildoot/delivery/v1/delivery';
import { DestinationServiceService } from '@maildoot/proto/maildoot/delivery/v1/destination';
import { ScheduleServiceService } from '@maildoot/proto/maildoot/delivery/v1/schedule';
import { DomainServiceService } from '@maildoot/proto/maildoot/domain/v1/domain';
import { MessagingServiceService } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { SuppressionCheckServiceService } from '@maildoot/proto/maildoot/messaging/v1/suppression';
import { createRpcClient } from '@maildoot/rpc/client';
import { implement, startRpcServer } from '@maildoot/rpc/server';
import { type Clock, systemClock } from '@maildoot/runtime/clock';
import { SettingsError } from '@maildoot/runtime/config';
import { createHealth } from '@maildoot/runtime/health';
import { newUuid, uuidToId } from '@maildoot/runtime/ids';
import { createLogger, type Logger } from '@maildoot/runtime/logger';
import { createResolver } from '@maildoot/runtime/resolver';
import { createSealer } from '@maildoot/runtime/seal';
import pg from 'pg';
import { PrismaClient } from '../gen/prisma/client.ts';
import { readMail, verifyDkim } from './captured-mail.ts';
import { ClaimLoop, rowsPerClaim, share, Turns } from './claim.ts';
import type { Config } from './config.ts';
import { handleAddressSuppressed } from './consumers/address-suppressed.ts';
import { group, handleMessageAccepted } from './consumers/message-accepted.ts';
import { bySize, Contents } from './contents.ts';
import { deliver } from './deliver.ts';
import { DkimKeys } from './dkim-keys.ts';
import { answering } from './errors.ts';
import { handOut } from './hand-out.ts';
import { Holding } from './holding.ts';
import { startInbox } from './inbox.ts';
import { Incarnation } from './incarnation.ts';
import { followMode } from './jobs/follow-mode.ts';
import { startFollowingSuspensions } from './jobs/follow-suspensions.ts';
import { startReconcilingOwn } from './jobs/reconcile-own.ts';
import { startReleasingExpired } from './jobs/release-expired.ts';
import { startResolvingRoutes } from './jobs/resolve-routes.ts';
import { startTidying } from './jobs/tidy.ts';
import { Lanes } from './lanes.ts';
import { News } from './news.ts';
import { Recorder } from './recorder.ts';
import { longestWaitMs } from './retry.ts';
import { ReturnPaths } from './return-paths.ts';
import { captureDestination, destinationNow } from './route.ts';
import { Routes } from './routes.ts';
import { cancelRecipients } from './rpc/cancel-recipients.ts';
import { getCapturedMail } from './rpc/get-captured-mail.ts';
import { Arrivals, listCapturedMail } from './rpc/list-captured-mail.ts';
import { listDestinations } from './rpc/list-destinations.ts';
import { rescheduleRecipients } from './rpc/reschedule-recipients.ts';
import { Sessions } from './sessions.ts';
import { Shares } from './shares.ts';
import { startSimulator } from './simulator.ts';
import { type AttemptEnd, recordEnds } from './store/attempt.ts';
import { type CapturedMailRow, insertCapturedMails, type NewCapturedMail } from './store/captured-mail.ts';
import { backOff, endBackOff } from './store/destination.ts';
import { claim, type DueRow, earliestDue, giveBack, Rotation } from './store/due.ts';
import { heartbeat, registerIncarnation, retire } from './store/incarnation.ts';
import { saveRoutes } from './store/route.ts';
import { createTelemetry } from './telemetry.ts';
import { TlsPolicies } from './tls-policy.ts';

const name = 'delivery';
export const schema = 'delivery';
export const migrations = [fileURLToPath(new URL('../prisma/migrations', import.meta.url)), outboxMigrations];

// Statements are prepared while the tables may still be empty; the plan must fit full ones.
const planSettings = ['enable_seqscan=off', 'enable_hashjoin=off', 'enable_mergejoin=off', 'plan_cache_mode=force_generic_plan', 'jit=off'];

// Rows held in all lanes together: what memory and the reconciliation are for, beside the limits of each lane.
const maxHeld = 1_000;
const contentCacheBytes = 128 << 20;
const contentKeptBytes = 8 << 20;
// A quarter of the cache is for those below it, a hundred sessions' worth and more.
const largeContentBytes = 256 << 10;
const idleSessionMs = 5_000;
const reserveTimeoutMs = 60_000;
// Below the 25 s that runMain gives a service to stop: the doors, the sessions, the records and what is given back share one deadline, and
// each may spend what the ones before it left.
const drainMs = 4_000;
const finishSessionsByMs = 14_000;
const recordByMs = 17_000;
const giveBackByMs = 19_000;
// What a deferred record is worth: its recipient's address, the server's words, some ids.
const endBytes = 1_024;
// The ledger outlives the longest schedule (30 days ahead), the longest retry and the log's retention.
const ledgerDays = 45;
const attemptDays = 7;
const capturedMailDays = 7;
// The log keeps a week, so an event may be that old when it comes for the first time.
const logDays = 8;

export interface Running extends AsyncDisposable {
  /** `host:port` or `unix:/path`. */
  rpcAddress: string;
}

export async function start(config: Config, given: { clock?: Clock; logger?: Logger } = {}): Promise<Running> {
  if (config.delivery === 'smarthost' && config.smarthost === undefined) {
    throw new SettingsError([{ name: 'SMARTHOST', message: 'must be set where DELIVERY is smarthost' }]);
  }
  const clock = given.clock ?? systemClock;
  const logger = given.logger ?? createLogger({ service: name, level: config.logLevel });
  const telemetry = createTelemetry(logger);
  const health = createHealth();
  // Disposed of in the opposite order of starting, also when starting fails half way.
  await using starting = new AsyncDisposableStack();

  // ── database ──
  const { databaseUrl: url } = config;
  if (config.migrateAtStart) await migrate({ url, schema, migrations, logger });
  const database = starting.use(
    openDatabase({ url: planned(url), schema, maxConnections: config.databaseConnections, applicationName: name, logger }),
  );
  starting.use(watchDatabase({ database, url, health, applicationName: name, logger }));
  const prisma = new PrismaClient({ adapter: database.prismaAdapter() });
  starting.defer(() => prisma.$disconnect());
  // Partitions follow the database's days and not a test's clock: rows are kept by when they are written.
  starting.use(
    await keepPartitions({
      pool: database.pool,
      clock: systemClock,
      logger,
      tables: [
        { table: 'ledger', by: 'uuidv7', backDays: logDays, retentionDays: ledgerDays, mayDrop: everyRowIsFinal },
        { table: 'attempt', by: 'timestamp', retentionDays: attemptDays },
        { table: 'captured_mail', by: 'uuidv7', retentionDays: capturedMailDays },
      ],
      onFailure: (error) => telemetry.failed('partitions', error),
    }),
  );
  await followMode(database, config.delivery);
  const sequencer = starting.use(startSequencer({ database, logger, kafkaBrokers: config.kafkaBrokers }));
  await sequencer.ready;

  // ── peers ──
  const peer = { self: name, secret: config.rpcSecret };
  const messaging = starting.use(
    createRpcClient(MessagingServiceService, { ...peer, address: config.messagingAddress, defaultDeadlineMs: 60_000 }),
  );
  const standing = starting.use(
    createRpcClient(StandingServiceService, { ...peer, address: config.authAddress, defaultDeadlineMs: 2_000 }),
  );
  const lists = starting.use(
    createRpcClient(SuppressionCheckServiceService, { ...peer, address: config.messagingAddress, defaultDeadlineMs: 5_000 }),
  );
  const domains = starting.use(createRpcClient(DomainServiceService, { ...peer, address: config.domainAddress, defaultDeadlineMs: 5_000 }));
  const resolver = createResolver(config.dnsServers);
  const keys = new DkimKeys({ domains, sealer: createSealer(config.sealKeys), clock });
  const linkKey = linkKeys(config.linkKeys, config.rpcSecret)[0];
  const returnPaths = new ReturnPaths({
    domains,
    key: linkKey,
    host: config.returnPathHost,
    simulatorDomain: config.simulatorDomain,
    clock,
    onFailure: failing('return-path'),
  });
  const reading = { messaging, keepBytes: contentKeptBytes / 2, retryDelaysMs: [100, 300, 1_000, 3_000] };
  const contents = bySize(
    new Contents({ ...reading, capBytes: contentCacheBytes / 4 }),
    new Contents({ ...reading, capBytes: (contentCacheBytes * 3) / 4 }),
    largeContentBytes,
  );
  const routes = new Routes({ resolver, clock, save: async (route) => await saveRoutes(database, [route]).catch(failing('save-route')) });

  // ── the inbox ──
  const arrivals = new Arrivals();
  const captures = starting.use(
    new GroupCommit<CapturedMailRow, undefined>({
      maxItems: 50,
      sizeOf: (mail) => mail.raw.length,
      async commit(mails) {
        await insertCapturedMails(database, mails);
        return mails.map(() => undefined);
      },
    }),
  );
  const inbox = starting.use(
    await startInbox({
      async store(mail: NewCapturedMail) {
        const [read, dkim] = await Promise.all([readMail(mail.raw), verifyDkim(mail.raw, resolver)]);
        await captures.submit({ ...mail, ...read, dkim: dkim.result, dkimDomain: dkim.domain, receivedAt: new Date() });
        telemetry.captured();
        arrivals.announce(mail.tenantId);
        news.captured(mail.tenantId);
      },
      onFailure: failing('capture'),
    }),
  );

  // ── the simulator ──
  const simulator = starting.use(
    await startSimulator({
      domain: config.simulatorDomain,
      reportsTo: config.simulatorReportsTo,
      now: () => clock.now(),
      onFailure: failing('simulate-report'),
    }),
  );

  // ── who may send, and what is held ──
  const stopping = new AbortController();
  const shares = new Shares();
  const news = new News({
    database,
    logger,
    self: newUuid(),
    hasPeers: () => shares.peers > 0,
    listener: {
      due() {
        claims.wake();
        resolving.wake();
      },
      captured: (tenantId) => (tenantId === undefined ? arrivals.announceAll() : arrivals.announce(tenantId)),
      peers: () => incarnation.hurry(),
    },
  });
  // The built-in inbox is this process's own: nobody shares it.
  const sessionsFor = (destination: string): number =>
    destination === captureDestination ? config.maxSessionsPerDestination : shares.of(destination, config.maxSessionsPerDestination);
  const incarnation = new Incarnation({
    heartbeats: { register: (id) => registerIncarnation(database, id), beat: (id, said) => heartbeat(database, id, said) },
    shares,
    over: () => sessionsOver(sessions.openByDestination, (destination) => shares.whole(destination, config.maxSessionsPerDestination)),
    sharesChanged() {
      sessions.limitsChanged();
      lanes.limitsChanged();
    },
    tellPeers: () => news.peers(),
    logger,
    newUuid,
    underWay: () => recorder.unrecorded,
  });
  const holding = new Holding({
    giveBack: (held) => giveBack(database, held),
    givenBack: claimable,
    onFailure: failing('give-back'),
  });
  const recorder = new Recorder<AttemptEnd>({
    record: (ends) => recordEnds(database, ends),
    sizeOf: (end) => endBytes + (end.event.session?.reply.length ?? 0) + (end.event.bounce?.diagnostic.length ?? 0),
    onRecorded(end, recorded) {
      holding.done(end);
      telemetry.recorded(end.event, recorded);
      sequencer.wake();
    },
    onFailure: (error, waiting) => telemetry.failed('record', error, { waiting }),
  });
  starting.use(telemetry.watch({ unrecorded: () => recorder.unrecorded, held: () => holding.size }));

  // ── sending ──
  const limits = { maxSessions: config.maxSessions, sessionsFor };
  const sessions = new Sessions({ ...limits, messagesPerSession: config.messagesPerSession, idleMs: idleSessionMs });
  const lanes = new Lanes({ ...limits, onRoom: () => claims.wake() });
  const reachability = new Reachability(() => clock.now().getTime());
  const deliverParts = {
    config,
    clock,
    resolver,
    keys,
    linkKey,
    returnPaths,
    routes,
    tlsPolicies: new TlsPolicies(() => clock.now().getTime()),
    sessions,
    inbox,
    simulator,
    telemetry,
    stopping: stopping.signal,
    mayStart: (row: DueRow) => incarnation.mayStart(row.incarnation) && !holding.isWithdrawn(row),
    reserve: (count: number) => recorder.reserve(count, reserveTimeoutMs),
    releaseReserved: (count: number) => recorder.release(count),
    record: (end: AttemptEnd, reserved: boolean) => recorder.submit(end, reserved),
    async isSuppressed({ messageId, recipientNumber, tenantId }: DueRow) {
      const asked = { messageId: uuidToId('msg', messageId), recipientNumbers: [recipientNumber] };
      return (await lists.findSuppressed(asked, { tenantId: uuidToId('ten', tenantId) })).recipientNumbers.length > 0;
    },
    giveBack: (rows: Parameters<Holding['giveBack']>[0]) => holding.giveBack(rows),
    unreachable(destination: string) {
      if (reachability.failed(destination)) void backOff(database, destination, clock.now()).catch(failing('back-off'));
    },
    reached(destination: string) {
      if (reachability.reached(destination)) void endBackOff(database, destination).catch(failing('back-off'));
    },
  };
  // Questions about return paths, with claimed rows behind them. They are over soon.
  const asked = new Set<Promise<unknown> | undefined>();
  const turns = new Turns();
  const rotation = new Rotation();
  const claims = new ClaimLoop({
    clock,
    async claim() {
      const id = incarnation.current;
      const free = maxHeld - holding.size;
      if (id === undefined || free <= 0) return [];
      const holdings = {
        of: (tenantId: string) => holding.of(tenantId),
        at: (to: string, tenantId: string) => holding.at(to, tenantId),
        free,
      };
      const rows = await claim(database, {
        incarnation: id,
        now: clock.now(),
        full: lanes.full(),
        rotation,
        share: (pairs) => share(pairs, rowsPerClaim, (destination) => lanes.room(destination), holdings, turns),
      });
      turns.served(rows);
      return rows;
    },
    earliest: () => earliestDue(database, lanes.full(), clock.now()),
    handOut(rows) {
      holding.add(rows);
      telemetry.claimed(rows);
      const go = () => {
        asked.delete(asking);
        handOut(rows, {
          ...{ mode: config.delivery, contents, lanes, routes, returnPaths },
          deliver: (delivery) => deliver(delivery, deliverParts),
          giveBack: (given) => holding.giveBack(given),
        });
      };
      const asking = returnPaths.load(rows.map((row) => ({ ...row, destination: destinationNow(config.delivery, row, undefined) })));
      if (asking === undefined) return go();
      asked.add(asking);
      void asking.then(go);
    },
    onFailure: failing('claim'),
  });

  // ── start ──
  await incarnation.beat();
  const beating = new AbortController();
  const heartbeats = incarnation.run(beating.signal);
  starting.defer(async () => {
    beating.abort();
    await heartbeats;
    if (incarnation.id !== undefined) await retire(database, incarnation.id).catch(failing('retire'));
    // Others may have its share from now on.
    await news.goodbye();
  });
  starting.use(
    startReleasingExpired({
      database,
      clock,
      telemetry,
      incarnation: () => incarnation.id,
      mayJudge: () => incarnation.mayJudge,
      released: wakeAll,
    }),
  );
  starting.use(
    startReconcilingOwn({
      database,
      telemetry,
      incarnation: () => incarnation.id,
      isHeld: (held) => holding.has(held),
      betweenClaims: (work) => claims.between(work),
      givenBack: claimable,
    }),
  );
  const resolving = starting.use(startResolvingRoutes({ database, clock, routes, telemetry, moved: claimable }));
  starting.use(startTidying({ database, clock, telemetry, capturedMailLimit: config.capturedMailLimit }));
  starting.use(
    await startFollowingSuspensions({
      database,
      clock,
      telemetry,
      suspended: async () => (await standing.listSuspendedTenants({})).tenantIds,
      released: claimable,
      withdraw: (tenantIds) => holding.withdraw(tenantIds),
      betweenClaims: (work) => claims.between(work),
      longestWaitMs: longestWaitMs(config.retrySchedule),
      ended: () => sequencer.wake(),
    }),
  );
  starting.use(news);
  news.start();
  claims.start();
  let stopsSinceMs: number | undefined;
  const leftUntil = (ms: number): number => {
    stopsSinceMs ??= performance.now();
    return Math.max(100, stopsSinceMs + ms - performance.now());
  };
  // What is past the final dot is waited for; everything before it is given back at once.
  starting.defer(async () => {
    await claims.stop();
    await Promise.all(asked);
    stopping.abort();
    await within(lanes.stop(), leftUntil(finishSessionsByMs));
    sessions.close();
    await recorder.flush(leftUntil(recordByMs));
    await holding.flush(leftUntil(giveBackByMs));
    await within(recorder[Symbol.asyncDispose](), leftUntil(giveBackByMs));
    sequencer.wake();
  });

  // ── doors ──
  const log = starting.use(createEventLog({ url, kafkaBrokers: config.kafkaBrokers, logger, clientId: name }));
  const handle = handleMessageAccepted({ database, clock, mode: config.delivery, telemetry, enqueued: wakeAll });
  log.subscribe(messageAccepted, { group, handle: together(handle, 200), maxBatch: 200, concurrency: PARTITIONS });
  log.subscribe(addressSuppressed, {
    group,
    handle: together(handleAddressSuppressed({ database }), 200),
    maxBatch: 200,
    concurrency: PARTITIONS,
  });
  const server = starting.use(
    await startRpcServer({
      listen: config.rpcListen,
      secret: config.rpcSecret,
      service: name,
      logger,
      health,
      drainTimeoutMs: drainMs,
      implementations: [
        implement(DeliveryServiceService, {
          cancelRecipients: {
            allow: ['messaging'],
            handle: answering(cancelRecipients({ database, clock, telemetry, published: () => sequencer.wake() })),
          },
          listCapturedMail: { allow: ['gateway'], handle: answering(listCapturedMail({ database, arrivals })) },
          getCapturedMail: { allow: ['gateway'], handle: answering(getCapturedMail({ prisma })) },
        }),
        implement(DestinationServiceService, {
          listDestinations: { allow: ['operator', 'standalone'], handle: answering(listDestinations({ database, clock })) },
        }),
        implement(ScheduleServiceService, {
          rescheduleRecipients: { allow: ['messaging'], handle: answering(rescheduleRecipients({ database, enqueued: wakeAll })) },
        }),
      ],
    }),
  );
  health.state = 'ready';

  const running = starting.move();
  return {
    rpcAddress: server.address,
    async [Symbol.asyncDispose]() {
      health.state = 'draining';
      stopsSinceMs = performance.now();
      arrivals.close();
      // Beside the doors: nothing is claimed any more while calls and events in progress come to their end.
      await Promise.all([claims.stop(), running.disposeAsync()]);
    },
  };

  function wakeAll(): void {
    claimable();
    resolving.wake();
    sequencer.wake();
  }

  function claimable(): void {
    claims.wake();
    news.due();
  }

  function failing(doing: string): (error: unknown) => void {
    return (error) => telemetry.failed(doing, error);
  }
}

function planned(url: string): string {
  const parsed = new URL(url);
  parsed.searchParams.set(
    'options',
    [parsed.searchParams.get('options') ?? '', ...planSettings.map((one) => `-c ${one}`)].join(' ').trim(),
  );
  return parsed.href;
}

/** A ledger partition must stay while a recipient of its messages is still in the queue. */
async function everyRowIsFinal(client: pg.PoolClient, partition: string): Promise<boolean> {
  const result = await client.query(
    `SELECT 1 FROM due JOIN ${pg.escapeIdentifier(partition)} USING (message_id, recipient_number) LIMIT 1`,
  );
  return result.rowCount === 0;
}

/** Where more sessions are open than this process's share; the built-in inbox has no shares. */
function sessionsOver(open: ReadonlyMap<string, number>, shareOf: (destination: string) => number): Record<string, number> {
  const over: Record<string, number> = {};
  for (const [destination, count] of open) {
    const excess = destination === captureDestination ? 0 : count - shareOf(destination);
    if (excess > 0) over[destination] = excess;
  }
  return over;
}

// An operator runs many hosts: one customer's that is down must not make all of its mail wait. So it backs off only when nothing of it was
// reached lately.
const reachedLatelyMs = 60_000;

class Reachability {
  readonly #nowMs: () => number;
  readonly #reachedAtMs = new Map<string, number>();
  readonly #backingOff = new Set<string>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** True: the destination should back off. */
  failed(destination: string): boolean {
    const reachedAtMs = this.#reachedAtMs.get(destination);
    if (reachedAtMs !== undefined && this.#nowMs() - reachedAtMs < reachedLatelyMs) return false;
    if (this.#backingOff.size > 10_000) this.#backingOff.clear();
    this.#backingOff.add(destination);
    return true;
  }

  /** True: it had been backing off. */
  reached(destination: string): boolean {
    if (this.#reachedAtMs.size > 10_000) this.#reachedAtMs.clear();
    this.#reachedAtMs.set(destination, this.#nowMs());
    return this.#backingOff.delete(destination);
  }
}

async function within(work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    work,
    new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    }),
  ]);
  clearTimeout(timer);
}
