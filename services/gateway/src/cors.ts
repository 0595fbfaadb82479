// Which pages of other origins may read our answers (the CORS part of https://fetch.spec.whatwg.org): those of the origins that the operator
// names, and no others. Without any, nothing is different for anybody.
import type { IncomingHttpHeaders } from 'node:http';
import { limitHeaderNames } from './openapi-headers.ts';

const exposed = [
  'X-Request-Id',
  'Retry-After',
  'Idempotent-Replayed',
  ...limitHeaderNames,
  'Deprecation',
  'Sunset',
  'Link',
  'Location',
].join(', ');
const taken = 'Authorization, Content-Type, Idempotency-Key, Last-Event-ID';
const keptForS = 600;

/** What an answer says to the page that asked; undefined: nothing. */
export function corsHeaders(origins: readonly string[], { origin }: IncomingHttpHeaders): Readonly<Record<string, string>> | undefined {
  if (origin === undefined || !origins.includes(origin)) return undefined;
  return {
    'Access-Control-Allow-Origin': origin,
    'Access-Control-Allow-Credentials': 'true',
    'Access-Control-Expose-Headers': exposed,
    Vary: 'Origin',
  };
}

/** A browser asks before it lets a page ask. */
export function isPreflight(method: string, headers: IncomingHttpHeaders): boolean {
  return method === 'OPTIONS' && headers['access-control-request-method'] !== undefined;
}

/** @param methods those of the address, with commas between */
export function preflightHeaders(methods: string): Readonly<Record<string, string>> {
  return {
    'Access-Control-Allow-Methods': methods,
    'Access-Control-Allow-Headers': taken,
    'Access-Control-Max-Age': String(keptForS),
  };
}
