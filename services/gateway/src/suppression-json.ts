// Suppressions as the API shows them.
import { normaliseEmail } from '@maildoot/mail/address';
import { type Suppression, SuppressionReason } from '@maildoot/proto/maildoot/messaging/v1/suppression';
import { enumWords, unknownWord } from '@maildoot/webhooks/enum-words';
import { timeOf } from '@maildoot/webhooks/time-json';
import { z } from 'zod';
import { exampleIds, exampleTime } from './examples.ts';

export const suppressionReason = enumWords(SuppressionReason, 'SUPPRESSION_REASON_');

export const suppressionSchema = z
  .strictObject({
    id: z.string(),
    object: z.literal('suppression'),
    email: z.string(),
    stream: z.string(),
    reason: z.enum([...suppressionReason.words, unknownWord]),
    message_id: z.string().nullable().meta({ description: 'The message that caused it.' }),
    created_at: z.iso.datetime(),
  })
  .meta({ id: 'Suppression' });

export function suppressionJson(one: Suppression): z.input<typeof suppressionSchema> {
  return {
    id: one.id,
    object: 'suppression',
    email: one.email,
    stream: one.stream,
    reason: suppressionReason.wordOf(one.reason),
    message_id: one.messageId || null,
    created_at: timeOf(one.createdAt, one.id),
  };
}

export const exampleSuppression: z.input<typeof suppressionSchema> = {
  id: 'sup_01kg97xw00fscrrszmz39ef7na',
  object: 'suppression',
  email: 'user@example.com',
  stream: 'broadcast',
  reason: 'unsubscribe',
  message_id: exampleIds.message,
  created_at: exampleTime,
};

const maxEmailChars = 512;

/** One address as callers add it. */
export const suppressionInput = z
  .strictObject({
    email: z
      .string()
      .max(maxEmailChars)
      // Kept as it was written: messaging brings it to its one form.
      .refine((text) => text.length > maxEmailChars || normaliseEmail(text) !== undefined, {
        params: { code: 'invalid_email' },
        error: 'This must be an address like name@example.com.',
      })
      .meta({ format: 'idn-email', examples: ['user@example.com'] }),
    stream: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, { error: 'A stream is a lower-case word of up to 64 characters.' })
      .nullish()
      .meta({ description: 'By default `transactional`. A group of `unsubscribe` is a name like a stream’s.', examples: ['broadcast'] }),
    reason: z.enum(suppressionReason.words).nullish().meta({ description: 'By default `manual`; for lists that come from elsewhere.' }),
  })
  .meta({ id: 'SuppressionInput' });

export function newSuppression({ email, stream, reason }: z.output<typeof suppressionInput>): {
  email: string;
  stream: string;
  reason: SuppressionReason;
} {
  return { email, stream: stream ?? '', reason: reason == null ? 0 : (suppressionReason.valueOf(reason) ?? 0) };
}
