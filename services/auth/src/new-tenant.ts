// What a new tenant needs: a name to show and its owner's address.

import { normaliseEmail } from '@maildoot/mail/address';
import type { CreateTenantRequest } from '@maildoot/proto/maildoot/auth/v1/auth';
import type { Issue } from '@maildoot/proto/maildoot/rpc/v1/error';
import { checkName } from './name.ts';

export interface NewTenant {
  name: string;
  /** The domain in A-labels. */
  email: string;
  /** One address is one person, however it is written: RFC 5321 lets a server tell cases apart in the local part, none does. */
  emailFolded: string;
}

export function checkNewTenant(request: CreateTenantRequest): { ok: true; value: NewTenant } | { ok: false; issues: Issue[] } {
  const issues: Issue[] = [];
  const name = checkName(request.name, issues);
  const email = normaliseEmail(request.email);
  if (email === undefined)
    issues.push({ path: 'email', code: 'invalid_email', message: 'Give the owner’s address like name@example.com.' });
  if (issues.length > 0 || email === undefined) return { ok: false, issues };
  return { ok: true, value: { name, email, emailFolded: email.toLowerCase() } };
}
