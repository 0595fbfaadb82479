/**
 * Whether the process behind a lease is known to have died. A lease of a process on another machine is waited for until it expires; one of
 * this machine whose process is gone is free at once, so that a restart after SIGKILL doesn't begin with ten idle seconds.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

export interface ProcessIdentity {
  /** The same for two processes exactly when they can see each other by pid. */
  machine: string;
  pid: number;
}

// Leases of this very process: one that carries our pid and isn't among them belongs to an earlier process of that number.
const ours = new Set<string>();

export function thisProcess(): ProcessIdentity {
  return { machine: machineName(), pid: process.pid };
}

/** Marks a lease holder's id as alive in this process until disposed. */
export function aliveHere(holder: string): Disposable {
  ours.add(holder);
  return { [Symbol.dispose]: () => ours.delete(holder) };
}

export function knownDead(holder: string, { machine, pid }: ProcessIdentity): boolean {
  if (machine !== machineName()) return false;
  if (pid === process.pid) return !ours.has(holder);
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

let name: string | undefined;

/** Containers share a host name or a kernel, but never both the boot and the pid namespace without seeing each other's pids. */
function machineName(): string {
  name ??= linuxPidSpace() ?? hostname();
  return name;
}

function linuxPidSpace(): string | undefined {
  try {
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return undefined;
  }
}
