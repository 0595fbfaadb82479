// The person behind a credential, as the API of the user shows them: its shapes are those that its clients know, with integers for ids.
import type { GetUserResponse, PersonalAccessToken } from '@maildoot/proto/maildoot/auth/v1/user';
import { timeOf } from '@maildoot/webhooks/time-json';
import { z } from 'zod';
import type { Principal } from './authentication.ts';
import { internalError } from './errors.ts';
import { exampleTime } from './examples.ts';

export const userSchema = z
  .strictObject({
    id: z.int(),
    email: z.string(),
    created_at: z.iso.datetime(),
    is_gcdt_enabled: z.boolean().meta({ description: 'Whether one tracking domain serves all domains of the account.' }),
    is_blocked: z.boolean().meta({ description: 'The account is suspended: it may look, and do nothing.' }),
  })
  .meta({ id: 'User' });

export function userJson({ user, number, suspended }: GetUserResponse): z.input<typeof userSchema> {
  if (user === undefined) throw internalError(new Error('auth knows a user and does not describe them'));
  // Nothing switches it on yet: each domain has its own tracking host.
  return { id: number, email: user.email, created_at: timeOf(user.createdAt, user.id), is_gcdt_enabled: false, is_blocked: suspended };
}

export const exampleUser: z.input<typeof userSchema> = {
  id: 17,
  email: 'ada@example.com',
  created_at: exampleTime,
  is_gcdt_enabled: false,
  is_blocked: false,
};

const userPatSchema = z
  .strictObject({
    user_id: z.int(),
    name: z.string(),
    value: z.string().meta({ description: 'The token, `pat_…`.' }),
    created_at: z.iso.datetime(),
    expires_at: z.iso.datetime().nullable().meta({ description: 'Null: it lasts until it is regenerated.' }),
  })
  .meta({ id: 'UserPAT' });

export const userSettingsSchema = z
  .strictObject({ auth_pat: userPatSchema.nullable().meta({ description: 'Null: none has been made yet.' }) })
  .meta({ id: 'UserSettings' });

/** There is one of a person, so it needs no name of theirs. */
const tokenName = 'auth_pat';

export function userSettingsJson(token: PersonalAccessToken | undefined): z.input<typeof userSettingsSchema> {
  if (token === undefined) return { auth_pat: null };
  const { userNumber, value, createdAt } = token;
  const created_at = timeOf(createdAt, 'a personal access token');
  return { auth_pat: { user_id: userNumber, name: tokenName, value, created_at, expires_at: null } };
}

export const exampleUserSettings: z.input<typeof userSettingsSchema> = {
  auth_pat: {
    user_id: exampleUser.id,
    name: tokenName,
    value: 'pat_4fGhJ2kLmN0pQrStUvWxYz123456789abcdefghijkl',
    created_at: exampleTime,
    expires_at: null,
  },
};

/** Whom "me" means: a key belongs to no person, so it stands for the account's first owner. */
export function aboutMe({ userId, credentialId }: Principal, address: string): { userId: string; actorId: string; address: string } {
  return { userId, actorId: credentialId, address };
}
