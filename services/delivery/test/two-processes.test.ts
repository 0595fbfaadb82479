// Two real processes on one queue, killed, stopped and cut off. The witness is the receiver: each process says its own name in EHLO.
import assert from 'node:assert/strict';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { type ReceivedMessage, type SmtpReceiver, type StageEvent, startSmtpReceiver } from '@maildoot/testkit/smtp';
import { waitFor } from '@maildoot/testkit/wait';
import { type DeliveryProcess, type House, mxZone, openHouse } from './delivery.ts';

/** Ten seconds of silence, two between two looks, and what a busy machine needs. */
const takeOverMs = 30_000;

// Each in a house of its own, beside each other: most of their time is waiting for leases to expire.
describe('two delivery processes', { concurrency: 4 }, () => {
  it('share the work, whether both were idle or one had a head start, and never have more sessions than the limit', async () => {
    const limit = 6;
    await using stage = await openStage({ MAX_SESSIONS_PER_DESTINATION: String(limit), MESSAGES_PER_SESSION: '15' });
    const { house, receiver } = stage;
    // Slow enough that the queue is there while both take from it.
    // A session is over for us when the QUIT is answered; the receiver may find its connection closed a little later.
    let most = 0;
    let dotMs = 20;
    receiver.setBehaviour(({ stage: at }) => {
      most = Math.max(most, receiver.sessions.filter((session) => !session.closed && session.transcript.at(-2) !== '> QUIT').length);
      return at === 'dot' ? { kind: 'accept', afterMs: dotMs } : undefined;
    });
    const one = await stage.start('one');
    const accept = (count: number) => house.acceptAll(recipients(count));
    await accept(600);
    await waitFor(() => receiver.messages.length >= 50, { what: 'the first ones', timeoutMs: 60_000 });
    const two = await stage.start('two');
    await stage.bothReckon();
    const before = receiver.messages.length;
    assert.ok(before < 500, `${before} were sent before the second one was there`);
    await waitFor(() => receiver.messages.length === 600, { what: 'the rest', timeoutMs: 90_000 });
    assertShared(receiver.messages.slice(before), 'with a head start');
    // Slower now: neither may be through before the other one, on a busy machine, has heard of them.
    dotMs = 100;
    for (const count of [120, 300]) {
      await stage.idle();
      const sent = receiver.messages.length;
      await accept(count);
      await waitFor(() => receiver.messages.length === sent + count, { what: `${count} more`, timeoutMs: 90_000 });
      assertShared(receiver.messages.slice(sent), `${count}, both idle`);
    }
    dotMs = 20;
    assert.equal(most, limit);
    // One leaves, and the other has all of it.
    await one[Symbol.asyncDispose]();
    await waitFor(() => receiver.openSessions === 0, { what: 'no session' });
    const sent = receiver.messages.length;
    await accept(100);
    await waitFor(() => receiver.openSessions === limit, { what: 'all sessions for the one that is left' });
    await waitFor(() => receiver.messages.length === sent + 100, { what: 'the last ones', timeoutMs: 60_000 });
    assert.equal(most, limit);
    assert.ok(two.pid > 0);
  });

  it('one killed: the other takes its rows over, nothing is lost, and duplicates were past DATA and are marked', async () => {
    await using stage = await openStage();
    const { house, receiver } = stage;
    receiver.setBehaviour(({ stage: at }) => (at === 'dot' ? { kind: 'accept', afterMs: 40 } : undefined));
    const [one] = [await stage.start('one'), await stage.start('two')];
    await stage.bothReckon();
    const ids = await house.acceptAll(recipients(400));
    await waitFor(() => receiver.messages.filter((mail) => mail.helo === 'one.test').length >= 40, {
      what: 'some by the one',
      timeoutMs: 60_000,
    });
    one.signal('SIGKILL');
    await one.exited;
    const killed = await house.database.pool.query<{ at: Date }>('SELECT now() AS at');
    const held = await house.database.pool.query<{ address: string }>(
      `SELECT address FROM due WHERE incarnation = (SELECT id FROM incarnation ORDER BY started_at LIMIT 1)`,
    );
    assert.ok(held.rows.length > 0, 'it held rows when it was killed');
    await waitFor(() => ids.every((id) => house.outcomes(id).includes('delivered')), { what: 'every outcome', timeoutMs: 90_000 });
    for (const row of held.rows) assert.ok(receiver.mailFor(row.address).length > 0, row.address);
    // By the database's clock and records, so that it says something on a slow machine too.
    const taken = await house.database.pool.query<{ rows: number; ms: number }>(
      'SELECT count(*)::int AS rows, (extract(epoch FROM max(recorded_at) - $1) * 1000)::int AS ms FROM attempt WHERE outcome = $2',
      [killed.rows[0]?.at, Outcome.OUTCOME_INTERRUPTED],
    );
    assert.ok((taken.rows[0]?.rows ?? 0) >= held.rows.length, 'all of its rows were taken over');
    assert.ok((taken.rows[0]?.ms ?? Number.POSITIVE_INFINITY) < takeOverMs, `${taken.rows[0]?.ms} ms`);
    for (const [number, id] of ids.entries()) {
      const times = receiver.mailFor(address(number));
      assert.ok(times.length >= 1);
      if (times.length === 1) continue;
      // Its dot had come in when the process died.
      assert.deepEqual(
        times.map((mail) => mail.helo),
        ['one.test', 'two.test'],
      );
      assert.deepEqual(house.outcomes(id), ['interrupted', 'delivered']);
      assert.ok(house.events.filter((event) => event.messageId === id).every((event) => event.possibleDuplicate));
    }
  });

  // Where the sessions of the one that is stopped are at that moment.
  const moments: [string, StageEvent['stage']][] = [
    ['before MAIL FROM', 'connect'],
    ['before DATA', 'rcpt'],
    ['at DATA', 'data'],
  ];
  for (const [moment, at] of moments) {
    it(`one stopped ${moment} beyond its lease and continued sends nothing that the other took`, async () => {
      await using stage = await openStage();
      const one = await stage.start('one');
      const taken = await stage.takeOver(at, () => one.signal('SIGSTOP'));
      one.signal('SIGCONT');
      await taken.assertUntouched();
      await stage.worksAgain();
      await taken.assertUntouched();
    });
  }

  it('one cut off from PostgreSQL beyond its lease sends nothing that the other took, cut off still or not', async () => {
    await using stage = await openStage();
    await using wire = await openWire(new URL(stage.house.databaseUrl));
    await stage.start('one', { DATABASE_URL: wire.url });
    const taken = await stage.takeOver('rcpt', () => wire.cut());
    await taken.assertUntouched();
    wire.mend();
    await stage.worksAgain();
    await taken.assertUntouched();
  });

  it('mail captured by one ends the wait at the other', async () => {
    await using house = await openHouse();
    await using one = await house.spawnDelivery({ DELIVERY: 'capture', MAIL_HOSTNAME: 'one.test' });
    await using two = await house.spawnDelivery({ DELIVERY: 'capture', MAIL_HOSTNAME: 'two.test' });
    for (const waiter of [one, two]) {
      for (let time = 0; time < 4; time++) {
        const to = `wait${waiter.pid}-${time}@anywhere.test`;
        const waiting = waiter.asGateway.listCapturedMail(
          { limit: 1, afterId: '', to, subject: '', waitMs: 30_000, messageId: '' },
          { tenantId: house.tenantId },
        );
        await house.accept({ to: [to] });
        assert.equal((await waiting).mails.length, 1);
      }
    }
  });
});

interface Stage extends AsyncDisposable {
  house: House;
  receiver: SmtpReceiver;
  start(name: string, env?: Record<string, string>): Promise<DeliveryProcess>;
  /** Both know of each other and have their share of sessions. */
  bothReckon(): Promise<void>;
  /** Nothing is held, and nobody has a session open. */
  idle(): Promise<void>;
  /** Cuts the one off while its sessions wait for an answer at a stage; another one takes over and sends; then the answers come. */
  takeOver(at: StageEvent['stage'], cut: () => void): Promise<{ assertUntouched(): Promise<void> }>;
  /** The process that was cut off sends again, under another incarnation. */
  worksAgain(): Promise<void>;
}

async function openStage(env: Record<string, string> = {}): Promise<Stage> {
  await using opening = new AsyncDisposableStack();
  const house = opening.use(await openHouse());
  const receiver = opening.use(await startSmtpReceiver({ keepRaw: false }));
  mxZone(house.dns, 'example.test', [['mx1', '127.0.0.1']]);
  const opened = opening.move();
  const stage: Stage = {
    house,
    receiver,
    start: async (name, more = {}) =>
      opened.use(await house.spawnDelivery({ MX_PORT: String(receiver.port), MAIL_HOSTNAME: `${name}.test`, ...env, ...more })),
    async bothReckon() {
      await waitFor(
        async () => {
          const { rows } = await house.database.pool.query<{ count: number }>(
            `SELECT count(*)::int AS count FROM incarnation WHERE cardinality(applied) = 1 AND over = '{}' AND heartbeat_at > now() - interval '10 s'`,
          );
          return rows[0]?.count === 2;
        },
        { what: 'both to reckon with each other', timeoutMs: 60_000 },
      );
    },
    async idle() {
      await waitFor(
        async () => receiver.openSessions === 0 && (await house.database.pool.query('SELECT 1 FROM due LIMIT 1')).rowCount === 0,
        { what: 'idleness', timeoutMs: 60_000 },
      );
    },
    async takeOver(at, cut) {
      const gate = Promise.withResolvers<void>();
      const waiting = new Set<number>();
      // Which connections are the one's: it was alone when they were made.
      const ones = new Set<number>();
      let alone = true;
      receiver.setBehaviour(async ({ stage: now, session }) => {
        if (alone) ones.add(session.number);
        if (now === at && ones.has(session.number)) {
          waiting.add(session.number);
          await gate.promise;
        }
        return undefined;
      });
      const addresses = Array.from({ length: 30 }, (_, number) => address(number));
      const ids = await house.acceptAll(recipients(30));
      await waitFor(() => waiting.size >= 10, { what: `sessions at ${at}`, timeoutMs: 60_000 });
      const held = await house.database.pool.query('SELECT 1 FROM due WHERE incarnation IS NOT NULL');
      assert.ok((held.rowCount ?? 0) >= 10);
      cut();
      alone = false;
      await stage.start('two');
      for (const to of addresses) await receiver.waitForMail(to, { timeoutMs: 60_000 });
      // Now the one hears what it waited for.
      gate.resolve();
      return {
        async assertUntouched() {
          const its = receiver.sessions.filter((session) => ones.has(session.number));
          await waitFor(() => its.every((session) => session.closed), { what: 'its sessions to end', timeoutMs: 60_000 });
          if (at === 'connect') for (const session of its) assert.ok(!session.transcript.some((line) => line.startsWith('> MAIL')));
          for (const [number, to] of addresses.entries()) {
            assert.deepEqual(
              receiver.mailFor(to).map((mail) => mail.helo),
              ['two.test'],
              to,
            );
            const outcomes = house.outcomes(ids[number] ?? '');
            assert.ok(
              outcomes.every((outcome) => outcome === 'interrupted' || outcome === 'delivered'),
              outcomes.join(),
            );
          }
        },
      };
    },
    async worksAgain() {
      let number = 1_000;
      await waitFor(
        async () => {
          await house.acceptAll(recipients(10, number));
          number += 10;
          return receiver.messages.some((mail) => mail.helo === 'one.test');
        },
        { what: 'the one to send again', timeoutMs: 60_000, intervalMs: 200 },
      );
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
  return stage;
}

function address(number: number): string {
  return `accept+${number}@example.test`;
}

function recipients(count: number, from = 0): { to: string[] }[] {
  return Array.from({ length: count }, (_, number) => ({ to: [address(from + number)] }));
}

function assertShared(mails: readonly ReceivedMessage[], when: string): void {
  const byOne = mails.filter((mail) => mail.helo === 'one.test').length;
  const share = byOne / mails.length;
  assert.ok(share >= 0.3 && share <= 0.7, `${when}: the one sent ${byOne} of ${mails.length}`);
}

/** A wire to PostgreSQL that can be cut. */
async function openWire(url: URL): Promise<{ url: string; cut(): void; mend(): void } & AsyncDisposable> {
  const sockets = new Set<Socket>();
  let whole = true;
  const server: Server = createServer((near) => {
    const far = connect(Number(url.port), url.hostname);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.pipe(to);
      from.on('error', () => undefined);
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
    if (!whole) near.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const near = new URL(url);
  near.host = `127.0.0.1:${(server.address() as { port: number }).port}`;
  const cut = (): void => {
    whole = false;
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: near.href,
    cut,
    mend: () => {
      whole = true;
    },
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
