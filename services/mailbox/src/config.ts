// The settings of mailbox.

import { databaseSettings, eventSettings, linkSettings, observabilitySettings, rpcSettings } from '@maildoot/runtime/common-settings';
import { type ConfigOf, defineSettings, hostName, hostPort, integer } from '@maildoot/runtime/config';

export const settings = defineSettings({
  ...databaseSettings,
  ...rpcSettings,
  ...observabilitySettings,
  ...eventSettings,
  ...linkSettings,
  mailHostname: hostName('MAIL_HOSTNAME', {
    default: 'localhost.localdomain',
    meaning: 'The name that the MX door greets with.',
  }),
  mxListen: hostPort('MX_LISTEN', {
    default: '127.0.0.1:0',
    portZero: true,
    unix: true,
    meaning: 'Where reports about our mail are taken by SMTP; port 0 takes a free one, the world’s servers come to port 25.',
  }),
  mxMaxSessions: integer('MX_MAX_SESSIONS', {
    default: 200,
    min: 1,
    max: 10_000,
    unit: 'sessions',
    meaning: 'SMTP sessions at a time; more are told to come back later.',
  }),
  mxMaxSessionsPerAddress: integer('MX_MAX_SESSIONS_PER_ADDRESS', {
    default: 20,
    min: 1,
    max: 10_000,
    unit: 'sessions',
    meaning:
      'Of those, from one address (of IPv6, one /64); this host’s own are not counted. Raise it where a balancer shows its own address instead.',
  }),
  mxMaxMessageBytes: integer('MX_MAX_MESSAGE_BYTES', {
    default: 20 * 1024 * 1024,
    min: 64 * 1024,
    max: 1024 * 1024 * 1024,
    unit: 'bytes',
    meaning: 'The largest message that is taken. Of a large one the beginning is read and the rest thrown away.',
  }),
});

export type Config = ConfigOf<typeof settings>;
