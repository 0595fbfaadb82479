// domain-provisioning: builds everything it is made of and says where it listens. main.ts, standalone and the tests call the same function.

import { fileURLToPath } from 'node:url';
import { openDatabase } from '@maildoot/db/database';
import { keepExpiring } from '@maildoot/db/idempotency-expiry';
import { migrate } from '@maildoot/db/migrate';
import { dbMigrations } from '@maildoot/db/migrations';
import { watchDatabase } from '@maildoot/db/watch';
import { DomainServiceService } from '@maildoot/proto/maildoot/domain/v1/domain';
import { TenantEventServiceService } from '@maildoot/proto/maildoot/messaging/v1/tenant_event';
import { createRpcClient } from '@maildoot/rpc/client';
import { implement, startRpcServer } from '@maildoot/rpc/server';
import { type Clock, systemClock } from '@maildoot/runtime/clock';
import { createHealth } from '@maildoot/runtime/health';
import { createLogger, type Logger } from '@maildoot/runtime/logger';
import { createSealer } from '@maildoot/runtime/seal';
import type { Config } from './config.ts';
import { answering } from './errors.ts';
import { startCheckingDomains } from './jobs/check-domains.ts';
import { startFillingSpareKeys } from './jobs/fill-spare-keys.ts';
import { startTellingEvents } from './jobs/tell-events.ts';
import { createLookup } from './lookup.ts';
import type { Hosts } from './records.ts';
import { checkSenderDomains } from './rpc/check-sender-domains.ts';
import { createDomain } from './rpc/create-domain.ts';
import { deleteDomain } from './rpc/delete-domain.ts';
import { getDomain } from './rpc/get-domain.ts';
import { getMailHosts } from './rpc/get-mail-hosts.ts';
import { getSigningKey } from './rpc/get-signing-key.ts';
import { listDomains } from './rpc/list-domains.ts';
import { rotateDkim } from './rpc/rotate-dkim.ts';
import { verifyDomain } from './rpc/verify-domain.ts';
import { createSpareKeys } from './spare-keys.ts';
import { openStore } from './store.ts';
import { telemetry } from './telemetry.ts';
import type { Verifier } from './verify-domain.ts';

export const schema = 'domain_provisioning';
export const migrations = [fileURLToPath(new URL('../prisma/migrations', import.meta.url)), dbMigrations];

export interface Running extends AsyncDisposable {
  /** `host:port` or `unix:/path`. */
  rpcAddress: string;
}

export async function start(config: Config, parts: { clock?: Clock; logger?: Logger } = {}): Promise<Running> {
  const clock = parts.clock ?? systemClock;
  const logger = parts.logger ?? createLogger({ service: 'domain-provisioning', level: config.logLevel });
  if (config.migrateAtStart) await migrate({ url: config.databaseUrl, schema, migrations, logger });

  // Disposed of in reverse: the door first, the database last.
  await using starting = new AsyncDisposableStack();
  const { databaseUrl: url, databaseConnections: maxConnections } = config;
  const applicationName = 'domain-provisioning';
  const database = starting.use(openDatabase({ url, schema, maxConnections, applicationName, logger }));
  const health = createHealth();
  starting.use(watchDatabase({ database, url, health, applicationName, logger }));
  const store = starting.use(openStore(database));
  const sealer = createSealer(config.sealKeys);
  const spareKeys = createSpareKeys({
    store,
    sealer,
    max: config.spareDkimKeys,
    taken: () => filling.wake(),
    unusable: (error) => telemetry.spareUnusable(logger, error),
  });
  const filling = starting.use(startFillingSpareKeys({ spareKeys, clock, logger }));
  starting.use(keepExpiring({ pool: database.pool, clock, onFailure: (error) => telemetry.answersNotExpired(logger, error) }));

  const hosts = hostsOf(config);
  const messaging = starting.use(
    createRpcClient(TenantEventServiceService, {
      address: config.messagingAddress,
      self: 'domain-provisioning',
      secret: config.rpcSecret,
      defaultDeadlineMs: 5000,
    }),
  );
  const telling = starting.use(startTellingEvents({ store, messaging, clock, logger }));
  const verifier: Verifier = {
    ...{ store, lookup: createLookup(config), clock, hosts },
    schedule: { verifiedEveryMs: config.domainCheckMinutes * 60_000 },
    changed: () => telling.wake(),
  };
  const checking = starting.use(startCheckingDomains(verifier, { clock, logger }));

  const server = starting.use(
    await startRpcServer({
      listen: config.rpcListen,
      secret: config.rpcSecret,
      service: 'domain-provisioning',
      logger,
      health,
      implementations: [
        implement(DomainServiceService, {
          createDomain: {
            allow: ['gateway'],
            handle: answering(createDomain({ store, sealer, clock, spareKeys, hosts, maxDomains: config.maxDomainsPerTenant })),
          },
          listDomains: { allow: ['gateway'], handle: answering(listDomains({ store, hosts, clock })) },
          getDomain: { allow: ['gateway'], handle: answering(getDomain({ store, hosts, clock })) },
          deleteDomain: { allow: ['gateway'], handle: answering(deleteDomain({ store })) },
          rotateDkim: {
            allow: ['gateway'],
            handle: answering(rotateDkim({ store, sealer, clock, spareKeys, hosts, due: () => checking.wake() })),
          },
          verifyDomain: { allow: ['gateway'], handle: answering(verifyDomain(verifier)) },
          checkSenderDomains: { allow: ['messaging'], handle: answering(checkSenderDomains({ store })) },
          getSigningKey: { allow: ['delivery'], handle: answering(getSigningKey({ store })) },
          getMailHosts: { allow: ['delivery', 'messaging'], handle: answering(getMailHosts({ store })) },
        }),
      ],
    }),
  );
  starting.defer(async () => {
    health.state = 'draining';
  });
  health.state = 'ready';

  const running = starting.move();
  return { rpcAddress: server.address, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

function hostsOf({ mailHostname, returnPathHost, trackingHost, mxHost }: Config): Hosts {
  return {
    mailHostname,
    returnPathHost: returnPathHost ?? mailHostname,
    trackingHost: trackingHost ?? mailHostname,
    mxHost: mxHost ?? mailHostname,
  };
}
