// Deprecation of an operation, by one declaration on it. From that come the headers of its answers (RFC 9745, RFC 8594), what the OpenAPI
// document and the changelog say, and the notice to the owners of keys that call it.
import type { Route } from './route.ts';

export interface Deprecation {
  /** Since when, a day: `2026-11-21`. */
  readonly since: string;
  /** From when on it may be gone, a day: at least six months later. */
  readonly sunset: string;
  /** What takes its place: the `operationId` of another operation. */
  readonly replacement?: string;
  /** Why, and what to do, for people. */
  readonly reason: string;
}

/** A route that is deprecated. */
export type DeprecatedRoute = Route & { readonly deprecated: Deprecation };

export function isDeprecated(route: Route): route is DeprecatedRoute {
  return route.deprecated !== undefined;
}

const leastMonths = 6;

function dayOf(day: string, what: string): Date {
  const date = new Date(`${day}T00:00:00Z`);
  if (Number.isNaN(date.getTime()) || !date.toISOString().startsWith(day)) throw new TypeError(`${what} is no day: ${day}`);
  return date;
}

/** The declaration, checked. @throws TypeError for one that promises less than the API does */
export function deprecationOf({ operationId, deprecated }: DeprecatedRoute, routes: readonly Route[]) {
  const since = dayOf(deprecated.since, `${operationId}: deprecated.since`);
  const sunset = dayOf(deprecated.sunset, `${operationId}: deprecated.sunset`);
  const earliest = new Date(since);
  earliest.setUTCMonth(earliest.getUTCMonth() + leastMonths);
  if (sunset < earliest)
    throw new TypeError(`${operationId}: a deprecated operation stays for ${leastMonths} months, until ${isoDay(earliest)}`);
  const replacement = deprecated.replacement === undefined ? undefined : routes.find((one) => one.operationId === deprecated.replacement);
  if (deprecated.replacement !== undefined && replacement === undefined)
    throw new TypeError(`${operationId}: there is no operation ${deprecated.replacement} to take its place`);
  if (replacement !== undefined && isDeprecated(replacement))
    throw new TypeError(`${operationId}: what takes its place, ${replacement.operationId}, is deprecated too`);
  return { since, sunset, replacement, reason: deprecated.reason };
}

/** What every answer of a deprecated operation carries; nothing for any other. */
export function deprecationHeaders(route: Route, routes: readonly Route[], publicUrl: string): Readonly<Record<string, string>> {
  if (!isDeprecated(route)) return {};
  const { since, sunset, replacement } = deprecationOf(route, routes);
  const links = [`<${publicUrl}/docs#${route.operationId}>; rel="deprecation"; type="text/html"`];
  if (replacement !== undefined) links.push(`<${publicUrl}/docs#${replacement.operationId}>; rel="successor-version"; type="text/html"`);
  return { Deprecation: `@${since.getTime() / 1000}`, Sunset: sunset.toUTCString(), Link: links.join(', ') };
}

/** What the description of a deprecated operation begins with. */
export function deprecationText(route: DeprecatedRoute, routes: readonly Route[]): string {
  const { replacement, reason } = deprecationOf(route, routes);
  const { since, sunset } = route.deprecated;
  const instead = replacement === undefined ? '' : ` Use \`${replacement.method} ${replacement.path}\` instead.`;
  return `Deprecated since ${since}; it may be gone from ${sunset} on.${instead} ${reason}`;
}

function isoDay(date: Date): string {
  return date.toISOString().slice(0, 10);
}
