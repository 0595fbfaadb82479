// POST /v1/user-settings/smtp-users: makes a user of SMTP submission and shows the password once.
import { normaliseDomain } from '@maildoot/mail/domain';
import { parseCidr } from '@maildoot/runtime/networks';
import { z } from 'zod';
import { internalError } from '../errors.ts';
import { repeatableFields, replayedHeader } from '../idempotency-key.ts';
import { defineRoute, json } from '../route.ts';
import { exampleSmtpPassword, exampleSmtpUser, newSmtpUserSchema, smtpUserJson } from '../smtp-user-json.ts';

const newUser = z
  .strictObject({
    username: z
      .string()
      .refine((text) => /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$/.test(text) && text.toLowerCase() !== 'apikey', {
        params: { code: 'invalid_username' },
        error: 'Up to 64 letters, digits and . _ @ + - that begin with a letter or digit, and not apikey.',
      })
      .meta({
        pattern: '^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$',
        description: 'Nobody else on this installation has it; upper and lower case are the same.',
        examples: ['shop-wordpress'],
      }),
    domain: z
      .string()
      .refine((text) => normaliseDomain(text.trim().replace(/\.$/, '')) !== undefined, {
        params: { code: 'invalid_domain' },
        error: 'Write a domain name: example.com.',
      })
      .meta({ format: 'idn-hostname' })
      .nullish()
      .meta({ description: 'The one domain it may send from.', examples: ['yourdomain.com'] }),
    allowed_ips: z
      .array(
        z
          .string()
          .refine((text) => parseCidr(text.trim()) !== undefined, {
            params: { code: 'invalid_cidr' },
            error: 'Write an IPv4 or IPv6 address or block: 198.51.100.7, 198.51.100.0/24, 2001:db8::/32.',
          })
          .meta({ format: 'cidr' }),
      )
      .max(50)
      .optional()
      .meta({ description: 'Networks it may be used from.', examples: [['198.51.100.0/24']] }),
    daily_limit: z.int().min(1).max(1_000_000_000).nullish().meta({ description: 'Messages a day (UTC) through this user.' }),
  })
  .meta({ id: 'SmtpUserInput' });

export const postUserSettingsSmtpUsers = defineRoute({
  method: 'POST',
  path: '/v1/user-settings/smtp-users',
  operationId: 'createSmtpUser',
  tag: 'SMTP',
  summary: 'Make an SMTP user',
  description:
    'The answer has the password; it is never shown again, but to the same request with the same idempotency key within a day. Programs submit with it on port 587 (STARTTLS) or 465 (TLS); the username `apikey` with an API key or a personal access token as the password works too. A key makes no user with wider limits than its own.',
  scopes: ['full'],
  idempotent: true,
  body: {
    schema: newUser,
    maxBytes: 16 * 1024,
    examples: [{ summary: 'A user for one site', value: { username: 'shop-wordpress', domain: 'yourdomain.com' } }],
  },
  errors: ['USERNAME_TAKEN'],
  responses: [
    { status: 201, description: 'The user.', schema: newSmtpUserSchema, example: { ...exampleSmtpUser, password: exampleSmtpPassword } },
  ],
  handle: async ({ body, idempotencyKey }, { address, peers, principal, requestId }) => {
    const { smtpUser, password, replayed } = await peers.auth.createSmtpUser(
      {
        username: body.username,
        domain: body.domain ?? '',
        allowedIps: body.allowed_ips ?? [],
        dailyLimit: body.daily_limit ?? 0,
        callerLimits: principal.limits,
        actorId: principal.credentialId,
        address,
        ...repeatableFields(idempotencyKey, body),
      },
      { tenantId: principal.tenantId, requestId },
    );
    if (smtpUser === undefined) throw internalError(new Error('auth made an SMTP user and did not describe it'));
    return json(201, { ...smtpUserJson(smtpUser), password }, replayedHeader(replayed));
  },
});
