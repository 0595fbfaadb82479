/**
 * The settings of the platform on one machine, in one process or in many. Most are a service's own, taken over as they are described there; a few have another
 * default here, because this one is meant to run on a laptop. What is not listed keeps the services' defaults.
 */
import { settings as delivery } from '@maildoot/delivery/config';
import { settings as domains } from '@maildoot/domain-provisioning/config';
import { settings as gateway } from '@maildoot/gateway/config';
import { settings as messaging } from '@maildoot/messaging/config';
import { eventSettings, observabilitySettings, outsideSettings } from '@maildoot/runtime/common-settings';
import { type ConfigOf, cidrList, defineSettings, hostPort, oneOf, string, url } from '@maildoot/runtime/config';

export const settings = defineSettings({
  home: string('MAILDOOT_HOME', { default: '.maildoot', meaning: 'The data directory: database, secrets and `up.json`.' }),
  httpHost: gateway.httpHost,
  httpPort: gateway.httpPort,
  publicUrl: gateway.publicUrl,
  allowPlainHttp: gateway.allowPlainHttp,
  corsOrigins: gateway.corsOrigins,
  delivery: delivery.delivery,
  smarthost: delivery.smarthost,
  dnsServers: outsideSettings.dnsServers,
  databaseUrl: url('DATABASE_URL', {
    optional: true,
    protocols: ['postgres:', 'postgresql:'],
    secret: true,
    meaning: 'A PostgreSQL (15 or newer) to use instead of the embedded one.',
  }),
  kafkaBrokers: eventSettings.kafkaBrokers,
  kafkaDirectory: string('MAILDOOT_KAFKA_DIR', {
    optional: true,
    meaning: 'Where the jars of Kafka are that `make cluster` starts; unset: `.tools/kafka`, filled by `tools/kafka.sh install`.',
  }),
  allowNetworks: cidrList('ALLOW_NETWORKS', {
    default: ['127.0.0.0/8', '::1/128'],
    meaning: 'Private networks that names which customers choose may lead to.',
  }),
  callbackAllowNetworks: cidrList('CALLBACK_ALLOW_NETWORKS', {
    default: ['127.0.0.0/8', '::1/128'],
    meaning: 'Private networks that callbacks may lead to all the same, over plain http too.',
  }),
  mxPort: delivery.mxPort,
  mailHostname: delivery.mailHostname,
  returnPathHost: delivery.returnPathHost,
  trackingHost: domains.trackingHost,
  mxHost: domains.mxHost,
  domainCheckMinutes: domains.domainCheckMinutes,
  maxDomainsPerTenant: domains.maxDomainsPerTenant,
  noticeFrom: messaging.noticeFrom,
  simulatorDomain: delivery.simulatorDomain,
  mxListen: hostPort('MX_LISTEN', {
    optional: true,
    unix: true,
    meaning:
      'Where bounces and complaints are taken by SMTP; the world’s servers come to port 25. Unset: a socket that only this platform reaches.',
  }),
  smtpListen: hostPort('SMTP_LISTEN', {
    default: '127.0.0.1:0',
    portZero: true,
    meaning: 'Where messages are submitted by SMTP with STARTTLS, the world’s port 587; port 0 takes a free one.',
  }),
  smtpsListen: hostPort('SMTPS_LISTEN', {
    default: '127.0.0.1:0',
    portZero: true,
    meaning: 'The same with TLS from the start, the world’s port 465; port 0 takes a free one.',
  }),
  smtpHostname: gateway.smtpHostname,
  smtpTlsCert: string('SMTP_TLS_CERT', {
    optional: true,
    meaning:
      'File of the certificate and its chain for SMTP submission, PEM; unset: a self-signed one that is made at the first start, `smtp.crt` in the data directory.',
  }),
  smtpTlsKey: gateway.smtpTlsKey,
  retrySchedule: delivery.retrySchedule,
  tenantPace: messaging.tenantPace,
  tenantBacklog: messaging.tenantBacklog,
  messageRetentionDays: messaging.messageRetentionDays,
  contentRetentionDays: messaging.contentRetentionDays,
  statsRetentionDays: messaging.statsRetentionDays,
  logLevel: oneOf('LOG_LEVEL', {
    values: ['debug', 'info', 'warn', 'error', 'silent'],
    default: 'warn',
    meaning: 'The least important lines that are written, as JSON on stderr.',
  }),
  otelExporterOtlpEndpoint: observabilitySettings.otelExporterOtlpEndpoint,
  metricsPort: observabilitySettings.metricsPort,
});

export type Config = ConfigOf<typeof settings>;
