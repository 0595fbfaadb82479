// Reads messages, their recipients and events for their tenant. A message of another tenant is not found, because every query has the
// tenant in its condition. Single messages come through Prisma, lists through SQL of their own.
import type { Database } from '@maildoot/db/database';
import { uuidArray } from '@maildoot/db/parameters';
import { MessageStatus } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { uuidAt, uuidTime } from '@maildoot/runtime/ids';
import { PrismaClient } from '../../gen/prisma/client.ts';

/** How many rows a filtered list looks at per call, whether they match or not. */
export const lookBackRows = 10_000;
const aroundBatchMs = 60_000;

export interface MessageRow {
  id: string;
  tenantId: string;
  batchId: string | null;
  status: number;
  fromEmail: string;
  fromName: string;
  replyTo: { email: string; name: string }[];
  subject: string;
  tags: string[];
  metadata: Record<string, string>;
  sendAt: Date | null;
  sizeBytes: number;
  captured: boolean;
  stream: string;
  unsubscribeGroup: string | null;
  templateId: string | null;
  pool: string;
  /** See personal.ts. */
  personal: number;
}

export interface RecipientView {
  messageId: string;
  number: number;
  kind: number;
  email: string;
  name: string;
  status: number;
  attempts: number;
  nextAttemptAt: Date | null;
  bounce: Uint8Array | null;
  /** See engagement.ts. */
  flags: number;
}

export interface EventRow {
  id: string;
  recipientNumber: number;
  attempt: number;
  type: string;
  at: Date;
  detail: Uint8Array;
}

export interface WholeMessage {
  message: MessageRow;
  recipients: RecipientView[];
  events: EventRow[];
}

/** Undefined fields do not filter. */
export interface MessageFilter {
  status?: MessageStatus | undefined;
  from?: string | undefined;
  to?: string | undefined;
  subject?: string | undefined;
  tag?: string | undefined;
  metadata?: Record<string, string> | undefined;
  domain?: string | undefined;
  batchId?: string | undefined;
  templateId?: string | undefined;
  stream?: string | undefined;
}

/** What part of the tenant's messages to list: newest first, below `beforeId` and from `fromId` on. */
export interface MessagePage {
  tenantId: string;
  limit: number;
  beforeId: string | undefined;
  fromId: string | undefined;
  filter: MessageFilter;
  now: Date;
}

export interface MessageList {
  messages: MessageRow[];
  /** Where to go on; undefined = there is no more. */
  nextBeforeId: string | undefined;
  /** How far back a filtered list looked; undefined = as far as there is anything. */
  searchedBackTo: Date | undefined;
}

export interface MessageStore extends AsyncDisposable {
  /** The ids of a batch's messages, oldest first. */
  ofBatch(tenantId: string, batchId: string): Promise<string[]>;
  statusesOf(tenantId: string, ids: readonly string[]): Promise<Map<string, number>>;
  find(tenantId: string, id: string): Promise<MessageRow | undefined>;
  list(page: MessagePage): Promise<MessageList>;
  /** The recipients of these messages, in order, in one query. */
  recipientsOf(tenantId: string, messageIds: readonly string[]): Promise<Map<string, RecipientView[]>>;
  /** A message with its recipients and what happened to them, as they stood at one moment. */
  whole(tenantId: string, id: string): Promise<WholeMessage | undefined>;
}

export function createMessageStore(database: Database): MessageStore {
  const prisma = new PrismaClient({ adapter: database.prismaAdapter() });

  async function list(page: MessagePage): Promise<MessageList> {
    const { conditions, parameters } = filterConditions(page);
    const filtered = conditions.length > 0;
    const window = `SELECT ${columns} FROM message
      WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2) AND ($3::uuid IS NULL OR id >= $3)
      ORDER BY id DESC`;
    const { rows } = await database.pool.query<RawMessage>(
      filtered
        ? // The inner limit bounds the work; the outer one ends it as soon as the page is full.
          `SELECT * FROM (${window} LIMIT ${lookBackRows}) AS m WHERE ${conditions.join(' AND ')} ORDER BY id DESC LIMIT $4`
        : `${window} LIMIT $4`,
      [page.tenantId, page.beforeId ?? null, page.fromId ?? null, page.limit + 1, ...parameters],
    );
    const messages = rows.slice(0, page.limit).map(messageRow);
    const last = messages.at(-1)?.id;
    if (rows.length > page.limit && last !== undefined) {
      return { messages, nextBeforeId: last, searchedBackTo: filtered ? uuidTime(last) : undefined };
    }
    const end = filtered ? await endOfWindow(page) : undefined;
    return { messages, nextBeforeId: end, searchedBackTo: end === undefined ? undefined : uuidTime(end) };
  }

  /** The last row that a filtered list looked at, when there may be more behind it. */
  async function endOfWindow(page: MessagePage): Promise<string | undefined> {
    const { rows } = await database.pool.query<{ id: string }>(
      `SELECT id FROM message
       WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2) AND ($3::uuid IS NULL OR id >= $3)
       ORDER BY id DESC OFFSET $4 LIMIT 1`,
      [page.tenantId, page.beforeId ?? null, page.fromId ?? null, lookBackRows - 1],
    );
    return rows[0]?.id;
  }

  return {
    list,
    async statusesOf(tenantId, ids) {
      const { rows } = await database.pool.query<{ id: string; status: number }>(
        'SELECT id, status FROM message WHERE id = ANY($1::uuid[]) AND tenant_id = $2',
        [uuidArray(ids), tenantId],
      );
      return new Map(rows.map((row) => [row.id, row.status]));
    },
    async ofBatch(tenantId, batchId) {
      // A gateway makes the batch's id, then those of its messages, at one moment: they stand beside each other. A minute covers a thousand of them.
      const at = uuidTime(batchId).getTime();
      const { rows } = await database.pool.query<{ id: string }>(
        'SELECT id FROM message WHERE tenant_id = $1 AND id >= $2 AND id < $3 AND batch_id = $4 ORDER BY id',
        [tenantId, uuidAt(new Date(at - aroundBatchMs)), uuidAt(new Date(at + aroundBatchMs)), batchId],
      );
      return rows.map((row) => row.id);
    },
    async find(tenantId, id) {
      const row = await prisma.message.findFirst({ where: { id, tenantId }, omit: { statusCounts: true } });
      if (row === null) return undefined;
      return {
        ...row,
        replyTo: row.replyTo as MessageRow['replyTo'],
        tags: row.tags as string[],
        metadata: row.metadata as Record<string, string>,
      };
    },
    async recipientsOf(tenantId, messageIds) {
      const recipients = new Map<string, RecipientView[]>(messageIds.map((id) => [id, []]));
      if (messageIds.length === 0) return recipients;
      const { rows } = await database.pool.query<RawRecipient>(
        `SELECT message_id, number, kind, email, name, status, attempts, next_attempt_at, bounce, flags
         FROM recipient WHERE message_id = ANY($1::uuid[]) AND tenant_id = $2 ORDER BY message_id, number`,
        [uuidArray(messageIds), tenantId],
      );
      for (const row of rows) recipients.get(row.message_id)?.push(recipientView(row));
      return recipients;
    },
    async whole(tenantId, id) {
      const { rows } = await database.pool.query<RawWhole>({ name: 'whole-message', text: wholeSql, values: [id, tenantId] });
      const row = rows[0];
      if (row === undefined) return undefined;
      const { recipients, events } = row;
      return { message: messageRow(row), recipients: recipients.map((one) => wholeRecipient(id, one)), events: events.map(wholeEvent) };
    },
    async [Symbol.asyncDispose]() {
      await prisma.$disconnect();
    },
  };
}

const columns =
  'id, tenant_id, batch_id, status, from_email, from_name, reply_to, subject, tags, metadata, send_at, size_bytes, captured, stream, ' +
  'unsubscribe_group, template_id, pool, personal';

// One statement sees one moment: what an event tells, its recipient shows, and the other way round.
const wholeSql = `
  SELECT ${columns},
    (SELECT coalesce(json_agg(json_build_array(number, kind, email, name, status, attempts,
              (extract(epoch FROM next_attempt_at) * 1000)::bigint, encode(bounce, 'base64'), flags) ORDER BY number), '[]')
     FROM recipient WHERE message_id = $1 AND tenant_id = $2) AS recipients,
    (SELECT coalesce(json_agg(json_build_array(id, recipient_number, attempt, type, (extract(epoch FROM at) * 1000)::bigint, encode(detail, 'base64'))), '[]')
     FROM message_event WHERE message_id = $1 AND tenant_id = $2) AS events
  FROM message WHERE id = $1 AND tenant_id = $2`;

type WholeRecipient = [
  ...[number: number, kind: number, email: string, name: string, status: number, attempts: number],
  ...[nextAttemptAtMs: number | null, bounce: string | null, flags: number],
];
type WholeEvent = [id: string, recipientNumber: number, attempt: number, type: string, atMs: number, detail: string];

interface RawWhole extends RawMessage {
  recipients: WholeRecipient[];
  events: WholeEvent[];
}

function wholeRecipient(messageId: string, row: WholeRecipient): RecipientView {
  const [number, kind, email, name, status, attempts, nextAttemptAtMs, bounce, flags] = row;
  const nextAttemptAt = nextAttemptAtMs === null ? null : new Date(nextAttemptAtMs);
  const bytes = bounce === null ? null : Buffer.from(bounce, 'base64');
  return { messageId, number, kind, email, name, status, attempts, nextAttemptAt, bounce: bytes, flags };
}

function wholeEvent([id, recipientNumber, attempt, type, atMs, detail]: WholeEvent): EventRow {
  return { id, recipientNumber, attempt, type, at: new Date(atMs), detail: Buffer.from(detail, 'base64') };
}

interface RawMessage {
  id: string;
  tenant_id: string;
  batch_id: string | null;
  status: number;
  from_email: string;
  from_name: string;
  reply_to: MessageRow['replyTo'];
  subject: string;
  tags: string[];
  metadata: Record<string, string>;
  send_at: Date | null;
  size_bytes: number;
  captured: boolean;
  stream: string;
  unsubscribe_group: string | null;
  template_id: string | null;
  pool: string;
  personal: number;
}

function messageRow(row: RawMessage): MessageRow {
  return {
    id: row.id,
    tenantId: row.tenant_id,
    batchId: row.batch_id,
    status: row.status,
    fromEmail: row.from_email,
    fromName: row.from_name,
    replyTo: row.reply_to,
    subject: row.subject,
    tags: row.tags,
    metadata: row.metadata,
    sendAt: row.send_at,
    sizeBytes: row.size_bytes,
    captured: row.captured,
    stream: row.stream,
    unsubscribeGroup: row.unsubscribe_group,
    templateId: row.template_id,
    pool: row.pool,
    personal: row.personal,
  };
}

interface RawRecipient {
  message_id: string;
  number: number;
  kind: number;
  email: string;
  name: string;
  status: number;
  attempts: number;
  next_attempt_at: Date | null;
  bounce: Buffer | null;
  flags: number;
}

function recipientView(row: RawRecipient): RecipientView {
  const { number, kind, email, name, status, attempts, bounce, flags } = row;
  return { messageId: row.message_id, number, kind, email, name, status, attempts, nextAttemptAt: row.next_attempt_at, bounce, flags };
}

// Over `m`, a row of the window. Parameters start at $5.
function filterConditions(page: MessagePage): { conditions: string[]; parameters: unknown[] } {
  const { filter } = page;
  const conditions: string[] = [];
  const parameters: unknown[] = [];
  const parameter = (value: unknown) => `$${parameters.push(value) + 4}`;
  if (filter.status !== undefined) conditions.push(statusCondition(filter.status, parameter, page.now));
  // Local parts are kept as they were written, and nobody remembers how.
  if (filter.from !== undefined) conditions.push(`lower(m.from_email) = lower(${parameter(filter.from)})`);
  if (filter.to !== undefined) {
    conditions.push(
      `EXISTS (SELECT FROM recipient r WHERE r.message_id = m.id AND r.tenant_id = m.tenant_id AND lower(r.email) = lower(${parameter(filter.to)}))`,
    );
  }
  if (filter.subject !== undefined) conditions.push(`strpos(lower(m.subject), lower(${parameter(filter.subject)})) > 0`);
  if (filter.tag !== undefined) conditions.push(`m.tags ? ${parameter(filter.tag)}`);
  if (filter.metadata !== undefined) conditions.push(`m.metadata @> ${parameter(JSON.stringify(filter.metadata))}::jsonb`);
  if (filter.domain !== undefined)
    conditions.push(`right(m.from_email, length(${parameter(filter.domain)}::text) + 1) = '@' || $${parameters.length + 4}::text`);
  if (filter.batchId !== undefined) conditions.push(`m.batch_id = ${parameter(filter.batchId)}`);
  if (filter.templateId !== undefined) conditions.push(`m.template_id = ${parameter(filter.templateId)}`);
  if (filter.stream !== undefined) conditions.push(`m.stream = ${parameter(filter.stream)}`);
  return { conditions, parameters };
}

// A scheduled message whose time has come is queued, though no row says so until its first attempt; see message-view.ts.
function statusCondition(status: MessageStatus, parameter: (value: unknown) => string, now: Date): string {
  const { MESSAGE_STATUS_SCHEDULED: scheduled, MESSAGE_STATUS_QUEUED: queued } = MessageStatus;
  if (status === scheduled) return `m.status = ${parameter(scheduled)} AND m.send_at > ${parameter(now)}`;
  if (status === queued)
    return `(m.status = ${parameter(queued)} OR m.status = ${parameter(scheduled)} AND m.send_at <= ${parameter(now)})`;
  return `m.status = ${parameter(status)}`;
}
