/** Ports for processes that come and go, and must find theirs free when they come back. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';

const LOWEST = 10_000;
const HIGHEST = 60_000;

/**
 * So many free ports on 127.0.0.1, outside of the range that the system takes for outgoing connections: one of those could have the port
 * just when the process that listens on it is started again.
 */
export async function steadyPorts(count: number): Promise<number[]> {
  const { from, to } = await choosable();
  const found: number[] = [];
  // From a random place on, so that two clusters at a time seldom try the same.
  let port = from + Math.floor(Math.random() * (to - from));
  for (let tried = 0; found.length < count; tried++) {
    if (tried > to - from) throw new Error(`there are no ${count} free ports between ${from} and ${to} on 127.0.0.1`);
    if (await isFree(port)) found.push(port);
    port = port + 1 < to ? port + 1 : from;
  }
  return found;
}

async function choosable(): Promise<{ from: number; to: number }> {
  const range = await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').catch(() => '32768 60999');
  const firstOutgoing = Number(range.trim().split(/\s+/)[0]);
  return firstOutgoing > LOWEST + 1_000 ? { from: LOWEST, to: firstOutgoing } : { from: LOWEST, to: HIGHEST };
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  try {
    probe.listen(port, '127.0.0.1');
    await once(probe, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    if (probe.listening) {
      probe.close();
      await once(probe, 'close');
    }
  }
}
