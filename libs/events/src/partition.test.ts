// The hash must agree with Kafka's bit by bit: a record of a key in another partition than before would overtake its predecessors.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { murmur2, partitionIn, partitionOf } from './partition.ts';

// From org.apache.kafka.common.utils.UtilsTest.testMurmur2 and testMurmur2Checksum's input shapes: every length modulo 4.
const published: [string, number][] = [
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
];

for (const [key, hash] of published) {
  test(`murmur2 of ${key} is Kafka's`, () => {
    assert.equal(murmur2(Buffer.from(key)), hash);
  });
}

// Printed by kafkajs 2.2.4 (DefaultPartitioner): the client that the Kafka log uses.
const byKafkajs: [string, number][] = [
  ['', 9],
  ['msg_01k9x3v7e8fq2r6t0w4y5z1a2b', 4],
  ['msg_01k9x3v7e8fq2r6t0w4y5z1a2c', 13],
  ['grüße', 12],
  ['日本語', 10],
];

for (const [key, partition] of byKafkajs) {
  test(`key ${JSON.stringify(key)} goes to the partition that kafkajs chooses`, () => {
    assert.equal(partitionOf(key, 16), partition);
  });
}

test('a buffer that starts inside a larger one hashes like a copy', () => {
  const inside = Buffer.from('xxfoobar').subarray(2);
  assert.equal(murmur2(inside), -790332482);
});

const topic = { partitions: 16, hasBulk: true };
const keys = Array.from({ length: 2_000 }, (_, number) => `msg_${number}`);
const partitionsOf = (bulkOf?: string) => new Set(keys.map((key) => partitionIn(topic, key, bulkOf)));

test('bulk and everything else have partitions of their own, all of them in use', () => {
  const ordinary = partitionsOf();
  const senders = Array.from({ length: 200 }, (_, number) => partitionsOf(`ten_${number}`));
  const bulk = new Set(senders.flatMap((some) => [...some]));
  assert.equal(ordinary.size, 8);
  assert.equal(bulk.size, 8);
  assert.deepEqual(
    [...ordinary, ...bulk].sort((a, b) => a - b),
    [...Array(16).keys()],
  );
  // Two members of a group have some of both, in runs or dealt out.
  for (const mine of [(at: number) => at < 8, (at: number) => at % 2 === 0])
    for (const kind of [ordinary, bulk]) assert.equal([...kind].filter(mine).length, 4);
});

test('a sender’s bulk is in two partitions, a key always in the same one, and two senders rarely share both', () => {
  const senders = Array.from({ length: 200 }, (_, number) => [...partitionsOf(`ten_${number}`)].sort((a, b) => a - b));
  for (const partitions of senders) assert.equal(partitions.length, 2);
  assert.ok(new Set(senders.map(String)).size >= 25, 'of 28 pairs nearly all occur');
});

test('a topic without bulk partitions uses all of them for everything', () => {
  for (const key of keys) assert.equal(partitionIn({ partitions: 16 }, key), partitionOf(key, 16));
  assert.throws(() => partitionIn({ partitions: 16 }, 'k', 'ten_1'), TypeError);
});
