import assert from 'node:assert/strict';
import { it } from 'node:test';
import { TestClock } from '@maildoot/testkit/clock';
import { createTrackingHosts } from './tracking-hosts.ts';

function world() {
  const clock = new TestClock();
  const state = { host: 'links.shop.example', down: false, asked: 0 };
  const hosts = createTrackingHosts({
    clock,
    domains: {
      async getMailHosts() {
        state.asked++;
        await Promise.resolve();
        if (state.down) throw new Error('away');
        return { returnPathHost: '', trackingHost: state.host };
      },
    },
  });
  const url = (linkUrl = 'https://mail.example', tenantId = 'ten_1', domain = 'shop.example') =>
    hosts.urlFor({ tenantId, domain, requestId: 'req_1' }, linkUrl);
  return { clock, state, url };
}

it('is the domain’s host with the scheme and the port of our own address', async () => {
  const { url, state } = world();
  assert.equal(await url(), 'https://links.shop.example');
  assert.equal(await url('http://127.0.0.1:8025'), 'http://links.shop.example:8025');
  assert.equal(await url('https://mail.example', 'ten_1', ''), 'https://mail.example', 'mail of no domain');
  state.host = '';
  assert.equal(await url('https://mail.example', 'ten_2'), 'https://mail.example', 'a domain without one');
});

it('is asked for once by many, and again after a minute', async () => {
  const { clock, state, url } = world();
  await Promise.all(Array.from({ length: 20 }, () => url()));
  assert.equal(state.asked, 1);
  await url('https://mail.example', 'ten_2');
  assert.equal(state.asked, 2, 'another tenant’s is another');
  state.host = '';
  assert.equal(await url(), 'https://links.shop.example');
  clock.advance(61_000);
  assert.equal(await url(), 'https://mail.example');
});

it('while nobody can be asked it is what was said last, else our own, and soon asked for again', async () => {
  const { clock, state, url } = world();
  await url();
  state.down = true;
  clock.advance(61_000);
  assert.equal(await url(), 'https://links.shop.example');
  assert.equal(await url('https://mail.example', 'ten_2'), 'https://mail.example');
  const { asked } = state;
  await url();
  assert.equal(state.asked, asked, 'not at every message');
  state.down = false;
  clock.advance(6_000);
  assert.equal(await url('https://mail.example', 'ten_2'), 'https://links.shop.example');
});
