/**
 * Parked records: what a consumer could not handle and kept aside.
 *
 *   node tools/parked.ts list   [--group delivery] [--topic messaging.message-accepted.v1] [--event <id>]
 *   node tools/parked.ts replay [the same]
 *
 * `list` prints them as JSON, one a line. `replay` asks for one more try, which the running services do; what fails again stays, with its
 * new reason. Without a filter it means all. The database is DATABASE_URL, or that of the platform running on MAILDOOT_HOME (.maildoot).
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openDatabase } from '../libs/db/src/database.ts';
import { sqlState } from '../libs/db/src/errors.ts';
import { listParked, type ParkedFilter, requestReplay } from '../libs/events/src/parked.ts';

const usage = 'usage: node tools/parked.ts list|replay [--group <name>] [--topic <name>] [--event <id>]';
// The schema or the column isn't there: no service of this version has subscribed yet.
const notPrepared = new Set(['42P01', '3F000', '42703']);

class UserError extends Error {}

try {
  await main();
} catch (error) {
  process.exitCode = 1;
  if (error instanceof UserError) console.error(error.message);
  else if (notPrepared.has(sqlState(error) ?? ''))
    console.error('this database has no event log of this version: start the services on it once');
  else console.error(error instanceof Error ? error.message : error);
}

async function main(): Promise<void> {
  const { command, filter } = readArguments();
  await using database = openDatabase({ url: await databaseUrl(), schema: 'event_log', maxConnections: 1, applicationName: 'parked' });
  if (command === 'list') {
    const records = await listParked(database.pool, filter);
    for (const { position, ...record } of records) console.log(JSON.stringify({ ...record, position: String(position) }));
    console.error(`${records.length} parked`);
    return;
  }
  const requested = await requestReplay(database.pool, filter);
  for (const { group, topic, records } of requested) console.log(`${group}: ${records} of ${topic} are handled once more`);
  if (requested.length === 0) console.log('nothing is parked');
}

function readArguments(): { command: 'list' | 'replay'; filter: ParkedFilter } {
  try {
    const text = { type: 'string' } as const;
    const { values, positionals } = parseArgs({ allowPositionals: true, options: { group: text, topic: text, event: text } });
    const [command] = positionals;
    if ((command !== 'list' && command !== 'replay') || positionals.length > 1) throw new UserError(usage);
    return { command, filter: values };
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${error instanceof Error ? error.message : error}\n${usage}`);
  }
}

async function databaseUrl(): Promise<string> {
  const { DATABASE_URL: url, MAILDOOT_HOME: home } = process.env;
  if (url !== undefined && url !== '') return url;
  const file = join(home !== undefined && home !== '' ? home : '.maildoot', 'run.json');
  const run = await readFile(file, 'utf8').catch(() => {
    throw new UserError(`${file} is not there: start the platform with make up, or set DATABASE_URL`);
  });
  return (JSON.parse(run) as { databaseUrl: string }).databaseUrl;
}
