import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaAddressRewriter } from './kafka-address.ts';

const broker = { host: '127.0.0.1', port: 9092 };
const proxy = { host: '127.0.0.2', port: 40_001 };

function frame(body: Buffer): Buffer {
  const size = Buffer.alloc(4);
  size.writeInt32BE(body.length);
  return Buffer.concat([size, body]);
}

function place({ host, port }: typeof broker): Buffer {
  const bytes = Buffer.alloc(2 + host.length + 4);
  bytes.writeInt16BE(host.length);
  bytes.write(host, 2);
  bytes.writeInt32BE(port, 2 + host.length);
  return bytes;
}

function through(stream: Buffer, pieceBytes: number): Buffer {
  const rewriter = new KafkaAddressRewriter(broker, proxy);
  const out: Buffer[] = [];
  for (let at = 0; at < stream.length; at += pieceBytes) out.push(...rewriter.push(stream.subarray(at, at + pieceBytes)));
  return Buffer.concat(out);
}

test('the broker’s address becomes the proxy’s, wherever the stream is cut into pieces', () => {
  const answer = (where: typeof broker) => Buffer.concat([Buffer.from('head'), place(where), Buffer.from('tail'), place(where)]);
  const stream = Buffer.concat([frame(answer(broker)), frame(Buffer.from('nothing in it')), frame(answer(broker))]);
  const expected = Buffer.concat([frame(answer(proxy)), frame(Buffer.from('nothing in it')), frame(answer(proxy))]);
  for (const pieceBytes of [1, 2, 3, 7, 64, 1000]) assert.deepEqual(through(stream, pieceBytes), expected, `pieces of ${pieceBytes}`);
});

test('other ports, and long answers, which are fetched records, pass as they are', () => {
  const long = Buffer.concat([Buffer.alloc(100_000, 7), place(broker)]);
  const stream = Buffer.concat([frame(long), frame(place({ ...broker, port: 9093 })), frame(place(broker))]);
  const expected = Buffer.concat([frame(long), frame(place({ ...broker, port: 9093 })), frame(place(proxy))]);
  for (const pieceBytes of [5, 4096, 1_000_000]) assert.deepEqual(through(stream, pieceBytes), expected, `pieces of ${pieceBytes}`);
});

test('an address of another length can’t be replaced in place', () => {
  assert.throws(() => new KafkaAddressRewriter({ host: 'localhost.localdomain', port: 9092 }, proxy), /as long as/);
});
