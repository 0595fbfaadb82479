/**
 * The roles of the platform and the environment each gets. In one process or in many, a role is started with the same settings
 * by the same function, so that the one hides nothing of the other.
 */
import { join } from 'node:path';
import { loadSettings, type Settings } from '@maildoot/runtime/config';
import { type Config, settings } from './config.ts';
import type { Secrets } from './home.ts';

export type Role = 'auth' | 'domain-provisioning' | 'messaging' | 'delivery' | 'gateway';

/** In the order they start: a role comes after those whose answers it needs to be of use. */
export const ROLES: readonly Role[] = ['auth', 'domain-provisioning', 'messaging', 'delivery', 'gateway'];

/** Connections to PostgreSQL: at most 40 for the whole platform, the logs' listeners and the migrations included. */
const CONNECTIONS: Record<Exclude<Role, 'gateway'>, number> = { auth: 3, 'domain-provisioning': 3, messaging: 12, delivery: 10 };

export interface Surroundings {
  config: Config;
  secrets: Secrets;
  databaseUrl: string;
  /** Where the sockets are that roles reach each other by: private to this user. */
  socketDirectory: string;
}

/** The environment of a role: what a Deployment would set. */
export function environmentOf(role: Role, { config, secrets, databaseUrl, socketDirectory }: Surroundings): Record<string, string> {
  const socket = (of: Role) => `unix:${join(socketDirectory, `${of}.sock`)}`;
  const common = {
    RPC_SECRET: secrets.rpcSecret,
    LOG_LEVEL: config.logLevel,
    ...(config.otelExporterOtlpEndpoint === undefined ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT: config.otelExporterOtlpEndpoint }),
  };
  const outside = { DNS_SERVERS: config.dnsServers.join(','), ALLOW_NETWORKS: config.allowNetworks.join(',') };
  const kept = (of: Exclude<Role, 'gateway'>) => ({
    DATABASE_URL: databaseUrl,
    DATABASE_CONNECTIONS: String(CONNECTIONS[of]),
    MIGRATE_AT_START: 'true',
    RPC_LISTEN: socket(of),
  });
  switch (role) {
    case 'auth':
      return { ...common, ...kept(role), SEAL_KEYS: secrets.sealKeys };
    case 'domain-provisioning':
      return { ...common, ...kept(role), ...outside, SEAL_KEYS: secrets.sealKeys, MAIL_HOSTNAME: config.mailHostname };
    case 'messaging':
      return {
        ...common,
        ...kept(role),
        DOMAIN_ADDRESS: socket('domain-provisioning'),
        DELIVERY_ADDRESS: socket('delivery'),
        CAPTURE: String(config.delivery === 'capture'),
      };
    case 'delivery':
      return {
        ...common,
        ...kept(role),
        ...outside,
        SEAL_KEYS: secrets.sealKeys,
        MESSAGING_ADDRESS: socket('messaging'),
        DOMAIN_ADDRESS: socket('domain-provisioning'),
        DELIVERY: config.delivery,
        ...(config.smarthost === undefined ? {} : { SMARTHOST: config.smarthost }),
        MX_PORT: String(config.mxPort),
        MAIL_HOSTNAME: config.mailHostname,
        RETRY_SCHEDULE: config.retrySchedule.join(','),
      };
    case 'gateway':
      return {
        ...common,
        AUTH_ADDRESS: socket('auth'),
        DOMAIN_ADDRESS: socket('domain-provisioning'),
        MESSAGING_ADDRESS: socket('messaging'),
        DELIVERY_ADDRESS: socket('delivery'),
        HTTP_HOST: config.httpHost,
        HTTP_PORT: String(config.httpPort),
        ALLOW_PLAIN_HTTP: String(config.allowPlainHttp),
        ...(config.publicUrl === undefined ? {} : { PUBLIC_URL: config.publicUrl }),
      };
  }
}

/** The settings that reach a role from outside; everything else of the environment is ours. */
export function ownSettings(): string[] {
  return Object.values(settings).map(({ name }) => name);
}

/** A role's typed configuration. */
export function configOf<S extends Settings>(role: Role, roleSettings: S, surroundings: Surroundings): ReturnType<typeof loadSettings<S>> {
  return loadSettings(roleSettings, environmentOf(role, surroundings));
}
