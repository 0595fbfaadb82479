// People and their sessions as the API shows them.
import { Role } from '@maildoot/proto/maildoot/auth/v1/auth';
import type { Session, Tokens, User } from '@maildoot/proto/maildoot/auth/v1/session';
import { enumWords, unknownWord } from '@maildoot/webhooks/enum-words';
import { timeJson, timeOf } from '@maildoot/webhooks/time-json';
import { z } from 'zod';
import { internalError } from './errors.ts';
import { exampleIds, exampleTime } from './examples.ts';
import type { OpenCall } from './route.ts';

export const roles = enumWords(Role, 'ROLE_');
/** Those that a member of a tenant can have. */
export const memberRoles = ['owner', 'member', 'viewer'] as const;

export const memberSchema = z
  .strictObject({
    id: z.string(),
    object: z.literal('member'),
    email: z.string(),
    role: z.enum([...memberRoles, unknownWord]),
    status: z.enum(['invited', 'active']).meta({ description: '`invited`: has not chosen a password yet.' }),
    created_at: z.iso.datetime(),
    last_login_at: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Member' });

export function memberJson(user: User): z.input<typeof memberSchema> {
  const role = memberRoles.find((word) => word === roles.wordOf(user.role));
  return {
    id: user.id,
    object: 'member',
    email: user.email,
    role: role ?? unknownWord,
    status: user.active ? 'active' : 'invited',
    created_at: timeOf(user.createdAt, user.id),
    last_login_at: timeJson(user.lastLoginAt),
  };
}

export const exampleMember: z.input<typeof memberSchema> = {
  id: exampleIds.user,
  object: 'member',
  email: 'ada@example.com',
  role: 'owner',
  status: 'active',
  created_at: exampleTime,
  last_login_at: exampleTime,
};

export const tokensSchema = z
  .strictObject({
    access_token: z.string().meta({ description: 'A JWT, for `Authorization: Bearer`. Its keys are at `/.well-known/jwks.json`.' }),
    token_type: z.literal('Bearer'),
    expires_in: z.int().meta({ description: 'Seconds.' }),
    user: memberSchema,
  })
  .meta({ id: 'AccessToken' });

export const exampleTokens: z.input<typeof tokensSchema> = {
  access_token: 'eyJhbGciOiJSUzI1NiIsImtpZCI6IjAxa2c5N3h3MDAifQ.eyJzdWIiOiJ1c3JfMDFrZzk3eHcwMCJ9.c2lnbmF0dXJl',
  token_type: 'Bearer',
  expires_in: 3600,
  user: exampleMember,
};

export function tokensJson({ tokens, user }: { tokens: Tokens | undefined; user: User | undefined }) {
  if (tokens === undefined || user === undefined) throw internalError(new Error('auth began a session and did not describe it'));
  const json: z.input<typeof tokensSchema> = {
    access_token: tokens.accessToken,
    token_type: 'Bearer',
    expires_in: tokens.expiresInS,
    user: memberJson(user),
  };
  return { json, refreshToken: tokens.refreshToken, refreshExpiresInS: tokens.refreshExpiresInS };
}

export const sessionSchema = z
  .strictObject({
    id: z.string(),
    object: z.literal('session'),
    current: z.boolean().meta({ description: 'The one that asks.' }),
    address: z.string().meta({ description: 'Where it was used last.' }),
    user_agent: z.string(),
    created_at: z.iso.datetime(),
    last_used_at: z.iso.datetime().nullable(),
    expires_at: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Session' });

export function sessionJson(session: Session, currentId: string): z.input<typeof sessionSchema> {
  return {
    id: session.id,
    object: 'session',
    current: session.id === currentId,
    address: session.origin?.address ?? '',
    user_agent: session.origin?.userAgent ?? '',
    created_at: timeOf(session.createdAt, session.id),
    last_used_at: timeJson(session.lastUsedAt),
    expires_at: timeJson(session.expiresAt),
  };
}

export const exampleSession: z.input<typeof sessionSchema> = {
  id: exampleIds.session,
  object: 'session',
  current: true,
  address: '198.51.100.7',
  user_agent: 'Mozilla/5.0',
  created_at: exampleTime,
  last_used_at: exampleTime,
  expires_at: '2026-02-07T08:00:00.000Z',
};

/** Where a request came from. */
export function originOf(call: OpenCall): { address: string; userAgent: string } {
  return { address: call.address, userAgent: call.header('user-agent') ?? '' };
}

/** Limits that keep a request small; what an address and a password must be is auth's to say. */
export const emailText = z
  .string()
  .min(1)
  .max(320)
  .meta({ examples: ['ada@example.com'] });
export const passwordText = z.string().min(1).max(1024);
export const newPasswordText = passwordText.meta({ minLength: 10, description: 'At least 10 characters.' });
