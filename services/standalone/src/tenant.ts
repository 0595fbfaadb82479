/** `make tenant NAME= EMAIL=`: another tenant on the running platform; prints it as JSON, with its key and a link by which its owner chooses a password. */
import { parseArgs } from 'node:util';
import { loadSettings } from '@maildoot/runtime/config';
import { settings } from './config.ts';
import { createTenant } from './first-tenant.ts';
import { Home, HomeError } from './home.ts';
import { connectAuth, passwordPage, running } from './operator-client.ts';
import { reportAndExit } from './print.ts';

async function tenant(): Promise<void> {
  const { values } = parseArgs({ options: { name: { type: 'string', default: '' }, email: { type: 'string', default: '' } } });
  if (!values.name || !values.email) throw new HomeError('say which: make tenant NAME=acme EMAIL=owner@acme.example');
  const config = loadSettings(settings, process.env);
  const home = await Home.open(config.home);
  const { authAddress, api } = await running(home);
  const made = await createTenant(home, authAddress, values.name, values.email);
  await using auth = connectAuth(home, authAddress);
  const { token } = await auth.createPasswordLink({ email: values.email, onlyIfNone: false });
  const shown = {
    tenant_id: made.tenantId,
    name: values.name,
    email: values.email,
    key: made.key,
    password_link: passwordPage(api, token),
  };
  process.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
}

await tenant().catch(reportAndExit);
