// The operator's command: makes a tenant with its owner and a full key on DATABASE_URL and prints them as JSON, the key this once.
//
//     DATABASE_URL=postgres://… node services/auth/src/commands/create-tenant.ts --name Acme --email owner@acme.example

import { parseArgs } from 'node:util';
import { openDatabase } from '@maildoot/db/database';
import { RpcError } from '@maildoot/rpc/errors';
import { systemClock } from '@maildoot/runtime/clock';
import { databaseSettings } from '@maildoot/runtime/common-settings';
import { loadSettings, SettingsError } from '@maildoot/runtime/config';
import { createTenant } from '../create-tenant.ts';
import { schema } from '../service.ts';
import { openStore } from '../store.ts';

/** sysexits: a wrong command line, a refused request, a bad setting. */
const exit = { usage: 64, refused: 65, config: 78 } as const;

class Stop extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

try {
  const asked = readArguments(process.argv.slice(2));
  const { databaseUrl } = loadSettings({ databaseUrl: databaseSettings.databaseUrl }, { DATABASE_URL: process.env.DATABASE_URL });
  await using database = openDatabase({ url: databaseUrl, schema, maxConnections: 1, applicationName: 'auth create-tenant' });
  await using store = openStore(database);
  const made = await createTenant({ store, clock: systemClock }, asked);
  process.stdout.write(
    `${JSON.stringify({ tenant_id: made.tenantId, user_id: made.userId, api_key_id: made.apiKey?.id, key: made.key })}\n`,
  );
} catch (error) {
  process.exitCode = report(error);
}

function readArguments(args: string[]): { name: string; email: string } {
  try {
    const { values } = parseArgs({ args, options: { name: { type: 'string' }, email: { type: 'string' } } });
    if (values.name !== undefined && values.email !== undefined) return { name: values.name, email: values.email };
  } catch (error) {
    throw new Stop(
      exit.usage,
      `${error instanceof Error ? error.message : error}\nusage: create-tenant --name <name> --email <address of the owner>`,
    );
  }
  throw new Stop(exit.usage, 'usage: create-tenant --name <name> --email <address of the owner>');
}

/** One clear line per problem, never a stack for what the operator can mend. */
function report(error: unknown): number {
  if (error instanceof Stop) {
    process.stderr.write(`create-tenant: ${error.message}\n`);
    return error.status;
  }
  if (error instanceof SettingsError) {
    for (const { name, message } of error.problems) process.stderr.write(`create-tenant: ${name} ${message}\n`);
    return exit.config;
  }
  if (error instanceof RpcError) {
    process.stderr.write(`create-tenant: ${error.message}\n`);
    for (const issue of error.detail.issues) process.stderr.write(`create-tenant: ${issue.path}: ${issue.message}\n`);
    return exit.refused;
  }
  process.stderr.write(`create-tenant: the tenant could not be made: ${error instanceof Error ? error.message : String(error)}\n`);
  return 1;
}
