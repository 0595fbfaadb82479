// The settings of auth.

import { databaseSettings, observabilitySettings, peerSettings, rpcSettings, sealSettings } from '@maildoot/runtime/common-settings';
import { type ConfigOf, defineSettings, integer, peerAddress } from '@maildoot/runtime/config';

export const settings = defineSettings({
  ...databaseSettings,
  ...rpcSettings,
  ...sealSettings,
  ...observabilitySettings,
  messagingAddress: peerAddress('MESSAGING_ADDRESS', {
    optional: true,
    meaning: `${peerSettings.messagingAddress.meaning} Unset: invitations and links to a password wait.`,
  }),
  auditRetentionDays: integer('AUDIT_RETENTION_DAYS', {
    default: 365,
    min: 1,
    max: 3650,
    unit: 'days',
    meaning: 'How long the audit log goes back.',
  }),
});

export type Config = ConfigOf<typeof settings>;
