import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createResolver } from '@maildoot/runtime/resolver';
import { startDnsServer } from '@maildoot/testkit/dns';
import { findMailHosts, inOrder } from './mx.ts';

describe('findMailHosts', () => {
  it('tells hosts, no mail, nobody, and no answer apart', async () => {
    await using dns = await startDnsServer({
      zones: {
        'two.test': {
          '@': {
            MX: [
              { preference: 20, exchange: 'B.two.test' },
              { preference: 10, exchange: 'a.two.test' },
            ],
          },
        },
        'nullmx.test': { '@': { MX: [{ preference: 0, exchange: '.' }] } },
        'implicit.test': { '@': { AAAA: ['2001:db8::1'] } },
        'empty.test': { '@': { TXT: ['nothing here'] } },
        'broken.test': { '@': { MX: [{ preference: 1, exchange: 'mx.broken.test' }] } },
        'half.test': { '@': { TXT: ['x'] } },
      },
    });
    dns.fail('broken.test', 'servfail');
    dns.fail('half.test', 'servfail', { types: ['A', 'AAAA'] });
    const resolver = createResolver([dns.address], { timeoutMs: 30_000, tries: 1 });
    const find = async (domain: string) => {
      const found = await findMailHosts(domain, resolver);
      return found.kind === 'hosts' ? found.hosts : found.kind;
    };
    assert.deepEqual(await find('two.test'), [
      { name: 'a.two.test', preference: 10 },
      { name: 'b.two.test', preference: 20 },
    ]);
    assert.equal(await find('nullmx.test'), 'null_mx');
    assert.deepEqual(await find('implicit.test'), [{ name: 'implicit.test', preference: 0 }]);
    assert.equal(await find('empty.test'), 'no_such_domain');
    assert.equal(await find('nothere.empty.test'), 'no_such_domain');
    assert.equal(await find('[192.0.2.1]'), 'no_such_domain');
    assert.equal(await find('broken.test'), 'dns_unavailable');
    // No MX, and whether there is an address nobody says: not the end of the domain.
    assert.equal(await find('half.test'), 'dns_unavailable');
  });
});

describe('inOrder', () => {
  const hosts = [
    { name: 'c', preference: 20 },
    { name: 'a', preference: 10 },
    { name: 'b', preference: 10 },
  ];

  it('takes the lowest preference first and shuffles equals', () => {
    const firsts = new Set(
      Array.from({ length: 100 }, () =>
        inOrder(hosts, () => false)
          .map((host) => host.name)
          .join(''),
      ),
    );
    assert.deepEqual([...firsts].sort(), ['abc', 'bac']);
  });

  it('prefers among equals the one with an open session, and no worse host for it', () => {
    for (let turn = 0; turn < 20; turn++) {
      assert.deepEqual(
        inOrder(hosts, (name) => name === 'b' || name === 'c').map((host) => host.name),
        ['b', 'a', 'c'],
      );
    }
  });
});
