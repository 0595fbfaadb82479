// What goes into the content table comes out byte for byte, in frames of bounded size.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { compressContent, type Frame, frameBytes, framesOf, sliceBytes } from './content.ts';

async function roundTrip(mime: Buffer): Promise<{ chunks: Buffer[]; frames: Buffer[] }> {
  const chunks = await compressContent(mime);
  const frames: Frame[] = [];
  for await (const frame of framesOf(Readable.from(chunks))) frames.push(frame);
  assert.deepEqual(
    frames.map((frame) => frame.last),
    frames.map((_, index) => index === frames.length - 1),
    'the last frame, and no other, says that it is the last',
  );
  return { chunks, frames: frames.map((frame) => frame.data) };
}

describe('content', () => {
  for (const size of [1, 2_000, frameBytes, frameBytes + 1, sliceBytes - 1, sliceBytes, sliceBytes + 1, 3 * sliceBytes + 17]) {
    it(`${size} bytes that don't compress survive, no chunk over 512 KB, no frame over 256 KB`, async () => {
      const mime = randomBytes(size);
      const { chunks, frames } = await roundTrip(mime);
      assert.ok(Buffer.concat(frames).equals(mime));
      assert.ok(chunks.every((chunk) => chunk.length <= 512 * 1024));
      assert.ok(frames.every((frame) => frame.length > 0 && frame.length <= 256 * 1024));
      assert.equal(chunks.length, Math.ceil(size / sliceBytes));
    });
  }

  it('shrinks text', async () => {
    const { chunks } = await roundTrip(Buffer.from('<p>the same again</p>\r\n'.repeat(200)));
    assert.ok(chunks[0]!.length < 200);
  });

  it('refuses half a chunk', async () => {
    const [chunk] = await compressContent(randomBytes(5_000));
    await assert.rejects(async () => {
      for await (const frame of framesOf(Readable.from([chunk!.subarray(0, 2_000)]))) assert.fail(`got ${frame.data.length} bytes`);
    });
  });
});
