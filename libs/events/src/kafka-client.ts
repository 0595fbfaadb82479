/**
 * All that this library takes from kafkajs 2.2.4, its last release. The producer and the admin client are its public ones. Its consumer isn't
 * used: it gives partitions away while their batches are still running, one slow partition holds up all the others of a broker, and it
 * can stop without a word (tulios/kafkajs 659, 1721). kafka-subscription.ts speaks to the brokers itself, by the requests of `Cluster`.
 */
import { createRequire } from 'node:module';
import net from 'node:net';
import type { Logger } from '@maildoot/runtime/logger';
import kafkajs, { type Kafka, type Logger as KafkaLogger } from 'kafkajs';

export interface KafkaOptions {
  brokers: readonly string[];
  clientId: string;
  logger: Logger;
}

/** Everything opened by it ends with `destroy`. */
export interface KafkaClient {
  readonly kafka: Kafka;
  openCluster(): Cluster;
  /** Cuts every connection at once; what waits for an answer is rejected. */
  destroy(): void;
}

// A request that a broker doesn't answer (a stopped process, a cut cable) is given up after this time.
const REQUEST_TIMEOUT_MS = 10_000;
const CONNECTION_TIMEOUT_MS = 3_000;

/** What kafkajs retries by itself is little: the callers have loops that look at their leases in between. */
const retry = { initialRetryTime: 50, maxRetryTime: 500, retries: 2 };

export function openKafka({ brokers, clientId, logger }: KafkaOptions): KafkaClient {
  const sockets = new Set<net.Socket>();
  let destroyed = false;
  const socketFactory = ({ host, port, onConnect }: { host: string; port: number; onConnect: () => void }): net.Socket => {
    const socket = net.connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 }, onConnect);
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    if (destroyed) setImmediate(() => socket.destroy(abandoned()));
    return socket;
  };
  const kafka = new kafkajs.Kafka({
    brokers: [...brokers],
    clientId,
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    retry,
    // Each line that it writes is repeated by one of ours that knows what it means.
    logLevel: kafkajs.logLevel.WARN,
    logCreator:
      () =>
      ({ namespace, log }) =>
        logger.debug({ namespace, words: log.message, kafka: log.error }, 'kafkajs'),
    socketFactory,
  });
  return {
    kafka,
    openCluster: () =>
      new internals.Cluster({
        logger: kafka.logger(),
        socketFactory,
        brokers: [...brokers],
        clientId,
        connectionTimeout: CONNECTION_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        enforceRequestTimeout: true,
        metadataMaxAge: 60_000,
        retry,
        allowAutoTopicCreation: false,
      }),
    destroy() {
      destroyed = true;
      // With an error: kafkajs rejects its requests for that, and not for a socket that merely closes.
      for (const socket of sockets) socket.destroy(abandoned());
    },
  };
}

function abandoned(): Error {
  return Object.assign(new Error('the connection to Kafka was given up'), { code: 'ECONNABORTED' });
}

/** kafkajs/src/cluster. */
export interface Cluster {
  connect(): Promise<void>;
  addMultipleTargetTopics(topics: string[]): Promise<void>;
  refreshMetadata(): Promise<void>;
  refreshMetadataIfNecessary(): Promise<void>;
  findTopicPartitionMetadata(topic: string): { partitionId: number; leader: number }[];
  findGroupCoordinator(group: { groupId: string }): Promise<Broker>;
  findBroker(node: { nodeId: number }): Promise<Broker>;
  fetchTopicsOffset(
    topics: { topic: string; partitions: { partition: number }[]; fromBeginning: boolean }[],
  ): Promise<{ topic: string; partitions: { partition: number; offset: string }[] }[]>;
}

export interface GroupMember {
  groupId: string;
  memberId: string;
}

export interface FetchedMessage {
  offset: string;
  key: Buffer | null;
  value: Buffer | null;
  headers: Record<string, Buffer | string | undefined>;
  timestamp: string;
  isControlRecord: boolean;
}

/** kafkajs/src/broker: one request each. */
export interface Broker {
  joinGroup(
    request: GroupMember & {
      sessionTimeout: number;
      rebalanceTimeout: number;
      groupProtocols: { name: string; metadata: Buffer }[];
    },
  ): Promise<{ generationId: number; leaderId: string; memberId: string; members: { memberId: string }[] }>;
  syncGroup(
    request: GroupMember & { generationId: number; groupAssignment: { memberId: string; memberAssignment: Buffer }[] },
  ): Promise<{ memberAssignment: Buffer }>;
  heartbeat(request: GroupMember & { groupGenerationId: number }): Promise<unknown>;
  leaveGroup(request: GroupMember): Promise<unknown>;
  offsetFetch(request: {
    groupId: string;
    topics: { topic: string; partitions: { partition: number }[] }[];
  }): Promise<{ responses: { topic: string; partitions: { partition: number; offset: string }[] }[] }>;
  offsetCommit(
    request: GroupMember & {
      groupGenerationId: number;
      topics: { topic: string; partitions: { partition: number; offset: string; metadata: null }[] }[];
    },
  ): Promise<unknown>;
  fetch(request: {
    maxWaitTime: number;
    minBytes: number;
    maxBytes: number;
    isolationLevel: number;
    rackId: string;
    topics: { topic: string; partitions: { partition: number; fetchOffset: string; maxBytes: number }[] }[];
  }): Promise<{ responses: { topicName: string; partitions: { partition: number; messages: FetchedMessage[] }[] }[] }>;
}

interface RequestQueue {
  readonly pending: unknown[];
  scheduleCheckPendingRequests(): void;
}

interface Internals {
  Cluster: new (options: Record<string, unknown> & { logger: KafkaLogger }) => Cluster;
}

const internals = loadInternals();

function loadInternals(): Internals {
  const require = createRequire(import.meta.url);
  // After each answer it sets a timer of at most 1 ms that looks for waiting requests and sets the next one: 4 % of a core at rest.
  const { prototype } = require('kafkajs/src/network/requestQueue') as { prototype: RequestQueue };
  const original = prototype.scheduleCheckPendingRequests;
  prototype.scheduleCheckPendingRequests = function scheduleWhenSomethingWaits(this: RequestQueue) {
    if (this.pending.length > 0) original.call(this);
  };
  return { Cluster: require('kafkajs/src/cluster') as Internals['Cluster'] };
}

/** Kafka's own name of an error, as in `UNKNOWN_MEMBER_ID`, wherever kafkajs has wrapped it. */
export function errorType(error: unknown): string | undefined {
  for (let link = error, depth = 0; typeof link === 'object' && link !== null && depth < 8; depth++) {
    const { type, cause, originalError } = link as { type?: unknown; cause?: unknown; originalError?: unknown };
    if (typeof type === 'string') return type;
    link = originalError ?? cause;
  }
  return undefined;
}

/** What a broker says that doesn't lead a partition, or not yet. */
export const notLeading: ReadonlySet<string> = new Set([
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'REPLICA_NOT_AVAILABLE',
]);
