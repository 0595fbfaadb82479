// The real service on a real, fresh database, clients of it as its callers see it, and an internet of our own to look at.

import { openDatabase } from '@maildoot/db/database';
import type { Domain } from '@maildoot/proto/maildoot/domain/v1/domain';
import { DomainServiceService } from '@maildoot/proto/maildoot/domain/v1/domain';
import { createRpcClient } from '@maildoot/rpc/client';
import { newId } from '@maildoot/runtime/ids';
import { createLogger } from '@maildoot/runtime/logger';
import { TestClock } from '@maildoot/testkit/clock';
import { createTestDatabase } from '@maildoot/testkit/database';
import { startDnsServer } from '@maildoot/testkit/dns';
import { captureLogs } from '@maildoot/testkit/logs';
import type { Config } from '../src/config.ts';
import { schema, start } from '../src/service.ts';

const rpcSecret = 'a secret of at least 32 characters for tests';
export const sealKeys = [{ id: 'k1', key: Buffer.alloc(32, 1) }];

export async function startDomains(settings: Partial<Config> = {}) {
  await using starting = new AsyncDisposableStack();
  const testDatabase = starting.use(await createTestDatabase());
  const dns = starting.use(await startDnsServer());
  const logs = captureLogs();
  const clock = new TestClock(new Date('2026-11-21T12:00:00Z'));
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
    spareDkimKeys: 0,
    logLevel: 'debug',
    otelExporterOtlpEndpoint: undefined,
    metricsPort: undefined,
    ...settings,
  };
  const logger = createLogger({ service: 'domain-provisioning', level: 'debug', destination: logs.destination });
  const service = starting.use(await start(config, { clock, logger }));
  const client = (self: string) =>
    starting.use(createRpcClient(DomainServiceService, { address: service.rpcAddress, self, secret: rpcSecret, defaultDeadlineMs: 5000 }));
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

export async function createDomain({ gateway }: RunningDomains, tenantId: string, domain: string): Promise<Domain> {
  const response = await gateway.createDomain({ domain, idempotencyKey: '', requestSha256: Buffer.alloc(0) }, { tenantId });
  if (response.domain === undefined) throw new Error('no domain came back');
  return response.domain;
}

export async function verify({ gateway }: RunningDomains, tenantId: string, domain: string): Promise<Domain> {
  const response = await gateway.verifyDomain({ domain }, { tenantId });
  if (response.domain === undefined) throw new Error('no domain came back');
  return response.domain;
}

/** Publishes exactly what the answer says, or the part of it that is chosen. */
export function publish({ dns }: RunningDomains, { records }: Domain, chosen: (name: string) => boolean = () => true): void {
  for (const { name, value } of records) if (chosen(name)) dns.setRecords(name, { TXT: [value] });
}

/** A domain that is verified for the tenant. */
export async function verifiedDomain(domains: RunningDomains, tenantId: string, name = newName(domains)): Promise<Domain> {
  publish(domains, await createDomain(domains, tenantId, name));
  return verify(domains, tenantId, name);
}
