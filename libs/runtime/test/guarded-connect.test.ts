import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { GuardedConnectError, type GuardedConnectFailure, guardedConnect, isRefusedAddress } from '../src/guarded-connect.ts';
import { createResolver } from '../src/resolver.ts';
import { startDnsAnswers } from './dns-answers.ts';

// Each with the reason why nothing that a customer names may lead there.
const refused: Record<string, string> = {
  '127.0.0.1': 'loopback',
  '127.255.255.254': 'loopback, the whole /8',
  '0.0.0.0': 'unspecified: Linux connects to itself',
  '0.1.2.3': 'this network',
  '10.1.2.3': 'private',
  '172.16.0.1': 'private',
  '172.31.255.255': 'private',
  '192.168.0.1': 'private',
  '100.64.0.1': 'carrier-grade NAT',
  '100.100.100.200': 'Alibaba’s metadata',
  '169.254.169.254': 'metadata',
  '168.63.129.16': 'Azure’s platform address',
  '192.0.0.192': 'Oracle’s metadata, IETF assignments',
  '192.0.2.1': 'documentation',
  '198.18.0.1': 'benchmarks',
  '198.51.100.1': 'documentation',
  '203.0.113.1': 'documentation',
  '192.88.99.1': '6to4 relay',
  '224.0.0.1': 'multicast',
  '240.0.0.1': 'reserved',
  '255.255.255.255': 'broadcast',
  '::': 'unspecified',
  '::1': 'loopback',
  '::ffff:127.0.0.1': 'loopback, v4-mapped',
  '::ffff:7f00:1': 'loopback, v4-mapped, in hexadecimal',
  '0:0:0:0:0:ffff:a9fe:a9fe': 'metadata, v4-mapped, written out',
  '::ffff:10.0.0.1': 'private, v4-mapped',
  '::127.0.0.1': 'IPv4-compatible',
  '::a00:1': 'IPv4-compatible, in hexadecimal',
  '64:ff9b::7f00:1': 'NAT64 of loopback',
  '64:ff9b::808:808': 'NAT64 of a public address: the translator is ours',
  '64:ff9b:1::a00:1': 'NAT64, local prefix',
  '2002:7f00:1::': '6to4 of loopback',
  '2001:0:7f00:1::': 'Teredo',
  'fe80::1': 'link-local',
  'fe80::1%eth0': 'link-local with a zone',
  'febf::1': 'link-local, the end of the range',
  'fec0::1': 'site-local',
  'fc00::1': 'unique local',
  'fd00:ec2::254': 'metadata',
  'ff02::1': 'multicast',
  '2001:db8::1': 'documentation',
  '3fff::1': 'documentation (RFC 9637)',
  '100::1': 'discard',
  '5f00::1': 'SRv6',
  '': 'no address',
  localhost: 'no address',
  '127.1': 'no address to us, loopback to others',
  '0x7f.0.0.1': 'no address to us, loopback to others',
  '010.0.0.1': 'octal to some',
  '2130706433': 'loopback as a number',
  '[::1]': 'brackets',
};
for (const [address, why] of Object.entries(refused)) {
  test(`refused: ${address || '(empty)'} (${why})`, () => assert.equal(isRefusedAddress(address, []), true));
}

for (const address of [
  '8.8.8.8',
  '1.1.1.1',
  '172.15.0.1',
  '172.32.0.1',
  '100.63.255.255',
  '100.128.0.1',
  '2606:4700:4700::1111',
  '2a00:1450::1',
  '::ffff:8.8.8.8',
]) {
  test(`allowed: ${address}`, () => assert.equal(isRefusedAddress(address, []), false));
}

test('exceptions count for the network named, in either form of an IPv4 address, and for no other', () => {
  assert.equal(isRefusedAddress('10.1.2.3', ['10.1.0.0/16']), false);
  assert.equal(isRefusedAddress('::ffff:10.1.2.3', ['10.1.0.0/16']), false);
  assert.equal(isRefusedAddress('10.2.0.1', ['10.1.0.0/16']), true);
  assert.equal(isRefusedAddress('127.0.0.1', ['127.0.0.1']), false);
  assert.equal(isRefusedAddress('127.0.0.2', ['127.0.0.1']), true);
  assert.equal(isRefusedAddress('::1', ['127.0.0.0/8']), true);
  assert.equal(isRefusedAddress('64:ff9b::a01:203', ['10.1.0.0/16']), true, 'NAT64 needs an exception of its own');
  assert.equal(isRefusedAddress('fd00::1', ['fd00::/8']), false);
  assert.equal(isRefusedAddress('127.0.0.1', ['not a network']), true);
});

test('an IPv4 address is judged alike in all of its forms', () => {
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
      const plain = isRefusedAddress(address, []);
      assert.equal(isRefusedAddress(`::ffff:${address}`, []), plain);
      assert.equal(isRefusedAddress(`::ffff:${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`, []), plain);
      assert.equal(isRefusedAddress(`64:ff9b::${address}`, []), true);
    }),
  );
});

// ── with a resolver and a listener ─────────────────────────────────────────────────────────────────────────────────────

let listener: Server;
let port: number;
let connections = 0;
before(async () => {
  listener = createServer((socket) => {
    connections++;
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  port = (listener.address() as AddressInfo).port;
});
after(() => void listener.close());

const fails =
  (code: GuardedConnectFailure) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof GuardedConnectError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  };

test('connects to the address that was checked, after one lookup', async () => {
  await using dns = await startDnsAnswers({ 'A mx.test': ['127.0.0.1'], 'AAAA mx.test': [] });
  const { socket, address } = await guardedConnect({
    host: 'mx.test',
    port,
    resolver: createResolver([dns.address]),
    allowNetworks: ['127.0.0.1'],
    timeoutMs: 30_000,
  });
  assert.equal(address, '127.0.0.1');
  assert.equal(socket.remoteAddress, '127.0.0.1');
  assert.deepEqual(dns.asked.sort(), ['A mx.test', 'AAAA mx.test']);
  socket.destroy();
});

const answers: Record<string, { A: string[]; AAAA: string[] }> = {
  private: { A: ['10.0.0.1', '192.168.1.1'], AAAA: [] },
  loopback: { A: ['127.0.0.1'], AAAA: ['::1'] },
  metadata: { A: ['169.254.169.254'], AAAA: [] },
  'v4-mapped': { A: [], AAAA: ['::ffff:127.0.0.1'] },
  nat64: { A: [], AAAA: ['64:ff9b::7f00:1'] },
  'unique local': { A: [], AAAA: ['fd00::1'] },
};
for (const [what, { A, AAAA }] of Object.entries(answers)) {
  test(`a name that answers with ${what} addresses is refused, and nothing is connected to`, async () => {
    await using dns = await startDnsAnswers({ 'A evil.test': A, 'AAAA evil.test': AAAA });
    const before = connections;
    await assert.rejects(
      guardedConnect({ host: 'evil.test', port, resolver: createResolver([dns.address]), allowNetworks: [], timeoutMs: 30_000 }),
      fails('ADDRESS_REFUSED'),
    );
    assert.equal(connections, before);
  });
}

test('an address given instead of a name is judged too, and looks nothing up', async () => {
  await using dns = await startDnsAnswers({});
  const resolver = createResolver([dns.address]);
  for (const host of ['127.0.0.1', '::ffff:127.0.0.1', '::1']) {
    await assert.rejects(guardedConnect({ host, port, resolver, allowNetworks: [], timeoutMs: 30_000 }), fails('ADDRESS_REFUSED'));
  }
  const { socket } = await guardedConnect({ host: '127.0.0.1', port, resolver, allowNetworks: ['127.0.0.0/8'], timeoutMs: 30_000 });
  socket.destroy();
  assert.deepEqual(dns.asked, []);
});

test('among mixed addresses only the good ones are tried', async () => {
  await using dns = await startDnsAnswers({ 'A mixed.test': ['10.0.0.1', '127.0.0.1'], 'AAAA mixed.test': [] });
  const { socket, address } = await guardedConnect({
    host: 'mixed.test',
    port,
    resolver: createResolver([dns.address]),
    allowNetworks: ['127.0.0.1'],
    timeoutMs: 30_000,
  });
  assert.equal(address, '127.0.0.1');
  socket.destroy();
});

test('the next address is tried when one refuses the connection', async () => {
  await using dns = await startDnsAnswers({ 'A two.test': ['127.0.0.2', '127.0.0.1'], 'AAAA two.test': [] });
  const { socket, address } = await guardedConnect({
    host: 'two.test',
    port,
    resolver: createResolver([dns.address]),
    allowNetworks: ['127.0.0.0/8'],
    timeoutMs: 30_000,
  });
  assert.equal(address, '127.0.0.1');
  socket.destroy();
});

test('a server that never answers AAAA does not cost the connection', async () => {
  await using dns = await startDnsAnswers({ 'A half.test': ['127.0.0.1'], 'AAAA half.test': 'drop' });
  const start = performance.now();
  const { socket } = await guardedConnect({
    host: 'half.test',
    port,
    resolver: createResolver([dns.address], { timeoutMs: 6_000, tries: 1 }),
    allowNetworks: ['127.0.0.1'],
    timeoutMs: 30_000,
  });
  assert.ok(performance.now() - start < 5_000);
  socket.destroy();
});

test('failures are told apart', async () => {
  await using dns = await startDnsAnswers({
    'A nodata.test': [],
    'AAAA nodata.test': [],
    'A broken.test': 'SERVFAIL',
    'AAAA broken.test': [],
    'A closed.test': ['127.0.0.1'],
    'AAAA closed.test': [],
    'A silent.test': 'drop',
    'AAAA silent.test': 'drop',
  });
  const resolver = createResolver([dns.address], { timeoutMs: 30_000, tries: 1 });
  const closed = createServer();
  await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
  const closedPort = (closed.address() as AddressInfo).port;
  await new Promise((resolve) => closed.close(resolve));
  const impatient = createResolver([dns.address], { timeoutMs: 1000, tries: 1 });
  const to = (host: string, { timeoutMs = 30_000, by = resolver } = {}) =>
    guardedConnect({ host, port: closedPort, resolver: by, allowNetworks: ['127.0.0.0/8'], timeoutMs });
  await assert.rejects(to('missing.test'), fails('NO_ADDRESS'));
  await assert.rejects(to('nodata.test'), fails('NO_ADDRESS'));
  await assert.rejects(to('broken.test'), fails('DNS_FAILED'));
  await assert.rejects(to('no name at all'), fails('NO_ADDRESS'));
  await assert.rejects(to('closed.test'), fails('CONNECT_FAILED'));
  await assert.rejects(to('silent.test', { timeoutMs: 100, by: impatient }), fails('TIMEOUT'));
});

test('an abort ends it with its reason, during the lookup and before it', async () => {
  await using dns = await startDnsAnswers({ 'A silent.test': 'drop', 'AAAA silent.test': 'drop' });
  const controller = new AbortController();
  const reason = new Error('stop');
  const options = {
    host: 'silent.test',
    port,
    resolver: createResolver([dns.address], { timeoutMs: 300, tries: 1 }),
    allowNetworks: [],
    timeoutMs: 5000,
    signal: controller.signal,
  };
  const connecting = guardedConnect(options);
  controller.abort(reason);
  await assert.rejects(connecting, reason);
  await assert.rejects(guardedConnect(options), reason);
});
