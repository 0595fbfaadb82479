// What the built-in inbox has, as the API shows it.
import type { CapturedMail } from '@maildoot/proto/maildoot/delivery/v1/delivery';
import { timeOf } from '@maildoot/webhooks/time-json';
import { z } from 'zod';
import { exampleIds, exampleLaterTime } from './examples.ts';

export const capturedMailSchema = z
  .strictObject({
    id: z.string(),
    object: z.literal('captured_mail'),
    created_at: z.iso.datetime().meta({ description: 'When it arrived.' }),
    message_id: z.string().nullable(),
    mail_from: z.string().meta({ description: 'The envelope’s sender.' }),
    rcpt_to: z.array(z.string()).meta({ description: 'The envelope’s recipients.' }),
    from: z.string(),
    to: z.string(),
    subject: z.string(),
    size_bytes: z.int(),
    dkim: z.string().meta({ description: 'What verifying the signature gave (RFC 8601).', examples: ['pass'] }),
    dkim_domain: z.string().nullable(),
    tls_version: z.string().nullable().meta({ description: 'Of the session it came in; null: not encrypted.' }),
    text: z.string().meta({ description: 'Empty where the mail has more than 1 MiB, like `html` and `links`.' }),
    html: z.string(),
    links: z.array(z.string()),
    codes: z.array(z.string()).meta({
      description:
        'One-time codes: runs of 4 to 8 digits, or six in two groups, without what is between them. Of a mail of more than 1 MiB those of the subject.',
    }),
  })
  .meta({ id: 'CapturedMail' });

export function capturedMailJson(mail: CapturedMail): z.input<typeof capturedMailSchema> {
  return {
    id: mail.id,
    object: 'captured_mail',
    created_at: timeOf(mail.receivedAt, mail.id),
    message_id: mail.messageId || null,
    mail_from: mail.mailFrom,
    rcpt_to: mail.rcptTo,
    from: mail.from,
    to: mail.to,
    subject: mail.subject,
    size_bytes: Number(mail.sizeBytes),
    dkim: mail.dkim,
    dkim_domain: mail.dkimDomain || null,
    tls_version: mail.tlsVersion || null,
    text: mail.text,
    html: mail.html,
    links: mail.links,
    codes: mail.codes,
  };
}

export const exampleCapturedMail: z.input<typeof capturedMailSchema> = {
  id: exampleIds.captured,
  object: 'captured_mail',
  created_at: exampleLaterTime,
  message_id: exampleIds.message,
  mail_from: 'no-reply@yourdomain.com',
  rcpt_to: ['user@example.com'],
  from: 'no-reply@yourdomain.com',
  to: 'user@example.com',
  subject: 'Your code is 482913',
  size_bytes: 1120,
  dkim: 'pass',
  dkim_domain: 'yourdomain.com',
  tls_version: 'TLSv1.3',
  text: 'Your code is 482913. https://yourdomain.com/confirm',
  html: '',
  links: ['https://yourdomain.com/confirm'],
  codes: ['482913'],
};
