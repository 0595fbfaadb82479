/** Brings the tables of every service up to date and ends: what runs once before the processes of a cluster start. DATABASE_URL says where. */
import { schema as auth, migrations as authMigrations } from '@maildoot/auth/service';
import { migrate } from '@maildoot/db/migrate';
import { schema as delivery, migrations as deliveryMigrations } from '@maildoot/delivery/service';
import { schema as domains, migrations as domainsMigrations } from '@maildoot/domain-provisioning/service';
import { schema as mailbox, migrations as mailboxMigrations } from '@maildoot/mailbox/service';
import { schema as messaging, migrations as messagingMigrations } from '@maildoot/messaging/service';
import { databaseSettings } from '@maildoot/runtime/common-settings';
import { loadSettings } from '@maildoot/runtime/config';
import { schema as template, migrations as templateMigrations } from '@maildoot/template/service';
import { reportAndExit } from './print.ts';

const schemas: [string, string[]][] = [
  [auth, authMigrations],
  [domains, domainsMigrations],
  [template, templateMigrations],
  [messaging, messagingMigrations],
  [mailbox, mailboxMigrations],
  [delivery, deliveryMigrations],
];

try {
  const { databaseUrl } = loadSettings({ databaseUrl: databaseSettings.databaseUrl }, process.env);
  for (const [schema, migrations] of schemas) await migrate({ url: databaseUrl, schema, migrations });
} catch (error) {
  reportAndExit(error);
}
