import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createResolver, DnsError, type DnsFailure } from '../src/resolver.ts';
import { startDnsAnswers } from './dns-answers.ts';

const fails =
  (code: DnsFailure, temporary: boolean) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof DnsError, String(error));
    assert.deepEqual([error.code, error.temporary, error.absent], [code, temporary, code === 'NXDOMAIN' || code === 'NODATA']);
    return true;
  };

test('records of every type, from the servers given and no other', async () => {
  await using dns = await startDnsAnswers({
    'MX a.test': ['20 two.test', '10 one.test'],
    'A a.test': ['192.0.2.1', '192.0.2.2'],
    'AAAA a.test': ['2001:db8::1'],
    'TXT a.test': ['v=DKIM1; p=AAA|BBB', 'other'],
    'NS a.test': ['ns.test'],
    'CNAME a.test': ['b.test'],
    'MX null.test': ['0 .'],
  });
  const resolver = createResolver([dns.address]);
  assert.deepEqual(
    (await resolver.resolveMx('a.test')).map(({ priority, exchange }) => [priority, exchange]),
    [
      [10, 'one.test'],
      [20, 'two.test'],
    ],
  );
  assert.deepEqual((await resolver.resolve4('a.test')).sort(), ['192.0.2.1', '192.0.2.2']);
  assert.deepEqual(await resolver.resolve6('a.test'), ['2001:db8::1']);
  assert.deepEqual((await resolver.resolveTxt('a.test')).sort(), ['other', 'v=DKIM1; p=AAABBB']);
  assert.deepEqual(await resolver.resolveNs('a.test'), ['ns.test']);
  assert.deepEqual(await resolver.resolveCname('a.test'), ['b.test']);
  assert.deepEqual(
    (await resolver.resolveMx('null.test.')).map(({ priority, exchange }) => [priority, exchange]),
    [[0, '']],
    'a null MX, asked with the dot at the end',
  );
  assert.equal(dns.asked.length, 7);
});

test('no name, no record, no answer and a bad answer are told apart', async () => {
  await using dns = await startDnsAnswers({
    'MX nodata.test': [],
    'MX servfail.test': 'SERVFAIL',
    'MX refused.test': 'REFUSED',
    'MX silent.test': 'drop',
  });
  const resolver = createResolver([dns.address], { timeoutMs: 30_000, tries: 1 });
  await assert.rejects(resolver.resolveMx('missing.test'), fails('NXDOMAIN', false));
  await assert.rejects(resolver.resolveMx('nodata.test'), fails('NODATA', false));
  await assert.rejects(resolver.resolveMx('servfail.test'), fails('SERVFAIL', true));
  await assert.rejects(resolver.resolveMx('refused.test'), fails('SERVFAIL', true));
  const impatient = createResolver([dns.address], { timeoutMs: 100, tries: 1 });
  await assert.rejects(impatient.resolveMx('silent.test'), fails('TIMEOUT', true));
});

test('a server that is not there is a timeout, not a missing name', async () => {
  const dns = await startDnsAnswers({});
  const { address } = dns;
  await dns[Symbol.asyncDispose]();
  await assert.rejects(
    createResolver([address], { timeoutMs: 100, tries: 1 }).resolve4('a.test'),
    (error: unknown) => error instanceof DnsError && error.temporary,
  );
});

test('what is no name is never asked for', async () => {
  await using dns = await startDnsAnswers({});
  const resolver = createResolver([dns.address]);
  for (const name of [
    '',
    '.',
    'a..b',
    'a b.test',
    `${'a'.repeat(64)}.test`,
    'a\0.test',
    'a\\046b.test',
    `${'a.'.repeat(130)}test`,
    'é.test',
    '[::1]',
  ]) {
    await assert.rejects(resolver.resolve4(name), fails('BAD_NAME', false), JSON.stringify(name));
  }
  assert.deepEqual(dns.asked, []);
});

test('an abort ends the waiting with its reason', async () => {
  await using dns = await startDnsAnswers({ 'A silent.test': 'drop' });
  const controller = new AbortController();
  const reason = new Error('stop');
  const asking = createResolver([dns.address], { timeoutMs: 300, tries: 1 }).resolve4('silent.test', controller.signal);
  controller.abort(reason);
  await assert.rejects(asking, reason);
});
