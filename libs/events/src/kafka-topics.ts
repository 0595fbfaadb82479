/** Kafka's topics follow the topic table: partitions, retention, the size of a record. They are made by whoever needs them first. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Admin } from 'kafkajs';
import { errorType, type KafkaClient, notLeading } from './kafka-client.ts';
import { RECORD_LIMIT_BYTES } from './log.ts';
import type { TopicFacts } from './topics.ts';

/** Beside key and payload: headers, and the framing of a batch. */
export const FRAMING_BYTES = 65_536;
const READY_TIMEOUT_MS = 20_000;

/** Somebody made the topic otherwise. Its keys would be in other partitions than ours, so nothing is written to it and nothing read. */
class TopicMismatchError extends Error {
  readonly code = 'TOPIC_MISMATCH';

  constructor(topic: string, partitions: number, wanted: number) {
    super(`the topic ${topic} has ${partitions} partitions in Kafka, and ${wanted} in the topic table`);
    this.name = 'TopicMismatchError';
  }
}

/** The name in Kafka. */
export function kafkaTopic(topic: Pick<TopicFacts, 'name'>, prefix: string): string {
  return prefix + topic.name;
}

/** Makes those that are missing, and resolves when each has its partitions and each of them a leader. */
export async function ensureTopics(client: KafkaClient, topics: readonly TopicFacts[], prefix: string): Promise<void> {
  const admin = client.kafka.admin();
  await admin.connect();
  try {
    const names = topics.map((topic) => kafkaTopic(topic, prefix));
    const there = new Set(await admin.listTopics());
    const missing = topics.filter((_, index) => !there.has(names[index]!));
    if (missing.length > 0) await create(admin, missing, prefix);
    await ready(admin, topics, prefix);
  } finally {
    // Not awaited: it waits for answers that may not come.
    void admin.disconnect().catch(() => {});
  }
}

async function create(admin: Admin, topics: readonly TopicFacts[], prefix: string): Promise<void> {
  const { brokers } = await admin.describeCluster();
  const replicas = Math.min(3, brokers.length);
  try {
    await admin.createTopics({
      // It would wait for leaders by asking in a way that fails on a new topic.
      waitForLeaders: false,
      topics: topics.map((topic) => ({
        topic: kafkaTopic(topic, prefix),
        numPartitions: topic.partitions,
        replicationFactor: replicas,
        configEntries: Object.entries({
          'cleanup.policy': 'delete',
          'retention.ms': String(topic.retentionDays * 86_400_000),
          // From when a record got here: what waited in the outbox for days is kept as long as the others.
          'message.timestamp.type': 'LogAppendTime',
          // One replica may be away without stopping the writers.
          'min.insync.replicas': String(replicas > 2 ? 2 : 1),
          'max.message.bytes': String(RECORD_LIMIT_BYTES + FRAMING_BYTES),
        }).map(([name, value]) => ({ name, value })),
      })),
    });
  } catch (error) {
    // Another process was faster.
    if (!everyIsThere(error)) throw error;
  }
}

function everyIsThere(error: unknown): boolean {
  const { errors } = error as { errors?: unknown[] };
  return (errors ?? [error]).every((one) => errorType(one) === 'TOPIC_ALREADY_EXISTS');
}

async function ready(admin: Admin, topics: readonly TopicFacts[], prefix: string): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  for (const topic of topics) {
    const name = kafkaTopic(topic, prefix);
    for (;;) {
      const partitions = await partitionsOf(admin, name);
      const led = partitions.filter(({ leader }) => leader >= 0).length;
      if (partitions.length > 0 && partitions.length !== topic.partitions) {
        throw new TopicMismatchError(name, partitions.length, topic.partitions);
      }
      if (led === topic.partitions && (await leadersKnowIt(admin, name))) break;
      if (performance.now() > deadline) throw new Error(`only ${led} of the ${topic.partitions} partitions of ${name} have a leader`);
      await delay(20);
    }
  }
}

/** A broker may be named as a leader a moment before it has heard of it, and would then refuse a part of a batch. */
async function leadersKnowIt(admin: Admin, topic: string): Promise<boolean> {
  try {
    await admin.fetchTopicOffsets(topic);
    return true;
  } catch (error) {
    if (notLeading.has(errorType(error) ?? '')) return false;
    throw error;
  }
}

async function partitionsOf(admin: Admin, topic: string): Promise<{ leader: number }[]> {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    return topics[0]?.partitions ?? [];
  } catch (error) {
    if (notLeading.has(errorType(error) ?? '')) return [];
    throw error;
  }
}
