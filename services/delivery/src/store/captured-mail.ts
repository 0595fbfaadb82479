// Mail in the built-in inbox. Always asked for with a tenant.
import type { Database } from '@maildoot/db/database';
import { byteaArray } from '@maildoot/db/parameters';
import type { Prisma, PrismaClient } from '../../gen/prisma/client.ts';

/** As it came over the wire. */
export interface NewCapturedMail {
  id: string;
  tenantId: string;
  messageId: string | undefined;
  mailFrom: string;
  rcptTo: string[];
  tlsVersion: string;
  raw: Buffer;
}

/** With what was read out of it. */
export interface CapturedMailRow extends NewCapturedMail {
  headerFrom: string;
  headerTo: string;
  subject: string;
  text: string;
  html: string;
  links: string[];
  codes: string[];
  dkim: string;
  dkimDomain: string;
  receivedAt: Date;
}

export async function insertCapturedMails(database: Database, mails: readonly CapturedMailRow[]): Promise<void> {
  // Lists go as JSON: an array of arrays of different lengths has no form in PostgreSQL.
  await database.pool.query({
    name: 'insert-captured-mails',
    text: `INSERT INTO captured_mail (id, tenant_id, message_id, mail_from, rcpt_to, header_from, header_to, subject, text, html, links, codes, size_bytes,
                                      dkim, dkim_domain, tls_version, received_at, raw)
           SELECT id, tenant_id, message_id, mail_from, ARRAY(SELECT jsonb_array_elements_text(rcpt_to)), header_from, header_to, subject, text, html,
                  ARRAY(SELECT jsonb_array_elements_text(links)), ARRAY(SELECT jsonb_array_elements_text(codes)), octet_length(raw), dkim, dkim_domain,
                  tls_version, received_at, raw
           FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::jsonb[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::jsonb[],
                       $12::jsonb[], $13::text[], $14::text[], $15::text[], $16::timestamptz[], $17::bytea[])
             AS m(id, tenant_id, message_id, mail_from, rcpt_to, header_from, header_to, subject, text, html, links, codes, dkim, dkim_domain, tls_version,
                  received_at, raw)`,
    values: [
      mails.map((mail) => mail.id),
      mails.map((mail) => mail.tenantId),
      mails.map((mail) => mail.messageId ?? null),
      mails.map((mail) => mail.mailFrom),
      mails.map((mail) => JSON.stringify(mail.rcptTo)),
      mails.map((mail) => mail.headerFrom),
      mails.map((mail) => mail.headerTo),
      mails.map((mail) => mail.subject),
      mails.map((mail) => mail.text),
      mails.map((mail) => mail.html),
      mails.map((mail) => JSON.stringify(mail.links)),
      mails.map((mail) => JSON.stringify(mail.codes)),
      mails.map((mail) => mail.dkim),
      mails.map((mail) => mail.dkimDomain),
      mails.map((mail) => mail.tlsVersion),
      mails.map((mail) => mail.receivedAt),
      byteaArray(mails.map((mail) => mail.raw)),
    ],
  });
}

export interface CapturedMailFilter {
  tenantId: string;
  /** The mail before the page. */
  afterId: string | undefined;
  to: string | undefined;
  subject: string | undefined;
  messageId: string | undefined;
  limit: number;
}

/** Everything but the bytes. */
export type CapturedMailView = Omit<Prisma.CapturedMailGetPayload<object>, 'raw'>;

/** Newest first; one more than asked for where there are more. */
export async function listCapturedMails(database: Database, filter: CapturedMailFilter): Promise<CapturedMailView[]> {
  const { tenantId, afterId, messageId, to, subject, limit } = filter;
  // Local parts are kept as they were written, and nobody remembers how.
  const { rows } = await database.pool.query<CapturedMailView>(
    `SELECT id, tenant_id AS "tenantId", message_id AS "messageId", mail_from AS "mailFrom", rcpt_to AS "rcptTo", header_from AS "headerFrom",
            header_to AS "headerTo", subject, text, html, links, codes, size_bytes AS "sizeBytes", dkim, dkim_domain AS "dkimDomain",
            tls_version AS "tlsVersion", received_at AS "receivedAt"
     FROM captured_mail
     WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2) AND ($3::uuid IS NULL OR message_id = $3)
       AND ($4::text IS NULL OR EXISTS (SELECT FROM unnest(rcpt_to) AS address WHERE lower(address) = lower($4)))
       AND ($5::text IS NULL OR strpos(lower(subject), lower($5)) > 0)
     ORDER BY id DESC LIMIT $6`,
    [tenantId, afterId ?? null, messageId ?? null, to ?? null, subject ?? null, limit + 1],
  );
  return rows;
}

export async function getCapturedMail(
  prisma: PrismaClient,
  tenantId: string,
  id: string,
): Promise<Prisma.CapturedMailGetPayload<object> | undefined> {
  return (await prisma.capturedMail.findFirst({ where: { tenantId, id } })) ?? undefined;
}

/** Keeps so many mails, the youngest. In batches: a test bench may have left a million. Answers how many went. */
export async function dropOldestMails(database: Database, keep: number): Promise<number> {
  const result = await database.pool.query(
    `DELETE FROM captured_mail WHERE id IN (
       SELECT id FROM captured_mail WHERE id < (SELECT id FROM captured_mail ORDER BY id DESC OFFSET $1 LIMIT 1) ORDER BY id LIMIT 1000
     )`,
    [keep - 1],
  );
  return result.rowCount ?? 0;
}
