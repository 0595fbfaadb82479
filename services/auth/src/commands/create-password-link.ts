// The operator's command: a one-time link by which a user chooses a password, on DATABASE_URL; the first user of a tenant has no other way to one.
//
//     DATABASE_URL=postgres://… node services/auth/src/commands/create-password-link.ts --email owner@acme.example --public-url https://mail.example

import { parseArgs } from 'node:util';
import { openDatabase } from '@maildoot/db/database';
import { ensurePartitions } from '@maildoot/db/partitions';
import { normaliseEmail } from '@maildoot/mail/address';
import { systemClock } from '@maildoot/runtime/clock';
import { databaseSettings } from '@maildoot/runtime/common-settings';
import { loadSettings } from '@maildoot/runtime/config';
import { makeLink } from '../passwords.ts';
import { auditTable, schema } from '../service.ts';
import { openPeople } from '../store/people.ts';

try {
  const { values } = parseArgs({ options: { email: { type: 'string', default: '' }, 'public-url': { type: 'string', default: '' } } });
  const email = normaliseEmail(values.email);
  if (email === undefined || !URL.canParse(values['public-url']))
    throw new Error('usage: create-password-link --email <address of the user> --public-url <where people reach the API>');
  const { databaseUrl } = loadSettings({ databaseUrl: databaseSettings.databaseUrl }, { DATABASE_URL: process.env.DATABASE_URL });
  await using database = openDatabase({ url: databaseUrl, schema, maxConnections: 1, applicationName: 'auth create-password-link' });
  await ensurePartitions(database.pool, auditTable);
  const people = openPeople(database);
  const user = await people.userByEmail(email.toLowerCase());
  if (user === undefined) throw new Error('nobody has an account with this address');
  const { token, expiresAt } = await makeLink({ people, clock: systemClock }, user, 'operator');
  const link = `${values['public-url'].replace(/\/+$/, '')}/password#token=${token}`;
  process.stdout.write(`${JSON.stringify({ password_link: link, expires_at: expiresAt.toISOString() })}\n`);
} catch (error) {
  process.stderr.write(`create-password-link: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
