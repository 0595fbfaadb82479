/**
 * Which partition a key belongs to: the same answer as Kafka's default partitioner (murmur2 with Kafka's seed, sign bit cleared, modulo),
 * so that the PostgreSQL log and Kafka put the records of one key into the partition of the same number.
 * Source: org.apache.kafka.common.utils.Utils.murmur2 and toPositive.
 */

const SEED = 0x9747b28c;
const M = 0x5bd1e995;

/** Kafka's 32-bit murmur2, as a signed integer like Java's. */
export function murmur2(data: Uint8Array): number {
  const { length } = data;
  const view = new DataView(data.buffer, data.byteOffset, length);
  const whole = length & ~3;
  let hash = SEED ^ length;
  for (let at = 0; at < whole; at += 4) {
    let word = Math.imul(view.getInt32(at, true), M);
    word = Math.imul(word ^ (word >>> 24), M);
    hash = Math.imul(hash, M) ^ word;
  }
  if (whole < length) {
    for (let at = length - 1; at >= whole; at--) hash ^= view.getUint8(at) << (8 * (at - whole));
    hash = Math.imul(hash, M);
  }
  hash = Math.imul(hash ^ (hash >>> 13), M);
  return hash ^ (hash >>> 15);
}

/** From 0 to partitions − 1. */
export function partitionOf(key: string, partitions: number): number {
  return (murmur2(Buffer.from(key, 'utf8')) & 0x7fffffff) % partitions;
}

// Of a topic with bulk partitions, those with this bit are for bulk: half of the numbers, and half of them whether a group's members divide
// the numbers in runs or deal them out.
const bulkBit = 2;

/**
 * The partition of an event. Of a topic with bulk partitions, `bulkOf` says whose bulk it belongs to, if any: it waits in one of the two
 * partitions that are that sender's, behind what the same sender told before, and who tells little never waits behind it. Two senders rarely
 * have both partitions in common.
 */
export function partitionIn(topic: { partitions: number; hasBulk?: boolean }, key: string, bulkOf?: string): number {
  const partition = partitionOf(key, topic.partitions);
  if (topic.hasBulk !== true) {
    if (bulkOf !== undefined) throw new TypeError('this topic has no bulk partitions');
    return partition;
  }
  if (bulkOf === undefined) return partition & ~bulkBit;
  const count = topic.partitions / 2;
  const lot = murmur2(Buffer.from(bulkOf, 'utf8')) & 0x7fffffff;
  const first = lot % count;
  const second = (first + 1 + (Math.floor(lot / count) % (count - 1))) % count;
  const chosen = (partition & bulkBit) === 0 ? first : second;
  // The numbers with the bit, in order.
  return ((chosen & ~(bulkBit - 1)) << 1) | bulkBit | (chosen & (bulkBit - 1));
}
