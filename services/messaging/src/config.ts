// The settings of this service, each described once; main.ts, the README table and the tests for bad values read them here.
import { databaseSettings, eventSettings, observabilitySettings, peerSettings, rpcSettings } from '@maildoot/runtime/common-settings';
import { boolean, type ConfigOf, defineSettings, integer, peerAddress } from '@maildoot/runtime/config';

export const settings = defineSettings({
  ...databaseSettings,
  ...rpcSettings,
  ...observabilitySettings,
  ...eventSettings,
  domainAddress: peerSettings.domainAddress,
  deliveryAddress: peerSettings.deliveryAddress,
  templateAddress: peerAddress('TEMPLATE_ADDRESS', {
    optional: true,
    meaning: 'Where the service template listens; unset: messages that name a template are answered UNAVAILABLE.',
  }),
  capture: boolean('CAPTURE', {
    default: false,
    meaning: 'All mail goes to the built-in inbox, so any From is accepted; unverified ones with a warning.',
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
});

export type Config = ConfigOf<typeof settings>;
