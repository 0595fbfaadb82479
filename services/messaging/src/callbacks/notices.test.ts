// Whom the tenant's mail about its callbacks goes to.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Role } from '@maildoot/proto/maildoot/auth/v1/auth';
import { toBeTold } from './notices.ts';

const member = (email: string, role: Role, active: boolean) => ({ email, role, active });

test('owners who have come are told, or else the first; whoever was only invited is not', () => {
  const [first, invited] = [member('first', Role.ROLE_OWNER, false), member('invited', Role.ROLE_OWNER, false)];
  const viewer = member('viewer', Role.ROLE_VIEWER, true);
  assert.deepEqual(toBeTold([viewer, invited, first, member('member', Role.ROLE_MEMBER, false)]), ['first']);
  const come = [member('second', Role.ROLE_OWNER, true), member('third', Role.ROLE_OWNER, true)];
  assert.deepEqual(toBeTold([viewer, ...come, invited, first]), ['second', 'third']);
  assert.deepEqual(toBeTold([viewer]), []);
});
