// From claimed rows to transactions: recipients of one message that share their mail hosts go together, the messages' bytes are asked for in
// one call, and each transaction waits in its destination's lane.
import { isAscii } from 'node:buffer';
import type { Contents } from './contents.ts';
import type { Delivery } from './deliver.ts';
import type { Lanes } from './lanes.ts';
import type { ReturnPaths } from './return-paths.ts';
import { destinationNow, type Mode } from './route.ts';
import type { Routes } from './routes.ts';
import type { DueRow } from './store/due.ts';

export interface HandOutParts {
  mode: Mode;
  contents: Pick<Contents, 'load'>;
  lanes: Pick<Lanes, 'add'>;
  routes: Pick<Routes, 'peek'>;
  returnPaths: Pick<ReturnPaths, 'goesAlone'>;
  deliver(delivery: Delivery): Promise<void>;
  /** The attempt is not made. */
  giveBack(rows: readonly DueRow[]): void;
}

export function handOut(claimed: readonly DueRow[], parts: HandOutParts): void {
  // Rows share a transaction, and a lane, by where they go now.
  const rows = claimed.map((row) => ({ ...row, destination: destinationNow(parts.mode, row, undefined) }));
  const groups = together(
    rows,
    (domain) => hostsKey(domain, parts.routes),
    (row) => row.personal || row.listed || parts.returnPaths.goesAlone(row),
  );
  const contents = parts.contents.load(groups.map(([first]) => first));
  for (const [index, group] of groups.entries()) {
    const content = contents[index];
    if (content === undefined) continue;
    const job = {
      tenantId: group[0].tenantId,
      rows: group.length,
      async run() {
        try {
          await parts.deliver({ rows: group, content });
        } finally {
          content.release();
        }
      },
      giveBack() {
        content.release();
        parts.giveBack(group);
      },
    };
    // Only with its bytes at hand does it take a session's place.
    parts.lanes.add(group[0].destination, job, content.content);
  }
}

/**
 * Rows of the same message, destination and hosts, in the order in which they came. Addresses beyond ASCII, which not every one of those
 * hosts may take, go apart from others. Whoever gets bytes or a MAIL FROM of its own, or must be asked about first, goes alone.
 */
export function together(
  rows: readonly DueRow[],
  hostsOf: (domain: string) => string,
  goesAlone: (row: DueRow) => boolean = ({ personal, listed }) => personal || listed,
): [DueRow, ...DueRow[]][] {
  const groups = new Map<string, [DueRow, ...DueRow[]]>();
  for (const row of rows) {
    const own = goesAlone(row) ? row.recipientNumber : '';
    const script = isAscii(Buffer.from(row.address)) ? 'ascii' : 'utf8';
    const key = `${row.messageId}\n${own}\n${script}\n${row.destination}\n${row.incarnation}\n${row.destination.includes('.') ? hostsOf(row.domain) : ''}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  return [...groups.values()];
}

// One operator may have a host per customer. What isn't known at the moment goes by itself.
function hostsKey(domain: string, routes: Pick<Routes, 'peek'>): string {
  const found = routes.peek(domain)?.found;
  return found?.kind === 'hosts' ? found.hosts.map((host) => `${host.preference} ${host.name}`).join(',') : `of ${domain}`;
}
