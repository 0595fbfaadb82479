// What a tenant may be called and whose it is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkNewTenant } from './new-tenant.ts';

test('the address is kept as given, its folded form tells persons apart', () => {
  assert.deepEqual(checkNewTenant({ name: ' Acme ', email: 'Jane@Bücher.Example' }), {
    ok: true,
    value: { name: 'Acme', email: 'Jane@xn--bcher-kva.example', emailFolded: 'jane@xn--bcher-kva.example' },
  });
});

test('all problems at once', () => {
  const checked = checkNewTenant({ name: '', email: 'nobody' });
  assert.deepEqual(checked.ok ? [] : checked.issues.map((issue) => `${issue.path} ${issue.code}`), [
    'name required',
    'email invalid_email',
  ]);
});
