// All problems of a request are named at once, and what is kept has one spelling.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CreateApiKeyRequest, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { checkNewApiKey } from './new-api-key.ts';

const now = new Date('2026-11-21T12:00:00Z');
const good = { name: 'ci', scope: Scope.SCOPE_SEND };

function issuesOf(request: Partial<CreateApiKeyRequest>): string[] {
  const checked = checkNewApiKey(CreateApiKeyRequest.fromPartial({ ...good, ...request }), now);
  return checked.ok ? [] : checked.issues.map((issue) => `${issue.path} ${issue.code}`);
}

test('a request that says only what it must', () => {
  assert.deepEqual(checkNewApiKey(CreateApiKeyRequest.fromPartial(good), now), {
    ok: true,
    value: { name: 'ci', scope: 'send', expiresAt: undefined, allowedIps: [], allowedDomains: [], test: false, dailyLimit: 0 },
  });
});

test('networks and domains are kept in one spelling, doubles once', () => {
  const checked = checkNewApiKey(
    CreateApiKeyRequest.fromPartial({
      ...good,
      name: '  CI  ',
      allowedIps: ['198.51.100.7', '198.51.100.7/32', '2001:DB8::/32'],
      allowedDomains: ['Bücher.Example', 'xn--bcher-kva.example', 'EXAMPLE.com.'],
    }),
    now,
  );
  assert.ok(checked.ok);
  assert.equal(checked.value.name, 'CI');
  assert.deepEqual(checked.value.allowedIps, ['198.51.100.7/32', '2001:db8::/32']);
  assert.deepEqual(checked.value.allowedDomains, ['xn--bcher-kva.example', 'example.com']);
});

for (const [because, request, expected] of [
  ['no name', { name: '  ' }, ['name required']],
  ['a name of 101 characters', { name: 'é'.repeat(101) }, ['name too_long']],
  ['a line break in the name', { name: 'a\r\nb' }, ['name invalid_characters']],
  ['a character that turns text around', { name: 'a\u202eb' }, ['name invalid_characters']],
  ['no scope', { scope: Scope.SCOPE_UNSPECIFIED }, ['scope invalid_value']],
  ['a scope of a later release', { scope: 77 as Scope }, ['scope invalid_value']],
  ['an expiry that has passed', { expiresAt: now }, ['expires_at not_in_future']],
  ['an expiry that is no date', { expiresAt: new Date(Number.NaN) }, ['expires_at not_in_future']],
  ['a broken network', { allowedIps: ['10.0.0.0/8', '10.0.0.1/8'] }, ['allowed_ips[1] invalid_cidr']],
  ['a broken domain', { allowedDomains: ['example.com', 'a b'] }, ['allowed_domains[1] invalid_domain']],
  ['too many networks', { allowedIps: Array.from({ length: 51 }, (_, n) => `10.0.0.${n}`) }, ['allowed_ips too_many']],
  [
    'everything at once',
    { name: '', scope: Scope.SCOPE_UNSPECIFIED, expiresAt: new Date(0), allowedIps: ['x'], allowedDomains: ['localhost'] },
    [
      'name required',
      'scope invalid_value',
      'expires_at not_in_future',
      'allowed_ips[0] invalid_cidr',
      'allowed_domains[0] invalid_domain',
    ],
  ],
] as const) {
  test(`refused: ${because}`, () => {
    assert.deepEqual(issuesOf(request as Partial<CreateApiKeyRequest>), expected);
  });
}

test('100 characters count as characters, not as UTF-16 units', () => assert.deepEqual(issuesOf({ name: '😀'.repeat(100) }), []));
