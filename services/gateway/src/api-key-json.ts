// API keys as the API shows them: never the key itself, but once, in the answer that makes it.
import { type ApiKey, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { enumWords, unknownWord } from '@maildoot/webhooks/enum-words';
import { timeJson, timeOf } from '@maildoot/webhooks/time-json';
import { z } from 'zod';
import { exampleIds, exampleTime } from './examples.ts';

export const scopes = enumWords(Scope, 'SCOPE_');

const fields = {
  id: z.string(),
  object: z.literal('api_key'),
  name: z.string(),
  prefix: z.string().meta({ description: 'How the key begins, to recognise it by.' }),
  scope: z.enum([...scopes.words, unknownWord]),
  allowed_ips: z.array(z.string()).meta({ description: 'Networks it may be used from; empty: any.' }),
  allowed_domains: z.array(z.string()).meta({ description: 'Domains it may send from; empty: any of yours.' }),
  daily_limit: z.int().nullable().meta({ description: 'Messages a day (UTC); null: no limit of its own.' }),
  test: z.boolean().meta({ description: 'A test key: everything works, and mail ends in the test inbox.' }),
  created_at: z.iso.datetime(),
  expires_at: z.iso.datetime().nullable(),
  last_used_at: z.iso.datetime().nullable().meta({ description: 'To the minute.' }),
};

export const apiKeySchema = z.strictObject(fields).meta({ id: 'ApiKey' });
export const newApiKeySchema = z
  .strictObject({ ...fields, key: z.string().meta({ description: 'The key. It is shown this once.' }) })
  .meta({ id: 'NewApiKey' });

export function apiKeyJson(apiKey: ApiKey): z.input<typeof apiKeySchema> {
  return {
    id: apiKey.id,
    object: 'api_key',
    name: apiKey.name,
    prefix: apiKey.prefix,
    scope: scopes.wordOf(apiKey.scope),
    allowed_ips: apiKey.allowedIps,
    allowed_domains: apiKey.allowedDomains,
    daily_limit: apiKey.dailyLimit || null,
    test: apiKey.test,
    created_at: timeOf(apiKey.createdAt, apiKey.id),
    expires_at: timeJson(apiKey.expiresAt),
    last_used_at: timeJson(apiKey.lastUsedAt),
  };
}

export const exampleApiKey: z.input<typeof apiKeySchema> = {
  id: exampleIds.key,
  object: 'api_key',
  name: 'Shop',
  prefix: 'mdsk_4fGh',
  scope: 'send',
  allowed_ips: ['198.51.100.0/24'],
  allowed_domains: ['yourdomain.com'],
  daily_limit: 1000,
  test: false,
  created_at: exampleTime,
  expires_at: null,
  last_used_at: exampleTime,
};
