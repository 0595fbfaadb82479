// The settings of domain-provisioning.

import { databaseSettings, observabilitySettings, outsideSettings, rpcSettings, sealSettings } from '@maildoot/runtime/common-settings';
import { type ConfigOf, defineSettings, hostName, integer } from '@maildoot/runtime/config';

export const settings = defineSettings({
  ...databaseSettings,
  ...rpcSettings,
  ...sealSettings,
  ...outsideSettings,
  ...observabilitySettings,
  mailHostname: hostName('MAIL_HOSTNAME', {
    default: 'localhost.localdomain',
    meaning: 'The host whose addresses send mail: what the SPF record that customers publish names.',
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
