/**
 * Writes the generated parts of docs/events.md, between `<!-- name -->` and `<!-- /name -->`: what topics there are and what is in their records,
 * from the topic table and the comments in proto/; samples, made by the code that makes real records; and the example of a consumer.
 * With --check it writes nothing and fails where the file is out of date.
 */
import { execFile } from 'node:child_process';
import { globSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { messageOf } from '../libs/events/src/kafka-record.ts';
import { FRAMING_BYTES } from '../libs/events/src/kafka-topics.ts';
import { RECORD_LIMIT_BYTES } from '../libs/events/src/log.ts';
import { partitionIn } from '../libs/events/src/partition.ts';
import {
  addressSuppressed,
  attemptRecorded,
  messageAccepted,
  PARTITIONS,
  reportReceived,
  type Topic,
  type TopicFacts,
  topics,
} from '../libs/events/src/topics.ts';
import { uuidAt, uuidToId } from '../libs/runtime/src/ids.ts';
import { BounceClass, BounceType, Outcome } from '../proto/gen/maildoot/delivery/v1/events.ts';
import { ReportAction, ReportKind } from '../proto/gen/maildoot/mailbox/v1/events.ts';

const root = new URL('../', import.meta.url);
const page = new URL('docs/events.md', root);
const example = new URL('docs/examples/consume-events.ts', root);
const buf = fileURLToPath(new URL('node_modules/.bin/buf', root));
const proto = fileURLToPath(new URL('proto/', root));

const headerMeanings: Readonly<Record<string, string>> = {
  id: 'Which event it is: a UUIDv7, the same however often the record comes. Leave out what you have had by it.',
  'published-at': 'When the event was told, in the transaction of what it tells about. ISO 8601, by the clock of who told it.',
  traceparent: 'W3C trace context of the span that told it. Missing where nothing was traced.',
  position:
    'Where the event stands in its outbox: increases within a partition, with gaps, and is the same when the record comes again. The offset is Kafka’s own.',
};

// --- samples

const day = '2026-01-15T10:00:';
const at = (seconds: string): Date => new Date(`${day}${seconds}Z`);

const messageId = uuidToId('msg', uuidAt(at('00.000')));
const tenantId = uuidToId('ten', uuidAt(new Date('2026-01-01T00:00:00Z')));

/** A record as the publisher sends it. */
export interface Sample {
  topic: TopicFacts;
  keyFields: string[];
  partition: number;
  key: string;
  headers: Record<string, string>;
  value: Buffer;
}

function sampleOf<E extends object>(topic: Topic<E>, toldAt: Date, event: E): Sample {
  const key = topic.key(event);
  const shard = partitionIn(topic, key);
  const payload = Buffer.from(topic.codec.encode(event).finish());
  const id = uuidAt(toldAt);
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const message = messageOf({ id, topic: topic.name, shard, position: 42n, key, payload, traceparent });
  const keyFields = Object.entries(event).flatMap(([name, value]) => (value === key ? [snakeCase(name)] : []));
  return { topic, keyFields, partition: shard, key, headers: message.headers as Record<string, string>, value: payload };
}

/** One for each topic, with every field set. */
export const samples: readonly Sample[] = [
  sampleOf(messageAccepted, at('00.012'), {
    messageId,
    tenantId,
    mailFrom: 'orders@shop.example',
    signingDomain: 'shop.example',
    recipients: [
      { number: 0, address: 'ada@example.org' },
      { number: 1, address: 'bob@example.net' },
    ],
    acceptedAt: at('00.000'),
    sendAt: at('30.000'),
    sizeBytes: 2_048n,
    captured: true,
    stream: 'transactional',
    pool: 'default',
    suppressed: [{ number: 2, address: 'eve@example.com' }],
    personal: true,
  }),
  sampleOf(addressSuppressed, at('20.007'), { tenantId, address: 'bob@example.net', stream: 'broadcast' }),
  sampleOf(attemptRecorded, at('31.500'), {
    messageId,
    tenantId,
    recipientNumber: 1,
    recipient: 'bob@example.net',
    attempt: 1,
    outcome: Outcome.OUTCOME_DEFERRED,
    queuedAt: at('00.020'),
    startedAt: at('30.001'),
    finishedAt: at('31.498'),
    nextAttemptAt: new Date('2026-01-15T10:01:31.498Z'),
    session: {
      host: 'mx1.example.net',
      remoteAddress: '192.0.2.25:25',
      localAddress: '198.51.100.7:41234',
      tlsVersion: 'TLSv1.3',
      tlsPolicy: 'opportunistic',
      command: 'RCPT TO',
      replyCode: 452,
      enhancedCode: '4.2.2',
      reply: '4.2.2 The mailbox bob@example.net is full',
    },
    bounce: {
      type: BounceType.BOUNCE_TYPE_TRANSIENT,
      class: BounceClass.BOUNCE_CLASS_MAILBOX_FULL,
      diagnostic: 'smtp; 452 4.2.2 The mailbox bob@example.net is full',
    },
    possibleDuplicate: true,
  }),
  sampleOf(reportReceived, at('45.020'), {
    messageId,
    recipientNumber: 1,
    kind: ReportKind.REPORT_KIND_DELIVERY,
    action: ReportAction.REPORT_ACTION_FAILED,
    bounce: {
      type: BounceType.BOUNCE_TYPE_PERMANENT,
      class: BounceClass.BOUNCE_CLASS_RECIPIENT,
      diagnostic: 'smtp; 550 5.1.1 <bob@example.net>: User unknown',
    },
    enhancedCode: '5.1.1',
    reportingMta: 'mx1.example.net',
    feedbackType: 'abuse',
    userAgent: 'SomeGenerator/1.0',
    remoteAddress: '192.0.2.25',
    receivedAt: at('45.000'),
  }),
];

// --- the proto files, as buf reads them

/** google.protobuf.FileDescriptorSet in JSON: what of it is read here. */
export interface DescriptorSet {
  file: FileDescriptor[];
}

interface FileDescriptor {
  name: string;
  package: string;
  messageType?: { name: string; field?: FieldDescriptor[]; nestedType?: unknown[]; enumType?: unknown[]; oneofDecl?: unknown[] }[];
  enumType?: { name: string; value: { name: string; number?: number }[] }[];
  sourceCodeInfo?: { location: { path?: number[]; leadingComments?: string }[] };
}

interface FieldDescriptor {
  name: string;
  number: number;
  label: string;
  type: string;
  typeName?: string;
  options?: { debugRedact?: boolean };
}

export interface Field {
  name: string;
  number: number;
  /** As in the proto file. */
  type: string;
  /** The full name of a message or enum. */
  typeName: string | undefined;
  repeated: boolean;
  personal: boolean;
  meaning: string;
}

export interface MessageType {
  kind: 'message';
  name: string;
  meaning: string;
  fields: Field[];
}

export interface EnumType {
  kind: 'enum';
  name: string;
  meaning: string;
  values: { name: string; number: number; meaning: string }[];
}

export type Types = ReadonlyMap<string, MessageType | EnumType>;

// Numbers of fields in descriptor.proto, as source info has them in its paths.
const MESSAGE = 4;
const ENUM = 5;
const MEMBER = 2;

/** By full name, without the well-known types of protobuf. Throws for a field that doesn't say what it means. */
export function typesOf(descriptors: DescriptorSet): Types {
  const types = new Map<string, MessageType | EnumType>();
  for (const file of descriptors.file) {
    if (file.package === 'google.protobuf') continue;
    const comments = new Map(
      (file.sourceCodeInfo?.location ?? []).map(({ path = [], leadingComments = '' }) => [path.join(), leadingComments]),
    );
    const meaningOf = (name: string, ...path: number[]): string => {
      const meaning = (comments.get(path.join()) ?? '').replaceAll(/\s+/g, ' ').trim();
      if (meaning === '') throw new Error(`${file.name}: ${name} has no comment that says what it means`);
      return meaning;
    };
    for (const [index, message] of (file.messageType ?? []).entries()) {
      const name = `${file.package}.${message.name}`;
      if ([message.nestedType, message.enumType, message.oneofDecl].some((some) => some !== undefined && some.length > 0))
        throw new Error(`${file.name}: ${message.name} has maps, oneofs or types inside; tools/events-docs.ts has to learn them first`);
      const fields = (message.field ?? []).map((field, at) => ({
        name: field.name,
        number: field.number,
        type: field.type.replace('TYPE_', '').toLowerCase(),
        typeName: field.typeName?.slice(1),
        repeated: field.label === 'LABEL_REPEATED',
        personal: field.options?.debugRedact === true,
        meaning: meaningOf(`${message.name}.${field.name}`, MESSAGE, index, MEMBER, at),
      }));
      types.set(name, { kind: 'message', name, fields, meaning: meaningOf(message.name, MESSAGE, index) });
    }
    for (const [index, { name: short, value }] of (file.enumType ?? []).entries()) {
      const name = `${file.package}.${short}`;
      const values = value.map(({ name: own, number = 0 }, at) => {
        const isUnset = number === 0 && !comments.get([ENUM, index, MEMBER, at].join());
        return { name: own, number, meaning: isUnset ? 'Not set.' : meaningOf(own, ENUM, index, MEMBER, at) };
      });
      types.set(name, { kind: 'enum', name, values, meaning: meaningOf(short, ENUM, index) });
    }
  }
  return types;
}

/** The message of a topic is the one whose comment names it, and its key. */
export function messageTypeOf(topic: Pick<TopicFacts, 'name'>, keyFields: readonly string[], types: Types): MessageType {
  const found = [...types.values()].filter((type) => type.kind === 'message' && type.meaning.includes(`Topic \`${topic.name}\``));
  const [message] = found;
  if (message?.kind !== 'message' || found.length > 1)
    throw new Error(`${found.length} messages in proto/ name the topic ${topic.name} in their comments`);
  const key = /, key: ([^.]*)\./.exec(message.meaning)?.[1] ?? '';
  if (keyFields.length !== 1 || key.replaceAll(' ', '_') !== keyFields[0])
    throw new Error(`the comment of ${message.name} says that "${key}" is its key, and the topic table: ${keyFields.join(', ')}`);
  return message;
}

/** A type and those that it uses, in the order in which they are met, once each. */
function withUsed(type: MessageType | EnumType, types: Types, met = new Set<MessageType | EnumType>()): Set<MessageType | EnumType> {
  met.add(type);
  if (type.kind === 'message')
    for (const { typeName = '' } of type.fields) {
      const used = types.get(typeName);
      if (used !== undefined && !met.has(used)) withUsed(used, types, met);
    }
  return met;
}

/** Paths of the fields that may tell a person: `recipients[].address`. */
export function personalFields(type: MessageType, types: Types): string[] {
  return type.fields.flatMap((field) => {
    const name = `${field.name}${field.repeated ? '[]' : ''}`;
    if (field.personal) return [name];
    const used = types.get(field.typeName ?? '');
    return used?.kind === 'message' ? personalFields(used, types).map((inner) => `${name}.${inner}`) : [];
  });
}

// --- Markdown

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function code(text: string): string {
  return `\`${text}\``;
}

function shortName(fullName: string): string {
  return fullName.slice(fullName.lastIndexOf('.') + 1);
}

export function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function typeTable(type: MessageType | EnumType): string {
  if (type.kind === 'enum')
    return table(
      ['number', 'value', 'meaning'],
      type.values.map(({ number, name, meaning }) => [String(number), code(name), meaning]),
    );
  return table(
    ['number', 'field', 'type', 'meaning', 'personal'],
    type.fields.map((field) => [
      String(field.number),
      code(field.name),
      `${field.repeated ? 'repeated ' : ''}${field.typeName === undefined ? field.type : code(shortName(field.typeName))}`,
      field.meaning,
      field.personal ? 'yes' : '',
    ]),
  );
}

function topicSection(sample: Sample, json: unknown, types: Types): string {
  const { topic, keyFields, partition, key, headers, value } = sample;
  const message = messageTypeOf(topic, keyFields, types);
  const personal = personalFields(message, types).map(code);
  const record = { topic: topic.name, partition, key, headers, value: value.toString('base64') };
  return [
    `### ${code(topic.name)}`,
    topic.meaning,
    table(
      ['', ''],
      [
        ['told by', topic.owner],
        ['message', code(message.name)],
        ['key', keyFields.map(code).join(', ')],
        ['partitions', String(topic.partitions)],
        ['kept for', `${topic.retentionDays} days`],
        ['personal data', personal.length === 0 ? 'none' : personal.join(', ')],
      ],
    ),
    ...[...withUsed(message, types)].flatMap((type) => [`**${code(shortName(type.name))}** ${type.meaning}`, typeTable(type)]),
    'A record, the value in base64:',
    `\`\`\`json record\n${JSON.stringify(record, undefined, 2)}\n\`\`\``,
    'What its value says, in protobuf’s JSON:',
    `\`\`\`json event\n${JSON.stringify(json, undefined, 2)}\n\`\`\``,
  ].join('\n\n');
}

// --- the page

async function run(args: string[], input?: Buffer): Promise<string> {
  const running = promisify(execFile)(buf, args, { cwd: proto, maxBuffer: 64 * 1024 * 1024 });
  running.child.stdin?.end(input);
  return (await running).stdout;
}

/** The proto files of events, and what they import. */
export async function readDescriptors(): Promise<DescriptorSet> {
  const paths = globSync('maildoot/*/v*/events.proto', { cwd: proto })
    .sort()
    .flatMap((path) => ['--path', path]);
  return JSON.parse(await run(['build', '-o', '-#format=json', ...paths])) as DescriptorSet;
}

/** By buf, which knows nothing of our generated code. */
export async function decodeByBuf(type: string, value: Buffer): Promise<unknown> {
  return JSON.parse(await run(['convert', '.', '--type', type, '--from', '-#format=binpb', '--to', '-#format=json'], value));
}

/** The parts of the page by name. */
export async function generatedParts(): Promise<Record<string, string>> {
  const missing = topics.filter((topic) => !samples.some((sample) => sample.topic.name === topic.name));
  if (missing.length > 0) throw new Error(`tools/events-docs.ts has no sample of ${missing.map(({ name }) => name).join(', ')}`);
  const types = typesOf(await readDescriptors());
  const sections = samples.map(async (sample) => {
    const { name } = messageTypeOf(sample.topic, sample.keyFields, types);
    return topicSection(sample, await decodeByBuf(name, sample.value), types);
  });
  const headers = [...new Set(samples.flatMap((sample) => Object.keys(sample.headers)))];
  return {
    topics: table(
      ['topic', 'told by', 'key', 'what'],
      samples.map(({ topic, keyFields }) => [code(topic.name), topic.owner, keyFields.map(code).join(', '), topic.meaning]),
    ),
    headers: table(
      ['header', 'what'],
      headers.map((name) => {
        const meaning = headerMeanings[name];
        if (meaning === undefined) throw new Error(`tools/events-docs.ts does not say what the header ${name} means`);
        return [code(name), meaning];
      }),
    ),
    limits: table(
      ['', ''],
      [
        [
          'partitions of every topic',
          `${PARTITIONS}; a key is in partition \`murmur2(key)\` of Kafka’s default partitioner. \`${messageAccepted.name}\`: a key has one event; it is in one of eight partitions, those of who sends very many in the other eight`,
        ],
        ['key and value of a record together', `at most ${RECORD_LIMIT_BYTES.toLocaleString('en')} bytes`],
        [`${code('max.message.bytes')} of a topic`, (RECORD_LIMIT_BYTES + FRAMING_BYTES).toLocaleString('en')],
        [
          `${code('cleanup.policy')}, ${code('message.timestamp.type')}`,
          '`delete`, `LogAppendTime`: days are counted from when Kafka got a record',
        ],
      ],
    ),
    schemas: (await Promise.all(sections)).join('\n\n'),
    example: `\`\`\`ts\n${(await readFile(example, 'utf8')).trimEnd()}\n\`\`\``,
  };
}

/** The page with its parts of now. Throws for one that has no place in it. */
export function fillIn(text: string, parts: Readonly<Record<string, string>>): string {
  let next = text;
  for (const [name, part] of Object.entries(parts)) {
    const place = new RegExp(`<!-- ${name} -->[\\s\\S]*?<!-- /${name} -->`);
    if (!place.test(next)) throw new Error(`docs/events.md has no place for <!-- ${name} -->`);
    next = next.replace(place, () => `<!-- ${name} -->\n${part}\n<!-- /${name} -->`);
  }
  return next;
}

if (import.meta.main) {
  const text = await readFile(page, 'utf8');
  const next = fillIn(text, await generatedParts());
  if (next !== text && process.argv.includes('--check')) {
    process.stderr.write('docs/events.md is out of date; run: node tools/events-docs.ts\n');
    process.exitCode = 1;
  } else if (next !== text) await writeFile(page, next);
}
