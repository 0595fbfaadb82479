/**
 * The load generator, a process of its own: takes one job over IPC, does it, answers with figures. Two modes:
 *   closed  so many connections, each sends its next request when it has the answer: the highest rate
 *   open    requests are due at times that are drawn beforehand, whatever the answers do, and latency counts from that time: what a
 *           server that stalls does to its callers is in the figures (no coordinated omission)
 */
import { type Answer, Connection } from './connection.ts';
import { Histogram } from './histogram.ts';
import type { LoadJob, LoadResult } from './load.ts';
import { createRequests, seeded } from './requests.ts';

process.once('message', (job: LoadJob) => {
  run(job).then(
    (result) => process.send?.(result, () => process.exit(0)),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.once('disconnect', () => process.exit(1));

async function run(job: LoadJob): Promise<LoadResult> {
  const requests = createRequests(job.request, job.firstNumber);
  const connections = await Promise.all(Array.from({ length: job.connections }, () => Connection.open(job.host, job.port)));
  const tally = createTally(job);
  await (job.mode === 'closed' ? closed(job, connections, tally, requests) : open(job, connections, tally, requests));
  for (const connection of connections) connection.close();
  return tally.result();
}

type Requests = ReturnType<typeof createRequests>;
type Tally = ReturnType<typeof createTally>;

function createTally(job: LoadJob) {
  const latency = new Histogram();
  const lateness = new Histogram();
  const others: Record<string, number> = {};
  const samples: string[] = [];
  let sent = 0;
  let accepted = 0;
  let failed = 0;
  let cpu = process.cpuUsage();
  let startedAtMs = performance.now();
  let endedAtMs = startedAtMs;
  let started = false;
  return {
    /** The warm-up is over. */
    start() {
      started = true;
      cpu = process.cpuUsage();
      startedAtMs = performance.now();
      process.send?.({ started: true });
    },
    get sent() {
      return sent;
    },
    wasSent() {
      sent++;
    },
    late(ms: number) {
      if (started) lateness.record(ms);
    },
    answered(answer: Answer | Error, sinceMs: number) {
      const now = performance.now();
      const status = answer instanceof Error ? `no answer (${answer.message})` : String(answer.status);
      if (status !== job.expect) {
        failed++;
        others[status] = (others[status] ?? 0) + 1;
        if (samples.length < 3) samples.push(answer instanceof Error ? answer.message : answer.text().slice(-600));
      }
      if (!started) return;
      if (status === job.expect) accepted++;
      latency.record(now - sinceMs);
      endedAtMs = now;
    },
    stop() {
      endedAtMs = performance.now();
      started = false;
    },
    result(): LoadResult {
      const used = process.cpuUsage(cpu);
      return {
        sent,
        accepted,
        failed,
        others,
        samples,
        seconds: (endedAtMs - startedAtMs) / 1000,
        latency: latency.toJSON(),
        lateness: lateness.toJSON(),
        cpuMs: (used.user + used.system) / 1000,
      };
    },
  };
}

async function closed(job: LoadJob, connections: Connection[], tally: Tally, requests: Requests): Promise<void> {
  let stopping = false;
  const running = connections.map(
    (connection) =>
      new Promise<void>((resolve) => {
        const again = (): void => {
          if (stopping || connection.dead || (job.count !== undefined && tally.sent >= job.count)) {
            resolve();
            return;
          }
          const sentAtMs = performance.now();
          tally.wasSent();
          connection.request(requests.next(), (answer) => {
            tally.answered(answer, sentAtMs);
            again();
          });
        };
        again();
      }),
  );
  const done = Promise.all(running);
  await Promise.race([done, sleep(job.warmUpSeconds * 1000)]);
  tally.start();
  await Promise.race([done, sleep(job.seconds * 1000)]);
  tally.stop();
  stopping = true;
  await done;
}

/** Arrivals are a Poisson process, as those of many callers who know nothing of each other. */
async function open(job: LoadJob, connections: Connection[], tally: Tally, requests: Requests): Promise<void> {
  const random = seeded(7);
  const idle = [...connections];
  const waiting: number[] = [];
  const meanMs = 1000 / job.rate;
  const warmUpMs = job.warmUpSeconds * 1000;
  const totalMs = warmUpMs + job.seconds * 1000;
  const startMs = performance.now() + 50;
  let pending = 0;
  let dueMs = startMs;
  let ended = false;
  const finished = Promise.withResolvers<void>();

  const send = (connection: Connection, scheduledMs: number): void => {
    tally.wasSent();
    connection.request(requests.next(), (answer) => {
      tally.answered(answer, scheduledMs);
      pending--;
      const next = waiting.shift();
      if (next !== undefined) send(connection, next);
      else if (!connection.dead) idle.push(connection);
      if (ended && pending === 0) finished.resolve();
    });
  };
  /** A server closes what has been idle for long, and a caller doesn't take that for an answer. */
  const live = (): Connection | undefined => {
    let connection = idle.pop();
    while (connection?.dead) connection = idle.pop();
    return connection;
  };
  let measuring = false;
  const turn = (): void => {
    const now = performance.now();
    if (!measuring && now - startMs >= warmUpMs) {
      measuring = true;
      tally.start();
    }
    while (dueMs <= now && dueMs - startMs < totalMs) {
      pending++;
      const connection = live();
      tally.late(now - dueMs);
      if (connection === undefined) waiting.push(dueMs);
      else send(connection, dueMs);
      dueMs += -Math.log(1 - random()) * meanMs;
    }
    if (dueMs - startMs >= totalMs) {
      ended = true;
      if (pending === 0) finished.resolve();
      return;
    }
    setTimeout(turn, Math.max(0, Math.floor(dueMs - performance.now())));
  };
  turn();
  await finished.promise;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
