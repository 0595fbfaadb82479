// docs/events.md says what the code does: its parts are those of now, and its samples are records that a stranger can read.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { rawRecordOf } from '../libs/events/src/kafka-record.ts';
import { partitionIn } from '../libs/events/src/partition.ts';
import { addressSuppressed, attemptRecorded, messageAccepted, type Topic, topics } from '../libs/events/src/topics.ts';
import {
  decodeByBuf,
  fillIn,
  generatedParts,
  messageTypeOf,
  personalFields,
  readDescriptors,
  snakeCase,
  type Types,
  typesOf,
} from './events-docs.ts';

const page = readFileSync(new URL('../docs/events.md', import.meta.url), 'utf8');
const types = typesOf(await readDescriptors());

interface DocumentedRecord {
  topic: string;
  partition: number;
  key: string;
  headers: Record<string, string>;
  value: string;
}

function blocks<T>(language: string): T[] {
  return [...page.matchAll(new RegExp(`\`\`\`${language}\\n([^\`]+)\`\`\``, 'g'))].map(([, json = '']) => JSON.parse(json) as T);
}

const records = blocks<DocumentedRecord>('json record');
const events = blocks<Record<string, unknown>>('json event');

test('the page is what would be generated', async () => {
  assert.equal(fillIn(page, await generatedParts()), page, 'run: node tools/events-docs.ts');
});

test('every topic has a section, a row and a sample', () => {
  assert.deepEqual(
    records.map(({ topic }) => topic),
    topics.map(({ name }) => name),
  );
  for (const { name } of topics) {
    assert.ok(page.includes(`\n### \`${name}\`\n`), name);
    assert.ok(page.includes(`\n| \`${name}\` |`), name);
  }
});

test('a sample is a record as our consumers read it', () => {
  check(messageAccepted);
  check(addressSuppressed);
  check(attemptRecorded);

  function check<E>(topic: Topic<E>): void {
    const { partition, key, headers, value } = records.find((record) => record.topic === topic.name)!;
    const bytes = Buffer.from(value, 'base64');
    const event = topic.codec.decode(bytes);
    assert.equal(topic.unreadable?.(event), undefined);
    assert.equal(topic.key(event), key);
    assert.equal(partitionIn(topic, key), partition);
    assert.deepEqual(Buffer.from(topic.codec.encode(event).finish()), bytes, 'there is nothing in it that the codec does not know');
    const message = { offset: '0', key: Buffer.from(key), value: bytes, headers, timestamp: '0', isControlRecord: false };
    const raw = rawRecordOf(topic.name, partition, message);
    assert.equal(raw.id, headers.id);
    assert.equal(raw.publishedAt.toISOString(), headers['published-at']);
    assert.equal(raw.traceparent, headers.traceparent);
  }
});

test('a sample has every field, says in JSON what its bytes say, and only fields marked as personal carry an address', async () => {
  for (const [index, record] of records.entries()) {
    const type = messageTypeOf({ name: record.topic }, [record.topic === addressSuppressed.name ? 'tenant_id' : 'message_id'], types);
    const event = events[index]!;
    assert.deepEqual(await decodeByBuf(type.name, Buffer.from(record.value, 'base64')), event);
    assert.deepEqual(
      Object.keys(event).map((name) => snakeCase(name)),
      type.fields.map(({ name }) => name),
    );
    const personal = personalFields(type, types);
    const found = pathsWithAddress(event);
    assert.deepEqual([...found].sort(), [...personal].sort());
  }
});

/** `recipients[].address` for each text that has an @, once. */
function pathsWithAddress(value: unknown, path = ''): Set<string> {
  if (typeof value === 'string') return new Set(value.includes('@') ? [path] : []);
  if (Array.isArray(value)) return new Set(value.flatMap((one) => [...pathsWithAddress(one, `${path}[]`)]));
  if (typeof value !== 'object' || value === null) return new Set();
  return new Set(
    Object.entries(value).flatMap(([name, one]) => [
      ...pathsWithAddress(one, path === '' ? snakeCase(name) : `${path}.${snakeCase(name)}`),
    ]),
  );
}

test('what is not said, or said twice differently, is an error', async () => {
  const proto = (comment: string) => ({
    file: [
      {
        name: 'a.proto',
        package: 'a.v1',
        messageType: [{ name: 'AEvent', field: [{ name: 'a_id', number: 1, label: 'LABEL_OPTIONAL', type: 'TYPE_STRING' }] }],
        sourceCodeInfo: {
          location: [
            { path: [4, 0], leadingComments: ' A. Topic `a.happened.v1`, key: a id.\n' },
            { path: [4, 0, 2, 0], leadingComments: comment },
          ],
        },
      },
    ],
  });
  assert.throws(() => typesOf(proto(' \n')), /a\.proto: AEvent\.a_id has no comment/);
  const good: Types = typesOf(proto(' Its id.\n'));
  assert.equal(messageTypeOf({ name: 'a.happened.v1' }, ['a_id'], good).name, 'a.v1.AEvent');
  assert.throws(() => messageTypeOf({ name: 'a.happened.v1' }, ['b_id'], good), /says that "a id" is its key, and the topic table: b_id/);
  assert.throws(() => messageTypeOf({ name: 'a.happened.v2' }, ['a_id'], good), /0 messages in proto\/ name the topic a\.happened\.v2/);
  assert.throws(() => fillIn('<!-- a --><!-- /a -->', { a: '1', b: '2' }), /no place for <!-- b -->/);
});
