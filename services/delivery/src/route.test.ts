import assert from 'node:assert/strict';
import { it } from 'node:test';
import { destinationOf, fixedDestination, unresolvedPrefix } from './route.ts';

it('a destination is the operator of the mail hosts, or the domain itself where there is none', () => {
  const hosts = (name: string) => ({ kind: 'hosts' as const, hosts: [{ name, preference: 1 }] });
  assert.equal(destinationOf('shop.test', hosts('alt1.aspmx.l.google.com')), 'google.com');
  assert.equal(destinationOf('shop.test', hosts('mx.mail.example.co.uk')), 'example.co.uk');
  assert.equal(destinationOf('shop.test', { kind: 'null_mx', detail: '' }), 'shop.test');
});

it('captured mail goes to the inbox in every mode', () => {
  for (const mode of ['capture', 'direct', 'smarthost'] as const) assert.equal(fixedDestination(mode, true), 'capture');
  assert.equal(fixedDestination('capture', false), 'capture');
  assert.equal(fixedDestination('smarthost', false), 'smarthost');
  assert.equal(fixedDestination('direct', false), undefined);
});

it('unresolved destinations sort after every other one', () => {
  for (const name of ['zzz.test', 'smarthost', '9.test', 'xn--zckzah.test'])
    assert.ok(Buffer.compare(Buffer.from(unresolvedPrefix), Buffer.from(name)) > 0);
});
