// The settings of the gateway, each described once; main.ts, the README's table and the tests for bad values read them here.
import { isIP } from 'node:net';
import { linkSettings, observabilitySettings, peerSettings, rpcClientSettings } from '@maildoot/runtime/common-settings';
import {
  boolean,
  type ConfigOf,
  cidrList,
  defineSettings,
  hostName,
  hostPort,
  integer,
  oneOf,
  SettingsError,
  string,
  stringList,
  url,
} from '@maildoot/runtime/config';

const MIB = 1024 * 1024;

export const settings = defineSettings({
  ...rpcClientSettings,
  ...observabilitySettings,
  ...peerSettings,
  ...linkSettings,
  httpHost: string('HTTP_HOST', {
    default: '127.0.0.1',
    pattern: /^[A-Za-z0-9.:_-]+$/,
    patternMeaning: 'a host name or an IP address',
    maxLength: 253,
    meaning: 'Address the API listens on.',
  }),
  httpPort: integer('HTTP_PORT', {
    default: 8080,
    min: 0,
    max: 65535,
    unit: 'port',
    meaning: 'Port the API listens on; 0 takes a free one.',
  }),
  publicUrl: url('PUBLIC_URL', {
    optional: true,
    protocols: ['http:', 'https:'],
    meaning: 'What links and errors name as our address; unset: the address the API listens on.',
  }),
  allowPlainHttp: boolean('ALLOW_PLAIN_HTTP', {
    default: false,
    meaning: 'Plain http on an address other than loopback: set it where TLS ends in front of us.',
  }),
  trustedProxies: cidrList('TRUSTED_PROXIES', {
    default: [],
    meaning: 'Proxies whose X-Forwarded-For says who calls; empty: nobody’s does.',
  }),
  corsOrigins: stringList('CORS_ORIGINS', {
    default: [],
    pattern: /^https?:\/\/(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?$/,
    patternMeaning: 'origins such as https://app.example.com',
    meaning: 'Origins whose pages may read answers of the API in a browser, with credentials; empty: none.',
  }),
  bodyBytesInFlight: integer('BODY_BYTES_IN_FLIGHT', {
    default: 256 * MIB,
    min: 64 * MIB,
    max: 16384 * MIB,
    unit: 'bytes',
    meaning: 'Request bodies held at one time; more are answered 503.',
  }),
  role: oneOf('GATEWAY_ROLE', {
    values: ['all', 'http', 'smtp'],
    default: 'all',
    meaning: 'Which doors this process has: `http` the API, `smtp` submission (and the API’s /healthz and /readyz), `all` both.',
  }),
  smtpListen: hostPort('SMTP_LISTEN', {
    optional: true,
    portZero: true,
    meaning: 'Where messages are submitted by SMTP with STARTTLS, the world’s port 587; unset: nowhere.',
  }),
  smtpsListen: hostPort('SMTPS_LISTEN', {
    optional: true,
    portZero: true,
    meaning: 'The same with TLS from the start, the world’s port 465; unset: nowhere.',
  }),
  smtpMaxSessionsPerAddress: integer('SMTP_MAX_SESSIONS_PER_ADDRESS', {
    default: 50,
    min: 1,
    max: 1000,
    unit: 'sessions',
    meaning:
      'SMTP sessions at a time from one address (of IPv6, one /64), of 1000 in all; this host’s own are not counted. Raise it where a balancer shows its own address instead.',
  }),
  smtpHostname: hostName('SMTP_HOSTNAME', {
    default: 'localhost',
    meaning: 'The name that the SMTP doors greet with and that their certificate is for.',
  }),
  smtpTlsCert: string('SMTP_TLS_CERT', {
    optional: true,
    meaning: 'File of the certificate and its chain, PEM; unset: a self-signed one that clients don’t trust by themselves.',
  }),
  smtpTlsKey: string('SMTP_TLS_KEY', { optional: true, meaning: 'File of the certificate’s private key, PEM.' }),
  bodyWorkers: integer('BODY_WORKERS', {
    default: 2,
    min: 1,
    max: 64,
    unit: 'threads',
    meaning: 'Threads that read bodies over 1 MB; started when needed.',
  }),
});

export type Config = ConfigOf<typeof settings>;

/** What no single setting can say for itself. @throws SettingsError naming the variable */
export function checkConfig(
  config: Pick<Config, 'allowPlainHttp' | 'httpHost'> & Partial<Pick<Config, 'smtpTlsCert' | 'smtpTlsKey'>>,
): void {
  if ((config.smtpTlsCert === undefined) !== (config.smtpTlsKey === undefined))
    throw new SettingsError([
      {
        name: config.smtpTlsCert === undefined ? 'SMTP_TLS_CERT' : 'SMTP_TLS_KEY',
        message: 'is required: a certificate and its key belong together',
      },
    ]);
  if (!config.allowPlainHttp && !isLoopback(config.httpHost)) {
    throw new SettingsError([
      {
        name: 'ALLOW_PLAIN_HTTP',
        message: `must be true to serve plain http on ${config.httpHost}: keys would be readable on the way unless TLS ends in front of us`,
      },
    ]);
  }
}

function isLoopback(host: string): boolean {
  if (isIP(host) === 4) return host.startsWith('127.');
  return host === '::1' || host.toLowerCase() === 'localhost';
}
