// Arrays as query parameters in PostgreSQL's binary format. pg writes an array as text, bytea as hexadecimal digits with every
// backslash escaped: for a 10 KB message that cost ten times the CPU of the server. A Buffer is sent as it is.

const byteaOid = 17;

/** For `$1::bytea[]`, as in `INSERT … SELECT * FROM unnest($1::uuid[], $2::bytea[])`. */
export function byteaArray(items: readonly (Uint8Array | null)[]): Buffer {
  // src/backend/utils/adt/arrayfuncs.c, array_recv: dimensions, has nulls, element type, then per dimension length and lower bound,
  // then per element its length (-1 is NULL) and bytes. An empty array has no dimensions.
  if (items.length === 0) return header(0, false);
  const parts: Uint8Array[] = [header(1, items.includes(null)), int32(items.length), int32(1)];
  for (const item of items) {
    parts.push(int32(item === null ? -1 : item.byteLength));
    if (item !== null) parts.push(item);
  }
  return Buffer.concat(parts);
}

function header(dimensions: number, hasNulls: boolean): Buffer {
  return Buffer.concat([int32(dimensions), int32(hasNulls ? 1 : 0), int32(byteaOid)]);
}

function int32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeInt32BE(value);
  return bytes;
}
