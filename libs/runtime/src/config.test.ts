import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as common from './common-settings.ts';
import {
  boolean,
  type ConfigOf,
  cidrList,
  defineSettings,
  describeSettings,
  durationList,
  hostName,
  hostPort,
  hostPortList,
  integer,
  loadSettings,
  oneOf,
  peerAddress,
  SettingsError,
  sealKeys,
  secret,
  settingsTable,
  splitHostPort,
  string,
  stringList,
  url,
} from './config.ts';

const KEY = Buffer.alloc(32, 1).toString('base64');
const OTHER_KEY = Buffer.alloc(32, 2).toString('base64');

// One of every kind, with and without limits.
const every = defineSettings({
  string: string('A_STRING', { meaning: 'm' }),
  pattern: string('A_PATTERN', { meaning: 'm', pattern: /^[a-z]+$/, patternMeaning: 'lower-case letters' }),
  integer: integer('AN_INTEGER', { meaning: 'm' }),
  port: integer('A_PORT', { meaning: 'm', min: 0, max: 65535 }),
  negative: integer('A_NEGATIVE', { meaning: 'm', min: -5, max: 5 }),
  boolean: boolean('A_BOOLEAN', { meaning: 'm' }),
  oneOf: oneOf('ONE_OF', { meaning: 'm', values: ['capture', 'direct'] }),
  url: url('A_URL', { meaning: 'm', protocols: ['http:', 'https:'] }),
  hostName: hostName('A_HOST_NAME', { meaning: 'm' }),
  hostPort: hostPort('A_HOST_PORT', { meaning: 'm' }),
  listen: hostPort('A_LISTEN', { meaning: 'm', portZero: true }),
  hostPorts: hostPortList('HOST_PORTS', { meaning: 'm' }),
  peer: peerAddress('A_PEER', { meaning: 'm' }),
  servers: hostPortList('SERVERS', { meaning: 'm', ip: true, defaultPort: 53 }),
  networks: cidrList('NETWORKS', { meaning: 'm' }),
  secret: secret('A_SECRET', { meaning: 'm', minLength: 32 }),
  strings: stringList('STRINGS', { meaning: 'm' }),
  someStrings: stringList('SOME_STRINGS', { meaning: 'm', minItems: 1, pattern: /^[a-z]+$/, patternMeaning: 'words' }),
  durations: durationList('DURATIONS', { meaning: 'm', unit: 'seconds', min: 1, max: 1000 }),
  keys: sealKeys('KEYS', { meaning: 'm' }),
});

const good: Record<string, string> = {
  A_STRING: 'x',
  A_PATTERN: 'abc',
  AN_INTEGER: '0',
  A_PORT: '65535',
  A_NEGATIVE: '-5',
  A_BOOLEAN: 'false',
  ONE_OF: 'direct',
  A_URL: 'https://example.com/x',
  A_HOST_NAME: 'Mail.Example.com',
  A_HOST_PORT: 'example.com:25',
  A_LISTEN: '0.0.0.0:0',
  HOST_PORTS: 'a.example:1,[::1]:2',
  A_PEER: '127.0.0.1:1, 127.0.0.2:1',
  SERVERS: '127.0.0.1, 127.0.0.1:5353,::1,[::1]:54',
  NETWORKS: '10.0.0.0/8,fd00::/8,127.0.0.1',
  A_SECRET: 's'.repeat(32),
  STRINGS: 'a, b',
  SOME_STRINGS: 'a',
  DURATIONS: '1,1000',
  KEYS: `k2:${KEY},k1:${OTHER_KEY}`,
};

function problemsOf(env: Record<string, string | undefined>): readonly { name: string; message: string }[] {
  try {
    loadSettings(every, env);
  } catch (error) {
    assert.ok(error instanceof SettingsError);
    return error.problems;
  }
  return [];
}

test('good values become typed values', () => {
  const config: ConfigOf<typeof every> = loadSettings(every, good);
  assert.deepEqual(config, {
    string: 'x',
    pattern: 'abc',
    integer: 0,
    port: 65535,
    negative: -5,
    boolean: false,
    oneOf: 'direct',
    url: 'https://example.com/x',
    hostName: 'mail.example.com',
    hostPort: 'example.com:25',
    listen: '0.0.0.0:0',
    hostPorts: ['a.example:1', '[::1]:2'],
    peer: '127.0.0.1:1,127.0.0.2:1',
    servers: ['127.0.0.1:53', '127.0.0.1:5353', '[::1]:53', '[::1]:54'],
    networks: ['10.0.0.0/8', 'fd00::/8', '127.0.0.1'],
    secret: 's'.repeat(32),
    strings: ['a', 'b'],
    someStrings: ['a'],
    durations: [1, 1000],
    keys: [
      { id: 'k2', key: Buffer.alloc(32, 1) },
      { id: 'k1', key: Buffer.alloc(32, 2) },
    ],
  });
});

for (const setting of Object.values(every)) {
  test(`${setting.name} (${setting.type}) refuses every bad example and names the variable`, () => {
    assert.ok(setting.badExamples.length >= 3);
    for (const bad of setting.badExamples) {
      const problems = problemsOf({ ...good, [setting.name]: bad });
      assert.deepEqual(
        problems.map((problem) => problem.name),
        [setting.name],
        `${JSON.stringify(bad)} was taken`,
      );
      assert.doesNotMatch(problems[0]?.message ?? '', /\n/, 'one line');
    }
  });
}

test('the shared settings refuse their bad examples too', () => {
  for (const group of Object.values(common)) {
    for (const setting of Object.values(group)) {
      for (const bad of setting.badExamples) assert.throws(() => setting.parse(bad), Error, `${setting.name}=${JSON.stringify(bad)}`);
    }
  }
});

test('all problems are told at once, the missing ones included', () => {
  const names = problemsOf({ A_PORT: '70000', A_BOOLEAN: 'maybe' }).map((problem) => problem.name);
  assert.deepEqual(
    names.sort(),
    Object.values(every)
      .map((setting) => setting.name)
      .sort(),
  );
});

test('a problem says what is expected and what stood there', () => {
  const [problem] = problemsOf({ ...good, A_PORT: '70000' });
  assert.equal(problem?.message, 'must be a whole number 0–65535, not "70000"');
});

test('secrets and passwords in URLs are never repeated in an error', () => {
  const settings = defineSettings({
    secret: secret('A_SECRET', { meaning: 'm', minLength: 32 }),
    keys: sealKeys('KEYS', { meaning: 'm' }),
    database: url('DATABASE_URL', { meaning: 'm', protocols: ['postgres:'], secret: true }),
    page: url('A_URL', { meaning: 'm', protocols: ['https:'] }),
  });
  assert.throws(
    () =>
      loadSettings(settings, {
        A_SECRET: 'marker-1',
        KEYS: `k1:${KEY}marker-2`,
        DATABASE_URL: 'mysql://u:marker-3@h/d',
        A_URL: 'ftp://user:marker-4@host/',
      }),
    (error: Error) => error instanceof SettingsError && error.problems.length === 4 && !error.message.includes('marker'),
  );
});

test('defaults, optional settings', () => {
  const settings = defineSettings({
    port: integer('PORT', { default: 8080, meaning: 'm' }),
    list: hostPortList('LIST', { default: [], meaning: 'm' }),
    mode: oneOf('MODE', { values: ['a', 'b'], default: 'b', meaning: 'm' }),
    off: boolean('OFF', { default: false, meaning: 'm' }),
    endpoint: url('ENDPOINT', { protocols: ['http:'], optional: true, meaning: 'm' }),
  });
  const config = loadSettings(settings, {});
  assert.deepEqual(config, { port: 8080, list: [], mode: 'b', off: false, endpoint: undefined });
  // The types, as the compiler sees them.
  const typed: { port: number; list: readonly string[]; mode: 'a' | 'b'; off: boolean; endpoint: string | undefined } = config;
  assert.equal(typed.mode, 'b');
});

test('every default is a value that the setting itself takes', () => {
  for (const group of Object.values(common)) {
    for (const setting of Object.values(group)) {
      if (setting.defaultText !== undefined) assert.deepEqual(setting.parse(setting.defaultText), setting.fallback, setting.name);
    }
  }
});

test('an unknown MAILDOOT_ name is a problem, with the nearest known one', () => {
  const settings = defineSettings({
    home: string('MAILDOOT_HOME', { default: '.maildoot', meaning: 'm' }),
    port: integer('HTTP_PORT', { default: 1, meaning: 'm' }),
  });
  assert.doesNotThrow(() => loadSettings(settings, { PATH: '/bin', HTTPS_PORT: 'x', MAILDOOT_HOME: 'a' }));
  const message = (name: string): string => {
    try {
      loadSettings(settings, { [name]: 'x' });
    } catch (error) {
      return (error as Error).message;
    }
    return '';
  };
  assert.equal(message('MAILDOOT_HOM'), 'MAILDOOT_HOM is not a setting; did you mean MAILDOOT_HOME?');
  assert.equal(message('MAILDOOT_HTTP_PORT'), 'MAILDOOT_HTTP_PORT is not a setting; did you mean HTTP_PORT?');
  assert.equal(message('MAILDOOT_SOMETHING_ELSE'), 'MAILDOOT_SOMETHING_ELSE is not a setting');
});

test('one variable described twice, or a bad name, is a mistake of ours', () => {
  assert.throws(
    () => defineSettings({ a: string('SAME', { meaning: 'm' }), b: string('SAME', { meaning: 'm' }) }),
    /SAME is described twice/,
  );
  assert.throws(() => defineSettings({ a: string('lower', { meaning: 'm' }) }), /lower is no name/);
});

test('the README table', () => {
  const settings = defineSettings({
    mode: oneOf('MODE', { values: ['a', 'b'], default: 'b', meaning: 'Which.' }),
    wait: integer('WAIT_MS', { min: 1, max: 9, unit: 'ms', meaning: 'How long.' }),
    list: hostPortList('LIST', { default: [], meaning: 'Where.' }),
    secret: secret('SECRET', { optional: true, meaning: 'Psst.' }),
  });
  assert.equal(
    settingsTable(settings),
    [
      '| setting | type | default | unit | meaning |',
      '| --- | --- | --- | --- | --- |',
      '| `MODE` | a \\| b | `b` |  | Which. |',
      '| `WAIT_MS` | integer 1–9 | required | ms | How long. |',
      '| `LIST` | list of host:port | (empty) |  | Where. |',
      '| `SECRET` | secret, at least 1 character | – |  | Psst. |',
      '',
    ].join('\n'),
  );
  assert.deepEqual(describeSettings(settings)[1], {
    name: 'WAIT_MS',
    type: 'integer 1–9',
    default: 'required',
    unit: 'ms',
    meaning: 'How long.',
  });
});

test('splitHostPort', () => {
  assert.deepEqual(splitHostPort('mail.example:25'), { host: 'mail.example', port: 25 });
  assert.deepEqual(splitHostPort('[::1]:0'), { host: '::1', port: 0 });
});
