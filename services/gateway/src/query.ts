// The query of a URL → a value that a schema can check, and the parts that lists share.
import { normaliseEmail } from '@maildoot/mail/address';
import { normaliseDomain } from '@maildoot/mail/domain';
import { type IdPrefix, idToUuid } from '@maildoot/runtime/ids';
import { z } from 'zod';
import { idBehindCursor } from './cursor.ts';
import { refuse } from './schema-parts.ts';

/** `?tag=a&metadata[order]=7` → `{ tag: 'a', metadata: { order: '7' } }`. A name that stands twice becomes a list, which no schema takes. */
export function parseQuery(text: string): Record<string, unknown> {
  const query: Record<string, unknown> = {};
  if (text === '') return query;
  for (const [name, value] of new URLSearchParams(text)) {
    const inner = /^([A-Za-z_]+)\[([^\]]+)\]$/.exec(name);
    if (inner?.[1] !== undefined && inner[2] !== undefined) add(groupOf(query, inner[1]), inner[2], value);
    else add(query, name, value);
  }
  return query;
}

function groupOf(query: Record<string, unknown>, name: string): Record<string, unknown> {
  const existing = Object.hasOwn(query, name) ? query[name] : undefined;
  if (typeof existing === 'object' && existing !== null && !Array.isArray(existing)) return existing as Record<string, unknown>;
  const group: Record<string, unknown> = {};
  define(query, name, group);
  return group;
}

function add(target: Record<string, unknown>, name: string, value: string): void {
  define(target, name, Object.hasOwn(target, name) ? [target[name], value].flat() : value);
}

/** A property like any other, even when it is called __proto__. */
function define(target: Record<string, unknown>, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true });
}

const wholeNumber = (value: unknown): unknown => (typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value);

/** A whole number in a query. */
export function integerField(min: number, max: number, fallback: number, description: string): z.ZodType<number> {
  // zod does not print a default that stands behind a conversion.
  return z.preprocess(wholeNumber, z.int().min(min).max(max)).default(fallback).meta({ description, default: fallback });
}

/** A place in the feed. */
export function positionField(code: string, description: string): z.ZodType<number | undefined> {
  return z
    .string()
    .transform((text, context) => {
      const position = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
      return Number.isSafeInteger(position) ? position : refuse(context, text, code, 'This is no `seq` of an event.');
    })
    .optional()
    .meta({ description, pattern: '^\\d{1,16}$', examples: ['1812322713612289'] });
}

export function limitField(): z.ZodType<number> {
  return integerField(1, 100, 20, 'How many at most.');
}

/** The cursor of a list of things with this prefix; its output is the id behind which the page starts. */
export function cursorField(prefix: IdPrefix): z.ZodType<string | undefined> {
  return z
    .string()
    .transform(
      (text, context) => idBehindCursor(prefix, text) ?? refuse(context, text, 'invalid_cursor', 'This is not a next_cursor of this list.'),
    )
    .optional()
    .meta({ description: 'The `next_cursor` of the page before.' });
}

export function timeField(description: string): z.ZodType<Date | undefined> {
  return z.iso
    .datetime({ offset: true })
    .transform((text) => new Date(text))
    .optional()
    .meta({ description, examples: ['2026-01-31T08:00:00Z'] });
}

export function emailField(description: string): z.ZodType<string | undefined> {
  return z
    .string()
    .transform(
      (text, context) => normaliseEmail(text) ?? refuse(context, text, 'invalid_email', 'This must be an address like name@example.com.'),
    )
    .optional()
    .meta({ description, format: 'idn-email', examples: ['user@example.com'] });
}

export function domainField(description: string): z.ZodType<string | undefined> {
  return z
    .string()
    .transform(
      (text, context) => normaliseDomain(text) ?? refuse(context, text, 'invalid_domain', 'This must be a domain name like example.com.'),
    )
    .optional()
    .meta({ description, format: 'idn-hostname', examples: ['example.com'] });
}

export function idField(prefix: IdPrefix, description: string): z.ZodType<string | undefined> {
  return z
    .string()
    .transform((text, context) =>
      idToUuid(prefix, text) === undefined ? refuse(context, text, 'invalid_id', `This must be an id like ${prefix}_….`) : text,
    )
    .optional()
    .meta({ description, pattern: idPattern(prefix) });
}

/** UUIDv7 in base32: its version and variant show in two of the characters. */
export function idPattern(prefix: IdPrefix): string {
  const any = '[0-9a-hjkmnp-tv-z]';
  return `^${prefix}_[0-7]${any}{9}[ef]${any}{2}[89abrstv]${any}{12}$`;
}

/** The same where nothing can be done without it. */
export function requiredIdField(prefix: IdPrefix, description: string): z.ZodType<string> {
  return z
    .string()
    .transform((text, context) =>
      idToUuid(prefix, text) === undefined ? refuse(context, text, 'invalid_id', `This must be an id like ${prefix}_….`) : text,
    )
    .meta({ description, pattern: idPattern(prefix) });
}

/** Text to look for. NUL is no text to a database. */
export function textField(description: string, maxChars = 998): z.ZodType<string | undefined> {
  return z
    .string()
    .min(1)
    .max(maxChars)
    .transform((text, context) =>
      text.includes('\0') ? refuse(context, text, 'control_character', 'The character NUL is not allowed.') : text,
    )
    .optional()
    .meta({ description });
}
