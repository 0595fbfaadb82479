// The DNS server as Node's own resolver (c-ares) sees it.
import assert from 'node:assert/strict';
import { Resolver } from 'node:dns/promises';
import { connect } from 'node:net';
import { test } from 'node:test';
import { startDnsServer, type Zones } from './dns.ts';

const zones: Zones = {
  'example.com': {
    '@': {
      A: ['192.0.2.1'],
      AAAA: ['2001:db8::1', '::1', '2001:db8:1:2:3:4:5:6'],
      MX: [
        { preference: 10, exchange: 'mx1.example.com' },
        { preference: 20, exchange: 'mx2.other.example' },
      ],
      TXT: ['v=spf1 -all', ['two ', 'strings']],
      NS: ['ns1.example.com'],
    },
    mx1: { A: ['127.0.0.1'] },
    alias: { CNAME: 'target.other.example' },
    loop: { CNAME: 'loop.example.com' },
    'md1._domainkey': { TXT: [`v=DKIM1; p=${'A'.repeat(400)}`] },
    '*.wild': { A: ['192.0.2.7'] },
    'known.wild': { TXT: ['x'] },
    'below.empty.wild': { TXT: ['x'] },
    many: { TXT: Array.from({ length: 20 }, (_, at) => `${at} ${'x'.repeat(200)}`) },
  },
  'other.example': { target: { A: ['192.0.2.9'] } },
  '2.0.192.in-addr.arpa': { 1: { PTR: ['example.com'] } },
};

async function start(timeoutMs = 30_000) {
  const server = await startDnsServer({ zones });
  const resolver = new Resolver({ timeout: timeoutMs, tries: 1 });
  resolver.setServers([server.address]);
  return { server, resolver };
}

const fails = (code: string) => (error: NodeJS.ErrnoException) => error.code === code;

test('answers every type', async () => {
  const { server, resolver } = await start();
  await using _ = server;
  assert.deepEqual(await resolver.resolve4('Example.COM'), ['192.0.2.1']);
  assert.deepEqual(await resolver.resolve6('example.com'), ['2001:db8::1', '::1', '2001:db8:1:2:3:4:5:6']);
  assert.deepEqual(
    (await resolver.resolveMx('example.com')).map(({ priority, exchange }) => [priority, exchange]),
    [
      [10, 'mx1.example.com'],
      [20, 'mx2.other.example'],
    ],
  );
  assert.deepEqual(await resolver.resolveTxt('example.com'), [['v=spf1 -all'], ['two ', 'strings']]);
  assert.deepEqual(await resolver.resolveNs('example.com'), ['ns1.example.com']);
  assert.equal((await resolver.resolveSoa('example.com')).nsname, 'ns1.example.com');
  assert.deepEqual(await resolver.resolveCname('alias.example.com'), ['target.other.example']);
  assert.deepEqual(await resolver.resolve4('alias.example.com'), ['192.0.2.9'], 'followed into another zone');
  assert.deepEqual(await resolver.reverse('192.0.2.1'), ['example.com']);
});

test('a long TXT is cut into strings of 255 bytes', async () => {
  const { server, resolver } = await start();
  await using _ = server;
  const [strings] = await resolver.resolveTxt('md1._domainkey.example.com');
  assert.deepEqual(
    strings?.map((text) => text.length),
    [255, 156],
  );
  assert.equal(strings?.join(''), `v=DKIM1; p=${'A'.repeat(400)}`);
});

test('NXDOMAIN and NODATA differ; empty non-terminals and wildcards are right', async () => {
  const { server, resolver } = await start();
  await using _ = server;
  await assert.rejects(resolver.resolve4('nothing.example.com'), fails('ENOTFOUND'));
  await assert.rejects(resolver.resolve4('unknown.zone.test'), fails('ENOTFOUND'));
  await assert.rejects(resolver.resolve6('mx1.example.com'), fails('ENODATA'));
  await assert.rejects(resolver.resolveTxt('_domainkey.example.com'), fails('ENODATA'));
  assert.deepEqual(await resolver.resolve4('a.b.wild.example.com'), ['192.0.2.7']);
  await assert.rejects(resolver.resolve4('known.wild.example.com'), fails('ENODATA'));
  await assert.rejects(resolver.resolve4('empty.wild.example.com'), fails('ENODATA'));
  await assert.rejects(resolver.resolve4('below.known.wild.example.com'), fails('ENOTFOUND'));
  await assert.rejects(resolver.resolve4('loop.example.com'), fails('ESERVFAIL'));
});

test('what is too big for UDP comes over TCP', async () => {
  const { server, resolver } = await start();
  await using _ = server;
  assert.equal((await resolver.resolveTxt('many.example.com')).length, 20);
  assert.deepEqual(
    server.queries.map(({ transport, type, name }) => [transport, type, name]),
    [
      ['udp', 'TXT', 'many.example.com'],
      ['tcp', 'TXT', 'many.example.com'],
    ],
  );
});

test('zones change while it runs', async () => {
  const { server, resolver } = await start();
  await using _ = server;
  server.setRecords('new.example.com', { A: ['192.0.2.2'] });
  assert.deepEqual(await resolver.resolve4('new.example.com'), ['192.0.2.2']);
  server.setRecords('new.example.com', undefined);
  await assert.rejects(resolver.resolve4('new.example.com'), fails('ENOTFOUND'));
  server.setZone('fresh.example', { '@': { A: ['192.0.2.3'] } });
  assert.deepEqual(await resolver.resolve4('fresh.example'), ['192.0.2.3']);
  server.setZones({});
  await assert.rejects(resolver.resolve4('example.com'), fails('ENOTFOUND'));
  assert.throws(() => server.setRecords('a.example.com', {}), /no zone/);
});

test('names fail in every way, by type and by count, until healed', async () => {
  const { server, resolver } = await start();
  await using _ = server;
  const impatient = new Resolver({ timeout: 300, tries: 1 });
  impatient.setServers([server.address]);
  const table = [
    ['servfail', 'ESERVFAIL'],
    ['refused', 'EREFUSED'],
    ['nxdomain', 'ENOTFOUND'],
    ['drop', 'ETIMEOUT'],
    ['malformed', 'EBADRESP'],
    ['formerr', 'EFORMERR'],
  ] as const;
  for (const [failure, code] of table) {
    server.fail('example.com', failure, { types: ['MX'] });
    await assert.rejects((failure === 'drop' ? impatient : resolver).resolveMx('example.com'), (error: NodeJS.ErrnoException) => {
      assert.equal(error.code, code, failure);
      return true;
    });
    assert.deepEqual(await resolver.resolve4('example.com'), ['192.0.2.1']);
    server.heal('example.com');
  }
  server.fail('*', 'servfail', { times: 1 });
  await assert.rejects(resolver.resolve4('example.com'), fails('ESERVFAIL'));
  assert.deepEqual(await resolver.resolve4('example.com'), ['192.0.2.1']);

  server.fail('example.com', 'truncated');
  assert.equal((await resolver.resolveMx('example.com')).length, 2);
  assert.equal(server.queries.at(-1)?.transport, 'tcp');
  server.heal();
  server.fail('example.com', { slowMs: 50 });
  const startedAt = performance.now();
  await resolver.resolve4('example.com');
  assert.ok(performance.now() - startedAt >= 49);
});

test('garbage is ignored, on UDP and in the middle of a TCP stream of several queries', async () => {
  const { server } = await start();
  await using _ = server;
  const query = (id: number) => {
    const packet = Buffer.from([
      0,
      id,
      1,
      0,
      0,
      1,
      0,
      0,
      0,
      0,
      0,
      0,
      3,
      ...Buffer.from('mx1'),
      7,
      ...Buffer.from('example'),
      3,
      ...Buffer.from('com'),
      0,
      0,
      1,
      0,
      1,
    ]);
    return Buffer.concat([Buffer.from([0, packet.length]), packet]);
  };
  const socket = connect(server.port, '127.0.0.1');
  const stream = Buffer.concat([query(1), Buffer.from([0, 3, 1, 2, 3]), query(2)]);
  socket.write(stream.subarray(0, 20));
  socket.write(stream.subarray(20));
  let received = Buffer.alloc(0);
  for await (const chunk of socket) {
    received = Buffer.concat([received, chunk as Buffer]);
    if (received.length >= 2 * (2 + received.readUInt16BE(0))) break;
  }
  const length = received.readUInt16BE(0);
  assert.equal(received[3], 1);
  assert.equal(received[2 + length + 3], 2);
  assert.deepEqual([...received.subarray(2 + length - 4, 2 + length)], [127, 0, 0, 1]);
});
