// tools/migration.ts: what it finds between migrations and schema.prisma, and what it must not take for a difference.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { missingMigration, nextTimestamp } from '../../../tools/migration.ts';
import { dbMigrations } from '../src/migrations.ts';
import { temporaryDirectory, testServer } from './support.ts';

let server: Awaited<ReturnType<typeof testServer>>;
before(async () => {
  server = await testServer();
});
after(() => server[Symbol.asyncDispose]());

const base = `CREATE TABLE message (id uuid NOT NULL, subject text, CONSTRAINT message_pkey PRIMARY KEY (id)) PARTITION BY RANGE (id);
  CREATE TABLE message_p20260101 PARTITION OF message DEFAULT;
  ALTER TABLE message_p20260101 SET (fillfactor = 70);`;

const schemaWith = (fields: string): string => `datasource db {
  provider = "postgresql"
}

generator client {
  provider = "prisma-client"
  output   = "../gen/prisma"
}

model Message {
  id      String  @id @db.Uuid
  subject String?
${fields}
  @@map("message")
}
`;

async function difference(fields: string, migrations: Record<string, string>): Promise<string> {
  await using directory = await temporaryDirectory();
  await writeFile(join(directory.path, 'schema.prisma'), schemaWith(fields));
  for (const [name, sql] of Object.entries(migrations)) {
    await mkdir(join(directory.path, 'migrations', name), { recursive: true });
    await writeFile(join(directory.path, 'migrations', name, 'migration.sql'), sql);
  }
  return await missingMigration({ url: server.url, prismaDirectory: directory.path, libraryMigrations: [dbMigrations] });
}

test("a library's table and a single partition are no difference", async () => {
  assert.equal(await difference('', { '20260101000000_first': base }), '');
});

test('a new column is, and once its migration is there it is none any more', async () => {
  const sql = await difference('  tag String?', { '20260101000000_first': base });
  assert.match(sql, /^-- AlterTable\nALTER TABLE "message" ADD COLUMN\s+"tag" TEXT;\n$/);
  assert.equal(await difference('  tag String?', { '20260101000000_first': base, '20260102000000_tag': sql }), '');
});

test('a service without migrations gets its first', async () => {
  assert.match(await difference('', {}), /CREATE TABLE "message"/);
});

test('a table that the service made and schema.prisma no longer has is dropped', async () => {
  assert.match(await difference('', { '20260101000000_first': `${base} CREATE TABLE gone (id int);` }), /DROP TABLE "gone"/);
});

test('a new migration is called by the clock, and comes after all there are', () => {
  const now = new Date('2026-11-22T01:10:00Z');
  assert.equal(nextTimestamp([], now), '20261122011000');
  assert.equal(nextTimestamp(['20261121000000_first', 'migration_lock.toml'], now), '20261122011000');
  assert.equal(nextTimestamp(['20261204235959_ahead', '20261121000000_first'], now), '20261205000000');
});
