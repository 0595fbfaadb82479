/** What two tenants’ answers and rows are compared by. */
import assert from 'node:assert/strict';
import { waitFor } from '@maildoot/testkit/wait';
import type pg from 'pg';
import type { Answer } from '../platform.ts';
import { names } from './tenant-isolation-estate.ts';

export const anId = /\b[a-z]{3}_[0-9a-z]{26}\b/g;
/** What nobody but its owner may ever be shown. */
const aToken = /\bpat_[0-9A-Za-z]{43}\b/g;

/** The whole answer as text, without what is another in each: the request’s id, the time, what is left of limits; and the name that was asked for. */
export function whole({ status, headers, body }: Answer<unknown>, asked: string): string {
  const differs = /^(?:date|x-request-id|ratelimit.*|keep-alive|connection)$/;
  const head = [...headers].filter(([name]) => !differs.test(name)).map(([name, value]) => `${name}: ${value}`);
  let text = (typeof body === 'string' ? body : JSON.stringify(body))
    .replaceAll(/"request_id":"req_[0-9a-z]{26}"/g, '"request_id":"req"')
    .replaceAll(asked, 'ASKED')
    .replaceAll(domainOf(asked), 'ASKED');
  // What was made for it, and when.
  if (status < 300)
    text = text
      .replaceAll(anId, 'ID')
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
      .replaceAll(/"((?:published_|latest_)?version)":\d+/g, '"$1":N')
      .replaceAll(/fresh-\d{6}/g, 'FRESH')
      .replaceAll(/(mdsk|mdsp|whsec|pat)_[\w+/=-]+/g, 'SECRET');
  return [status, ...head.sort(), text].join('\n');
}

/** Of an address; refusals name it alone. */
export function domainOf(asked: string): string {
  return asked.slice(asked.indexOf('@') + 1);
}

/** What would show that an answer is the owner’s. */
export class Marks {
  /** Ids and tokens that only the owner was told. */
  readonly ids = new Set<string>();
  /** What the stranger has written into things of its own; lists may say it back. */
  readonly written = new Set<string>();

  learn(answer: unknown): void {
    for (const form of [anId, aToken]) for (const [id] of JSON.stringify(answer).matchAll(form)) this.ids.add(id);
  }

  /** What of the owner’s an answer holds that the stranger didn’t write itself. */
  foundIn({ headers, body }: Pick<Answer<unknown>, 'headers' | 'body'>, asked = '/'): string[] {
    let text = `${JSON.stringify([...headers])}${typeof body === 'string' ? body : JSON.stringify(body)}`;
    for (const said of [asked, ...this.written]) text = text.replaceAll(said, '').replaceAll(domainOf(said), '');
    const ids = [...text.matchAll(anId), ...text.matchAll(aToken)].map(([id]) => id).filter((id) => this.ids.has(id));
    return text.includes(names.owner) ? [...ids, names.owner] : ids;
  }
}

/** All rows of all tables that are a tenant’s, but for when something was last used. */
async function rowsOf(database: pg.Client, tenantName: string): Promise<Record<string, string[]>> {
  const { rows: tables } = await database.query<{ name: string }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE a.attname = 'tenant_id' AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname NOT LIKE 'pg_%' ORDER BY 1`,
  );
  assert.ok(tables.length >= 20, `only ${tables.length} tables with a tenant`);
  const {
    rows: [tenant],
  } = await database.query<{ id: string }>(`SELECT id FROM auth.tenant WHERE name = $1`, [tenantName]);
  assert.ok(tenant);
  const found: Record<string, string[]> = {};
  for (const { name } of tables) {
    const { rows: list } = await database.query<{ row: string }>(
      `SELECT (to_jsonb(t) - '{last_used_at}'::text[])::text AS row FROM ${name} t WHERE tenant_id = $1 ORDER BY 1`,
      [tenant.id],
    );
    found[name] = list.map(({ row }) => row);
  }
  return found;
}

/** The same, once nothing of theirs is under way any more. */
export async function rowsAtRest(database: pg.Client, tenantName: string): Promise<Record<string, string[]>> {
  let last = '';
  let same = 0;
  return await waitFor(
    async () => {
      const found = await rowsOf(database, tenantName);
      const text = JSON.stringify(found);
      same = text === last ? same + 1 : 0;
      last = text;
      return same >= 6 && found;
    },
    { what: `${tenantName}’s rows to be at rest`, intervalMs: 300, timeoutMs: 60_000 },
  );
}
