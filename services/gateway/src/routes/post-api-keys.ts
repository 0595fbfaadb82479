// POST /v1/api-keys: makes a key and shows it once.
import { normaliseDomain } from '@maildoot/mail/domain';
import { parseCidr } from '@maildoot/runtime/networks';
import { z } from 'zod';
import { apiKeyJson, exampleApiKey, newApiKeySchema, scopes } from '../api-key-json.ts';
import { internalError } from '../errors.ts';
import { repeatableFields, replayedHeader } from '../idempotency-key.ts';
import { defineRoute, json } from '../route.ts';
import { controls, noControls } from '../schema-parts.ts';

const maxListed = 50;

// What these may be is auth's to say; a first look here tells the obvious mistakes together with all others.
const network = z
  .string()
  .refine((text) => parseCidr(text.trim()) !== undefined, {
    params: { code: 'invalid_cidr' },
    error: 'Write an IPv4 or IPv6 address or block: 198.51.100.7, 198.51.100.0/24, 2001:db8::/32.',
  })
  .meta({ format: 'cidr' });
const domain = z
  .string()
  .refine((text) => normaliseDomain(text.trim().replace(/\.$/, '')) !== undefined, {
    params: { code: 'invalid_domain' },
    error: 'Write a domain name: example.com.',
  })
  .meta({ format: 'idn-hostname' });

const newKey = z
  .strictObject({
    name: z
      .string()
      .min(1)
      .refine((text) => !controls.test(text), {
        params: { code: 'invalid_characters' },
        error: 'A name has no line breaks or other control characters.',
      })
      .refine((text) => [...text.trim()].length <= 100, { params: { code: 'too_long' }, error: 'A name has at most 100 characters.' })
      .meta({ maxLength: 100, pattern: noControls, description: 'What you know it by.' }),
    scope: z.enum(scopes.words).meta({ description: '`read`: every GET. `send`: sending, and GET of messages. `full`: everything.' }),
    // Whether it is still to come is judged behind the stored answers: the same request asked again may have outlived it.
    expires_at: z.iso.datetime({ offset: true }).nullish(),
    allowed_ips: z
      .array(network)
      .max(maxListed)
      .optional()
      .meta({ description: 'Networks it may be used from.', examples: [['198.51.100.0/24']] }),
    allowed_domains: z
      .array(domain)
      .max(maxListed)
      .optional()
      .meta({ description: 'Domains it may send from.', examples: [['yourdomain.com']] }),
    daily_limit: z.int().min(1).max(1_000_000_000).nullish().meta({ description: 'Messages a day (UTC) through this key.' }),
    test: z.boolean().optional().meta({ description: 'A key `mdsk_test_…`: everything works, nothing leaves the house.' }),
  })
  .meta({ id: 'ApiKeyInput' });

export const postApiKeys = defineRoute({
  method: 'POST',
  path: '/v1/api-keys',
  operationId: 'createApiKey',
  tag: 'API keys',
  summary: 'Make an API key',
  description:
    'The answer has the key; it is never shown again. With an idempotency key the same request gets the same key back for a day. A key makes none with wider limits than its own; only owners, and keys of scope full, make one of scope full.',
  scopes: ['full'],
  idempotent: true,
  body: {
    schema: newKey,
    maxBytes: 64 * 1024,
    examples: [
      {
        summary: 'A key that only sends',
        value: { name: 'Shop', scope: 'send', allowed_domains: ['yourdomain.com'], allowed_ips: ['198.51.100.0/24'], daily_limit: 1000 },
      },
      { summary: 'A key for tests', value: { name: 'CI', scope: 'full', test: true } },
    ],
  },
  errors: ['CONFLICT'],
  responses: [
    {
      status: 201,
      description: 'The key.',
      schema: newApiKeySchema,
      example: { ...exampleApiKey, last_used_at: null, key: 'mdsk_4fGhJ2kLmN0pQrStUvWxYz123456789abcdefghijkl' },
    },
  ],
  handle: async ({ body, idempotencyKey }, { address, peers, principal, requestId }) => {
    const { apiKey, key, replayed } = await peers.auth.createApiKey(
      {
        name: body.name,
        scope: scopes.valueOf(body.scope) ?? 0,
        expiresAt: body.expires_at == null ? undefined : new Date(body.expires_at),
        allowedIps: body.allowed_ips ?? [],
        allowedDomains: body.allowed_domains ?? [],
        ...repeatableFields(idempotencyKey, body),
        callerScope: principal.protoScope,
        callerLimits: principal.limits,
        callerRole: principal.protoRole,
        actorId: principal.credentialId,
        address,
        test: body.test ?? false,
        dailyLimit: body.daily_limit ?? 0,
      },
      { tenantId: principal.tenantId, requestId },
    );
    if (apiKey === undefined) throw internalError(new Error('auth made a key and did not describe it'));
    return json(201, { ...apiKeyJson(apiKey), key }, replayedHeader(replayed));
  },
});
