/**
 * Two tenants who own one of everything. Whatever of the owner’s a stranger names, in a path, a query, a header, a body or an array in it, a
 * cursor, an idempotency key or by SMTP: the answer is, byte for byte but for the request id, the one for a thing that never existed; no
 * answer holds anything of the owner’s; and nothing of the owner’s has changed. Rows come from the served OpenAPI document: a new operation,
 * and a new field of an old one, fails until tenant-isolation-rows.ts says what it may name.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { DnsServer } from '@maildoot/testkit/dns';
import { type Receiver, startReceiver } from '@maildoot/testkit/webhook-receiver';
import { createTransport } from 'nodemailer';
import pg from 'pg';
import { startInternet } from '../internet.ts';
import { type Answer, type Call, type Platform, startPlatform } from '../platform.ts';
import { anId, domainOf, Marks, rowsAtRest, whole } from './tenant-isolation-answers.ts';
import { type Estate, makeEstate, names, neverHad, type Thing } from './tenant-isolation-estate.ts';
import { isListed, type OpenapiDocument, placesOf } from './tenant-isolation-places.ts';
import { type Named, type Row, rows } from './tenant-isolation-rows.ts';

let platform: Platform;
let dns: DnsServer;
let receiver: Receiver;
let database: pg.Client;
let owner: Estate;
let stranger: Estate;
let document: OpenapiDocument;
const marks = new Marks();

before(async () => {
  [dns, receiver] = await Promise.all([startInternet(), startReceiver()]);
  platform = await startPlatform({ env: { DELIVERY: 'direct', DNS_SERVERS: dns.address } });
  // At the same time, so that in every list the things of one lie between those of the other.
  [owner, stranger] = (await Promise.all([names.owner, names.stranger].map((name) => makeEstate(platform, dns, receiver, name)))) as [
    Estate,
    Estate,
  ];
  document = (await owner.key<OpenapiDocument>('GET', '/v1/openapi.json')).body;
  database = new pg.Client({ connectionString: await platform.databaseUrl() });
  await database.connect();
  for (const operation of Object.keys(rows).filter((name) => name.startsWith('GET /v1/') && !name.includes('{'))) {
    const [, path = ''] = operation.split(' ');
    const { body } = await (rows[operation]?.as === 'session' ? owner.session : owner.key)(
      'GET',
      `${path}${path === '/v1/openapi.json' ? '' : '?'}`,
    );
    if (path !== '/v1/openapi.json') marks.learn(body);
  }
  marks.learn(owner.things);
  assert.ok(marks.ids.size > 40, `only ${marks.ids.size} ids of the owner’s are known`);
});
after(async () => {
  await database?.end();
  await platform?.[Symbol.asyncDispose]();
  await Promise.all([dns?.[Symbol.asyncDispose](), receiver?.[Symbol.asyncDispose]()]);
});

test('every operation of the document, and every place in it that takes text, is listed; nothing else is', () => {
  const served = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
  );
  assert.deepEqual(
    served.filter((operation) => rows[operation] === undefined),
    [],
    'operations that no row knows',
  );
  assert.deepEqual(
    Object.keys(rows).filter((operation) => !served.includes(operation)),
    [],
    'rows without an operation',
  );
  const unlisted = served.flatMap((operation) => {
    const [method = '', path = ''] = operation.split(' ');
    return placesOf(document, method, path)
      .filter((place) => !isListed(operation, place))
      .map((place) => `${operation}: ${place}`);
  });
  assert.deepEqual(unlisted, [], 'places that may name a thing, and no row says which');
});

/** A thing of an estate; every estate has them all. */
function thingOf({ things, name }: Estate, thing: Thing): string {
  return things[thing] ?? assert.fail(`${name} has no ${thing}`);
}

/** One place of one operation. */
interface Place {
  operation: string;
  row: Row;
  where: string;
  thing: Thing;
  named?: Named;
}

function placesIn(operation: string, row: Row): Place[] {
  const of = (list: Readonly<Record<string, Thing>> | undefined, kind: string): Place[] =>
    Object.entries(list ?? {}).map(([name, thing]) => ({ operation, row, where: `${kind} ${name}`, thing }));
  const path = row.path === undefined ? [] : of({ [/\{(\w+)\}/.exec(operation)?.[1] ?? '']: row.path }, 'path');
  const inBody = Object.entries(row.names ?? {}).map(([name, given]) => {
    const named = typeof given === 'string' ? { thing: given } : given;
    return { operation, row, where: `body ${name}`, thing: named.thing, named };
  });
  return [...path, ...of(row.query, 'query'), ...of(row.headers, 'header'), ...inBody];
}

/** Those that read first, those that end something last. */
const order = ['GET', 'PATCH', 'POST', 'DELETE'];
const placesInOrder = (): Place[] =>
  Object.entries(rows)
    .flatMap(([operation, row]) => placesIn(operation, row))
    .sort((one, other) => order.indexOf(methodOf(one)) - order.indexOf(methodOf(other)));
const methodOf = ({ operation }: Pick<Place, 'operation'>): string => operation.split(' ')[0] ?? '';

/** The stranger’s request, with this written in that place. */
function ask({ operation, row, where, named }: Place, value: string, call: Call = callOf(row)): Promise<Answer<unknown>> {
  const [method = '', path = ''] = operation.split(' ');
  const [kind, name = ''] = [where.slice(0, where.indexOf(' ')), where.slice(where.indexOf(' ') + 1)];
  const own = stranger.things;
  const inPath = kind === 'path' ? value : row.path && own[row.path];
  const query = kind === 'query' ? `?${new URLSearchParams({ [name]: value })}` : '';
  let body: unknown = row.body?.(own);
  if (kind === 'body') body = named?.instead ? named.instead(value, own) : writtenInto(body as Record<string, unknown>, name, value);
  const headers: Record<string, string> = kind === 'header' ? { [name.toLowerCase()]: value } : {};
  return call(method, `${path.replace(/\{\w+\}/, encodeURIComponent(inPath ?? ''))}${query}`, body, headers);
}

/** A body with a text in another place: `from.email`. */
function writtenInto(body: Record<string, unknown>, name: string, value: string): Record<string, unknown> {
  const [outer = '', inner] = name.split('.');
  return { ...body, [outer]: inner === undefined ? value : { [inner]: value } };
}

function callOf(row: Row, who: Estate = stranger): Call {
  if (row.as === 'nobody') return async (method, path, body, headers) => anybody(method, path, body, { ...headers });
  return who[row.as ?? 'key'];
}

const anybody: Call = async (method, path, body, headers) => {
  const answer = await fetch(`${platform.api}${path}`, {
    method,
    redirect: 'manual',
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: answer.status, headers: answer.headers, body: (await answer.text()) as never };
};

test('the same idempotency key from two tenants is two keys, in every operation that takes one', async (t) => {
  const taking = Object.keys(rows).filter((operation) => {
    const [method = '', path = ''] = operation.split(' ');
    return document.paths[path]?.[method.toLowerCase()]?.parameters.some(({ name }) => name === 'Idempotency-Key');
  });
  assert.ok(taking.length >= 10, `only ${taking.length} operations take a key`);
  const item = ({ things }: Estate) => [{ from: things.sender, to: things.recipient, text: 'x', idempotency_key: 'the same key' }];
  const asked: [string, (who: Estate) => Promise<Answer<unknown>>][] = taking.map((operation) => {
    const row = rows[operation] ?? assert.fail(operation);
    const [method = '', path = ''] = operation.split(' ');
    const bodies = new Map([owner, stranger].map((who) => [who, row.body?.(who.things)]));
    const at = (who: Estate) => path.replace(/\{\w+\}/, row.path === undefined ? '' : encodeURIComponent(thingOf(who, row.path)));
    return [operation, (who) => callOf(row, who)(method, at(who), bodies.get(who), { 'idempotency-key': `the same for ${operation}` })];
  });
  asked.push(['POST /v1/messages, in an item', (who) => who.key('POST', '/v1/messages', item(who))]);
  for (const [operation, request] of asked) {
    const first = await request(owner);
    assert.ok(first.status < 300, `${operation}: ${JSON.stringify(first.body)}`);
    marks.learn(first.body);
    const second = await request(stranger);
    assert.equal(second.status, first.status, `${operation}: ${JSON.stringify(second.body)}`);
    assert.equal(second.headers.get('idempotent-replayed'), null, operation);
    assert.deepEqual(marks.foundIn(second), [], operation);
    const again = await request(stranger);
    const done = ({ body }: Answer<unknown>) => (body as { data?: unknown }).data ?? body;
    assert.deepEqual(done(again), done(second), `${operation} again`);
    if (!operation.includes('item')) assert.equal(again.headers.get('idempotent-replayed'), 'true', `${operation} again`);
    t.diagnostic(`${operation} → ${second.status}, not replayed; its own again replayed`);
  }
  // One of them has made another token.
  marks.learn((await owner.pat('GET', '/v1/user/settings')).body);
});

test('by SMTP a template, a sender, a user and an idempotency key of the owner’s are nobody’s', async (t) => {
  const { smtp } = JSON.parse(await readFile(join(platform.home, 'up.json'), 'utf8')) as { smtp: { starttls: string } };
  const [host, port] = smtp.starttls.split(':') as [string, string];
  const tls = { ca: await readFile(join(platform.home, 'smtp.crt'), 'utf8'), servername: 'localhost' };
  const reply = async (
    who: Estate,
    headers: Record<string, string>,
    more: object = {},
    auth?: { user: string; pass: string },
  ): Promise<string> => {
    const credentials = auth ?? { user: 'apikey', pass: who.apiKey };
    const transport = createTransport({ host, port: Number(port), requireTLS: true, auth: credentials, tls });
    const mail = { from: who.things.sender, to: 'accept+x@simulator.localhost', subject: 'x', text: 'x', headers, ...more };
    return await transport.sendMail(mail).then(
      ({ response }) => response ?? '',
      (error: Error & { response?: string }) => error.response ?? assert.fail(error),
    );
  };
  const variables = { 'X-Variables': '{"n":1}' };
  const ways: Record<string, [Thing, (value: string) => Promise<string>]> = {
    'X-Template, an id': ['template', (value) => reply(stranger, { 'X-Template': value, ...variables })],
    'X-Template, an alias': ['alias', (value) => reply(stranger, { 'X-Template': value, ...variables })],
    From: ['sender', (value) => reply(stranger, {}, { from: value })],
    'RCPT TO': ['suppressed', (value) => reply(stranger, {}, { to: value })],
    'AUTH, a username': ['username', (user) => reply(stranger, {}, {}, { user, pass: stranger.apiKey })],
  };
  for (const [what, [thing, send]] of Object.entries(ways)) {
    const comparable = (text: string, asked: string) =>
      text.replaceAll(asked, 'ASKED').replaceAll(domainOf(asked), 'ASKED').replaceAll(anId, 'ID');
    const real = thingOf(owner, thing);
    marks.written.add(real);
    const ofReal = comparable(await send(real), real);
    assert.equal(ofReal, comparable(await send(neverHad(real)), neverHad(real)), what);
    const own = thingOf(stranger, thing);
    if (thing !== 'username') assert.notEqual(comparable(await send(own), own), ofReal, `${what}: one’s own`);
    t.diagnostic(`SMTP, ${what}: ${thing} → ${ofReal}`);
  }
  const once = { 'X-Idempotency-Key': 'the same by SMTP' };
  const mine = await reply(owner, once);
  marks.learn(mine);
  const theirs = await reply(stranger, once);
  assert.match(theirs, /^250 /);
  assert.notEqual(theirs, mine);
  assert.equal(await reply(stranger, once), theirs);
  t.diagnostic(`SMTP, X-Idempotency-Key → another message; its own again the same`);
});

test('who waits for events or for mail is woken by nobody else’s', async () => {
  const send = async (who: Estate): Promise<string> => {
    const message = { from: who.things.sender, to: who.things.reader, subject: 'Waited for', text: 'x' };
    const { body } = await who.tests<{ id: string }>('POST', '/v1/messages', message);
    if (who === owner) marks.learn(body);
    return body.id;
  };
  const stop = new AbortController();
  const stream = await fetch(`${platform.api}/v1/events?after=${BigInt(owner.things.seq) - 1n}`, {
    headers: { authorization: `Bearer ${stranger.apiKey}`, accept: 'text/event-stream', 'last-event-id': owner.things.seq },
    signal: stop.signal,
  });
  assert.equal(stream.status, 200);
  const inbox = (who: Estate, wait: number) =>
    who.key<{ data: { message_id: string }[] }>('GET', `/v1/test/inbox?subject=Waited&wait=${wait}`);
  const waiting = inbox(stranger, 30);
  const mine = await send(owner);
  assert.deepEqual(
    (await inbox(owner, 30)).body.data.map(({ message_id }) => message_id),
    [mine],
  );
  const theirs = await send(stranger);
  assert.deepEqual(
    (await waiting).body.data.map(({ message_id }) => message_id),
    [theirs],
  );
  let heard = '';
  const decoder = new TextDecoder();
  for await (const bytes of stream.body ?? assert.fail('no stream')) {
    heard += decoder.decode(bytes, { stream: true });
    if (heard.includes(theirs)) break;
  }
  stop.abort();
  assert.deepEqual(marks.foundIn({ headers: stream.headers, body: heard }), []);
});

test('a stranger who names the owner’s things is answered as for things that never existed, and changes nothing', async (t) => {
  const before = await rowsAtRest(database, owner.things.owner);
  const wrong: string[] = [];
  const shown: string[] = [];
  const look = async (place: Place): Promise<void> => {
    const { operation, row, where, thing, named } = place;
    const line = `${operation}, ${where}: ${thing}`;
    const real = thingOf(owner, thing);
    // What is made by asking is nobody’s no more.
    const never = named?.tells ? neverHad(real).replaceAll(names.nobody, 'no-one') : neverHad(real);
    if (named) marks.written.add(real);
    const [ofReal, ofNever] = [await ask(place, real), await ask(place, never)];
    const held = marks.foundIn(ofReal, real).concat(marks.foundIn(ofNever, never));
    if (held.length > 0) wrong.push(`${line}: holds the owner’s ${held.join(', ')}`);
    const [one, other] = [whole(ofReal, real), whole(ofNever, never)];
    let outcome = `${ofReal.status}, like what never existed`;
    if (named?.tells !== undefined) {
      const code = (ofReal.body as { error?: { code: string } }).error?.code;
      if (code !== named.tells || ofNever.status >= 300) wrong.push(`${line}: ${one}\nand ${other}`);
      outcome = `${ofReal.status} ${code}, as the contract says`;
    } else if (one !== other) wrong.push(`${line}: a thing of the owner’s is answered\n${one}\nand one that never existed\n${other}`);
    if (row.traces) return void shown.push(`${line} → ${outcome}`);
    // A personal access token is another way in to the same.
    if (where.startsWith('path ') && methodOf(place) === 'GET' && row.as === undefined) {
      const byToken = whole(await ask(place, real, stranger.pat), real);
      if (byToken !== one) wrong.push(`${line}: by a personal access token it is answered\n${byToken}`);
    }
    // The same question about the stranger’s own: if that were answered no better, the comparison would say nothing.
    const own = await ask(place, thingOf(stranger, thing));
    const ofOwn = whole(own, thingOf(stranger, thing));
    if (where.startsWith('path ') && (own.status === 404 || own.status >= 500))
      wrong.push(`${line}: not even the stranger’s own is answered well\n${ofOwn}`);
    if (ofOwn === other && !named?.alike && !row.alike && !/cursor|after|Last-Event-ID/.test(where))
      wrong.push(`${line}: the stranger’s own is answered like nothing\n${ofOwn}`);
    shown.push(`${line} → ${outcome}; one’s own ${own.status}`);
  };
  const places = placesInOrder();
  for (const place of places.filter(({ row }) => !row.traces && !row.last)) await look(place);
  // What names nothing holds nothing of the owner’s either: lists above all.
  const ends = Object.entries(rows).filter(([, row]) => row.last);
  const others = Object.entries(rows).filter(
    ([operation, row]) => !row.last && (placesIn(operation, row).length === 0 || operation.startsWith('GET ')),
  );
  for (const [operation, row] of [...others, ...ends]) {
    const [method = '', path = ''] = operation.split(' ');
    const at = path.replace(/\{\w+\}/, row.path === undefined ? 'x' : encodeURIComponent(thingOf(stranger, row.path)));
    const answer = await callOf(row)(method, at, row.body?.(stranger.things));
    const held = marks.foundIn(answer);
    if (held.length > 0) wrong.push(`${operation} as it is: holds the owner’s ${held.join(', ')}`);
    shown.push(`${operation}, as it is → ${answer.status}, nothing of the owner’s`);
  }
  const afterwards = await rowsAtRest(database, owner.things.owner);
  for (const [table, list] of Object.entries(before))
    if (JSON.stringify(afterwards[table]) !== JSON.stringify(list)) wrong.push(`${table}: rows of the owner’s have changed`);
  assert.equal((await owner.session('GET', '/v1/auth/sessions')).status, 200, 'the owner’s session lasts');
  for (const place of places.filter(({ row }) => row.traces)) await look(place);
  for (const line of shown) t.diagnostic(line);
  t.diagnostic(
    `${places.length} places of ${Object.keys(rows).length} operations; ${Object.values(before).flat().length} rows of the owner’s in ${Object.keys(before).length} tables unchanged`,
  );
  assert.deepEqual(wrong, []);
});
