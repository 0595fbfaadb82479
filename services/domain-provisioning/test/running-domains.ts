// The real service on a real, fresh database, clients of it as its callers see it, and an internet of our own to look at.

import { openDatabase } from '@maildoot/db/database';
import type { Domain } from '@maildoot/proto/maildoot/domain/v1/domain';
import { DomainServiceService } from '@maildoot/proto/maildoot/domain/v1/domain';
import { TenantEventServiceService } from '@maildoot/proto/maildoot/messaging/v1/tenant_event';
import { createRpcClient } from '@maildoot/rpc/client';
import { defineErrors } from '@maildoot/rpc/errors';
import { implement, startRpcServer } from '@maildoot/rpc/server';
import { newId } from '@maildoot/runtime/ids';
import { createLogger } from '@maildoot/runtime/logger';
import { TestClock } from '@maildoot/testkit/clock';
import { createTestDatabase, tablesOf } from '@maildoot/testkit/database';
import { startDnsServer, type ZoneRecords } from '@maildoot/testkit/dns';
import { captureLogs } from '@maildoot/testkit/logs';
import type { Config } from '../src/config.ts';
import { migrations, schema, start } from '../src/service.ts';

const tables = tablesOf({ [schema]: migrations });

const rpcSecret = 'a secret of at least 32 characters for tests';
export const sealKeys = [{ id: 'k1', key: Buffer.alloc(32, 1) }];

const messagingErrors = defineErrors({
  UNAVAILABLE: { status: 'UNAVAILABLE', retryable: true },
  VALIDATION_ERROR: { status: 'INVALID_ARGUMENT', retryable: false },
});

/** An event as messaging was told it. */
interface ToldEvent {
  tenantId: string;
  id: string;
  type: string;
  at: Date | undefined;
  data: { domain: { id: string; domain: string; status: string; records: { name: string; status: string; problem: string }[] } };
}

export async function startDomains(settings: Partial<Config> = {}) {
  await using starting = new AsyncDisposableStack();
  const testDatabase = starting.use(await createTestDatabase({ template: tables }));
  const dns = starting.use(await startDnsServer());
  const logs = captureLogs();
  const clock = new TestClock(new Date('2026-11-21T12:00:00Z'));
  const logger = createLogger({ service: 'domain-provisioning', level: 'debug', destination: logs.destination });
  const told: ToldEvent[] = [];
  const messagingState = { down: false, lateAnswers: 0, refuses: (_domain: string): boolean => false };
  const messagingServer = starting.use(
    await startRpcServer({
      listen: '127.0.0.1:0',
      secret: rpcSecret,
      service: 'messaging',
      logger,
      implementations: [
        implement(TenantEventServiceService, {
          appendTenantEvent: {
            allow: ['domain-provisioning'],
            handle(request, call) {
              if (messagingState.down) throw messagingErrors.UNAVAILABLE({ message: 'down' });
              const data: ToldEvent['data'] = JSON.parse(Buffer.from(request.dataJson).toString());
              if (messagingState.refuses(data.domain.domain)) throw messagingErrors.VALIDATION_ERROR({ message: 'no' });
              const appended = !told.some((event) => event.id === request.id);
              if (appended) told.push({ tenantId: call.tenantId, id: request.id, type: request.type, at: request.at, data });
              // Taken, and the answer is lost.
              if (messagingState.lateAnswers-- > 0) throw messagingErrors.UNAVAILABLE({ message: 'lost' });
              return { appended };
            },
          },
        }),
      ],
    }),
  );
  const config: Config = {
    databaseUrl: testDatabase.url,
    databaseConnections: 3,
    migrateAtStart: true,
    rpcListen: '127.0.0.1:0',
    rpcSecret,
    sealKeys,
    dnsServers: [dns.address],
    allowNetworks: [],
    authoritativePort: 53,
    mailHostname: 'mail.maildoot.test',
    messagingAddress: messagingServer.address,
    returnPathHost: 'bounces.maildoot.test',
    trackingHost: undefined,
    mxHost: undefined,
    maxDomainsPerTenant: 1000,
    domainCheckMinutes: 60,
    spareDkimKeys: 0,
    logLevel: 'debug',
    otelExporterOtlpEndpoint: undefined,
    metricsPort: undefined,
    ...settings,
  };
  const service = starting.use(await start(config, { clock, logger }));
  const client = (self: string) =>
    starting.use(
      createRpcClient(DomainServiceService, { address: service.rpcAddress, self, secret: rpcSecret, defaultDeadlineMs: 60_000 }),
    );
  const opened = starting.use(openDatabase({ url: testDatabase.url, schema, maxConnections: 2, applicationName: 'test' }));
  const { pool: database } = opened;
  const running = {
    opened,
    gateway: client('gateway'),
    messaging: client('messaging'),
    delivery: client('delivery'),
    clock,
    dns,
    logs,
    database,
    told,
    messagingState,
    config,
    logger,
  };
  const parts = starting.move();
  return { ...running, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

export type RunningDomains = Awaited<ReturnType<typeof startDomains>>;

let names = 0;

/** A name that no other test of the file uses, with a zone that has nothing else in it. */
export function newName({ dns }: RunningDomains): string {
  names++;
  const name = `d${names}.example`;
  dns.setZone(name, { '@': { NS: [`ns.${name}`] } });
  return name;
}

export function newTenant(): string {
  return newId('ten');
}

/** Of a request without an idempotency key. */
export const unrepeated = { idempotencyKey: '', requestSha256: Buffer.alloc(0) };

export async function createDomain({ gateway }: RunningDomains, tenantId: string, domain: string): Promise<Domain> {
  const response = await gateway.createDomain({ domain, ...unrepeated }, { tenantId });
  if (response.domain === undefined) throw new Error('no domain came back');
  return response.domain;
}

export async function verify({ gateway }: RunningDomains, tenantId: string, domain: string): Promise<Domain> {
  const response = await gateway.verifyDomain({ domain, ...unrepeated }, { tenantId });
  if (response.domain === undefined) throw new Error('no domain came back');
  return response.domain;
}

/** Publishes exactly what the answer says, or the part of it that is chosen. */
export function publish({ dns }: RunningDomains, { records }: Domain, chosen: (name: string) => boolean = () => true): void {
  for (const [name, there] of Map.groupBy(records, (record) => record.name)) {
    if (!chosen(name)) continue;
    const zone: ZoneRecords = {};
    for (const { type, value } of there) {
      if (type === 'TXT') zone.TXT = [...(zone.TXT ?? []), value];
      else if (type === 'CNAME') zone.CNAME = value;
      else zone.MX = [{ preference: Number(value.split(' ')[0]), exchange: value.split(' ')[1] ?? '' }];
    }
    dns.setRecords(name, zone);
  }
}

/** A domain that is verified for the tenant. */
export async function verifiedDomain(domains: RunningDomains, tenantId: string, name = newName(domains)): Promise<Domain> {
  publish(domains, await createDomain(domains, tenantId, name));
  return verify(domains, tenantId, name);
}
