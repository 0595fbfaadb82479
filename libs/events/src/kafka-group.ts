/**
 * A member's side of Kafka's group protocol: join, get partitions, say that one lives, commit, leave. Each call is one or two requests;
 * when and in which order is decided by kafka-subscription.ts.
 */
import kafkajs from 'kafkajs';
import { type Broker, type Cluster, errorType } from './kafka-client.ts';

export interface GroupOptions {
  groupId: string;
  topic: string;
  /** Silent for so long, the others get its partitions. */
  sessionTimeoutMs: number;
  /** So long the others wait for a member whose batch is still running. */
  rebalanceTimeoutMs: number;
}

export interface Membership {
  memberId: string;
  generation: number;
}

/** What the coordinator's answer means for a member. `elsewhere`: it says nothing about the membership. */
export type Standing = 'rebalance' | 'outdated' | 'unknown' | 'elsewhere';

export function standingOf(error: unknown): Standing {
  switch (errorType(error)) {
    case 'REBALANCE_IN_PROGRESS':
      return 'rebalance';
    case 'ILLEGAL_GENERATION':
      return 'outdated';
    case 'UNKNOWN_MEMBER_ID':
    case 'FENCED_INSTANCE_ID':
      return 'unknown';
    default:
      return 'elsewhere';
  }
}

const { MemberAssignment, MemberMetadata } = kafkajs.AssignerProtocol;
const PROTOCOL = 'RoundRobinAssigner';

/** On one connection; the next connection has another one. */
export class KafkaGroup {
  readonly #cluster: Cluster;
  readonly #options: GroupOptions;
  #coordinator: Broker | undefined;

  constructor(cluster: Cluster, options: GroupOptions) {
    this.#cluster = cluster;
    this.#options = options;
  }

  /** Waits until every other member has come back too. `joined` is told the id as soon as there is one. */
  async join(memberId: string, joined: (membership: Membership) => void): Promise<number[]> {
    const { groupId, topic, sessionTimeoutMs: sessionTimeout, rebalanceTimeoutMs: rebalanceTimeout } = this.#options;
    const coordinator = await this.#findCoordinator();
    const metadata = MemberMetadata.encode({ version: 0, topics: [topic], userData: Buffer.alloc(0) });
    const group = await coordinator.joinGroup({
      groupId,
      memberId,
      sessionTimeout,
      rebalanceTimeout,
      groupProtocols: [{ name: PROTOCOL, metadata }],
    });
    const member = { groupId, memberId: group.memberId };
    joined({ memberId: group.memberId, generation: group.generationId });
    const isLeader = group.leaderId === group.memberId;
    const groupAssignment = isLeader ? this.#share(group.members.map((one) => one.memberId)) : [];
    const { memberAssignment } = await coordinator.syncGroup({ ...member, generationId: group.generationId, groupAssignment });
    return (MemberAssignment.decode(memberAssignment)?.assignment[topic] ?? []).toSorted((a, b) => a - b);
  }

  #share(members: string[]): { memberId: string; memberAssignment: Buffer }[] {
    const { topic } = this.#options;
    const partitions = this.#cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId);
    return members.toSorted().map((memberId, rank) => {
      const own = partitions.toSorted((a, b) => a - b).filter((_, index) => index % members.length === rank);
      const assignment = { version: 0, assignment: { [topic]: own }, userData: Buffer.alloc(0) };
      return { memberId, memberAssignment: MemberAssignment.encode(assignment) };
    });
  }

  async heartbeat({ memberId, generation }: Membership): Promise<void> {
    const coordinator = await this.#findCoordinator();
    await coordinator.heartbeat({ groupId: this.#options.groupId, memberId, groupGenerationId: generation });
  }

  async leave({ memberId }: Membership): Promise<void> {
    const coordinator = await this.#findCoordinator();
    await coordinator.leaveGroup({ groupId: this.#options.groupId, memberId });
  }

  /** The next record of each partition: behind what was committed, else the oldest there is. */
  async positions(partitions: number[]): Promise<Map<number, bigint>> {
    const { groupId, topic } = this.#options;
    if (partitions.length === 0) return new Map();
    const coordinator = await this.#findCoordinator();
    const { responses } = await coordinator.offsetFetch({
      groupId,
      topics: [{ topic, partitions: partitions.map((partition) => ({ partition })) }],
    });
    const found = new Map<number, bigint>();
    for (const { partition, offset } of responses.flatMap((response) => response.partitions)) {
      if (BigInt(offset) >= 0n) found.set(partition, BigInt(offset));
    }
    const fresh = partitions.filter((partition) => !found.has(partition));
    return new Map([...found, ...(await this.oldest(fresh))]);
  }

  async oldest(partitions: number[]): Promise<Map<number, bigint>> {
    const { topic } = this.#options;
    if (partitions.length === 0) return new Map();
    const offsets = await this.#cluster.fetchTopicsOffset([
      { topic, partitions: partitions.map((partition) => ({ partition })), fromBeginning: true },
    ]);
    return new Map(offsets.flatMap((one) => one.partitions.map(({ partition, offset }) => [partition, BigInt(offset)])));
  }

  /** `next`: of the record behind the last one handled. */
  async commit({ memberId, generation }: Membership, next: { partition: number; position: bigint }[]): Promise<void> {
    const { groupId, topic } = this.#options;
    const coordinator = await this.#findCoordinator();
    const partitions = next.map(({ partition, position }) => ({ partition, offset: String(position), metadata: null }));
    await coordinator.offsetCommit({ groupId, memberId, groupGenerationId: generation, topics: [{ topic, partitions }] });
  }

  async #findCoordinator(): Promise<Broker> {
    this.#coordinator ??= await this.#cluster.findGroupCoordinator({ groupId: this.#options.groupId });
    return this.#coordinator;
  }
}
