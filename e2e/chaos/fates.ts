/** The third record: what the public API says became of each message. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Call } from '../platform.ts';

export interface Attempt {
  number: number;
  outcome: string;
  started_at: string | null;
  finished_at: string | null;
  possible_duplicate: boolean;
}

/** `GET /v1/messages/:id/timeline`, as far as it is looked at. */
export interface Fate {
  id: string;
  status: string;
  recipients: { email: string; status: string; attempts: Attempt[] }[];
}

interface Page {
  data: { id: string }[];
  next_cursor: string | null;
}

const AT_A_TIME = 12;
const FINAL: ReadonlySet<string> = new Set(['delivered', 'bounced', 'failed', 'cancelled', 'suppressed']);

/** Every message the tenant has, by the list. */
export async function listIds(call: Call): Promise<string[]> {
  const ids: string[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const query: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const page: Page = await patiently(() => call<Page>('GET', `/v1/messages?limit=100${query}`));
    ids.push(...page.data.map(({ id }) => id));
    cursor = page.next_cursor;
  }
  return ids;
}

/**
 * Waits until every message is final for all its recipients, and gives back what became of each. Gives up when nothing more became
 * final for `stalledMs`; what isn't final then is in the answer as it stands.
 */
export async function fatesOf(
  call: Call,
  ids: readonly string[],
  { stalledMs, progress }: { stalledMs: number; progress(open: number): void },
): Promise<Map<string, Fate>> {
  const fates = new Map<string, Fate>();
  let open = [...ids];
  let movedAtMs = performance.now();
  for (;;) {
    const still: string[] = [];
    const queue = open.values();
    const look = async () => {
      for (const id of queue) {
        const fate = await patiently(() => call<Fate>('GET', `/v1/messages/${id}/timeline`), id);
        fates.set(id, fate);
        if (!isFinal(fate)) still.push(id);
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, look));
    if (still.length < open.length) movedAtMs = performance.now();
    open = still;
    progress(open.length);
    if (open.length === 0 || performance.now() - movedAtMs > stalledMs) return fates;
    await delay(500);
  }
}

export function isFinal({ recipients }: Fate): boolean {
  return recipients.length > 0 && recipients.every(({ status }) => FINAL.has(status));
}

/** By now everything is whole again, so only a lapse is waited out. A message the API doesn't know has no recipients. */
async function patiently<T>(ask: () => Promise<{ status: number; body: T }>, id?: string): Promise<T> {
  for (let tries = 1; ; tries++) {
    const answer = await ask().catch((error: unknown) => ({ status: 0, body: error as T }));
    if (answer.status === 200) return answer.body;
    if (answer.status === 404 && id !== undefined) return { id, status: 'unknown', recipients: [] } as T;
    if (tries === 20) throw new Error(`the API answers ${answer.status}: ${String(JSON.stringify(answer.body) ?? answer.body)}`);
    await delay(500);
  }
}
