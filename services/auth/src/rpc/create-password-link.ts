// CreatePasswordLink: the operator's way to a password for somebody, the first user of a tenant above all.
import { normaliseEmail } from '@maildoot/mail/address';
import type { CreatePasswordLinkRequest, CreatePasswordLinkResponse } from '@maildoot/proto/maildoot/auth/v1/operator';
import { uuidToId } from '@maildoot/runtime/ids';
import { errors } from '../errors.ts';
import { makeLink } from '../passwords.ts';
import type { SessionParts } from '../sessions.ts';

export function createPasswordLink(parts: Pick<SessionParts, 'people' | 'clock'>) {
  return async (request: CreatePasswordLinkRequest): Promise<CreatePasswordLinkResponse> => {
    const email = normaliseEmail(request.email);
    const user = email === undefined ? undefined : await parts.people.userByEmail(email.toLowerCase());
    if (user === undefined) throw errors.NOT_FOUND({ message: 'Nobody has an account with this address.' });
    const userId = uuidToId('usr', user.id);
    if (request.onlyIfNone && user.passwordHash !== null) return { token: '', expiresAt: undefined, userId };
    return { ...(await makeLink(parts, user, 'operator')), userId };
  };
}
