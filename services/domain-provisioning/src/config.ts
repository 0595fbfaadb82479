// The settings of domain-provisioning.

import {
  databaseSettings,
  observabilitySettings,
  outsideSettings,
  peerSettings,
  rpcSettings,
  sealSettings,
} from '@maildoot/runtime/common-settings';
import { type ConfigOf, defineSettings, hostName, integer } from '@maildoot/runtime/config';

export const settings = defineSettings({
  ...databaseSettings,
  ...rpcSettings,
  ...sealSettings,
  ...outsideSettings,
  ...observabilitySettings,
  messagingAddress: peerSettings.messagingAddress,
  mailHostname: hostName('MAIL_HOSTNAME', {
    default: 'localhost.localdomain',
    meaning: 'The host whose addresses send mail: what the SPF record that customers publish names.',
  }),
  returnPathHost: hostName('RETURN_PATH_HOST', {
    optional: true,
    meaning: 'The host that takes bounces: where the return-path CNAME that customers publish leads; unset: MAIL_HOSTNAME.',
  }),
  trackingHost: hostName('TRACKING_HOST', {
    optional: true,
    meaning:
      'The host that takes tracked links: where the tracking CNAME that customers publish leads, with scheme and port of PUBLIC_URL; unset: MAIL_HOSTNAME.',
  }),
  mxHost: hostName('MX_HOST', {
    optional: true,
    meaning: 'The host that takes mail to customers’ domains: what their optional MX record names; unset: MAIL_HOSTNAME.',
  }),
  maxDomainsPerTenant: integer('MAX_DOMAINS_PER_TENANT', {
    default: 1000,
    min: 1,
    max: 100_000,
    unit: 'domains',
    meaning: 'How many domains a tenant can have; who has more when it is lowered keeps them and adds none.',
  }),
  domainCheckMinutes: integer('DOMAIN_CHECK_MINUTES', {
    default: 60,
    min: 1,
    max: 1440,
    unit: 'minutes',
    meaning: 'How often a verified domain’s records are looked at, give or take a fifth; others by their age.',
  }),
  authoritativePort: integer('AUTHORITATIVE_PORT', {
    default: 53,
    min: 1,
    max: 65535,
    unit: 'port',
    meaning: 'Where domains’ own name servers are asked; only tests want another one.',
  }),
  spareDkimKeys: integer('SPARE_DKIM_KEYS', {
    default: 10,
    min: 0,
    max: 1000,
    unit: 'key pairs',
    meaning: 'How many DKIM key pairs are made ahead of time, two for each domain that is added; 0 makes none.',
  }),
});

export type Config = ConfigOf<typeof settings>;
