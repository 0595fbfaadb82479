// Everything that template remembers: templates, their versions, and the answers to repeated requests. The only file that touches the
// database. Ids are uuids here. Every query filters by the tenant.
import type { Database } from '@maildoot/db/database';
import { isUniqueViolation } from '@maildoot/db/errors';
import { claim, findRecord, type IdempotencyFinding, type IdempotencyRequest, store as storeRecord } from '@maildoot/db/idempotency';
import type pg from 'pg';
import { PrismaClient } from '../gen/prisma/client.ts';
import type { Source, Variable } from './source.ts';

/** How a template is named by its tenant. */
export type Reference = { id: string } | { alias: string };

export interface StoredTemplate {
  id: string;
  name: string;
  alias: string | null;
  publishedVersion: number | null;
  latestVersion: number;
  createdAt: Date;
  updatedAt: Date;
}

export interface StoredVersion extends Source {
  templateId: string;
  number: number;
  /** The names that it gives to other templates. */
  partials: string[];
  variables: Variable[];
  createdAt: Date;
}

/** A template with its first version. */
export interface Created {
  template: StoredTemplate;
  version: StoredVersion;
}

/** A version that is not kept yet. */
export type NewVersion = Omit<StoredVersion, 'templateId' | 'number' | 'createdAt'>;

/** What stands behind a name at this moment. */
export interface Head {
  id: string;
  alias: string | null;
  publishedVersion: number | null;
}

export type Changed<T> =
  | { outcome: 'done'; value: T }
  | { outcome: 'alias_taken' }
  | { outcome: 'too_many' }
  | { outcome: 'absent' }
  | { outcome: 'changed_meanwhile' };
export type Once<T> = Changed<T> | { outcome: 'replay'; response: Buffer } | { outcome: 'mismatch' } | { outcome: 'in_progress' };

/** A request that may arrive twice, with what it is answered. */
export interface Repeatable<T> {
  request: IdempotencyRequest;
  answer(value: T): Uint8Array;
}

export interface Store extends AsyncDisposable {
  /** Newest first. */
  list(tenantId: string, page: { limit: number; afterId: string | undefined }): Promise<StoredTemplate[]>;
  find(tenantId: string, reference: Reference): Promise<StoredTemplate | undefined>;
  findVersion(tenantId: string, templateId: string, number: number): Promise<StoredVersion | undefined>;
  /** Newest first; `below` a number. */
  listVersions(tenantId: string, templateId: string, page: { limit: number; below: number | undefined }): Promise<StoredVersion[]>;
  /** One round trip for any number of names. */
  findHeads(tenantId: string, references: readonly Reference[]): Promise<Head[]>;
  findVersions(tenantId: string, wanted: readonly { templateId: string; number: number }[]): Promise<StoredVersion[]>;
  insert(tenantId: string, created: Created, repeatable: Repeatable<Created> | undefined, now: Date): Promise<Once<Created>>;
  /** Changes a template that is still as it was read: its newest version is the base of the next one. */
  update(
    tenantId: string,
    as: { id: string; latestVersion: number },
    change: { name: string | undefined; alias: string | null | undefined; version: (NewVersion & { publish: boolean }) | undefined },
    now: Date,
  ): Promise<Changed<StoredTemplate>>;
  /** `absent`: no such template, or no such version. */
  publish(
    tenantId: string,
    templateId: string,
    number: number,
    repeatable: Repeatable<StoredTemplate> | undefined,
    now: Date,
  ): Promise<Once<StoredTemplate>>;
  remove(tenantId: string, reference: Reference): Promise<boolean>;
  findAnswer(request: IdempotencyRequest, now: Date): Promise<IdempotencyFinding>;
}

/** Of one tenant: nobody writes so many by hand, and each may have three parts of half a million characters in any number of versions. */
const maxTemplates = 5_000;

const templateColumns = {
  id: true,
  name: true,
  alias: true,
  publishedVersion: true,
  latestVersion: true,
  createdAt: true,
  updatedAt: true,
} as const;
const returned = `id, name, alias, published_version AS "publishedVersion", latest_version AS "latestVersion", created_at AS "createdAt", updated_at AS "updatedAt"`;

export function openStore(database: Database): Store {
  const prisma = new PrismaClient({ adapter: database.prismaAdapter() });

  async function once<T>(repeatable: Repeatable<T> | undefined, now: Date, work: (client: pg.PoolClient) => Promise<Changed<T>>) {
    try {
      return await database.transaction(async (client): Promise<Once<T>> => {
        if (repeatable === undefined) return await work(client);
        const [claimed] = await claim(client, [repeatable.request], now);
        if (claimed?.outcome !== 'claimed') return claimed ?? { outcome: 'in_progress' };
        const changed = await work(client);
        if (changed.outcome === 'done')
          await storeRecord(client, [{ ...repeatable.request, response: repeatable.answer(changed.value) }], now);
        return changed;
      });
    } catch (error) {
      if (isUniqueViolation(error, 'template_tenant_id_alias_key')) return { outcome: 'alias_taken' } as const;
      throw error;
    }
  }

  return {
    list: (tenantId, { limit, afterId }) =>
      prisma.template.findMany({
        where: { tenantId, ...(afterId === undefined ? {} : { id: { lt: afterId } }) },
        orderBy: { id: 'desc' },
        take: limit,
        select: templateColumns,
      }),

    async find(tenantId, reference) {
      return (await prisma.template.findFirst({ where: { tenantId, ...reference }, select: templateColumns })) ?? undefined;
    },

    async findVersion(tenantId, templateId, number) {
      const row = await prisma.version.findFirst({ where: { tenantId, templateId, number } });
      return row === null ? undefined : stored(row);
    },

    async listVersions(tenantId, templateId, { limit, below }) {
      const rows = await prisma.version.findMany({
        where: { tenantId, templateId, ...(below === undefined ? {} : { number: { lt: below } }) },
        orderBy: { number: 'desc' },
        take: limit,
      });
      return rows.map(stored);
    },

    async findHeads(tenantId, references) {
      const ids = references.flatMap((reference) => ('id' in reference ? [reference.id] : []));
      const aliases = references.flatMap((reference) => ('alias' in reference ? [reference.alias] : []));
      const { rows } = await database.pool.query<Head>(
        `SELECT id, alias, published_version AS "publishedVersion" FROM template
          WHERE tenant_id = $1 AND (id = ANY($2::uuid[]) OR alias = ANY($3::text[]))`,
        [tenantId, ids, aliases],
      );
      return rows;
    },

    async findVersions(tenantId, wanted) {
      const { rows } = await database.pool.query<StoredVersion>(
        `SELECT v.template_id AS "templateId", v.number, v.subject, v.html, v.text, v.partials, v.variables, v.created_at AS "createdAt"
           FROM unnest($2::uuid[], $3::int[]) AS wanted(template_id, number)
           JOIN template_version AS v ON v.template_id = wanted.template_id AND v.number = wanted.number AND v.tenant_id = $1`,
        [tenantId, wanted.map(({ templateId }) => templateId), wanted.map(({ number }) => number)],
      );
      return rows;
    },

    insert: (tenantId, created, repeatable, now) =>
      once(repeatable, now, async (client) => {
        const { template, version } = created;
        // One after another for a tenant, so that two at the same moment don't both find room.
        await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('templates ' || $1, 0))`, [tenantId]);
        const { rows } = await client.query<{ count: number }>('SELECT count(*)::int AS count FROM template WHERE tenant_id = $1', [
          tenantId,
        ]);
        if ((rows[0]?.count ?? 0) >= maxTemplates) return { outcome: 'too_many' };
        await client.query(
          `INSERT INTO template (id, tenant_id, name, alias, published_version, latest_version, created_at, updated_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $7)`,
          [template.id, tenantId, template.name, template.alias, template.publishedVersion, template.latestVersion, template.createdAt],
        );
        await insertVersion(client, tenantId, template.id, version.number, version, version.createdAt);
        return { outcome: 'done', value: created };
      }),

    async update(tenantId, as, { name, alias, version }, now) {
      const changed = await once(undefined, now, async (client) => {
        const { rows } = await client.query<{ latest_version: number }>(
          'SELECT latest_version FROM template WHERE id = $1 AND tenant_id = $2 FOR UPDATE',
          [as.id, tenantId],
        );
        const [found] = rows;
        if (found === undefined) return { outcome: 'absent' };
        if (version !== undefined && found.latest_version !== as.latestVersion) return { outcome: 'changed_meanwhile' };
        const number = found.latest_version + (version === undefined ? 0 : 1);
        if (version !== undefined) await insertVersion(client, tenantId, as.id, number, version, now);
        const { rows: updated } = await client.query<StoredTemplate>(
          `UPDATE template SET name = coalesce($3, name), alias = CASE WHEN $4 THEN $5 ELSE alias END, latest_version = $6::int,
                  published_version = CASE WHEN $7 THEN $6::int ELSE published_version END, updated_at = $8
            WHERE id = $1 AND tenant_id = $2 RETURNING ${returned}`,
          [as.id, tenantId, name ?? null, alias !== undefined, alias ?? null, number, version?.publish ?? false, now],
        );
        return { outcome: 'done', value: updated[0] as StoredTemplate };
      });
      if (changed.outcome === 'replay' || changed.outcome === 'mismatch' || changed.outcome === 'in_progress')
        throw new Error('a change without an idempotency key was found to be a repetition');
      return changed;
    },

    publish: (tenantId, templateId, number, repeatable, now) =>
      once(repeatable, now, async (client) => {
        const { rows } = await client.query<StoredTemplate>(
          `UPDATE template SET published_version = $3, updated_at = $4 WHERE id = $1 AND tenant_id = $2
              AND EXISTS (SELECT 1 FROM template_version WHERE template_id = $1 AND number = $3 AND tenant_id = $2) RETURNING ${returned}`,
          [templateId, tenantId, number, now],
        );
        return rows[0] === undefined ? { outcome: 'absent' } : { outcome: 'done', value: rows[0] };
      }),

    async remove(tenantId, reference) {
      const { count } = await prisma.template.deleteMany({ where: { tenantId, ...reference } });
      return count > 0;
    },

    findAnswer: (request, now) => findRecord(database.pool, request, now),
    [Symbol.asyncDispose]: () => prisma.$disconnect(),
  };
}

async function insertVersion(
  client: pg.PoolClient,
  tenantId: string,
  templateId: string,
  number: number,
  version: NewVersion,
  now: Date,
): Promise<void> {
  await client.query(
    `INSERT INTO template_version (tenant_id, template_id, number, subject, html, text, partials, variables, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [tenantId, templateId, number, version.subject, version.html, version.text, version.partials, JSON.stringify(version.variables), now],
  );
}

function stored(row: Omit<StoredVersion, 'variables'> & { variables: unknown }): StoredVersion {
  // Written by this service alone, from values of this type.
  return { ...row, variables: row.variables as Variable[] };
}
