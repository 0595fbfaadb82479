// Figures of the logs on this machine, by hand: node libs/events/test/measure.ts [kafka]. Not a test. With `kafka`, a broker is started for it.
//   throughput: producers append in group commits of 50 while a consumer reads; rows/s until everything is handled
//   latency: from the commit's return to the handler, one event at a time, with an idle and with a busy log
import { setTimeout as delay } from 'node:timers/promises';
import { createTestDatabase } from '@maildoot/testkit/database';
import { startKafka } from '@maildoot/testkit/kafka';
import { waitFor } from '@maildoot/testkit/wait';
import { createEventLog } from '../src/event-log.ts';
import { startSequencer } from '../src/sequencer.ts';
import { messageAccepted } from '../src/topics.ts';
import { event, numberOf, openProducer, range, silent, tell } from './fixtures.ts';

await using testDatabase = await createTestDatabase();
const { url } = testDatabase;
await using database = await openProducer(url);
await using kafka = process.argv[2] === 'kafka' ? await startKafka() : undefined;
const kafkaBrokers = kafka === undefined ? undefined : [kafka.brokers];
await using sequencer = startSequencer({ database, logger: silent, kafkaBrokers });
await sequencer.ready;
await using log = createEventLog({ url, kafkaBrokers, logger: silent, clientId: 'measure' });

const committedAt = new Map<number, number>();
const latencies: number[] = [];
let handled = 0;
const subscription = log.subscribe(messageAccepted, {
  group: 'measure',
  maxBatch: 500,
  async handle(records) {
    const now = performance.now();
    handled += records.length;
    for (const record of records) {
      const at = committedAt.get(numberOf(record));
      if (at !== undefined) latencies.push(now - at);
    }
  },
});

let next = 0;
let key = 0;
const address = 'someone.with.a.name@recipient-domain.example';
const message = (number: number) => ({
  ...event(`msg_${String(key++).padStart(26, '0')}`, number),
  mailFrom: 'bounces+token@customer.example',
  signingDomain: 'customer.example',
  recipients: [{ number: 0, address }],
});

async function latency(name: string, count: number, pauseMs: number): Promise<void> {
  latencies.length = 0;
  for (let index = 0; index < count; index++) {
    const number = ++next;
    await tell(database, message(number));
    committedAt.set(number, performance.now());
    sequencer.wake();
    await delay(pauseMs);
  }
  await waitFor(() => latencies.length >= count, { what: 'all latencies' });
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(sorted.length * share)]!.toFixed(2);
  console.log(`${name}: commit → handler p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, max ${at(0.9999)} ms`);
}

async function throughput(total: number, perCommit: number, producers: number): Promise<void> {
  const before = handled;
  const cpu = process.cpuUsage();
  const start = performance.now();
  let left = total / perCommit;
  await Promise.all(
    range(producers).map(async () => {
      while (left-- > 0) {
        await tell(database, ...range(perCommit).map(() => message(0)));
        sequencer.wake();
      }
    }),
  );
  const appended = performance.now() - start;
  await waitFor(() => handled - before >= total, { what: 'all records', timeoutMs: 120_000 });
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  console.log(
    `${total} rows, ${perCommit} per commit, ${producers} producers: appended ${Math.round(total / (appended / 1000))}/s, ` +
      `appended, sequenced and handled ${Math.round(total / seconds)}/s; node ${((user + system) / total).toFixed(0)} µs CPU per row`,
  );
}

await waitFor(() => subscription.partitions.length === 16, { what: 'all partitions' });
await latency('idle', 200, 5);
await throughput(100_000, 50, 4);
await throughput(20_000, 1, 8);
const background = throughput(50_000, 20, 2);
await latency('busy', 100, 5);
await background;
const idleCpu = process.cpuUsage();
await delay(3_000);
const { user, system } = process.cpuUsage(idleCpu);
console.log(`idle for 3 s: node ${((user + system) / 30_000).toFixed(2)} % of a core`);
