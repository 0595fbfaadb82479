/** Arrays as PostgreSQL's binary parameters; node-pg would write them as text. The bare chain's own, see store-main.ts. */
function arrayOf(oid: number, elements: readonly Uint8Array[]): Buffer {
  const buffer = Buffer.allocUnsafe(elements.reduce((sum, one) => sum + 4 + one.length, 20));
  buffer.writeInt32BE(1, 0);
  buffer.writeInt32BE(0, 4);
  buffer.writeInt32BE(oid, 8);
  buffer.writeInt32BE(elements.length, 12);
  buffer.writeInt32BE(1, 16);
  let at = 20;
  for (const element of elements) {
    buffer.writeInt32BE(element.length, at);
    buffer.set(element, at + 4);
    at += 4 + element.length;
  }
  return buffer;
}

export const uuidArray = (values: readonly string[]): Buffer =>
  arrayOf(
    2950,
    values.map((value) => Buffer.from(value.replaceAll('-', ''), 'hex')),
  );
export const textArray = (values: readonly string[]): Buffer =>
  arrayOf(
    25,
    values.map((value) => Buffer.from(value)),
  );
export const byteaArray = (values: readonly Uint8Array[]): Buffer => arrayOf(17, values);
