// Asking a domain's own name servers: real DNS servers on one port of several loopback addresses, found through a resolver as the
// internet's would be.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createResolver } from '@maildoot/runtime/resolver';
import { type DnsServer, startDnsServer } from '@maildoot/testkit/dns';
import { lookupAtDomainsOwnServers, type Question } from '../src/lookup.ts';

/** What a resolver on the internet knows: delegations and addresses. Its TXT records are an old cache that nobody may read. */
let internet: DnsServer;
let customer: DnsServer;
let provider: DnsServer;
const parts = new AsyncDisposableStack();
before(async () => {
  // Both authorities at one port, as port 53 is one for all.
  customer = parts.use(await startDnsServer({ host: '127.0.0.2' }));
  provider = parts.use(await startDnsServer({ host: '127.0.0.3', port: customer.port }));
  internet = parts.use(await startDnsServer());
  internet.setZones({
    'customer.example': {
      '@': { NS: ['ns1.customer.example', 'ns2.customer.example'], TXT: ['stale'] },
      ns1: { A: ['127.0.0.2'] },
      key: { TXT: ['stale'] },
    },
    'dmarc.provider.example': { '@': { NS: ['ns.provider.example'] } },
    'provider.example': { '@': { NS: ['ns.provider.example'] }, ns: { A: ['127.0.0.3'] } },
    'alias.customer.example': { '@': { CNAME: 'dmarc.provider.example' } },
    'inside.example': { '@': { NS: ['ns.inside.example'] }, ns: { A: ['10.0.0.53', '127.0.0.1'], AAAA: ['::1', 'fd00::53'] } },
    'lame.example': { '@': { NS: ['ns.nowhere.example'] } },
    'mixed.example': { '@': { NS: ['ns.inside.example', 'ns1.customer.example'] } },
  });
  customer.setZones({
    'customer.example': {
      '@': { TXT: ['at the apex'] },
      key: { TXT: ['fresh'] },
      out: { CNAME: 'target.provider.example' },
      alias: { CNAME: 'dmarc.provider.example' },
      round: { CNAME: 'round.customer.example' },
    },
    'mixed.example': { '@': { TXT: ['reached'] } },
  });
  provider.setZones({ 'provider.example': { target: { TXT: ['followed'] }, dmarc: { TXT: ['behind an alias to an apex'] } } });
});
after(() => parts.disposeAsync());

function look(names: (string | Question)[], allowNetworks = ['127.0.0.2/32', '127.0.0.3/32'], timeoutMs = 4500) {
  const lookup = lookupAtDomainsOwnServers(createResolver([internet.address]), { allowNetworks, authoritativePort: customer.port });
  return lookup.ask(
    names.map((question) => (typeof question === 'string' ? { type: 'TXT' as const, name: question } : question)),
    timeoutMs,
  );
}

test("the domain's own servers are asked, not the resolver's cache", async () => {
  assert.deepEqual(await look(['customer.example', 'key.customer.example']), [
    { kind: 'values', values: ['at the apex'] },
    { kind: 'values', values: ['fresh'] },
  ]);
  assert.ok(!internet.queries.some((query) => query.type === 'TXT'));
});

test('a name that is not there is nothing, by name and by type', async () => {
  assert.deepEqual(await look(['absent.customer.example']), [{ kind: 'nothing' }]);
});

test('a domain without name servers has nothing', async () => {
  assert.deepEqual(await look(['_maildoot.unregistered.example']), [{ kind: 'nothing' }]);
});

test('a CNAME into another zone is followed to the servers of that zone', async () => {
  assert.deepEqual(await look(['out.customer.example']), [{ kind: 'values', values: ['followed'] }]);
});

test('an alias to the top of a zone is no zone: its own servers are asked first', async () => {
  assert.deepEqual(await look(['alias.customer.example']), [{ kind: 'values', values: ['behind an alias to an apex'] }]);
});

test('a CNAME that leads to itself ends, and tells nothing', async () => {
  assert.equal((await look(['round.customer.example']))[0]?.kind, 'unknown');
});

test('a CNAME is told with every name that it leads to, up to the one that is looked for', async () => {
  customer.setRecords('bounces.customer.example', { CNAME: 'via.customer.example' });
  customer.setRecords('via.customer.example', { CNAME: 'Target.Provider.example' });
  const ways = ['via.customer.example', 'target.provider.example'];
  assert.deepEqual(await look([{ type: 'CNAME', name: 'bounces.customer.example' }]), [{ kind: 'values', values: ways }]);
  // Our own host need not answer for it.
  provider.fail('target.provider.example', 'servfail');
  const until = 'target.provider.example';
  assert.deepEqual(await look([{ type: 'CNAME', name: 'bounces.customer.example', until }]), [{ kind: 'values', values: ways }]);
  provider.heal();
  assert.deepEqual(await look([{ type: 'CNAME', name: 'key.customer.example' }]), [{ kind: 'nothing' }]);
});

test('mail hosts are told with their priorities', async () => {
  const MX = [
    { preference: 20, exchange: 'two.example' },
    { preference: 10, exchange: 'one.example' },
  ];
  customer.setRecords('mail.customer.example', { MX });
  customer.setRecords('none.customer.example', { MX: [{ preference: 0, exchange: '.' }] });
  assert.deepEqual(
    await look([
      { type: 'MX', name: 'mail.customer.example' },
      { type: 'MX', name: 'none.customer.example' },
      { type: 'MX', name: 'key.customer.example' },
    ]),
    [{ kind: 'values', values: ['10 one.example', '20 two.example'] }, { kind: 'values', values: ['0 .'] }, { kind: 'nothing' }],
  );
});

test('name servers on addresses of our own networks are not asked', async () => {
  const [answer] = await look(['inside.example'], []);
  assert.deepEqual(answer, { kind: 'unknown', reason: 'the name servers of inside.example have no public address' });
  const [refused] = await look(['customer.example'], []);
  assert.equal(refused?.kind, 'unknown');
});

test('a public one among them is', async () => {
  assert.deepEqual(await look(['mixed.example']), [{ kind: 'values', values: ['reached'] }]);
});

test('name servers without addresses tell nothing', async () => {
  assert.equal((await look(['lame.example']))[0]?.kind, 'unknown');
});

test('a resolver that fails tells nothing', async () => {
  internet.fail('broken.example', 'servfail');
  assert.equal((await look(['broken.example']))[0]?.kind, 'unknown');
});

test('silence ends with the time given, for all names together', async () => {
  customer.fail('key.customer.example', 'drop');
  // Less than a single server has. A busy machine may not have the third answer by then, and is asked once more.
  let answers = await look(['key.customer.example', 'key.customer.example', 'customer.example'], undefined, 600);
  for (let tries = 1; tries < 20 && answers[2]?.kind === 'unknown'; tries++)
    answers = await look(['key.customer.example', 'key.customer.example', 'customer.example'], undefined, 600);
  customer.heal();
  const tooLong = { kind: 'unknown', reason: 'timeout: the name servers took too long' };
  assert.deepEqual(answers, [tooLong, tooLong, { kind: 'values', values: ['at the apex'] }]);
});

test('very many and very long values are cut', async () => {
  customer.setRecords('key.customer.example', { TXT: Array.from({ length: 60 }, (_, index) => `value ${index}`) });
  const [many] = await look(['key.customer.example']);
  assert.equal(many?.kind === 'values' ? many.values.length : 0, 50);
  customer.setRecords('key.customer.example', { TXT: ['x'.repeat(10_000)] });
  const [long] = await look(['key.customer.example']);
  assert.equal(long?.kind === 'values' ? long.values[0]?.length : 0, 4097);
});
