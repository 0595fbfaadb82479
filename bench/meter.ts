/** What a stretch of time cost: CPU by process, bytes of WAL and flushes, each per message. */
import type pg from 'pg';
import { cpuBetween, cpuOf, machineCpuMs, type Watched } from './processes.ts';

export interface Costs {
  seconds: number;
  messages: number;
  /** ms of CPU per message, by process. */
  cpuMsPerMessage: Record<string, number>;
  /** All of them together. */
  cpuMsTotal: number;
  walBytesPerMessage: number;
  walFlushesPerMessage: number;
  /** Committed in PostgreSQL, reading ones included. */
  transactionsPerMessage: number;
  /** Of the machine's CPU time, everything that runs on it. */
  machineBusyShare: number;
}

export interface Meter {
  stop(messages: number): Promise<Costs>;
}

export async function startMeter(watched: readonly Watched[], database: pg.Client): Promise<Meter> {
  const wal = await walOf(database);
  const cpu = cpuOf(watched);
  const machine = machineCpuMs();
  const startedAtMs = performance.now();
  return {
    async stop(messages) {
      const seconds = (performance.now() - startedAtMs) / 1000;
      const used = cpuBetween(cpu, cpuOf(watched));
      const machineNow = machineCpuMs();
      const walNow = await walOf(database);
      const each = Object.fromEntries([...used].map(([name, ms]) => [name, ms / messages]));
      return {
        seconds,
        messages,
        cpuMsPerMessage: each,
        cpuMsTotal: Object.values(each).reduce((sum, ms) => sum + ms, 0),
        walBytesPerMessage: (walNow.bytes - wal.bytes) / messages,
        walFlushesPerMessage: (walNow.flushes - wal.flushes) / messages,
        transactionsPerMessage: (walNow.transactions - wal.transactions) / messages,
        machineBusyShare: (machineNow.busy - machine.busy) / (machineNow.all - machine.all),
      };
    },
  };
}

async function walOf(database: pg.Client): Promise<{ bytes: number; flushes: number; transactions: number }> {
  const { rows } = await database.query<{ bytes: string; flushes: string | null; transactions: string }>(
    `SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS bytes,
            (SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal') AS flushes,
            (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()) AS transactions`,
  );
  return { bytes: Number(rows[0]?.bytes), flushes: Number(rows[0]?.flushes ?? 0), transactions: Number(rows[0]?.transactions) };
}

/** `auth 0.01 · gateway 0.31 · …`, the dearest first. */
export function cpuText(costs: Costs): string {
  return Object.entries(costs.cpuMsPerMessage)
    .sort((a, b) => b[1] - a[1])
    .filter(([, ms]) => ms >= 0.0005)
    .map(([name, ms]) => `${name} ${ms.toFixed(3)}`)
    .join(' · ');
}

/** The same for what PostgreSQL had to do. */
export function walText(costs: Costs): string {
  return `WAL ${Math.round(costs.walBytesPerMessage)} B, ${costs.walFlushesPerMessage.toFixed(2)} flushes, ${costs.transactionsPerMessage.toFixed(2)} transactions a message`;
}
