// Addresses as callers write them → as messaging wants them: text, an object, one or many.
import { type AddressProblem, type AddressResult, mailboxOf, parseAddress } from '@maildoot/mail/address';
import type { Address } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { z } from 'zod';
import { type Context, controls, listOf, refuse } from './schema-parts.ts';

export const maxRecipients = 1000;

const addressText = z
  .string()
  .transform((text, context) => addressFrom(parseAddress(text), text, context, []))
  .meta({
    description: '`name@example.com` or `Name <name@example.com>`, in any script',
    examples: ['Ada <ada@example.com>'],
    format: 'mailbox',
  });

const addressObject = z
  .strictObject({ email: z.string().meta({ format: 'idn-email' }), name: z.string().nullish() })
  .transform((value, context) => {
    // A control character is the only problem that either part may have; the message should be at the part that has it.
    const inName = controls.test(value.name ?? '');
    const result = mailboxOf(value.email, value.name ?? undefined);
    return addressFrom(result, value, context, [inName || isNameProblem(result) ? 'name' : 'email']);
  });

export const address = z.union([addressText, addressObject]).meta({ id: 'AddressInput' });
export const addresses = z.union([address.transform((one) => [one]), listOf(address, 1, maxRecipients)]);
/** Where there need not be any: an empty list says so as well as leaving the field out. */
export const anyAddresses = z.union([address.transform((one) => [one]), listOf(address, 0, maxRecipients)]);

function addressFrom(result: AddressResult, input: unknown, context: Context, path: PropertyKey[]): Address {
  if (!result.ok) return refuse(context, input, addressCode(result.problem), result.message, path);
  return { email: result.mailbox.address, name: result.mailbox.name };
}

function isNameProblem(result: AddressResult): boolean {
  return !result.ok && (result.problem === 'name' || result.problem === 'name_too_long');
}

function addressCode(problem: AddressProblem): string {
  if (problem === 'control_character') return 'control_character';
  return problem === 'name' || problem === 'name_too_long' ? 'invalid_name' : 'invalid_email';
}
