/** Keeps a server down that the supervisor would start again: killed whenever it comes, and refused on every edge meanwhile. */
import { setTimeout as delay } from 'node:timers/promises';
import { signal, type Victims } from './strike.ts';

export interface Outage {
  /** Milliseconds since the epoch. */
  from: number;
  /** When it was reachable again. */
  until: number;
}

const LOOK_EVERY_MS = 50;
const BACK_WITHIN_MS = 60_000;

export async function holdDown(name: string, forMs: number, { pidOf, edges }: Victims): Promise<Outage> {
  await using refused = new AsyncDisposableStack();
  const from = Date.now();
  refused.use(await edges.cut(name));
  while (Date.now() - from < forMs) {
    const pid = pidOf(name);
    if (pid !== undefined) signal(pid, 'SIGKILL');
    await delay(LOOK_EVERY_MS);
  }
  while (pidOf(name) === undefined) {
    if (Date.now() - from > forMs + BACK_WITHIN_MS) throw new Error(`${name} did not come back`);
    await delay(LOOK_EVERY_MS);
  }
  await refused.disposeAsync();
  return { from, until: Date.now() };
}
