// The settings of delivery, each described once. README's table and the bad values that tests try come from here.
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
import { type ConfigOf, defineSettings, durationList, hostName, hostPort, integer, oneOf } from '@maildoot/runtime/config';

export const settings = defineSettings({
  ...databaseSettings,
  ...rpcSettings,
  ...observabilitySettings,
  ...eventSettings,
  ...sealSettings,
  ...linkSettings,
  ...outsideSettings,
  authAddress: peerSettings.authAddress,
  messagingAddress: peerSettings.messagingAddress,
  domainAddress: peerSettings.domainAddress,
  delivery: oneOf('DELIVERY', {
    values: ['capture', 'direct', 'smarthost'],
    default: 'capture',
    meaning: 'Where mail goes: into the built-in inbox, to the recipients’ MX hosts, or all to one host.',
  }),
  smarthost: hostPort('SMARTHOST', { optional: true, meaning: 'The one host of DELIVERY=smarthost. May be on a private network.' }),
  mxPort: integer('MX_PORT', {
    default: 25,
    min: 1,
    max: 65535,
    unit: 'port',
    meaning: 'The port of MX hosts; only tests want another one.',
  }),
  mailHostname: hostName('MAIL_HOSTNAME', {
    default: 'localhost.localdomain',
    meaning: 'The name said in EHLO; its reverse DNS should say the same.',
  }),
  returnPathHost: hostName('RETURN_PATH_HOST', {
    optional: true,
    meaning:
      'The host of MAIL FROM addresses for domains without a verified return path; its MX leads to the role mx of mailbox. Unset: the From address.',
  }),
  simulatorDomain: hostName('SIMULATOR_DOMAIN', {
    default: 'simulator.localhost',
    meaning: 'Recipients at this domain never leave the house and act by their local part: bounce, defer, complaint …, in every mode.',
  }),
  simulatorReportsTo: hostPort('SIMULATOR_REPORTS_TO', {
    optional: true,
    unix: true,
    meaning: 'The role mx of mailbox, where the simulator hands in what comes later: bounces and complaints. Unset: it does not.',
  }),
  retrySchedule: durationList('RETRY_SCHEDULE', {
    // About three days in all, quick at first for the sake of greylisting.
    default: [60, 300, 900, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400, 86_400],
    unit: 'seconds',
    min: 1,
    max: 7 * 86_400,
    meaning: 'Delays between one attempt and the next; after the last one a recipient is given up.',
  }),
  maxSessions: integer('MAX_SESSIONS', {
    default: 100,
    min: 1,
    max: 5000,
    unit: 'sessions',
    meaning: 'SMTP sessions at a time, in this process.',
  }),
  maxSessionsPerDestination: integer('MAX_SESSIONS_PER_DESTINATION', {
    default: 20,
    min: 1,
    max: 1000,
    unit: 'sessions',
    meaning: 'SMTP sessions at a time to one operator of mail hosts, of all delivery processes together.',
  }),
  messagesPerSession: integer('MESSAGES_PER_SESSION', {
    default: 100,
    min: 1,
    max: 10_000,
    unit: 'messages',
    meaning: 'Messages in one SMTP session before it is closed.',
  }),
  capturedMailLimit: integer('CAPTURED_MAIL_LIMIT', {
    default: 100_000,
    min: 1,
    max: 10_000_000,
    unit: 'mails',
    meaning: 'How many mails the built-in inbox keeps, for seven days at most; the oldest go first.',
  }),
});

export type Config = ConfigOf<typeof settings>;
