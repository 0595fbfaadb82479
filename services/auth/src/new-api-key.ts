// What a customer may ask of a new key: every problem of the request at once, and the one spelling in which it is kept.

import { normaliseDomain } from '@maildoot/mail/domain';
import type { CreateApiKeyRequest } from '@maildoot/proto/maildoot/auth/v1/auth';
import type { Issue } from '@maildoot/proto/maildoot/rpc/v1/error';
import { normaliseCidr } from './allowed-ips.ts';
import { checkName } from './name.ts';
import { type ScopeName, scopeName } from './scope.ts';

const maxAllowed = 50;
const mostADay = 2 ** 31 - 1;

export interface NewApiKey {
  name: string;
  scope: ScopeName;
  expiresAt: Date | undefined;
  /** CIDR blocks, canonical, without doubles. */
  allowedIps: string[];
  /** Lower-case A-labels, without doubles. */
  allowedDomains: string[];
  test: boolean;
  /** 0 = any number. */
  dailyLimit: number;
}

export type Checked = { ok: true; value: NewApiKey } | { ok: false; issues: Issue[] };

export function checkNewApiKey(request: CreateApiKeyRequest, now: Date): Checked {
  const issues: Issue[] = [];
  const name = checkName(request.name, issues);
  const scope = scopeName(request.scope);
  if (scope === undefined) issues.push({ path: 'scope', code: 'invalid_value', message: 'Give one of full, send, read.' });
  if (request.expiresAt !== undefined && !(request.expiresAt > now)) {
    issues.push({ path: 'expires_at', code: 'not_in_future', message: 'Give an instant that is still to come, or leave it out.' });
  }
  const allowedIps = checkEach('allowed_ips', request.allowedIps, 'invalid_cidr', normaliseCidr, issues);
  const allowedDomains = checkEach('allowed_domains', request.allowedDomains, 'invalid_domain', normaliseAllowedDomain, issues);
  const { test, dailyLimit } = request;
  if (dailyLimit > mostADay) issues.push({ path: 'daily_limit', code: 'too_large', message: 'Leave it out for no limit.' });
  if (issues.length > 0 || scope === undefined) return { ok: false, issues };
  return { ok: true, value: { name, scope, expiresAt: request.expiresAt, allowedIps, allowedDomains, test, dailyLimit } };
}

/** A trailing dot is the same domain in DNS; `From` addresses never have one. */
function normaliseAllowedDomain(text: string): string | { message: string } {
  return normaliseDomain(text.trim().replace(/\.$/, '')) ?? { message: 'Write a domain name: example.com.' };
}

function checkEach(
  field: string,
  values: readonly string[],
  code: string,
  normalise: (text: string) => string | { message: string },
  issues: Issue[],
): string[] {
  if (values.length > maxAllowed) {
    issues.push({ path: field, code: 'too_many', message: `At most ${maxAllowed} entries.` });
    return [];
  }
  const kept = new Set<string>();
  for (const [index, text] of values.entries()) {
    const value = normalise(text);
    if (typeof value === 'string') kept.add(value);
    else issues.push({ path: `${field}[${index}]`, code, message: value.message });
  }
  return [...kept];
}
