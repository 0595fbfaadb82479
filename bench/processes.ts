/** What processes cost, from /proc: CPU with that of ended children, memory. Linux only. */
import { readFileSync } from 'node:fs';

// USER_HZ; fixed on every Linux that Node runs on.
const tickMs = 10;

/** A process, or the head of a tree of them whose CPU is told as one. */
export interface Watched {
  name: string;
  pid: number;
  /** Counts its children too, live and ended (PostgreSQL, Postfix). */
  tree: boolean;
}

/** CPU time so far, in ms, by name. */
export function cpuOf(watched: readonly Watched[]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const { name, pid, tree } of watched) sums.set(name, (sums.get(name) ?? 0) + (tree ? treeCpuMs(pid) : (statOf(pid)?.ownMs ?? 0)));
  return sums;
}

export function cpuBetween(before: Map<string, number>, after: Map<string, number>): Map<string, number> {
  return new Map([...after].map(([name, ms]) => [name, ms - (before.get(name) ?? 0)]));
}

/**
 * A live child counts by its own time, one that ended by what its parent inherited when it waited for it: a process moves from the one
 * sum to the other and is in neither twice.
 */
function treeCpuMs(pid: number): number {
  const stat = statOf(pid);
  if (stat === undefined) return 0;
  return stat.ownMs + stat.waitedForMs + childrenOf(pid).reduce((sum, child) => sum + treeCpuMs(child), 0);
}

export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function statOf(pid: number): { ownMs: number; waitedForMs: number } | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The command's name stands in parentheses and may contain any character: fields are counted from the last one.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const at = (number: number) => Number(fields[number - 3]) * tickMs;
  return { ownMs: at(14) + at(15), waitedForMs: at(16) + at(17) };
}

/** Busy and all CPU time of the machine so far, in ms. */
export function machineCpuMs(): { busy: number; all: number } {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softirq = 0, steal = 0] = line.split(/\s+/).slice(1).map(Number);
  const busy = user + nice + system + irq + softirq;
  return { busy: busy * tickMs, all: (busy + idle + wait + steal) * tickMs };
}

/** Resident memory in KB: all of it, and without what is shared with others or mapped from files. */
export function residentKb(pid: number): { rss: number; anonymous: number } {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  const of = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
  return { rss: of('VmRSS'), anonymous: of('RssAnon') };
}
