// Not a test: how many signed 10 KB messages a second go from a queue that was loaded beforehand to a sink, and what each costs.
//   node services/delivery/test/bench.ts [--messages 5000] [--queued 0] [--processes 1] [--profile directory] [--tls]
// `queued`: so many more that are due behind them, to see whether the queue's length has a price. Delivery, PostgreSQL, the sink and what
// plays messaging are processes of their own, so that each one's CPU is known.
import { execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { idToUuid, newId, newUuid } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { enqueue, type NewDueRow } from '../src/store/due.ts';
import { openHouse } from './delivery.ts';

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '5000' },
    queued: { type: 'string', default: '0' },
    processes: { type: 'string', default: '1' },
    profile: { type: 'string' },
    tls: { type: 'boolean', default: false },
  },
});
const [messages, queued, processes] = [Number(values.messages), Number(values.queued), Number(values.processes)];

const receiver = fileURLToPath(new URL('../../../libs/testkit/src/smtp-main.ts', import.meta.url));
const sink = spawn(process.execPath, [receiver, '--port', '0', '--tls', values.tls ? 'offered' : 'off'], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
const address = await new Promise<string>((resolve) =>
  sink.stdout.once('data', (line: Buffer) => resolve((JSON.parse(line.toString()) as { address: string }).address)),
);
const house = await openHouse({ logs: false });
house.makeKey('shop.test');
const head = `From: sender@shop.test\r\nTo: accept@example.test\r\nSubject: bench\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\nMessage-ID: <`;
const body = Buffer.from(`@shop.test>\r\n\r\n${`${'x'.repeat(76)}\r\n`.repeat(128)}`);
house.contentOf = (id) => Buffer.concat([Buffer.from(head + id), body]);

// The tables are made by the first start.
await using first = await house.spawnDelivery({ DELIVERY: 'smarthost', SMARTHOST: address });
await first[Symbol.asyncDispose]();
await load(messages, new Date(Date.now() - 2_000));
await load(queued, new Date(Date.now() - 1_000));
await house.database.pool.query('VACUUM ANALYZE');
await house.database.pool.query('CHECKPOINT');
// What loading left to write would be paid for by the messages.
execFileSync('sync');
console.log(`${messages} messages are due, ${queued} more behind them`);

const running = await Promise.all(
  Array.from({ length: processes }, () =>
    house.spawnDelivery({
      ...{ DELIVERY: 'smarthost', SMARTHOST: address, LOG_LEVEL: 'warn' },
      ...(values.profile === undefined ? {} : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${values.profile}` }),
    }),
  ),
);
// Not from the start: what a process loads is not what a message costs.
const warm = Math.min(1_000, messages / 4);
await waitFor(() => house.delivered >= warm, { what: 'the first ones', timeoutMs: 120_000 });
const { rows } = await house.database.pool.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
const postmaster = Number(statOf(rows[0]?.pid ?? 0)?.[1]);
const who = {
  delivery: () => running.reduce((sum, one) => sum + cpuOf(one.pid), 0),
  PostgreSQL: () => cpuOf(postmaster, true) + children(postmaster).reduce((sum, pid) => sum + cpuOf(pid), 0),
  'messaging and the readers (this process)': () => cpuOf(process.pid),
  sink: () => cpuOf(sink.pid ?? 0),
};
const before = Object.values(who).map((read) => read());
const [startedAt, startedWith] = [performance.now(), house.delivered];
await waitFor(() => house.delivered >= messages, { what: 'all', timeoutMs: 600_000 });
const [seconds, counted] = [(performance.now() - startedAt) / 1000, messages - startedWith];
console.log(`${Math.round(counted / seconds)} messages/s`);
for (const [index, [name, read]] of Object.entries(who).entries())
  console.log(`${(((read() - (before[index] ?? 0)) * 10) / counted).toFixed(2)} ms CPU per message: ${name}`);
for (const one of running) await one[Symbol.asyncDispose]();
await house[Symbol.asyncDispose]();
sink.kill();
process.exit(0);

async function load(count: number, dueAt: Date): Promise<void> {
  const tenantId = idToUuid('ten', house.tenantId) ?? '';
  for (let from = 0; from < count; from += 2_000) {
    const some = Array.from({ length: Math.min(2_000, count - from) }, (): NewDueRow => {
      const now = new Date();
      return {
        ...{ messageId: idToUuid('msg', newId('msg')) ?? newUuid(), recipientNumber: 0, tenantId, address: 'accept@example.test' },
        ...{
          domain: 'example.test',
          destination: 'smarthost',
          mailFrom: 'sender@shop.test',
          signingDomain: 'shop.test',
          captured: false,
          personal: false,
        },
        ...{ sizeBytes: 10_240, nextDueAt: dueAt, queuedAt: now, traceparent: undefined },
      };
    });
    await enqueue(house.database, some, new Date());
  }
}

/** Fields of /proc/<pid>/stat from the state on. */
function statOf(pid: number): string[] | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
  } catch {
    return undefined;
  }
}

/** In ticks of 10 ms; with its ended children where asked for. */
function cpuOf(pid: number, withEnded = false): number {
  const stat = statOf(pid);
  if (stat === undefined) return 0;
  const [user, system, endedUser, endedSystem] = stat.slice(11, 15).map(Number) as [number, number, number, number];
  return user + system + (withEnded ? endedUser + endedSystem : 0);
}

function children(parent: number): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && Number(statOf(pid)?.[1]) === parent);
}
