/**
 * A Postfix of our own beside whatever the machine has: configuration, queue and data in a temporary directory, another port. Mail that
 * comes from one sender is put on hold, so that a queue can be loaded before it is let go. Settings are Postfix's defaults but for what is
 * named here; it keeps its log, which is its record of outcomes.
 */
import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '@maildoot/testkit/ports';
import { waitFor } from '@maildoot/testkit/wait';

const run = promisify(execFile);
/** Mail of this sender is put on hold. */
const heldSender = 'held@shop.example';

export interface Postfix extends AsyncDisposable {
  version: string;
  /** Its master process: all others are its children. */
  pid: number;
  /** Puts so many messages into the queue, on hold. */
  load(messages: number, bytes: number, sessions: number): Promise<void>;
  /** Sends so many messages through it, at once passed on. */
  relay(messages: number, bytes: number, sessions: number): Promise<void>;
  /** Lets everything go. */
  release(): Promise<void>;
  /** Messages in any queue. */
  queued(): Promise<number>;
}

/** One line why there can be no Postfix here; undefined = there can. */
export function postfixMissing(): string | undefined {
  for (const file of ['/usr/sbin/postfix', '/usr/sbin/smtp-source', '/usr/sbin/smtp-sink'])
    if (!existsSync(file)) return `${file} is not installed`;
  return process.getuid?.() === 0 ? undefined : 'Postfix has to be started by root';
}

export async function startPostfix(options: { sinkPort: number; sessions: number }): Promise<Postfix> {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(process.env.BENCH_TMP ?? tmpdir(), 'maildoot-postfix-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  await chmod(directory, 0o755);
  const config = join(directory, 'config');
  const queue = join(directory, 'queue');
  const data = join(directory, 'data');
  for (const one of [config, queue, data]) await mkdir(one, { mode: 0o755 });
  const { stdout: ids } = await run('id', ['-u', 'postfix']);
  const { stdout: group } = await run('id', ['-g', 'postfix']);
  await chown(data, Number(ids), Number(group));
  const port = await freePort();
  const daemons = (await run('postconf', ['-h', 'daemon_directory'])).stdout.trim();
  await writeFile(
    join(config, 'main.cf'),
    mainCf({ log: join(directory, 'mail.log'), queue, data, daemons, sinkPort: options.sinkPort, sessions: options.sessions }),
  );
  await writeFile(join(config, 'master.cf'), masterCf(port, options.sessions));

  const master = spawn('postfix', ['-c', config, 'start-fg'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  master.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4000);
  });
  const ended = () => {
    spawnSync('postfix', ['-c', config, 'stop']);
    rmSync(directory, { recursive: true, force: true });
  };
  process.once('exit', ended);
  stack.defer(async () => {
    process.off('exit', ended);
    if (master.exitCode !== null || master.signalCode !== null) return;
    const gone = once(master, 'exit');
    await run('postfix', ['-c', config, 'stop']).catch(() => master.kill('SIGTERM'));
    await gone;
  });
  const pid = await waitFor(
    async () => {
      if (master.exitCode !== null) throw new Error(`Postfix ended: ${said}`);
      return Number((await readFile(join(queue, 'pid/master.pid'), 'utf8')).trim());
    },
    { what: 'Postfix to start', timeoutMs: 20_000 },
  );
  const version = (await run('postconf', ['-h', 'mail_version'])).stdout.trim();
  const queued = async () => {
    const counts = await Promise.all(['maildrop', 'hold', 'incoming', 'active', 'deferred'].map((name) => filesIn(join(queue, name))));
    return counts.reduce((sum, count) => sum + count, 0);
  };
  const source = async (messages: number, bytes: number, sessions: number, from: string) => {
    const size = ['-s', String(sessions), '-m', String(messages), '-l', String(bytes)];
    await run('smtp-source', [...size, '-f', from, '-t', 'someone@recipient.example', `127.0.0.1:${port}`]);
  };
  const owned = stack.move();
  return {
    version,
    pid,
    async load(messages, bytes, sessions) {
      await source(messages, bytes, sessions, heldSender);
      const held = await filesIn(join(queue, 'hold'));
      if (held !== messages) throw new Error(`Postfix holds ${held} of ${messages} messages: ${said}`);
    },
    relay: (messages, bytes, sessions) => source(messages, bytes, sessions, 'shop@shop.example'),
    async release() {
      await run('postsuper', ['-c', config, '-H', 'ALL']);
      await run('postqueue', ['-c', config, '-f']);
    },
    queued,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function filesIn(directory: string): Promise<number> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).length;
}

function mainCf(options: { log: string; queue: string; data: string; daemons: string; sinkPort: number; sessions: number }): string {
  return `compatibility_level = 3.6
queue_directory = ${options.queue}
data_directory = ${options.data}
command_directory = /usr/sbin
daemon_directory = ${options.daemons}
mail_owner = postfix
setgid_group = postdrop
myhostname = postfix.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
relayhost = [127.0.0.1]:${options.sinkPort}
smtp_dns_support_level = disabled
smtpd_recipient_restrictions = check_sender_access inline:{{${heldSender} = HOLD}}, permit_mynetworks, reject
smtpd_relay_restrictions = permit_mynetworks, reject
default_destination_concurrency_limit = ${options.sessions}
smtp_destination_concurrency_limit = ${options.sessions}
initial_destination_concurrency = ${options.sessions}
smtp_tls_security_level = none
maillog_file = ${options.log}
maillog_file_prefixes = ${dirname(options.log)}
`;
}

/** Debian's services without chroot, for a chroot would want a copy of /etc. */
function masterCf(port: number, sessions: number): string {
  return `127.0.0.1:${port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - ${sessions} smtp
relay unix - - n - ${sessions} smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`;
}
