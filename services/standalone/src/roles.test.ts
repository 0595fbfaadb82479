/** What the platform on one machine hands on to its roles. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { settings as messaging } from '@maildoot/messaging/config';
import { loadSettings } from '@maildoot/runtime/config';
import { settings } from './config.ts';
import { environmentOf, socketsIn } from './roles.ts';

const PAGES = fileURLToPath(new URL('../../../docs/concepts/', import.meta.url));

test('how long things are kept is handed on to messaging', () => {
  const days = { MESSAGE_RETENTION_DAYS: '7', CONTENT_RETENTION_DAYS: '3', STATS_RETENTION_DAYS: '11' };
  const environment = environmentOf('messaging', {
    config: loadSettings(settings, days),
    secrets: { rpcSecret: 'x', sealKeys: 'x' },
    databaseUrl: 'postgres://localhost/x',
    kafkaBrokers: undefined,
    addresses: socketsIn('/nowhere'),
    migrateAtStart: false,
  });
  for (const [name, value] of Object.entries(days)) assert.equal(environment[name], value, name);
});

test('what the pages name of messaging’s settings can be set here', async () => {
  const here = new Set(Object.values(settings).map(({ name }) => name));
  const pages = await Promise.all((await readdir(PAGES)).map((page) => readFile(`${PAGES}${page}`, 'utf8')));
  const named = Object.values(messaging).flatMap(({ name }) => (pages.some((page) => page.includes(`\`${name}\``)) ? [name] : []));
  assert.ok(named.includes('CONTENT_RETENTION_DAYS'));
  assert.deepEqual(
    named.filter((name) => !here.has(name)),
    [],
  );
});
