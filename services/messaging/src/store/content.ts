// Reads the MIME of messages, chunk by chunk: one round trip for the first chunks of several messages, which is all of most of them, and
// one more for each further chunk of a big one, so that no more than a few chunks are in memory at a time.
import type { Database } from '@maildoot/db/database';
import { uuidArray } from '@maildoot/db/parameters';

/** First chunks fetched at a time; at 512 KB each, 4 MB. */
const messagesPerRead = 8;

/** The chunks of one message, compressed, in order; none when it has no content (any more). */
export interface MessageContent {
  messageId: string;
  chunks: AsyncIterable<Buffer> | undefined;
}

export interface ContentStore {
  /** The content of these messages, in the order given. Tenant undefined: of any tenant. Read one message to its end before the next. */
  read(messageIds: readonly string[], tenantId: string | undefined): AsyncGenerator<MessageContent>;
}

interface Chunk {
  message_id: string;
  last: boolean;
  data: Buffer;
}

export function createContentStore(database: Database): ContentStore {
  const { pool } = database;

  async function firstChunks(messageIds: readonly string[], tenantId: string | undefined): Promise<Map<string, Chunk>> {
    const { rows } = await pool.query<Chunk>({
      name: 'content-first-chunks',
      text: `SELECT message_id, last, data FROM content
             WHERE message_id = ANY($1::uuid[]) AND chunk = 0 AND ($2::uuid IS NULL OR tenant_id = $2)`,
      values: [uuidArray(messageIds), tenantId ?? null],
    });
    return new Map(rows.map((row) => [row.message_id, row]));
  }

  async function* chunksFrom(first: Chunk): AsyncGenerator<Buffer> {
    yield first.data;
    for (let chunk = 1, last = first.last; !last; chunk++) {
      const { rows } = await pool.query<Chunk>('SELECT message_id, last, data FROM content WHERE message_id = $1 AND chunk = $2', [
        first.message_id,
        chunk,
      ]);
      const row = rows[0];
      // Retention drops whole days at once; a reader in the middle must not take the half for the whole.
      if (row === undefined) throw new Error(`chunk ${chunk} of message ${first.message_id} is gone`);
      yield row.data;
      last = row.last;
    }
  }

  return {
    async *read(messageIds, tenantId) {
      for (let from = 0; from < messageIds.length; from += messagesPerRead) {
        const ids = messageIds.slice(from, from + messagesPerRead);
        const found = await firstChunks(ids, tenantId);
        for (const messageId of ids) {
          const first = found.get(messageId);
          yield { messageId, chunks: first === undefined ? undefined : chunksFrom(first) };
        }
      }
    },
  };
}
