/** Does to the processes of the cluster what the plan says, and writes down what was done and how long it lasted. */
import { appendFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Edges } from './edges.ts';
import type { Strike } from './plan.ts';
import type { Struck } from './records.ts';

export interface Victims {
  /** As they are now: a process that was started again has another pid. */
  pidOf(name: string): number | undefined;
  edges: Edges;
}

/** A process that was killed is counted as away until its successor runs; when none comes, the journal says so. */
const SUCCESSOR_WITHIN_MS = 15_000;

/** Resolves when the strike is over: continued, allowed again, or started again. The signal ends it early. */
async function strike(planned: Strike, { pidOf, edges }: Victims, ended: AbortSignal): Promise<Struck> {
  const { number, victim, deed } = planned;
  const at = Date.now();
  const note = await { kill, stop, cut }[deed]();
  return { number, victim, deed, at, until: Date.now(), ...(note === undefined ? {} : { note }) };

  async function kill(): Promise<string | undefined> {
    const pid = pidOf(victim);
    if (pid === undefined || !signal(pid, 'SIGKILL')) return 'was not running';
    const deadline = performance.now() + SUCCESSOR_WITHIN_MS;
    while (pidOf(victim) === undefined || pidOf(victim) === pid) {
      if (performance.now() > deadline) return 'has no successor';
      await delay(20);
    }
    return undefined;
  }

  async function stop(): Promise<string | undefined> {
    const pid = pidOf(victim);
    if (pid === undefined) return 'was not running';
    // PostgreSQL's backends are processes of their own: its stop is theirs.
    const family = await familyOf(pid);
    for (const one of family) signal(one, 'SIGSTOP');
    await delay(planned.forMs, undefined, { signal: ended }).catch(() => {});
    for (const one of family.toReversed()) signal(one, 'SIGCONT');
    return pidOf(victim) === pid ? undefined : 'ended while it was stopped';
  }

  async function cut(): Promise<undefined> {
    await using _refused = await edges.cut(victim);
    await delay(planned.forMs, undefined, { signal: ended }).catch(() => {});
  }
}

/** Strikes as planned until the signal, which also ends those under way. Each goes into the journal when it is over. */
export async function strikeAll(
  plan: readonly Strike[],
  victims: Victims,
  { journal, signal: ended, say }: { journal: string; signal: AbortSignal; say(text: string): void },
): Promise<Struck[]> {
  const startedAtMs = performance.now();
  const done: Promise<Struck>[] = [];
  for (const planned of plan) {
    const waited = await delay(Math.max(0, planned.atMs - (performance.now() - startedAtMs)), true, { signal: ended }).catch(() => false);
    if (!waited) break;
    const lasts = planned.forMs > 0 ? ` for ${(planned.forMs / 1000).toFixed(1)} s` : '';
    say(`strike ${planned.number} at ${(planned.atMs / 1000).toFixed(1)} s: ${planned.deed} ${planned.victim}${lasts}`);
    done.push(
      strike(planned, victims, ended).then((struck) => {
        appendFileSync(journal, `${JSON.stringify(struck)}\n`);
        if (struck.note !== undefined) say(`strike ${struck.number}: ${struck.victim} ${struck.note}`);
        return struck;
      }),
    );
  }
  return Promise.all(done);
}

/** The process and all below it, from /proc; where there is none, the process alone. */
async function familyOf(pid: number): Promise<number[]> {
  const found: number[] = [];
  const queue = [pid];
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    found.push(next);
    const children = await readFile(`/proc/${next}/task/${next}/children`, 'utf8').catch(() => '');
    queue.push(...children.split(' ').filter(Boolean).map(Number));
  }
  return found;
}

/** False when there is no such process any more. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}
