/** The settings that several services share, described once: `defineSettings({ ...databaseSettings, ...rpcSettings, … })`. */
import { boolean, cidrList, hostPort, hostPortList, integer, oneOf, peerAddress, sealKeys, secret, url } from './config.ts';

export const databaseSettings = {
  databaseUrl: url('DATABASE_URL', {
    protocols: ['postgres:', 'postgresql:'],
    secret: true,
    meaning: 'The PostgreSQL database (15 or newer).',
  }),
  databaseConnections: integer('DATABASE_CONNECTIONS', {
    default: 8,
    min: 1,
    max: 200,
    unit: 'connections',
    meaning: 'At most so many connections at a time.',
  }),
  migrateAtStart: boolean('MIGRATE_AT_START', {
    default: false,
    meaning: 'Whether the service brings its tables up to date when it starts.',
  }),
};

export const rpcSettings = {
  rpcListen: hostPort('RPC_LISTEN', {
    default: '127.0.0.1:0',
    portZero: true,
    unix: true,
    meaning: 'Where the other services reach this one; port 0 takes a free one.',
  }),
  rpcSecret: secret('RPC_SECRET', { minLength: 32, meaning: 'Signs the identity of callers; the same in every service.' }),
};

/** For a service that calls others and listens for nobody. */
export const rpcClientSettings = { rpcSecret: rpcSettings.rpcSecret };

export const observabilitySettings = {
  logLevel: oneOf('LOG_LEVEL', {
    values: ['debug', 'info', 'warn', 'error', 'silent'],
    default: 'info',
    meaning: 'The least important lines that are written.',
  }),
  otelExporterOtlpEndpoint: url('OTEL_EXPORTER_OTLP_ENDPOINT', {
    protocols: ['http:', 'https:'],
    optional: true,
    meaning: 'Where traces go (OTLP over HTTP, without /v1/traces); unset sends none.',
  }),
  metricsPort: integer('METRICS_PORT', {
    optional: true,
    min: 0,
    max: 65535,
    unit: 'port',
    meaning: 'Where Prometheus reads metrics; unset serves none.',
  }),
};

/** Where the peers listen. Take those that the service calls. */
export const peerSettings = {
  authAddress: peerAddress('AUTH_ADDRESS', { meaning: 'Where the service auth listens.' }),
  messagingAddress: peerAddress('MESSAGING_ADDRESS', { meaning: 'Where the service messaging listens.' }),
  deliveryAddress: peerAddress('DELIVERY_ADDRESS', { meaning: 'Where the service delivery listens.' }),
  templateAddress: peerAddress('TEMPLATE_ADDRESS', { meaning: 'Where the service template listens.' }),
  domainAddress: peerAddress('DOMAIN_ADDRESS', { meaning: 'Where the service domain-provisioning listens.' }),
};

/** For services with events of their own or of others. */
export const eventSettings = {
  kafkaBrokers: hostPortList('KAFKA_BROKERS', {
    optional: true,
    defaultPort: 9092,
    minItems: 1,
    meaning: 'Events go through this Kafka; unset: through PostgreSQL.',
  }),
};

export const sealSettings = {
  sealKeys: sealKeys('SEAL_KEYS', { meaning: 'Keys for what rests sealed in the database; the first seals, all open.' }),
};

/** For services that write or read links and addresses that carry a signed token. */
export const linkSettings = {
  linkKeys: sealKeys('LINK_KEYS', {
    optional: true,
    meaning: 'Keys that sign tracking and unsubscribe links; the first signs, all verify. Unset: one made of RPC_SECRET.',
  }),
};

/** For services that connect to names which customers influence. */
export const outsideSettings = {
  dnsServers: hostPortList('DNS_SERVERS', {
    default: [],
    ip: true,
    defaultPort: 53,
    meaning: 'The name servers for every lookup; empty takes the system’s.',
  }),
  allowNetworks: cidrList('ALLOW_NETWORKS', { default: [], meaning: 'Private networks that may be connected to all the same.' }),
};
