/**
 * The topic table: what is told, by whom, in which form, in which order. A new topic is a new line here and a message in proto/;
 * a change that readers of the old form can't follow is a new topic with the next version.
 */
import { AttemptRecordedEvent, Outcome } from '@maildoot/proto/maildoot/delivery/v1/events';
import { ReportKind, ReportReceivedEvent } from '@maildoot/proto/maildoot/mailbox/v1/events';
import { AddressSuppressedEvent, MessageAcceptedEvent } from '@maildoot/proto/maildoot/messaging/v1/events';

export interface Topic<E> {
  /** `<owner>.<what happened>.v<version>`; also the name in Kafka. */
  readonly name: string;
  /** The service whose outbox it comes from; nobody else appends to it. */
  readonly owner: string;
  readonly codec: Codec<E>;
  /** Records of one key are read in the order in which they were told. */
  key(event: E): string;
  /** The same for every topic: it is the number of the outbox' shards. Changing it would move keys to other partitions. */
  readonly partitions: typeof PARTITIONS;
  /** Half of the partitions are for those who tell very many at a time; see partition.ts. Only where a key has one event. */
  readonly hasBulk?: boolean;
  readonly retentionDays: number;
  readonly meaning: string;
  /** Why this version of the code can't act on a decoded event; it is parked then. protobuf lets unknown and missing values through. */
  unreadable?(event: E): string | undefined;
}

/** What ts-proto generates for a message fits. */
export interface Codec<E> {
  encode(event: E): { finish(): Uint8Array };
  /** Throws when the bytes are no such message. */
  decode(bytes: Uint8Array): E;
}

export const PARTITIONS = 16;

export const messageAccepted: Topic<MessageAcceptedEvent> = {
  name: 'messaging.message-accepted.v1',
  owner: 'messaging',
  codec: MessageAcceptedEvent,
  key: (event) => event.messageId,
  partitions: PARTITIONS,
  hasBulk: true,
  retentionDays: 7,
  meaning: 'A message was accepted and is durable. Carries the addresses of the envelope, no content.',
  unreadable(event) {
    if (event.messageId === '') return 'message_id is missing';
    if (event.tenantId === '') return 'tenant_id is missing';
    return undefined;
  },
};

export const addressSuppressed: Topic<AddressSuppressedEvent> = {
  name: 'messaging.address-suppressed.v1',
  owner: 'messaging',
  codec: AddressSuppressedEvent,
  key: (event) => event.tenantId,
  partitions: PARTITIONS,
  retentionDays: 7,
  meaning: 'An address came onto a tenant’s list of those who are not written to. Carries the address.',
  unreadable(event) {
    if (event.tenantId === '') return 'tenant_id is missing';
    if (event.address === '') return 'address is missing';
    return undefined;
  },
};

const outcomes: ReadonlySet<number> = new Set(Object.values(Outcome).filter((value) => value !== Outcome.OUTCOME_UNSPECIFIED));

export const attemptRecorded: Topic<AttemptRecordedEvent> = {
  name: 'delivery.attempt-recorded.v1',
  owner: 'delivery',
  codec: AttemptRecordedEvent,
  key: (event) => event.messageId,
  partitions: PARTITIONS,
  retentionDays: 7,
  meaning: 'One attempt for one recipient ended, or a recipient ended without one. Carries its address.',
  unreadable(event) {
    if (event.messageId === '') return 'message_id is missing';
    if (event.tenantId === '') return 'tenant_id is missing';
    if (!outcomes.has(event.outcome)) return `outcome ${event.outcome} is unknown`;
    return undefined;
  },
};

const reportKinds: ReadonlySet<number> = new Set([ReportKind.REPORT_KIND_DELIVERY, ReportKind.REPORT_KIND_FEEDBACK]);

export const reportReceived: Topic<ReportReceivedEvent> = {
  name: 'mailbox.report-received.v1',
  owner: 'mailbox',
  codec: ReportReceivedEvent,
  key: (event) => event.messageId,
  partitions: PARTITIONS,
  retentionDays: 7,
  meaning: 'A bounce or a complaint came back to a message’s return path. Carries words of others, which may repeat an address.',
  unreadable(event) {
    if (event.messageId === '') return 'message_id is missing';
    if (!reportKinds.has(event.kind)) return `kind ${event.kind} is unknown`;
    return undefined;
  },
};

/** What can be said of a topic without its events. */
export type TopicFacts = Omit<Topic<unknown>, 'codec' | 'key' | 'unreadable'>;

export const topics: readonly TopicFacts[] = [messageAccepted, addressSuppressed, attemptRecorded, reportReceived];

/** The PostgreSQL schema of a topic's owner. */
export function schemaOf({ owner }: Pick<TopicFacts, 'owner'>): string {
  return owner.replaceAll('-', '_');
}
