// SMTP users as the API shows them: never the password but once, in the answer that makes it.
import type { SmtpUser } from '@maildoot/proto/maildoot/auth/v1/smtp_user';
import { timeJson, timeOf } from '@maildoot/webhooks/time-json';
import { z } from 'zod';
import { exampleIds, exampleTime } from './examples.ts';

const fields = {
  id: z.string(),
  object: z.literal('smtp_user'),
  username: z.string(),
  domain: z.string().nullable().meta({ description: 'The one domain it may send from; null: any of yours.' }),
  allowed_ips: z.array(z.string()).meta({ description: 'Networks it may be used from; empty: any.' }),
  daily_limit: z.int().nullable().meta({ description: 'Messages a day (UTC); null: no limit of its own.' }),
  created_at: z.iso.datetime(),
  last_used_at: z.iso.datetime().nullable().meta({ description: 'To the minute.' }),
};

export const smtpUserSchema = z.strictObject(fields).meta({ id: 'SmtpUser' });
export const newSmtpUserSchema = z
  .strictObject({ ...fields, password: z.string().meta({ description: 'The password. It is shown this once.' }) })
  .meta({ id: 'NewSmtpUser' });

export function smtpUserJson(user: SmtpUser): z.input<typeof smtpUserSchema> {
  return {
    id: user.id,
    object: 'smtp_user',
    username: user.username,
    domain: user.domain === '' ? null : user.domain,
    allowed_ips: user.allowedIps,
    daily_limit: user.dailyLimit || null,
    created_at: timeOf(user.createdAt, user.id),
    last_used_at: timeJson(user.lastUsedAt),
  };
}

export const exampleSmtpUser: z.input<typeof smtpUserSchema> = {
  id: exampleIds.smtpUser,
  object: 'smtp_user',
  username: 'shop-wordpress',
  domain: 'yourdomain.com',
  allowed_ips: [],
  daily_limit: null,
  created_at: exampleTime,
  last_used_at: null,
};
export const exampleSmtpPassword = 'mdsp_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfG';

export const smtpUserParams = { id: { description: 'The id of the user, not its username.', example: exampleIds.smtpUser } };
