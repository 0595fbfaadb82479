// The role `callbacks` with what it needs of the service: beside the rest of it in one process, or in a process of its own, which has no
// doors but the one that says how it is.
import { openDatabase } from '@maildoot/db/database';
import { migrate } from '@maildoot/db/migrate';
import { watchDatabase } from '@maildoot/db/watch';
import type { User } from '@maildoot/proto/maildoot/auth/v1/session';
import { TeamServiceService } from '@maildoot/proto/maildoot/auth/v1/team';
import { NoticeServiceService } from '@maildoot/proto/maildoot/messaging/v1/notice';
import { createRpcClient } from '@maildoot/rpc/client';
import { startRpcServer } from '@maildoot/rpc/server';
import type { Clock } from '@maildoot/runtime/clock';
import type { Health } from '@maildoot/runtime/health';
import type { Logger } from '@maildoot/runtime/logger';
import { createResolver } from '@maildoot/runtime/resolver';
import { createSealer } from '@maildoot/runtime/seal';
import type { Config } from '../config.ts';
import { errors } from '../errors.ts';
import { startIdempotencyExpiry } from '../jobs/idempotency-expiry.ts';
import { startPartitions } from '../jobs/partitions.ts';
import type { Telemetry } from '../telemetry.ts';
import { knowingLocalhost, type Outside } from './endpoint.ts';
import type { ManageParts } from './manage.ts';
import { noticeSender, type SendNotices, toBeTold } from './notices.ts';
import { type CallbackRole, startCallbackRole } from './role.ts';

const name = 'messaging';
const membersOfPage = 100;

interface ProcessParts {
  clock: Clock;
  logger: Logger;
  telemetry: Telemetry;
  health: Health;
}

export function outsideOf(config: Config): Outside {
  return { resolver: knowingLocalhost(createResolver(config.dnsServers)), allowNetworks: config.callbackAllowNetworks };
}

/** `noticeAddress`: where NoticeService is. */
export async function startCallbacks(
  config: Config,
  parts: Omit<ManageParts, keyof Outside> & { telemetry: Telemetry; noticeAddress: string | undefined; wakeFeed(): void },
): Promise<CallbackRole> {
  await using starting = new AsyncDisposableStack();
  const sendNotices = starting.use(noticesBy(config, parts.noticeAddress));
  const role = starting.use(
    await startCallbackRole({
      ...parts,
      ...outsideOf(config),
      concurrency: config.callbackConcurrency,
      sendNotices: sendNotices.send,
    }),
  );
  const running = starting.move();
  return { wake: () => role.wake(), [Symbol.asyncDispose]: () => running.disposeAsync() };
}

function noticesBy(config: Config, noticeAddress: string | undefined): AsyncDisposable & { send: SendNotices } {
  const stack = new AsyncDisposableStack();
  const { authAddress } = config;
  if (authAddress === undefined || noticeAddress === undefined) {
    const send = () =>
      Promise.reject(
        errors.UNAVAILABLE({ message: 'Notices wait: AUTH_ADDRESS, or MESSAGING_ADDRESS of a process of its own, is not set.' }),
      );
    return { send, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  }
  const peer = { self: name, secret: config.rpcSecret, defaultDeadlineMs: 5_000 };
  const team = stack.use(createRpcClient(TeamServiceService, { ...peer, address: authAddress }));
  const notices = stack.use(createRpcClient(NoticeServiceService, { ...peer, address: noticeAddress }));
  const ownersOf = async (tenantId: string) => {
    const all: User[] = [];
    for (;;) {
      const afterId = all.at(-1)?.id ?? '';
      const { members, hasMore } = await team.listMembers({ limit: membersOfPage, afterId }, { tenantId });
      all.push(...members);
      if (!hasMore) return toBeTold(all);
    }
  };
  return { send: noticeSender({ notices, ownersOf }), [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

export interface Running extends AsyncDisposable {
  rpcAddress: string;
}

/** A process that does nothing else. */
export async function startCallbacksAlone(
  config: Config,
  tables: { schema: string; migrations: string[] },
  { clock, logger, telemetry, health }: ProcessParts,
): Promise<Running> {
  await using starting = new AsyncDisposableStack();
  const { databaseUrl: url, databaseConnections: maxConnections } = config;
  const { schema } = tables;
  if (config.migrateAtStart) await migrate({ url, ...tables, logger });
  const database = starting.use(openDatabase({ url, schema, maxConnections, applicationName: `${name}-callbacks`, logger }));
  starting.use(watchDatabase({ database, url, health, applicationName: `${name}-callbacks`, logger }));
  starting.use(await startPartitions({ ...config, database, clock, logger, telemetry }));
  starting.use(startIdempotencyExpiry({ database, clock, telemetry }));
  const sealer = createSealer(config.sealKeys);
  // The processes that give places in feeds look for themselves.
  const wakeFeed = () => undefined;
  starting.use(await startCallbacks(config, { database, sealer, clock, telemetry, noticeAddress: config.messagingAddress, wakeFeed }));
  const { rpcListen: listen, rpcSecret: secret } = config;
  const server = starting.use(await startRpcServer({ listen, secret, service: name, logger, health, implementations: [] }));
  health.state = 'ready';
  const running = starting.move();
  return {
    rpcAddress: server.address,
    async [Symbol.asyncDispose]() {
      health.state = 'draining';
      await running.disposeAsync();
    },
  };
}
