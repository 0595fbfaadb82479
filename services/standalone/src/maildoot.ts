#!/usr/bin/env node
/** The command `maildoot`. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ListenError, listen } from './listen.ts';

const usage = `maildoot listen --forward-to URL [--events LIST] [--api URL] [--key KEY] [--secret whsec_…]

Follows your events and sends each to an address on your machine, signed like a webhook.

  --forward-to URL  where to: http://localhost:3000/webhooks
  --events LIST     names or prefixes, with commas: message.*,domain.verified (default: all)
  --api URL         default: MAILDOOT_API_URL, else the platform that \`make up\` runs
  --key KEY         an API key of scope read or full; default: MAILDOOT_API_KEY, else as above
  --secret SECRET   sign with this one; default: a new one, which is printed
`;

const options = {
  'forward-to': { type: 'string' },
  events: { type: 'string' },
  api: { type: 'string' },
  key: { type: 'string' },
  secret: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

async function main(): Promise<number> {
  let parsed: ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>>;
  try {
    parsed = parseArgs({ options, allowPositionals: true });
  } catch (error) {
    process.stderr.write(`maildoot: ${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    return 64;
  }
  const { values, positionals } = parsed;
  const forwardTo = values['forward-to'];
  if (values.help || positionals[0] !== 'listen' || positionals.length > 1 || forwardTo === undefined) {
    (values.help ? process.stdout : process.stderr).write(usage);
    return values.help ? 0 : 64;
  }
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  try {
    const running = await runningPlatform();
    const api = values.api ?? process.env.MAILDOOT_API_URL ?? running?.api;
    const key = values.key ?? process.env.MAILDOOT_API_KEY ?? running?.key;
    if (api === undefined || key === undefined)
      throw new ListenError('Say which platform and with which key: --api and --key, or MAILDOOT_API_URL and MAILDOOT_API_KEY.');
    await listen({
      api: api.replace(/\/$/, ''),
      key,
      forwardTo,
      events: values.events?.split(',').filter((name) => name !== '') ?? [],
      secret: values.secret,
      signal: stop.signal,
      say: (line) => process.stdout.write(`${line}\n`),
    });
    return 0;
  } catch (error) {
    if (stop.signal.aborted) return 0;
    if (!(error instanceof ListenError)) throw error;
    process.stderr.write(`maildoot: ${error.message}\n`);
    return 1;
  }
}

async function runningPlatform(): Promise<{ api: string; key: string } | undefined> {
  const file = join(process.env.MAILDOOT_HOME ?? '.maildoot', 'up.json');
  const text = await readFile(file, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as { api: string; key: string });
}

process.exitCode = await main();
