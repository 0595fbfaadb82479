// A message's bytes on their way into the content table and out of it. The MIME is cut into slices that are compressed each for itself,
// so that a reader needs one row, never all 40 MB, and never holds up the event loop for longer than one slice takes.
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdCompressSync, zstdDecompress, zstdDecompressSync } from 'node:zlib';

/** Of MIME, before compression. Bytes that don't compress grow by less than 3 KB, so a stored chunk stays below 512 KB. */
export const sliceBytes = 500 * 1024;
/** Of MIME, in one frame of a stream. */
export const frameBytes = 250 * 1024;

// Below this a slice takes less time than handing it to the thread pool and back (2.7 KB: 0.035 ms against 0.12 ms of CPU).
const syncBytes = 32 * 1024;
// Level 1: 2.7 KB of text and HTML shrink to 434 bytes; level 3 gains 0.5 % for the same time, higher ones cost more than they save.
const options = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
const compressInPool = promisify<Buffer, typeof options, Buffer>(zstdCompress);
const decompressInPool = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(zstdDecompress);

/** The rows' `data`, in order. */
export async function compressContent(mime: Buffer): Promise<Buffer[]> {
  const chunks: Buffer[] = [];
  for (let from = 0; from < mime.length; from += sliceBytes) {
    const slice = mime.subarray(from, from + sliceBytes);
    chunks.push(slice.length < syncBytes ? zstdCompressSync(slice, options) : await compressInPool(slice, options));
  }
  return chunks;
}

/** A piece of a message's MIME. */
export interface Frame {
  data: Buffer;
  /** Nothing of this message follows. */
  last: boolean;
}

/** A message's chunks as frames, decompressed one chunk at a time. Throws on bytes that are no whole chunk: silence would be half a message. */
export async function* framesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Frame> {
  let held: Buffer | undefined;
  for await (const chunk of chunks) {
    const slice = await decompress(chunk);
    for (let from = 0; from < slice.length; from += frameBytes) {
      if (held !== undefined) yield { data: held, last: false };
      held = slice.subarray(from, from + frameBytes);
    }
  }
  if (held !== undefined) yield { data: held, last: true };
}

async function decompress(chunk: Uint8Array): Promise<Buffer> {
  const limit = { maxOutputLength: sliceBytes };
  return chunk.length < syncBytes ? zstdDecompressSync(chunk, limit) : await decompressInPool(chunk, limit);
}
