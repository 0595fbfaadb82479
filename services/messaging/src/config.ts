// The settings of this service, each described once; main.ts, the README table and the tests for bad values read them here.
import {
  databaseSettings,
  eventSettings,
  linkSettings,
  observabilitySettings,
  outsideSettings,
  peerSettings,
  rpcSettings,
  sealSettings,
} from '@maildoot/runtime/common-settings';
import { boolean, type ConfigOf, cidrList, defineSettings, integer, oneOf, peerAddress, string, url } from '@maildoot/runtime/config';

export const settings = defineSettings({
  ...databaseSettings,
  ...rpcSettings,
  ...observabilitySettings,
  ...eventSettings,
  ...linkSettings,
  ...sealSettings,
  domainAddress: peerSettings.domainAddress,
  deliveryAddress: peerSettings.deliveryAddress,
  templateAddress: peerAddress('TEMPLATE_ADDRESS', {
    optional: true,
    meaning: 'Where the service template listens; unset: messages that name a template are answered UNAVAILABLE.',
  }),
  role: oneOf('MESSAGING_ROLE', {
    values: ['all', 'api', 'callbacks'],
    default: 'all',
    meaning: 'What this process does: the RPC door, telling callbacks, or both.',
  }),
  authAddress: peerAddress('AUTH_ADDRESS', {
    optional: true,
    meaning: 'Where the service auth listens: it knows whom to tell that a callback was disabled. Unset: such notices wait.',
  }),
  messagingAddress: peerAddress('MESSAGING_ADDRESS', {
    optional: true,
    meaning: 'Of a process with the role callbacks: where those with the role api listen.',
  }),
  dnsServers: outsideSettings.dnsServers,
  callbackAllowNetworks: cidrList('CALLBACK_ALLOW_NETWORKS', {
    default: [],
    meaning: 'Private networks that callbacks may lead to all the same, over plain http too.',
  }),
  callbackConcurrency: integer('CALLBACK_CONCURRENCY', {
    default: 500,
    min: 2,
    max: 10_000,
    unit: 'attempts',
    meaning: 'Callbacks told at one time, by each process.',
  }),
  capture: boolean('CAPTURE', {
    default: false,
    meaning: 'All mail goes to the built-in inbox, so any From is accepted; unverified ones with a warning.',
  }),
  publicUrl: url('PUBLIC_URL', {
    protocols: ['http:', 'https:'],
    optional: true,
    meaning: 'Our address for the world; notices come from its host.',
  }),
  noticeFrom: string('NOTICE_FROM', {
    optional: true,
    meaning: 'From of notices to users (reset links, invitations); unset: no-reply@ and the host of PUBLIC_URL.',
  }),
  messageRetentionDays: integer('MESSAGE_RETENTION_DAYS', {
    default: 90,
    min: 1,
    max: 3650,
    unit: 'days',
    meaning: 'How long messages, recipients and events are kept.',
  }),
  contentRetentionDays: integer('CONTENT_RETENTION_DAYS', {
    default: 30,
    min: 1,
    max: 3650,
    unit: 'days',
    meaning: 'How long the MIME of messages is kept.',
  }),
  tenantPace: integer('TENANT_PACE', {
    optional: true,
    min: 1,
    max: 100_000_000,
    unit: 'recipients a minute',
    meaning:
      'How fast one tenant’s mail is sent; what it sends faster is accepted and goes out later. A minute’s worth goes at once. Unset: no pace.',
  }),
  tenantBacklog: integer('TENANT_BACKLOG', {
    default: 100_000,
    min: 1,
    max: 1_000_000_000,
    unit: 'recipients',
    meaning: 'With TENANT_PACE: how many of one tenant may wait for their turn. Beyond that its sends are answered 429.',
  }),
  statsRetentionDays: integer('STATS_RETENTION_DAYS', {
    default: 400,
    min: 1,
    max: 3650,
    unit: 'days',
    meaning: 'How long statistics are kept.',
  }),
});

export type Config = ConfigOf<typeof settings>;
