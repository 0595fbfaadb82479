/**
 * The bare chain's second process: writes the rows that an accepted message has (message, recipient, content, outbox), several requests in
 * one transaction. It shares no code with the platform, so that what makes the platform faster leaves this yardstick as it is. Two
 * statements in binary form, prepared, three transactions at a time: the best of what was tried.
 */

import { zstdCompressSync } from 'node:zlib';
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import pg from 'pg';
import { byteaArray, textArray, uuidArray } from './arrays.ts';
import { newUuid } from './uuid.ts';
import { storeService } from './wire.ts';

const [databaseUrl = '', socket = ''] = process.argv.slice(2);
const concurrency = Number(process.env.BARE_CONCURRENCY ?? 3);
const maxGroup = 200;
const tenant = '01900000-0000-7000-8000-000000000001';
const pool = new pg.Pool({ connectionString: databaseUrl, max: concurrency, options: '-c search_path=bare' });

interface Waiting {
  id: string;
  message: { from: string; to: string; subject: string; text: string };
  content: Buffer;
  resolve(): void;
  reject(error: Error): void;
}

let queue: Waiting[] = [];
let running = 0;

function pump(): void {
  while (running < concurrency && queue.length > 0) {
    const group = queue.slice(0, maxGroup);
    queue = queue.slice(maxGroup);
    running++;
    void write(group)
      .then(
        () => group.forEach(({ resolve }) => void resolve()),
        (error: Error) => group.forEach(({ reject }) => void reject(error)),
      )
      .finally(() => {
        running--;
        pump();
      });
  }
}

async function write(group: Waiting[]): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    const ids = uuidArray(group.map(({ id }) => id));
    await client.query({
      name: 'rows',
      text: `
        WITH new AS MATERIALIZED (
          SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[]) AS t (id, from_email, to_email, subject, data)
        ), m AS (
          INSERT INTO message (id, tenant_id, status, status_counts, from_email, from_name, reply_to, subject, tags, metadata, size_bytes, captured)
          SELECT id, '${tenant}', 1, '{1,0,0,0,0,0,0,0}', from_email, '', '[]', subject, '[]', '{}', length(data), false FROM new
        ), r AS (
          INSERT INTO recipient (message_id, number, tenant_id, kind, email, name, status, attempts)
          SELECT id, 0, '${tenant}', 1, to_email, '', 1, 0 FROM new
        )
        INSERT INTO content (message_id, chunk, tenant_id, last, data) SELECT id, 0, '${tenant}', true, data FROM new`,
      values: [
        ids,
        textArray(group.map(({ message }) => message.from)),
        textArray(group.map(({ message }) => message.to)),
        textArray(group.map(({ message }) => message.subject)),
        byteaArray(group.map(({ content }) => content)),
      ],
    });
    await client.query({
      name: 'outbox',
      text: `
        INSERT INTO outbox (id, topic, shard, key, payload, traceparent)
        SELECT id, 'bare.accepted.v1', 0, key, payload, '' FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS t (id, key, payload)`,
      values: [
        uuidArray(group.map(() => newUuid())),
        textArray(group.map(({ id }) => `msg_${id}`)),
        byteaArray(group.map(({ id, message }) => Buffer.from(JSON.stringify({ id, from: message.from, to: message.to })))),
      ],
    });
    await client.query('COMMIT');
    client.release();
  } catch (error) {
    client.release(true);
    throw error;
  }
}

function accept(call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>): void {
  const message = JSON.parse(call.request.toString()) as Waiting['message'];
  const id = newUuid();
  const mime = `From: ${message.from}\r\nTo: ${message.to}\r\nSubject: ${message.subject}\r\n\r\n${message.text}`;
  queue.push({
    id,
    message,
    content: zstdCompressSync(mime),
    resolve: () => callback(null, Buffer.from(JSON.stringify({ id, object: 'message', status: 'queued' }))),
    reject: (error) => callback(error),
  });
  // At the end of this turn, so that what arrived together goes together.
  setImmediate(pump);
}

const server = new Server();
server.addService(storeService, { accept });
server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
  process.send?.({ ready: true });
});
process.once('disconnect', () => process.exit(0));
