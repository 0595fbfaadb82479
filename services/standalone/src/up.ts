/** `make up` and `make cluster`: the platform until Ctrl-C. Prints where it is and a line to paste, and writes the same to `up.json` for scripts. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { checkConfig as checkDoor } from '@maildoot/gateway/config';
import { loadSettings, SettingsError } from '@maildoot/runtime/config';
import { SAME_SIGNAL_MS } from '@maildoot/runtime/main';
import type { Cluster } from './cluster.ts';
import { type Config, settings } from './config.ts';
import { FIRST_OWNER, firstPasswordLink } from './first-tenant.ts';
import { HomeError } from './home.ts';
import { running } from './operator-client.ts';
import { line, reportAndExit, section } from './print.ts';
import type { Running } from './service.ts';

async function up(): Promise<void> {
  const startedAt = performance.now();
  const config = loadSettings(settings, process.env);
  if (config.delivery === 'smarthost' && config.smarthost === undefined)
    throw new SettingsError([{ name: 'SMARTHOST', message: 'is required: it says where DELIVERY=smarthost sends to, as host:port' }]);
  checkDoor(config);
  const cluster = process.argv.includes('--cluster') ? await import('./cluster.ts') : undefined;
  cluster?.checkConfig(config);
  await assertFree(config);
  const state = { ready: false };
  const stopped = signalled(state);
  const progress = (text: string) => process.stderr.write(`· ${text}\n`);
  // Settings are checked before the services are loaded: a typing error is told at once.
  const platform = cluster ? await cluster.startCluster(config, { progress }) : await startOne(config, progress);

  state.ready = true;
  const api = platform.httpUrl;
  const inbox = `${api}/v1/test/inbox`;
  await platform.home.announce({ api, key: platform.key, smtp: platform.smtp, inbox, docs: `${api}/docs`, pid: process.pid });
  process.stdout.write(`ready ${api}\n`);
  const { authAddress } = await running(platform.home);
  describe(api, platform, config, await firstPasswordLink(platform.home, authAddress, api));
  if ('processes' in platform) await describeProcesses(platform);
  const megabytes = await residentMegabytes(platform.pids);
  line('used', `${((performance.now() - startedAt) / 1000).toFixed(1)} s to start${megabytes ? `, ${megabytes} MB of memory` : ''}`);

  const end = await Promise.race('broken' in platform ? [stopped, platform.broken] : [stopped]);
  await platform.home.withdraw();
  process.stderr.write(
    end instanceof Error ? `maildoot: ${end.message}\n` : '· stopping: finishing what is under way (again to stop at once)\n',
  );
  await platform[Symbol.asyncDispose]();
  process.exit(end instanceof Error ? 1 : 0);
}

async function startOne(config: Config, progress: (text: string) => void): Promise<Running> {
  const { start } = await import('./service.ts');
  return start(config, { progress, split: process.argv.includes('--split') });
}

/** Resolves at the first SIGINT or SIGTERM once the platform is ready. Before that, and at a second one, the process ends at once. */
function signalled(state: { ready: boolean }): Promise<'stop'> {
  return new Promise((resolve) => {
    let askedAtMs: number | undefined;
    const onSignal = () => {
      if (!state.ready) reportAndExit(new Error('stopped before it was ready'));
      askedAtMs ??= performance.now();
      if (performance.now() - askedAtMs > SAME_SIGNAL_MS) process.exit(130);
      resolve('stop');
    };
    process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  });
}

/** Tells about a taken port before anything is started. */
async function assertFree({ httpHost, httpPort }: Config): Promise<void> {
  if (httpPort === 0) return;
  const probe = createServer();
  try {
    probe.listen(httpPort, httpHost);
    await once(probe, 'listening');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE')
      throw new HomeError(`port ${httpPort} is in use: stop what listens there, or set HTTP_PORT to another one (0 takes a free one)`);
    if (code === 'EACCES') throw new HomeError(`port ${httpPort} needs more rights than we have: set HTTP_PORT to one above 1023`);
    throw new HomeError(`can't listen on ${httpHost}:${httpPort} (${code}): set HTTP_HOST and HTTP_PORT`);
  } finally {
    probe.close();
  }
}

function describe(api: string, { key, smtp }: Pick<Running, 'key' | 'smtp'>, config: Config, passwordLink: string | undefined): void {
  section('Maildoot is up');
  line('api', `${api}/v1`);
  line('smtp', `${smtp.starttls} (STARTTLS), ${smtp.tls} (TLS); username apikey, the key as the password`);
  line('docs', `${api}/docs`);
  if (config.delivery === 'capture') line('inbox', `${api}/inbox#key=${key}`);
  line('key', key);
  if (passwordLink !== undefined) line('login', `${FIRST_OWNER}, who chooses a password here, once: ${passwordLink}`);
  line(
    'mail',
    {
      capture: 'stays here, in the inbox (DELIVERY=capture)',
      direct: 'goes to the recipients’ mail servers',
      smarthost: `goes to ${config.smarthost}`,
    }[config.delivery],
  );
  section(
    config.delivery === 'capture' ? 'Send one' : 'Send one, from a domain of yours (POST /v1/user-settings/domains says what to publish)',
  );
  process.stdout.write(
    `curl -X POST ${api}/v1/messages -H "Authorization: Bearer ${key}" -H "Content-Type: application/json" -d '{"from":"no-reply@yourdomain.com","to":"user@example.com","subject":"Hello","text":"It works."}'\n\n`,
  );
}

async function describeProcesses({ processes, gateways, kafkaBrokers, databaseUrl }: Cluster): Promise<void> {
  section('Its processes');
  const doors = new Map([
    ['postgres', new URL(databaseUrl).host],
    ['kafka', kafkaBrokers],
    ...gateways.map((url, index): [string, string] => [`gateway-${index + 1}`, url]),
  ]);
  for (const { name, pid } of processes) {
    const megabytes = await residentMegabytes([pid]);
    line(
      name.padEnd(22),
      `pid ${String(pid).padEnd(8)} ${megabytes ? `${String(megabytes).padStart(4)} MB` : ''}  ${doors.get(name) ?? ''}`.trimEnd(),
    );
  }
  process.stdout.write('\n');
}

/** Resident memory of the processes and their children, from /proc; undefined where there is none. */
async function residentMegabytes(pids: number[]): Promise<number | undefined> {
  let kilobytes = 0;
  const queue = [...pids];
  const seen = new Set<number>();
  for (let pid = queue.pop(); pid !== undefined; pid = queue.pop()) {
    if (seen.has(pid)) continue;
    seen.add(pid);
    // Proportional, so that PostgreSQL's shared buffers are not counted once per backend.
    const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '');
    kilobytes += Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1] ?? 0);
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
    queue.push(...children.split(' ').filter(Boolean).map(Number));
  }
  return kilobytes > 0 ? Math.round(kilobytes / 1024) : undefined;
}

await up().catch(reportAndExit);
