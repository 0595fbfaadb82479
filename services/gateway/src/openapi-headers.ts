// The headers of answers, described once in `components` and referred to from each answer that has them.
import type { JsonSchema } from './openapi.ts';

export interface OpenapiHeader {
  description: string;
  /** Always there; without it, only where it says something. */
  required?: true;
  schema: JsonSchema;
}

export type OpenapiHeaders = Record<string, OpenapiHeader | { $ref: string }>;

const text = { type: 'string' };

/** By the name that `components` has them under. The ones that are not always there have a name of their own. */
export const namedHeaders = {
  'X-Request-Id': { description: 'Names this request.', required: true, schema: { ...text, pattern: '^req_[0-9a-z]{26}$' } },
  'WWW-Authenticate': { description: 'How to authenticate.', required: true, schema: text },
  'Retry-After': { description: 'Seconds to wait before the next try.', required: true, schema: { ...text, pattern: '^[1-9][0-9]*$' } },
  'Retry-After-Sometimes': {
    description: 'Seconds to wait before the next try, where that helps.',
    schema: { ...text, pattern: '^[1-9][0-9]*$' },
  },
  'Idempotent-Replayed': {
    description: '`true` when this is the answer of an earlier request with the same idempotency key.',
    schema: { ...text, enum: ['true'] },
  },
  'RateLimit-Policy': {
    description: 'The limits that concern this request: `"requests";q=120000;w=60`. Absent where there are none.',
    schema: text,
  },
  RateLimit: { description: 'What is left of them, and for how many seconds: `"requests";r=119999;t=42`.', schema: text },
  'RateLimit-Limit': { description: 'The limit that is nearest.', schema: { ...text, pattern: '^[0-9]+$' } },
  'RateLimit-Remaining': { description: 'What is left of it.', schema: { ...text, pattern: '^[0-9]+$' } },
  'RateLimit-Reset': { description: 'Seconds until it begins anew.', schema: { ...text, pattern: '^[0-9]+$' } },
  Deprecation: {
    description: 'Since when this operation is deprecated (RFC 9745): `@` and seconds since 1970.',
    required: true,
    schema: { ...text, pattern: '^@[0-9]+$' },
  },
  Sunset: { description: 'From when on this operation may be gone (RFC 8594): a date of HTTP.', required: true, schema: text },
  Link: { description: 'What is said of the deprecation, and what takes the operation’s place.', required: true, schema: text },
} as const satisfies Record<string, OpenapiHeader>;

export type NamedHeader = keyof typeof namedHeaders;

export const limitHeaderNames = ['RateLimit-Policy', 'RateLimit', 'RateLimit-Limit', 'RateLimit-Remaining', 'RateLimit-Reset'] as const;

/** References to these, in this order. */
export function referred(names: readonly NamedHeader[]): OpenapiHeaders {
  return Object.fromEntries(names.map((name) => [name.replace('-Sometimes', ''), { $ref: `#/components/headers/${name}` }]));
}
