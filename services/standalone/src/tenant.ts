/** `make tenant NAME= EMAIL=`: another tenant on the running platform; prints it with its key as JSON. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadSettings } from '@maildoot/runtime/config';
import { settings } from './config.ts';
import { createTenant } from './first-tenant.ts';
import { Home, HomeError } from './home.ts';
import { reportAndExit } from './print.ts';

async function tenant(): Promise<void> {
  const { values } = parseArgs({ options: { name: { type: 'string', default: '' }, email: { type: 'string', default: '' } } });
  if (!values.name || !values.email) throw new HomeError('say which: make tenant NAME=acme EMAIL=owner@acme.example');
  const config = loadSettings(settings, process.env);
  const home = await Home.open(config.home);
  const run = await readFile(join(home.directory, 'run.json'), 'utf8').catch(() => {
    throw new HomeError(`nothing runs on ${home.directory}: start it with make up`);
  });
  const { authAddress } = JSON.parse(run) as { authAddress: string };
  const made = await createTenant(home, authAddress, values.name, values.email);
  process.stdout.write(`${JSON.stringify({ tenant_id: made.tenantId, name: values.name, email: values.email, key: made.key }, null, 2)}\n`);
}

await tenant().catch(reportAndExit);
