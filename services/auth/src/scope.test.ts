// Who may make or revoke which key.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { mayManage, type ScopeName, scopeName, scopeOf } from './scope.ts';

const names: ScopeName[] = ['read', 'send', 'full'];

for (const { caller, may, because } of [
  { caller: Scope.SCOPE_FULL, may: ['read', 'send', 'full'], because: 'full is the widest' },
  { caller: Scope.SCOPE_SEND, may: [], because: 'send manages no keys' },
  { caller: Scope.SCOPE_READ, may: [], because: 'read changes nothing' },
  { caller: Scope.SCOPE_UNSPECIFIED, may: [], because: 'nobody is not somebody' },
  { caller: 99 as Scope, may: [], because: 'what a newer release calls 99 has no rights here' },
]) {
  test(`scope ${caller} manages ${may.join(', ') || 'nothing'}: ${because}`, () => {
    assert.deepEqual(
      names.filter((name) => mayManage(caller, name)),
      may,
    );
  });
}

test('words and numbers name the same scopes', () => {
  for (const name of names) assert.equal(scopeName(scopeOf(name)), name);
  assert.equal(scopeOf('admin'), Scope.SCOPE_UNSPECIFIED);
  assert.equal(scopeName(Scope.SCOPE_UNSPECIFIED), undefined);
  assert.equal(scopeName(99 as Scope), undefined);
});
