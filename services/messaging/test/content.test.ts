// Content: out as it went in, in frames, for the tenant and for delivery; and none of it in the logs.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { ReadContentsResponse } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { idToUuid, newId } from '@maildoot/runtime/ids';
import { createWorld, outgoing, rpcError, type World } from './world.ts';

let world: World;
before(async () => {
  world = await createWorld();
});
after(() => world[Symbol.asyncDispose]());

async function read(ids: string[]): Promise<ReadContentsResponse[]> {
  const frames: ReadContentsResponse[] = [];
  for await (const frame of world.delivery.readContents({ ids })) frames.push(frame);
  return frames;
}

describe('content', () => {
  it('of many messages comes message by message in order, each ended, the missing ones named', async () => {
    const big = outgoing({ attachments: [{ filename: 'a.bin', content: randomBytes(3_000_000) }] });
    const small = Array.from({ length: 20 }, () => outgoing());
    await world.accept([...small.slice(0, 10), big, ...small.slice(10)]);
    const gone = newId('msg');
    const ids = [...small.slice(0, 5).map(({ id }) => id), gone, big.id, ...small.slice(5).map(({ id }) => id)];
    const frames = await read(ids);

    const order = frames.map((frame) => frame.id).filter((id, index, all) => id !== all[index - 1]);
    assert.deepEqual(order, ids);
    for (const id of ids) {
      const own = frames.filter((frame) => frame.id === id);
      assert.deepEqual(
        own.map((frame) => frame.last),
        own.map((_, index) => index === own.length - 1),
      );
      assert.equal(
        own.some((frame) => frame.missing),
        id === gone,
      );
      assert.ok(own.every((frame) => frame.data.length <= 256 * 1024));
      if (id !== gone) assert.ok(Buffer.concat(own.map((frame) => frame.data)).equals(await world.content(id)));
    }
    assert.ok(frames.filter((frame) => frame.id === big.id).length > 10);
    const mime = (await world.content(big.id)).toString('latin1').replaceAll('\r\n', '');
    assert.ok(mime.includes(Buffer.from(big.attachments[0]!.content).toString('base64')));
  });

  it('whose end is missing is an error, never half a message', async () => {
    const { id } = await world.acceptOne({ attachments: [{ filename: 'a.bin', content: randomBytes(1_500_000) }] });
    await world.database.pool.query('DELETE FROM content WHERE message_id = $1 AND chunk = 2', [idToUuid('msg', id)]);
    await assert.rejects(read([id]), rpcError('INTERNAL_ERROR'));
    await assert.rejects(world.content(id), rpcError('INTERNAL_ERROR'));
  });

  it('is stored in chunks of at most 512 KB, not compressed a second time', async () => {
    const { id } = await world.acceptOne({ attachments: [{ filename: 'a.bin', content: randomBytes(2_000_000) }] });
    const { rows } = await world.database.pool.query<{ longest: number; compression: string | null; storage: string }>(
      `SELECT max(octet_length(data)) AS longest, max(pg_column_compression(data)) AS compression,
              (SELECT min(attstorage::text) FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid WHERE relname LIKE 'content_p%' AND relkind = 'r' AND attname = 'data') AS storage
       FROM content WHERE message_id = $1`,
      [idToUuid('msg', id)],
    );
    assert.ok(rows[0]!.longest <= 512 * 1024);
    assert.equal(rows[0]!.compression, null);
    assert.equal(rows[0]!.storage, 'e', 'EXTERNAL, in each partition');
  });

  it('that is gone is not found, though the message is there', async () => {
    const { id } = await world.acceptOne();
    await world.database.pool.query('DELETE FROM content WHERE message_id = $1', [idToUuid('msg', id)]);
    await assert.rejects(world.content(id), rpcError('NOT_FOUND'));
    assert.equal((await world.get(id)).message?.id, id);
  });

  it('that is asked for by what is no id is refused', async () => {
    await assert.rejects(read(['msg_nonsense']), rpcError('VALIDATION_ERROR'));
  });
});

it('neither content, subject, addresses nor metadata stand in the logs, on error paths neither', async () => {
  const marker = 'MARKER-e6b1';
  const parts = {
    from: { email: `${marker}@sender.example`, name: marker },
    to: [{ email: `${marker}@rcpt.example`, name: marker }],
    subject: marker,
    text: marker,
    html: `<p>${marker}</p>`,
    headers: [{ name: 'X-Marker', value: marker }],
    attachments: [{ filename: marker, content: Buffer.from(marker) }],
    metadata: { marker },
    tags: [marker],
  };
  const { id } = await world.acceptOne(parts);
  await world.content(id);
  await world.list({ subject: marker, to: `${marker}@rcpt.example` });
  await world.accept({ ...parts, subject: `${marker}\r\n` });
  await world.accept({ ...parts, from: { email: `${marker}@other.example`, name: marker } });
  // A second tenant's use of the id makes PostgreSQL complain with the row's values.
  const other = newId('ten');
  world.verified.add(`${other} sender.example`);
  await assert.rejects(world.accept({ ...parts, id }, {}, other), rpcError('CONFLICT'));
  assert.ok(world.logs.text.length > 0);
  assert.doesNotMatch(world.logs.text, /MARKER-e6b1/);
});
