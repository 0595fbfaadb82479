// What a customer may ask of a new SMTP user, its password, and how it is shown.
import { createHash, randomBytes } from 'node:crypto';
import { normaliseDomain } from '@maildoot/mail/domain';
import type { CreateSmtpUserRequest, SmtpUser } from '@maildoot/proto/maildoot/auth/v1/smtp_user';
import type { Issue } from '@maildoot/proto/maildoot/rpc/v1/error';
import { uuidToId } from '@maildoot/runtime/ids';
import { normaliseCidr } from './allowed-ips.ts';
import type { StoredSmtpUser } from './store/smtp-users.ts';

const maxNetworks = 50;
const mostADay = 2 ** 31 - 1;
// What every client can be told, and every SASL mechanism carries.
const usernameForm = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$/;
/** A key is shown with this name, so nobody else has it. */
const nameOfKeys = 'apikey';

export type NewSmtpUser = Pick<StoredSmtpUser, 'username' | 'domain' | 'allowedIps' | 'dailyLimit'>;

export function checkNewSmtpUser(
  request: Pick<CreateSmtpUserRequest, 'username' | 'domain' | 'allowedIps' | 'dailyLimit'>,
): { ok: true; value: NewSmtpUser } | { ok: false; issues: Issue[] } {
  const issues: Issue[] = [];
  const add = (path: string, code: string, message: string) => void issues.push({ path, code, message });
  const { username, dailyLimit } = request;
  if (!usernameForm.test(username) || folded(username) === nameOfKeys)
    add('username', 'invalid_username', 'Up to 64 letters, digits and . _ @ + - that begin with a letter or digit, and not apikey.');
  const domain = request.domain === '' ? '' : normaliseDomain(request.domain.trim().replace(/\.$/, ''));
  if (domain === undefined) add('domain', 'invalid_domain', 'Write a domain name: example.com.');
  if (request.allowedIps.length > maxNetworks) add('allowed_ips', 'too_many', `At most ${maxNetworks} entries.`);
  const networks = new Set<string>();
  for (const [index, text] of request.allowedIps.slice(0, maxNetworks).entries()) {
    const network = normaliseCidr(text);
    if (typeof network === 'string') networks.add(network);
    else add(`allowed_ips[${index}]`, 'invalid_cidr', network.message);
  }
  if (dailyLimit > mostADay) add('daily_limit', 'too_large', 'Leave it out for no limit.');
  if (issues.length > 0 || domain === undefined) return { ok: false, issues };
  return { ok: true, value: { username, domain, allowedIps: [...networks], dailyLimit } };
}

export function folded(username: string): string {
  return username.toLowerCase();
}

/** 256 random bits: no dictionary has them, so a fast hash is enough. The name is in the hash, so a password is good for it alone. */
export function newSmtpPassword(username: string): { password: string; sha256: Buffer } {
  const password = `mdsp_${randomBytes(32).toString('base64url')}`;
  return {
    password,
    sha256: createHash('sha256')
      .update(`${folded(username)}\0${password}`, 'utf8')
      .digest(),
  };
}

export function shownSmtpUser(user: Omit<StoredSmtpUser, 'tenantId'>): SmtpUser {
  const { username, domain, allowedIps, dailyLimit, createdAt, lastUsedAt } = user;
  return { id: uuidToId('smu', user.id), username, domain, allowedIps, dailyLimit, createdAt, lastUsedAt: lastUsedAt ?? undefined };
}
