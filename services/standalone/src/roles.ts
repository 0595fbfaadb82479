/**
 * The roles of the platform and the environment each gets. In one process or in many, a role is started with the same settings
 * by the same function, so that the one hides nothing of the other.
 */
import { join } from 'node:path';
import { loadSettings, type Settings, splitHostPort } from '@maildoot/runtime/config';
import { type Config, settings } from './config.ts';
import type { Secrets } from './home.ts';

export type Role = 'auth' | 'domain-provisioning' | 'template' | 'messaging' | 'callbacks' | 'mailbox' | 'delivery' | 'gateway' | 'smtp';

/** In the order they start: a role comes after those whose answers it needs to be of use. */
export const ROLES: readonly Role[] = [
  'auth',
  'domain-provisioning',
  'template',
  'messaging',
  'callbacks',
  'mailbox',
  'delivery',
  'gateway',
  'smtp',
];

/** The doors of the gateway: nobody of us calls them, and how they are is asked over HTTP. */
export type Door = 'gateway' | 'smtp';
const DOORS: readonly Role[] = ['gateway', 'smtp'] satisfies Door[];

export function isDoor(role: Role): role is Door {
  return DOORS.includes(role);
}

/** The service whose program has the role. */
export function serviceOf(role: Role): Exclude<Role, 'callbacks' | 'smtp'> {
  if (role === 'callbacks') return 'messaging';
  return role === 'smtp' ? 'gateway' : role;
}

/** The roles that others call, and that of messaging which says how it is to whoever asks. */
export type Peer = Exclude<Role, Door>;
export const PEERS: readonly Peer[] = ['auth', 'domain-provisioning', 'template', 'messaging', 'callbacks', 'mailbox', 'delivery'];

/**
 * Connections to PostgreSQL, per process: with one of each at most 40, the logs' listeners and the migrations included; a cluster has two
 * of each, and for a moment those of a process that was killed beside those of the one in its place.
 */
const CONNECTIONS: Record<Peer, number> = {
  auth: 3,
  'domain-provisioning': 3,
  template: 3,
  messaging: 12,
  callbacks: 5,
  mailbox: 2,
  delivery: 10,
};
/** What PostgreSQL has to allow. */
export const MAX_CONNECTIONS = { alone: 60, cluster: 150 };

export interface Surroundings {
  config: Config;
  secrets: Secrets;
  databaseUrl: string;
  /** Unset: events go through PostgreSQL. */
  kafkaBrokers: readonly string[] | undefined;
  /** Where each is called: one address, or a list. */
  addresses: Record<Peer, string>;
  /** Where a process listens that is one of several of its role; otherwise where it is called. */
  rpcListen?: string;
  migrateAtStart: boolean;
  /** Where the MX door listens where that isn't said by the settings: a port of its own in a cluster. Unset: a socket beside the others. */
  mxListen?: string;
  /** Where a process that has only the SMTP doors says how it is, `host:port`; a free port of the loopback otherwise. */
  smtpHealth?: string;
}

/** Sockets in a directory that is private to this user: no port to collide, nothing for other users to connect to. */
export function socketsIn(directory: string): Record<Peer, string> {
  return Object.fromEntries(PEERS.map((peer) => [peer, `unix:${join(directory, `${peer}.sock`)}`])) as Record<Peer, string>;
}

/** The environment of a role: what a Deployment would set. */
export function environmentOf(role: Role, surroundings: Surroundings): Record<string, string> {
  const { config, secrets, databaseUrl, kafkaBrokers, addresses, rpcListen, migrateAtStart } = surroundings;
  const common = {
    RPC_SECRET: secrets.rpcSecret,
    LOG_LEVEL: config.logLevel,
    ...(config.otelExporterOtlpEndpoint === undefined ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT: config.otelExporterOtlpEndpoint }),
  };
  const outside = { DNS_SERVERS: config.dnsServers.join(','), ALLOW_NETWORKS: config.allowNetworks.join(',') };
  const kept = (of: Peer) => ({
    DATABASE_URL: databaseUrl,
    DATABASE_CONNECTIONS: String(CONNECTIONS[of]),
    MIGRATE_AT_START: String(migrateAtStart),
    RPC_LISTEN: rpcListen ?? addresses[of],
  });
  const events = kafkaBrokers === undefined ? {} : { KAFKA_BROKERS: kafkaBrokers.join(',') };
  const returnPath = config.returnPathHost === undefined ? {} : { RETURN_PATH_HOST: config.returnPathHost };
  switch (role) {
    case 'auth':
      return { ...common, ...kept(role), SEAL_KEYS: secrets.sealKeys, MESSAGING_ADDRESS: addresses.messaging };
    case 'domain-provisioning':
      return {
        ...common,
        ...kept(role),
        ...outside,
        ...returnPath,
        SEAL_KEYS: secrets.sealKeys,
        MESSAGING_ADDRESS: addresses.messaging,
        MAIL_HOSTNAME: config.mailHostname,
        ...(config.trackingHost === undefined ? {} : { TRACKING_HOST: config.trackingHost }),
        ...(config.mxHost === undefined ? {} : { MX_HOST: config.mxHost }),
        DOMAIN_CHECK_MINUTES: String(config.domainCheckMinutes),
        MAX_DOMAINS_PER_TENANT: String(config.maxDomainsPerTenant),
      };
    case 'mailbox':
      return { ...common, ...kept(role), ...events, MAIL_HOSTNAME: config.mailHostname, MX_LISTEN: mxListen(surroundings) };
    case 'template':
      return { ...common, ...kept(role) };
    case 'messaging':
    case 'callbacks':
      return {
        ...common,
        ...kept(role),
        ...events,
        MESSAGING_ROLE: role === 'messaging' ? 'api' : 'callbacks',
        AUTH_ADDRESS: addresses.auth,
        MESSAGING_ADDRESS: addresses.messaging,
        SEAL_KEYS: secrets.sealKeys,
        DNS_SERVERS: config.dnsServers.join(','),
        CALLBACK_ALLOW_NETWORKS: config.callbackAllowNetworks.join(','),
        DOMAIN_ADDRESS: addresses['domain-provisioning'],
        DELIVERY_ADDRESS: addresses.delivery,
        TEMPLATE_ADDRESS: addresses.template,
        CAPTURE: String(config.delivery === 'capture'),
        ...(config.publicUrl === undefined ? {} : { PUBLIC_URL: config.publicUrl }),
        ...(config.noticeFrom === undefined ? {} : { NOTICE_FROM: config.noticeFrom }),
        ...(config.tenantPace === undefined ? {} : { TENANT_PACE: String(config.tenantPace) }),
        TENANT_BACKLOG: String(config.tenantBacklog),
        MESSAGE_RETENTION_DAYS: String(config.messageRetentionDays),
        CONTENT_RETENTION_DAYS: String(config.contentRetentionDays),
        STATS_RETENTION_DAYS: String(config.statsRetentionDays),
      };
    case 'delivery':
      return {
        ...common,
        ...kept(role),
        ...events,
        ...outside,
        ...returnPath,
        SIMULATOR_DOMAIN: config.simulatorDomain,
        SIMULATOR_REPORTS_TO: mxReach(surroundings),
        SEAL_KEYS: secrets.sealKeys,
        AUTH_ADDRESS: addresses.auth,
        MESSAGING_ADDRESS: addresses.messaging,
        DOMAIN_ADDRESS: addresses['domain-provisioning'],
        DELIVERY: config.delivery,
        ...(config.smarthost === undefined ? {} : { SMARTHOST: config.smarthost }),
        MX_PORT: String(config.mxPort),
        MAIL_HOSTNAME: config.mailHostname,
        RETRY_SCHEDULE: config.retrySchedule.join(','),
      };
    case 'gateway':
    case 'smtp':
      return {
        ...common,
        GATEWAY_ROLE: role === 'gateway' ? 'http' : 'smtp',
        AUTH_ADDRESS: addresses.auth,
        DOMAIN_ADDRESS: addresses['domain-provisioning'],
        MESSAGING_ADDRESS: addresses.messaging,
        DELIVERY_ADDRESS: addresses.delivery,
        TEMPLATE_ADDRESS: addresses.template,
        SMTP_LISTEN: config.smtpListen,
        SMTPS_LISTEN: config.smtpsListen,
        SMTP_HOSTNAME: config.smtpHostname,
        ...(config.smtpTlsCert === undefined ? {} : { SMTP_TLS_CERT: config.smtpTlsCert }),
        ...(config.smtpTlsKey === undefined ? {} : { SMTP_TLS_KEY: config.smtpTlsKey }),
        ...httpOf(role, surroundings),
        ALLOW_PLAIN_HTTP: String(config.allowPlainHttp),
        ...(config.corsOrigins.length === 0 ? {} : { CORS_ORIGINS: config.corsOrigins.join(',') }),
      };
  }
}

/** The API, or the place where a process without one says how it is. Links in mail lead to the API all the same. */
function httpOf(role: Door, { config, smtpHealth = '127.0.0.1:0' }: Surroundings): Record<string, string> {
  const { httpHost, httpPort, publicUrl } = config;
  const { host, port } = role === 'gateway' ? { host: httpHost, port: httpPort } : splitHostPort(smtpHealth);
  const told = role === 'gateway' ? publicUrl : (publicUrl ?? `http://${httpHost}:${httpPort}`);
  return { HTTP_HOST: host, HTTP_PORT: String(port), ...(told === undefined ? {} : { PUBLIC_URL: told }) };
}

/** Where reports about our mail are taken. */
function mxListen({ config, addresses, mxListen: given }: Surroundings): string {
  if (config.mxListen !== undefined) return config.mxListen;
  return given ?? addresses.mailbox.replace(/mailbox\.sock$/, 'mx.sock');
}

/** The same from within: what listens everywhere is reached on the loopback. */
function mxReach(surroundings: Surroundings): string {
  return mxListen(surroundings).replace(/^(?:0\.0\.0\.0|\[::\]):/, '127.0.0.1:');
}

/** The settings that reach a role from outside; everything else of the environment is ours. */
export function ownSettings(): string[] {
  return Object.values(settings).map(({ name }) => name);
}

/** A role's typed configuration. */
export function configOf<S extends Settings>(role: Role, roleSettings: S, surroundings: Surroundings): ReturnType<typeof loadSettings<S>> {
  return loadSettings(roleSettings, environmentOf(role, surroundings));
}
