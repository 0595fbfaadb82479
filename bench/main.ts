/** `make bench`: starts what it measures, says what it measured on, compares, prints a table and writes JSON. See README.md. */
import { tmpdir } from 'node:os';
import { type Arguments, type Part, readArguments, usage } from './arguments.ts';
import { describeMachine } from './machine.ts';
import { measureAccept } from './parts/accept.ts';
import { measureBatches } from './parts/batches.ts';
import { measureDepth } from './parts/depth.ts';
import { measureDrain } from './parts/drain.ts';
import { measureGuessing } from './parts/guessing.ts';
import { measureHostile } from './parts/hostile.ts';
import { measureLatency } from './parts/latency.ts';
import { measureMemory } from './parts/memory.ts';
import { measurePath } from './parts/path.ts';
import { heading, note, printTable, type Report, writeJson } from './report.ts';

const measures: Record<Part, (args: Arguments, report: Report) => Promise<void>> = {
  accept: measureAccept,
  batches: measureBatches,
  latency: measureLatency,
  path: measurePath,
  drain: measureDrain,
  depth: measureDepth,
  memory: measureMemory,
  hostile: measureHostile,
  guessing: measureGuessing,
};

async function main(): Promise<void> {
  if (process.argv.includes('--help')) return note(usage);
  const args = readArguments();
  const machine = describeMachine(process.env.BENCH_TMP ?? tmpdir());
  const platform = `${args.form}; on: authentication, validation, idempotency keys, domain checks, DKIM, fsync, telemetry ${args.telemetry}`;
  const report: Report = { machine, platform, lines: [], faults: [], details: {} };
  heading('machine');
  note(
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB; Linux ${machine.kernel}; Node ${machine.node}; ${machine.fileSystem}`,
  );
  note(
    `8 KB + fdatasync p50 ${machine.fsyncMs.p50.toFixed(2)} ms, p99 ${machine.fsyncMs.p99.toFixed(2)} ms; load before ${machine.loadBefore.toFixed(2)}; commit ${machine.commit}`,
  );
  note(`platform ${platform}`);
  for (const part of args.parts) {
    try {
      await measures[part](args, report);
    } catch (error) {
      report.faults.push(`${part}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
  }
  printTable(report);
  await writeJson(args.json, report);
  note(`\nfigures: ${args.json}`);
  process.exitCode = report.faults.length > 0 ? 1 : 0;
}

// Whoever started something that outlives us ends it when we exit.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));
await main();
process.exit();
