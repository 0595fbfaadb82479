/**
 * One tenant's many messages don't stand in front of another one's ten: neither on their way into the queue, nor in the queue, nor at a receiving
 * host that both write to. Who received what when is told by the receiver, a process of its own.
 *
 * Says what came before what. With FAIRNESS=100000 (`make fairness`) it is that many messages, as fast as they are sent and received, and it
 * says how much later the ten arrive.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { idToUuid } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import pg from 'pg';
import { startInternet, verifiedDomain } from '../internet.ts';
import { type Call, client, type Platform, startPlatform } from '../platform.ts';
import { createTenant } from '../tenant.ts';
import type { Arrival } from '../witness/clocked-receiver.ts';

const RECEIVER = fileURLToPath(new URL('../witness/clocked-receiver.ts', import.meta.url));
const long = Number(process.env.FAIRNESS ?? 0);
const few = 10;

if (long > 0) test(`${long} messages of one tenant delay ten of another by less than two seconds`, { timeout: 3_600_000 }, delays);
else test('ten messages wait for nobody else’s thousands', { timeout: 900_000 }, order);

async function order(): Promise<void> {
  const many = 3_000;
  // A message takes its session this long, so that the queue stays long: 20 sessions take fifty a second.
  await using house = await openHouse(400);
  const { database, sendMany, sendFew, receiver } = house;

  // On the way into the queue: both are accepted, and nothing gets in until they are.
  await database.query('BEGIN');
  await database.query('LOCK TABLE delivery.ledger IN SHARE ROW EXCLUSIVE MODE');
  await sendMany(many);
  const first = await sendFew();
  await database.query('COMMIT');
  await receiver.arrivedAt(first);
  const { rows } = await database.query<{ before: number }>(
    `SELECT count(*)::int AS before FROM delivery.ledger
     WHERE tenant_id <> $1 AND xmin::text::bigint < (SELECT max(xmin::text::bigint) FROM delivery.ledger WHERE tenant_id = $1)`,
    [house.fewTenant],
  );
  const takenBefore = rows[0]?.before ?? many;
  assert.ok(takenBefore < many / 2, `${takenBefore} of ${many} were taken into the queue before the other tenant’s ${few}`);

  // In the queue, and at the host.
  await waitFor(async () => (await house.queuedOfMany()) === many, { what: 'all of the many to be in the queue', timeoutMs: 180_000 });
  const before = await receiver.countOfMany();
  const second = await sendFew();
  const lastAt = Math.max(...(await receiver.arrivedAt(second)).values());
  const meanwhile = (await receiver.countOfMany(lastAt)) - before;
  const left = many - before;
  assert.ok(left > many / 2, `the queue was too short to say anything: ${left} messages`);
  assert.ok(meanwhile < left / 4, `${meanwhile} of the ${left} in the queue were received before the other tenant’s ${few}`);
  console.log(`of ${many}: ${takenBefore} taken in before the other tenant’s first ${few}, ${meanwhile} received before its second ${few}`);
}

async function delays(): Promise<void> {
  await using house = await openHouse(0);
  const { sendMany, sendFew, receiver } = house;
  const rounds = 5;
  const measure = async (): Promise<number[]> => {
    const times: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const sent = await sendFew();
      const at = await receiver.arrivedAt(sent);
      for (const [to, sentAt] of sent) times.push((at.get(to) ?? Number.NaN) - sentAt);
    }
    return times.toSorted((one, other) => one - other);
  };
  await measure();
  const alone = await measure();
  const startedAt = Date.now();
  await sendMany(long);
  const acceptedMs = Date.now() - startedAt;
  const [queuedAtFirst, receivedAtFirst] = [await house.queuedOfMany(), await receiver.countOfMany()];
  const beside = await measure();
  const receivedAtLast = await receiver.countOfMany();
  const say = (times: number[]) => `p50 ${times[Math.floor(times.length / 2)]} ms, max ${times.at(-1)} ms`;
  const delay = (beside.at(-1) ?? Number.NaN) - (alone.at(-1) ?? Number.NaN);
  console.log(
    `${long} messages were accepted in ${(acceptedMs / 1000).toFixed(1)} s; of them ${queuedAtFirst} were in the queue and ${receivedAtFirst} received when`,
  );
  console.log(
    `the other tenant began, ${receivedAtLast} received when it had ended. From being sent to being received, ${few} at a time, ${rounds} times:`,
  );
  console.log(`  alone   ${say(alone)}`);
  console.log(`  beside  ${say(beside)}`);
  console.log(`  delay   ${delay} ms (the slowest of each)`);
  assert.ok(long - receivedAtLast >= long / 2, 'the queue was too short to say anything');
  assert.ok(delay < 2_000, `delayed by ${delay} ms`);
}

interface House extends AsyncDisposable {
  database: pg.Client;
  receiver: Receiver;
  fewTenant: string;
  sendMany(count: number): Promise<void>;
  /** Recipient → when it was asked for. */
  sendFew(): Promise<Map<string, number>>;
  /** How many of the many are in delivery's queue or have been. */
  queuedOfMany(): Promise<number>;
}

async function openHouse(takesMs: number): Promise<House> {
  await using opening = new AsyncDisposableStack();
  const dns = opening.use(await startInternet());
  const receiver = opening.use(await startReceiver(takesMs));
  const platform: Platform = opening.use(
    await startPlatform({
      env: { DELIVERY: 'smarthost', SMARTHOST: `127.0.0.1:${receiver.port}`, DNS_SERVERS: dns.address },
      ownPostgres: true,
    }),
  );
  const { key, tenant_id: tenantId } = await createTenant(platform, 'few@example.net');
  const fewCall = client(platform.api, key);
  await verifiedDomain(platform.call, dns, 'many.example');
  await verifiedDomain(fewCall, dns, 'few.example');
  const database = new pg.Client({ connectionString: await platform.databaseUrl() });
  await database.connect();
  opening.defer(() => database.end());
  const fewTenant = idToUuid('ten', tenantId) ?? '';
  const opened = opening.move();
  let rounds = 0;
  return {
    database,
    receiver,
    fewTenant,
    sendMany: (count) => sendBatches(platform.call, count),
    async sendFew() {
      const round = ++rounds;
      const sent = new Map<string, number>();
      await Promise.all(
        Array.from({ length: few }, async (_, number) => {
          const to = `few-${round}-${number}@example.org`;
          sent.set(to, Date.now());
          const { status, body } = await fewCall('POST', '/v1/messages', { from: 'a@few.example', to, subject: 'Few', text: 'Hello' });
          assert.equal(status, 202, JSON.stringify(body));
        }),
      );
      return sent;
    },
    async queuedOfMany() {
      const { rows } = await database.query<{ count: number }>('SELECT count(*)::int AS count FROM delivery.ledger WHERE tenant_id <> $1', [
        fewTenant,
      ]);
      return rows[0]?.count ?? 0;
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

const perBatch = 100;
const batchesAtOnce = 4;

async function sendBatches(call: Call, count: number): Promise<void> {
  let next = 0;
  const send = async (): Promise<void> => {
    while (next < count) {
      const from = next;
      next += perBatch;
      const messages = Array.from({ length: Math.min(perBatch, count - from) }, (_, index) => ({
        from: 'a@many.example',
        to: `many-${from + index}@example.org`,
        subject: `Many ${from + index}`,
        text: 'Hello to one of very many.',
      }));
      const { status, body } = await call('POST', '/v1/messages', { messages });
      assert.equal(status, 202, JSON.stringify(body).slice(0, 500));
    }
  };
  await Promise.all(Array.from({ length: batchesAtOnce }, send));
}

interface Receiver extends AsyncDisposable {
  port: number;
  /** When each of them arrived, once all have. */
  arrivedAt(sent: ReadonlyMap<string, number>): Promise<Map<string, number>>;
  /** How many of the many have arrived, or had at that time. */
  countOfMany(until?: number): Promise<number>;
}

async function startReceiver(takesMs: number): Promise<Receiver> {
  const child: ChildProcess = fork(RECEIVER, [String(takesMs)]);
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  const ofFew = new Map<string, number>();
  const ofMany: number[] = [];
  let asking: Promise<void> | undefined;
  const ask = async (): Promise<void> => {
    child.send('report');
    const [arrivals] = (await once(child, 'message')) as [Arrival[]];
    for (const { to, at } of arrivals) {
      if (to.startsWith('few-')) ofFew.set(to, at);
      else ofMany.push(at);
    }
  };
  const refresh = (): Promise<void> => {
    asking ??= ask().finally(() => (asking = undefined));
    return asking;
  };
  return {
    port,
    async arrivedAt(sent) {
      await waitFor(
        async () => {
          await refresh();
          return [...sent.keys()].every((to) => ofFew.has(to));
        },
        { what: 'all of the few to be received', timeoutMs: 240_000 },
      );
      return new Map([...sent.keys()].map((to) => [to, ofFew.get(to) ?? Number.NaN]));
    },
    async countOfMany(until = Number.POSITIVE_INFINITY) {
      await refresh();
      return ofMany.filter((at) => at <= until).length;
    },
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit');
      child.disconnect();
      await ended;
    },
  };
}
