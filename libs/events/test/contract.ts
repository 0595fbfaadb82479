// What every event log promises, as tests: run for the PostgreSQL log by postgres-log.contract.test.ts, and for Kafka by a runner of its own.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '@maildoot/db/database';
import type { MessageAcceptedEvent } from '@maildoot/proto/maildoot/messaging/v1/events';
import { contextFrom, traceparentOf } from '@maildoot/runtime/telemetry';
import { waitFor } from '@maildoot/testkit/wait';
import { context, SpanKind, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { type EventLog, type EventRecord, RECORD_LIMIT_BYTES } from '../src/log.ts';
import { appendOutbox, RecordTooLargeError } from '../src/outbox.ts';
import { partitionIn } from '../src/partition.ts';
import { messageAccepted, type Topic } from '../src/topics.ts';
import { event, numberOf, range, tell } from './fixtures.ts';

export interface LogHarness extends AsyncDisposable {
  /** A producer's: what commits here becomes records. */
  database: Database;
  /** After a commit. */
  wake(): void;
  /** As one more process would open it; the test closes it. */
  openLog(): EventLog;
  /**
   * A process that subscribes to `messageAccepted`, prints number and id of each record that its handler gets as a line, and never returns
   * from the handler.
   */
  startHangingConsumer(group: string): Promise<{ lines(): string[]; kill(): Promise<void> }>;
  parked(group: string): Promise<{ id: string; reason: string; error: string }[]>;
  /** As if the producer had died after telling everything, and before it could note that. Resolves when it has told what it tells then. */
  tellAgain(): Promise<void>;
}

type Accepted = EventRecord<MessageAcceptedEvent>;

const quickRetry = { attempts: 3, firstDelayMs: 1, maxDelayMs: 5 };

export function eventLogContract(name: string, open: () => Promise<LogHarness>): void {
  describe(`event log on ${name}`, () => {
    test('records of a key come in the order in which they were told, none is missing', async () => {
      await using harness = await open();
      await using log = harness.openLog();
      const { records } = collect(log, 'order');
      const keys = range(12).map((index) => `key ${index}`);
      await Promise.all(
        keys.map(async (key) => {
          for (let number = 0; number < 30; number += 2) {
            await tell(harness.database, event(key, number), event(key, number + 1));
            harness.wake();
          }
        }),
      );
      await waitFor(() => records.length >= 12 * 30, { what: 'all records' });
      for (const key of keys) assert.deepEqual(numbers(records, key), range(30));
    });

    test('a record says which event it is, where it stands and when it was told', async () => {
      await using harness = await open();
      await using log = harness.openLog();
      const { records } = collect(log, 'fields');
      const before = Date.now();
      await tell(harness.database, event('msg_one', 1), event('msg_one', 2));
      harness.wake();
      await waitFor(() => records.length === 2, { what: 'both records' });
      const [one, two] = records as [Accepted, Accepted];
      assert.match(one.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/);
      assert.notEqual(one.id, two.id);
      assert.equal(one.key, 'msg_one');
      assert.equal(one.partition, partitionIn(messageAccepted, 'msg_one'));
      assert.equal(one.partition, two.partition);
      assert.ok(two.position > one.position);
      assert.ok(one.publishedAt.getTime() >= before - 1 && one.publishedAt.getTime() <= Date.now() + 1);
      assert.deepEqual(one.event, event('msg_one', 1));
    });

    test('what commits late is not skipped: transaction 1 inserts, 2 inserts and commits, a reader passes, 1 commits', async () => {
      await using harness = await open();
      await using log = harness.openLog();
      const { records } = collect(log, 'late');
      for (const round of range(3)) {
        const first = await harness.database.pool.connect();
        try {
          await first.query('BEGIN');
          await appendOutbox(first, [{ topic: messageAccepted, event: event('same key', round * 10 + 1) }]);
          await tell(harness.database, event('same key', round * 10 + 2));
          harness.wake();
          await waitFor(() => numbers(records, 'same key').includes(round * 10 + 2), { what: 'the record of transaction 2' });
          assert.ok(!numbers(records, 'same key').includes(round * 10 + 1));
          await first.query('COMMIT');
        } finally {
          first.release();
        }
        harness.wake();
        await waitFor(() => numbers(records, 'same key').includes(round * 10 + 1), { what: 'the record of transaction 1' });
      }
      assert.deepEqual(numbers(records, 'same key'), [2, 1, 12, 11, 22, 21]);
    });

    test('what is rolled back is never seen', async () => {
      await using harness = await open();
      await using log = harness.openLog();
      const { records } = collect(log, 'rollback');
      await assert.rejects(
        harness.database.transaction(async (client) => {
          await appendOutbox(client, [{ topic: messageAccepted, event: event('k', 1) }]);
          throw new Error('changed my mind');
        }),
      );
      await tell(harness.database, event('k', 2));
      harness.wake();
      await waitFor(() => records.length > 0, { what: 'the other record' });
      assert.deepEqual(records.map(numberOf), [2]);
    });

    test('each group gets every record, a new one from the oldest', async () => {
      await using harness = await open();
      await using log = harness.openLog();
      const one = collect(log, 'one');
      await tell(harness.database, ...range(20).map((number) => event(`k${number}`, number)));
      harness.wake();
      await waitFor(() => one.records.length === 20, { what: 'all in the first group' });
      const two = collect(log, 'two');
      await waitFor(() => two.records.length === 20, { what: 'all in the second group' });
      assert.deepEqual(sorted(two.records.map(numberOf)), range(20));
    });

    test('records whose handler did not return before its process was killed come again', async () => {
      await using harness = await open();
      const consumer = await harness.startHangingConsumer('killed');
      await tell(harness.database, event('k', 1), event('k', 2));
      harness.wake();
      const lines = await waitFor(() => (consumer.lines().length > 2 ? consumer.lines().slice(0, 2) : undefined), {
        what: 'the process to get the records',
      });
      await consumer.kill();
      await using log = harness.openLog();
      const { records } = collect(log, 'killed');
      await waitFor(() => records.length >= 2, { what: 'the records again', timeoutMs: 60_000 });
      assert.deepEqual(
        records.map((record) => `${numberOf(record)} ${record.id}`),
        lines,
        'not the same records by the same ids',
      );
    });

    test('a producer that died and tells its last events again: who has handled them does not get them twice', async () => {
      await using harness = await open();
      await using log = harness.openLog();
      const { records } = collect(log, 'again');
      await tell(harness.database, ...range(40).map((number) => event(`key ${number % 8}`, number)));
      harness.wake();
      await waitFor(() => records.length === 40, { what: 'all records' });
      await harness.tellAgain();
      await tell(harness.database, ...range(8).map((key) => event(`key ${key}`, 100)));
      harness.wake();
      await waitFor(() => records.filter((record) => numberOf(record) === 100).length === 8, { what: 'the records behind them' });
      assert.equal(records.length, 48);
    });

    test('what a stopped member has handled does not come again, what it was told and not handled does', async () => {
      await using harness = await open();
      const first: number[] = [];
      {
        await using log = harness.openLog();
        log.subscribe(messageAccepted, {
          group: 'restarted',
          maxBatch: 1,
          retry: quickRetry,
          async handle([record]) {
            if (numberOf(record!) === 3) throw Object.assign(new Error('nobody there'), { code: 'ECONNREFUSED' });
            first.push(numberOf(record!));
          },
        });
        await tell(harness.database, ...range(6).map((number) => event('k', number)));
        harness.wake();
        await waitFor(() => first.length === 3, { what: 'the records before the one that fails' });
      }
      await using log = harness.openLog();
      const { records } = collect(log, 'restarted');
      await waitFor(() => records.length >= 3, { what: 'the rest' });
      assert.deepEqual(first, [0, 1, 2]);
      assert.deepEqual(records.map(numberOf), [3, 4, 5]);
    });

    test('a stop waits for the running batch and commits it: nothing of it comes again', async () => {
      await using harness = await open();
      const entered = Promise.withResolvers<void>();
      const leave = Promise.withResolvers<void>();
      const first: number[] = [];
      const log = harness.openLog();
      log.subscribe(messageAccepted, {
        group: 'stop',
        maxBatch: 2,
        async handle(records) {
          entered.resolve();
          await leave.promise;
          first.push(...records.map(numberOf));
        },
      });
      await tell(harness.database, ...range(5).map((number) => event('k', number)));
      harness.wake();
      await entered.promise;
      const stopped = log[Symbol.asyncDispose]();
      let done = false;
      void stopped.then(() => {
        done = true;
      });
      await delay(30);
      assert.equal(done, false, 'the stop did not wait for the handler');
      leave.resolve();
      await stopped;
      assert.deepEqual(first, [0, 1]);
      await using again = harness.openLog();
      const { records } = collect(again, 'stop');
      await waitFor(() => records.length >= 3, { what: 'the rest' });
      assert.deepEqual(records.map(numberOf), [2, 3, 4]);
    });

    test('a handler that throws gets the same records again, and later ones only after them', async () => {
      await using harness = await open();
      await using log = harness.openLog();
      const calls: number[][] = [];
      let failing = 2;
      log.subscribe(messageAccepted, {
        group: 'throwing',
        maxBatch: 10,
        retry: quickRetry,
        async handle(records) {
          calls.push(records.map(numberOf));
          if (failing-- > 0) throw new Error('not this time');
        },
      });
      await tell(harness.database, event('k', 1));
      harness.wake();
      await waitFor(() => calls.length === 3, { what: 'three calls' });
      await tell(harness.database, event('k', 2));
      harness.wake();
      await waitFor(() => calls.length === 4, { what: 'the next record' });
      assert.deepEqual(calls, [[1], [1], [1], [2]]);
      assert.deepEqual(await harness.parked('throwing'), []);
    });

    test('a record that the handler refuses on its own is parked, and the partition goes on in order', async () => {
      await using harness = await open();
      await using log = harness.openLog();
      const handled: number[] = [];
      const ids: string[] = [];
      log.subscribe(messageAccepted, {
        group: 'poison',
        maxBatch: 10,
        retry: quickRetry,
        async handle(records) {
          const poison = records.find((record) => numberOf(record) === 3);
          if (poison !== undefined) {
            ids.push(poison.id);
            throw new TypeError('cannot stand number 3');
          }
          handled.push(...records.map(numberOf));
        },
      });
      await tell(harness.database, ...range(7).map((number) => event('k', number)));
      harness.wake();
      await waitFor(() => handled.includes(6), { what: 'the records behind it' });
      assert.deepEqual(handled, [0, 1, 2, 4, 5, 6]);
      assert.deepEqual(await harness.parked('poison'), [{ id: ids[0], reason: 'refused', error: 'TypeError: cannot stand number 3' }]);
    });

    test('a record that cannot be read is parked in its place', async () => {
      await using harness = await open();
      await using log = harness.openLog();
      const broken: Topic<MessageAcceptedEvent> = {
        ...messageAccepted,
        codec: { ...messageAccepted.codec, encode: () => ({ finish: () => Buffer.from('0affffffff07', 'hex') }) },
      };
      const nameless: Topic<MessageAcceptedEvent> = { ...messageAccepted, key: () => 'k' };
      const { records } = collect(log, 'unreadable');
      await harness.database.transaction((client) =>
        appendOutbox(client, [
          { topic: messageAccepted, event: event('k', 1) },
          { topic: broken, event: event('k', 2) },
          { topic: nameless, event: event('', 3) },
          { topic: messageAccepted, event: event('k', 4) },
        ]),
      );
      harness.wake();
      await waitFor(() => records.some((record) => numberOf(record) === 4), { what: 'the record behind them' });
      assert.deepEqual(records.map(numberOf), [1, 4]);
      const parked = await harness.parked('unreadable');
      assert.deepEqual(
        parked.map(({ reason }) => reason),
        ['unreadable', 'unreadable'],
      );
      assert.equal(parked[1]?.error, 'Error: message_id is missing');
    });

    test('a failure that passes is never a reason to park', async () => {
      await using harness = await open();
      await using log = harness.openLog();
      let calls = 0;
      log.subscribe(messageAccepted, {
        group: 'transient',
        maxBatch: 10,
        retry: quickRetry,
        isTransient: (error) => error instanceof RangeError,
        async handle() {
          calls++;
          if (calls <= 5) throw Object.assign(new Error('no connection'), { code: 'ECONNREFUSED' });
          if (calls <= 10) throw Object.assign(new Error('nobody there'), { code: 'UNAVAILABLE' });
          if (calls <= 15) throw new RangeError('of the subscriber');
        },
      });
      await tell(harness.database, event('k', 1));
      harness.wake();
      await waitFor(() => calls === 16, { what: 'sixteen calls' });
      assert.deepEqual(await harness.parked('transient'), []);
    });

    test('trouble of a database that is reachable is waited for: no table, then no partition; only the data itself is a reason to park', async () => {
      await using harness = await open();
      await using log = harness.openLog();
      const { pool } = harness.database;
      await pool.query('CREATE TABLE seen_later (number bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at)');
      const failures: unknown[] = [];
      log.subscribe(messageAccepted, {
        group: 'database',
        maxBatch: 10,
        retry: quickRetry,
        async handle(records) {
          for (const record of records) {
            const number = numberOf(record) === 2 ? 'two' : numberOf(record);
            await pool.query("INSERT INTO seen (number, at) VALUES ($1, '2026-01-01')", [number]).catch((error: { code: string }) => {
              failures.push(error.code);
              throw error;
            });
          }
        },
      });
      await tell(harness.database, event('k', 1), event('k', 2), event('k', 3));
      harness.wake();
      const failed = (code: string) => failures.filter((one) => one === code).length;
      await waitFor(() => failed('42P01') > 10, { what: 'more failures than a record may have' });
      await pool.query('ALTER TABLE seen_later RENAME TO seen');
      await waitFor(() => failed('23514') > 10, { what: 'as many for the missing partition' });
      await pool.query("CREATE TABLE seen_2026 PARTITION OF seen FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')");
      const numbersSeen = async () =>
        (await pool.query<{ number: string }>('SELECT number FROM seen ORDER BY number')).rows.map((row) => Number(row.number));
      await waitFor(async () => (await numbersSeen()).includes(3), { what: 'the last record' });
      assert.equal((await harness.parked('database')).length, 1);
      assert.match((await harness.parked('database'))[0]!.error, /invalid input syntax/);
      assert.deepEqual([...new Set(await numbersSeen())], [1, 3]);
    });

    test('a record over the limit is refused at append, one at the limit arrives', async () => {
      await using harness = await open();
      await using log = harness.openLog();
      const { records } = collect(log, 'large');
      // message_id and tenant_id as in event(), the rest of the limit in mail_from.
      const filled = (bytes: number) => {
        const sized = (mailFrom: string) => ({ ...event('k', 1), mailFrom });
        const rest = bytes - messageAccepted.codec.encode(sized('x'.repeat(900_000))).finish().length - 1;
        return sized('x'.repeat(900_000 + rest));
      };
      await assert.rejects(tell(harness.database, event('k', 0), filled(RECORD_LIMIT_BYTES + 1)), (error: unknown) => {
        assert.ok(error instanceof RecordTooLargeError);
        assert.equal(error.sizeBytes, RECORD_LIMIT_BYTES + 1);
        assert.match(error.message, /messaging\.message-accepted\.v1 has 1000001 bytes; the limit is 1000000/);
        return true;
      });
      await tell(harness.database, filled(RECORD_LIMIT_BYTES));
      harness.wake();
      await waitFor(() => records.length > 0, { what: 'the large record' });
      assert.equal(records[0]?.event.mailFrom.length, filled(RECORD_LIMIT_BYTES).mailFrom.length);
      assert.equal(records.length, 1);
    });

    test('a consumer slower than its producer gets bounded batches, few partitions at a time, one batch per partition, in order', async () => {
      await using harness = await open();
      await using log = harness.openLog();
      const records: Accepted[] = [];
      const running = new Map<number, number>();
      let mostAtOnce = 0;
      let mostInBatch = 0;
      let mostPerPartition = 0;
      // Until all is told, so that it is the slower one on every machine.
      const allTold = Promise.withResolvers<void>();
      using _letGo = { [Symbol.dispose]: () => allTold.resolve() };
      log.subscribe(messageAccepted, {
        group: 'slow',
        maxBatch: 7,
        concurrency: 3,
        async handle(batch) {
          const { partition } = batch[0]!;
          running.set(partition, (running.get(partition) ?? 0) + 1);
          mostInBatch = Math.max(mostInBatch, batch.length);
          mostPerPartition = Math.max(mostPerPartition, ...running.values());
          mostAtOnce = Math.max(mostAtOnce, [...running.values()].filter((count) => count > 0).length);
          await allTold.promise;
          await delay(2);
          records.push(...batch);
          running.set(partition, running.get(partition)! - 1);
        },
      });
      for (let number = 0; number < 25; number++) {
        await tell(harness.database, ...range(32).map((key) => event(`key ${key}`, number)));
        harness.wake();
      }
      await waitFor(() => mostAtOnce === 3, { what: 'as many partitions at a time as may be' });
      allTold.resolve();
      await waitFor(() => records.length >= 800, { what: 'all records' });
      for (const key of range(32)) assert.deepEqual(numbers(records, `key ${key}`), range(25));
      assert.equal(mostInBatch, 7);
      assert.equal(mostPerPartition, 1);
      assert.equal(mostAtOnce, 3);
    });

    test('members that join and leave share the partitions: each has one reader at a time, nothing is lost or out of order', async () => {
      await using harness = await open();
      await using logs = new AsyncDisposableStack();
      const records: { member: string; record: Accepted }[] = [];
      const inside = new Map<number, string>();
      const overlaps: string[] = [];
      const join = (member: string) => {
        const log = logs.use(harness.openLog());
        const subscription = log.subscribe(messageAccepted, {
          group: 'shared',
          maxBatch: 5,
          async handle(batch) {
            const { partition } = batch[0]!;
            const other = inside.get(partition);
            if (other !== undefined) overlaps.push(`${member} and ${other} in partition ${partition}`);
            inside.set(partition, member);
            await delay(1);
            inside.delete(partition);
            records.push(...batch.map((record) => ({ member, record })));
          },
        });
        return { log, subscription };
      };
      const keys = range(40).map((index) => `key ${index}`);
      let produced = 0;
      let producing = true;
      const producer = (async () => {
        for (; producing; produced++) {
          await tell(harness.database, ...keys.map((key) => event(key, produced)));
          harness.wake();
          await delay(3);
        }
      })();
      try {
        const first = join('first');
        await waitFor(() => first.subscription.partitions.length === 16, { what: 'all partitions with the first' });
        const second = join('second');
        await waitFor(() => first.subscription.partitions.length === 8 && second.subscription.partitions.length === 8, {
          what: 'equal shares',
        });
        assert.deepEqual(sorted([...first.subscription.partitions, ...second.subscription.partitions]), range(16));
        const before = records.length;
        await waitFor(() => new Set(records.slice(before).map(({ member }) => member)).size === 2, { what: 'records at both' });
        await first.log[Symbol.asyncDispose]();
        await waitFor(() => second.subscription.partitions.length === 16, { what: 'all partitions with the second' });
        producing = false;
        await producer;
        await waitFor(() => new Set(records.map(({ record }) => record.id)).size === produced * keys.length, {
          what: 'all records',
        });
        await second.log[Symbol.asyncDispose]();
      } finally {
        producing = false;
        await producer;
      }
      assert.deepEqual(overlaps, []);
      for (const key of keys)
        assert.deepEqual(
          numbers(
            records.map(({ record }) => record),
            key,
          ),
          range(produced),
        );
    });

    test('a partition changes hands only after its running batch was handled and committed', async () => {
      await using harness = await open();
      const leave = Promise.withResolvers<void>();
      const first: string[] = [];
      const held = new Set<number>();
      await using one = harness.openLog();
      using _letGo = { [Symbol.dispose]: () => leave.resolve() };
      one.subscribe(messageAccepted, {
        group: 'handover',
        maxBatch: 10,
        concurrency: 16,
        async handle(records) {
          first.push(...records.map(({ id }) => id));
          held.add(records[0]!.partition);
          await leave.promise;
        },
      });
      const keys = range(200).map((index) => `key ${index}`);
      const used = new Set(keys.map((key) => partitionIn(messageAccepted, key)));
      await tell(harness.database, ...keys.map((key, index) => event(key, index)));
      harness.wake();
      await waitFor(() => held.size === used.size, { what: 'all partitions that are used to be under way' });
      const underWay = new Set(first);
      await using two = harness.openLog();
      const second: string[] = [];
      const subscription = two.subscribe(messageAccepted, {
        group: 'handover',
        maxBatch: 10,
        async handle(records) {
          second.push(...records.map(({ id }) => id));
        },
      });
      await delay(500);
      assert.deepEqual(second, [], 'the second member got records of a partition that the first was still handling');
      leave.resolve();
      await waitFor(() => subscription.partitions.length === 8 && new Set([...first, ...second]).size === 200, {
        what: 'the second to have its share, and all records',
      });
      assert.deepEqual(
        second.filter((id) => underWay.has(id)),
        [],
        'what the first had handled came again',
      );
    });

    test('one trace leads through the log: publish under what published, process under publish', async () => {
      await using harness = await open();
      const exporter = new InMemorySpanExporter();
      const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
      trace.setGlobalTracerProvider(provider);
      context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
      try {
        await using log = harness.openLog();
        const seen: Accepted[] = [];
        log.subscribe(messageAccepted, {
          group: 'traced',
          maxBatch: 10,
          async handle(records) {
            for (const record of records) trace.getTracer('test').startSpan('work', {}, record.context).end();
            seen.push(...records);
          },
        });
        const request = trace.getTracer('test').startSpan('request');
        const elsewhere = trace.getTracer('test').startSpan('another request');
        await context.with(trace.setSpan(context.active(), request), () =>
          harness.database.transaction((client) =>
            appendOutbox(client, [
              { topic: messageAccepted, event: event('k', 1) },
              { topic: messageAccepted, event: event('k', 2), traceparent: traceparentOf(elsewhere) },
            ]),
          ),
        );
        harness.wake();
        await waitFor(() => seen.length === 2, { what: 'both records' });
        await waitFor(() => exporter.getFinishedSpans().filter((span) => span.name.startsWith('process')).length === 2, {
          what: 'both process spans',
        });
        for (const [index, root] of [request, elsewhere].entries()) {
          const record = seen[index]!;
          const spans = exporter.getFinishedSpans().filter((span) => span.spanContext().traceId === root.spanContext().traceId);
          const publish = spans.find((span) => span.name === 'publish messaging.message-accepted.v1')!;
          const process = spans.find((span) => span.name === 'process messaging.message-accepted.v1')!;
          const work = spans.find((span) => span.name === 'work')!;
          assert.equal(publish.kind, SpanKind.PRODUCER);
          assert.equal(publish.parentSpanContext?.spanId, root.spanContext().spanId);
          assert.equal(record.traceparent, traceparentOf(trace.setSpanContext(contextFrom(undefined), publish.spanContext())));
          assert.equal(process.kind, SpanKind.CONSUMER);
          assert.equal(process.parentSpanContext?.spanId, publish.spanContext().spanId);
          assert.equal(work.parentSpanContext?.spanId, process.spanContext().spanId);
        }
      } finally {
        trace.disable();
        context.disable();
        await provider.shutdown();
      }
    });
  });
}

function collect(log: EventLog, group: string): { records: Accepted[] } {
  const records: Accepted[] = [];
  log.subscribe(messageAccepted, {
    group,
    maxBatch: 50,
    async handle(batch) {
      records.push(...batch);
    },
  });
  return { records };
}

/** The numbers of a key's records in the order in which they first came. */
function numbers(records: Accepted[], key: string): number[] {
  const byId = new Map(
    records
      .filter((record) => record.key === key)
      .toReversed()
      .map((record) => [record.id, record]),
  );
  const ids = new Set(records.map(({ id }) => id));
  return [...ids].flatMap((id) => (byId.has(id) ? [numberOf(byId.get(id)!)] : []));
}

function sorted(values: number[]): number[] {
  return values.toSorted((a, b) => a - b);
}
