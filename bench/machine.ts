/** What was measured on: figures of different machines can't be compared. */
import { execFileSync } from 'node:child_process';
import { closeSync, fdatasyncSync, openSync, readFileSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';

export interface Machine {
  cpu: string;
  cores: number;
  memoryGb: number;
  kernel: string;
  node: string;
  postgres?: string;
  fileSystem: string;
  /** 8 KB written and fdatasync'ed, in ms. */
  fsyncMs: { p50: number; p99: number };
  loadBefore: number;
  commit: string;
  at: string;
}

export function describeMachine(directory: string): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    fileSystem: fileSystemOf(directory),
    fsyncMs: fsyncLatency(directory),
    loadBefore: loadavg()[0] ?? 0,
    commit: commit(),
    at: new Date().toISOString(),
  };
}

function fsyncLatency(directory: string): { p50: number; p99: number } {
  const path = join(directory, `fsync-${process.pid}`);
  const file = openSync(path, 'w');
  const block = Buffer.alloc(8192, 1);
  const times: number[] = [];
  for (let count = 0; count < 300; count++) {
    const startedAtMs = performance.now();
    writeSync(file, block, 0, block.length, (count % 64) * block.length);
    fdatasyncSync(file);
    times.push(performance.now() - startedAtMs);
  }
  closeSync(file);
  rmSync(path);
  times.sort((a, b) => a - b);
  return { p50: times[150] ?? Number.NaN, p99: times[297] ?? Number.NaN };
}

function fileSystemOf(directory: string): string {
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, at]) => at !== undefined && (directory === at || directory.startsWith(at === '/' ? '/' : `${at}/`)))
    .sort((a, b) => (b[1]?.length ?? 0) - (a[1]?.length ?? 0));
  const [device, , type, options] = mounts[0] ?? [];
  const { bavail, bsize } = statfsSync(directory);
  return `${type} on ${device} (${options?.split(',').slice(0, 3).join(',')}), ${Math.round((bavail * bsize) / 2 ** 30)} GB free`;
}

function commit(): string {
  try {
    const head = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
    const changed = execFileSync('git', ['status', '--porcelain', '--untracked-files=no'], { encoding: 'utf8' }).trim();
    return changed === '' ? head : `${head} and changes`;
  } catch {
    return 'unknown';
  }
}
