// What a route is. One description drives everything: who may call, how the request is checked, the OpenAPI document, the reference page
// and the tests. Handlers translate: one question to a service, its answer as JSON.
import type { LinkKey } from '@maildoot/mail/tracking-token';
import type { Health } from '@maildoot/runtime/health';
import type { Logger } from '@maildoot/runtime/logger';
import type { z } from 'zod';
import type { Principal } from './authentication.ts';
import type { Deprecation } from './deprecation.ts';
import type { ErrorCode } from './errors.ts';
import type { EventStreams } from './event-streams.ts';
import type { Guesses } from './guesses.ts';
import type { Issue } from './issues.ts';
import type { LargeBodies } from './large-bodies.ts';
import type { Peers } from './peers.ts';
import type { SessionTokens } from './session-tokens.ts';

export type ScopeName = 'read' | 'send' | 'full';
/** What a member of a tenant is. An owner may what a full key may, a member all of that but what names owners alone, a viewer what `read` may. */
export type RoleName = 'owner' | 'member' | 'viewer';
export type CredentialKindName = 'key' | 'session' | 'pat';
type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';

/** What handlers have at hand, the same for all requests. */
export interface Surroundings {
  readonly peers: Peers;
  readonly largeBodies: LargeBodies;
  /** Without a slash at its end. */
  readonly publicUrl: string;
  readonly logger: Logger;
  readonly health: Health;
  readonly pages: Pages;
  readonly eventStreams: EventStreams;
  /** Check the tokens of links in messages. */
  readonly linkKeys: readonly LinkKey[];
  readonly sessionTokens: SessionTokens;
  /** Unknown credentials, by the address they came from. */
  readonly guesses: Pick<Guesses, 'check' | 'failed'>;
}

/** A page of our own, with the policy that lets its own scripts and styles run and nothing else. */
export interface Page {
  readonly html: string;
  readonly contentSecurityPolicy: string;
}

/** What is made once, at the start. */
export interface Pages {
  readonly openapi: string;
  readonly docs: Page;
  readonly inbox: Page;
  readonly password: Page;
}

/** One request of anybody, as its handler sees it. */
export interface OpenCall extends Surroundings {
  /** HEAD where the route is of GET, and somebody wants to know how it would be answered. */
  readonly method: string;
  readonly requestId: string;
  /** The caller's IP address. */
  readonly address: string;
  /** Aborted when the client went away or the gateway stops. For questions; never for what changes something. */
  readonly signal: AbortSignal;
  /** A header of the request, by its name in lower case. */
  readonly header: (name: string) => string | undefined;
}

/** One request of somebody who showed a credential. */
export interface Call extends OpenCall {
  readonly principal: Principal;
  /** Rejects when the credential is worth nothing any more: for answers that take long. */
  readonly recheck: () => Promise<unknown>;
  /**
   * Takes messages from the day's quotas, of the account and of the credential. What becomes of none of them is given back by the answer.
   * @throws ApiError QUOTA_EXCEEDED
   */
  readonly takeMessages: (count: number) => Promise<(unused: number) => void>;
}

/** The checked parts of a request. */
export interface Input<Q, B> {
  /** As they stand in the path, decoded. Whether such an id exists is the handler's to say, with NOT_FOUND. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Q;
  readonly body: B;
  readonly idempotencyKey: string | undefined;
  /** Those that the route's description names, as they stand there. */
  readonly headers: Readonly<Record<string, string | undefined>>;
}

export type Content =
  | { readonly json: unknown }
  | { readonly text: string; readonly contentType: string }
  | { readonly bytes: Uint8Array; readonly contentType: string }
  | { readonly stream: AsyncIterableIterator<Uint8Array>; readonly contentType: string; readonly stalledAfterMs?: number };

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly content?: Content;
}

export function json(status: number, value: unknown, headers?: Readonly<Record<string, string>>): Answer {
  return { status, content: { json: value }, ...(headers === undefined ? {} : { headers }) };
}

export function page({ html, contentSecurityPolicy }: Page): Answer {
  return {
    status: 200,
    content: { text: html, contentType: 'text/html; charset=utf-8' },
    headers: { 'Content-Security-Policy': contentSecurityPolicy },
  };
}

export interface Example {
  readonly summary: string;
  readonly value: unknown;
}

export interface BodySpec<B> {
  /** What the reference shows; what validates, unless `read` says otherwise. */
  readonly schema: z.ZodType<B>;
  readonly maxBytes: number;
  /** No body at all means `{}`. */
  readonly optional?: true;
  readonly examples: readonly [Example, ...Example[]];
}

/** A body that is taken apart by the route itself. */
export interface OwnBodySpec<B> extends Omit<BodySpec<B>, 'schema'> {
  readonly schema: z.ZodType;
  /** @throws ApiError INVALID_JSON and the like */
  readonly read: (
    bytes: Buffer,
    idempotencyKey: string | undefined,
    call: Call,
    params: Input<unknown, unknown>['params'],
  ) => Promise<{ value: B } | { issues: readonly Issue[] }>;
}

export interface ResponseSpec {
  readonly status: number;
  readonly description: string;
  /** Absent: no content, or content that isn't JSON. */
  readonly schema?: z.ZodType;
  readonly contentType?: string;
  readonly example?: unknown;
  /** The same in another form, for who asks for it. */
  readonly otherForm?: { readonly contentType: string; readonly example: string };
  readonly headers?: Readonly<Record<string, string>>;
}

interface Described {
  readonly method: Method;
  /** `/v1/messages/:id` */
  readonly path: string;
  readonly operationId: string;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  /** That it will go: headers, document, changelog and notices follow from this. */
  readonly deprecated?: Deprecation;
  readonly responses: readonly [ResponseSpec, ...ResponseSpec[]];
}

interface Asked<Q extends z.ZodType, B> extends Described {
  /** What each placeholder of the path is. */
  readonly params?: Readonly<Record<string, { readonly description: string; readonly example: string }>>;
  readonly query?: Q;
  /** Any query is taken and left alone, so nothing is ever refused as invalid: for links, to which programs add parameters of their own. */
  readonly anyQuery?: boolean;
  readonly body?: BodySpec<B> | OwnBodySpec<B>;
  /** Headers that it takes beside those that every operation does. */
  readonly headers?: Readonly<Record<string, { readonly description: string; readonly example: string }>>;
  /** Takes the header Idempotency-Key. */
  readonly idempotent?: boolean;
  /** Of a POST that keeps no answer under it: why. A part of its description. */
  readonly withoutIdempotencyKey?: string;
  /** What it can answer beyond what every operation can. */
  readonly errors: readonly ErrorCode[];
  /** How it fails when a service does; by default in every way. For what asks nobody, or makes one answer of every failure. */
  readonly failures?: readonly ErrorCode[];
}

export interface RouteSpec<Q extends z.ZodType, B> extends Asked<Q, B> {
  /** Who may call: keys of these scopes, and people of the roles that have one of them, by a session or a personal access token. */
  readonly scopes: readonly ScopeName[];
  /** Only these credentials; without it, all of them. */
  readonly credentials?: readonly CredentialKindName[];
  /** Of people only owners, of keys only live ones that nothing limits: what would outlive the limits of the others. */
  readonly ownersOnly?: boolean;
  /** The same of keys, and any people. */
  readonly unlimitedKeysOnly?: boolean;
  /** Also while the account is suspended; without it, GET alone. */
  readonly whileSuspended?: boolean;
  /** Counted as sending, not as one of the other requests. */
  readonly sends?: boolean;
  /** Where a browser that was pointed at this address is sent instead. */
  readonly browsersGoTo?: string;
  readonly handle: (input: Input<z.output<Q>, B>, call: Call) => Promise<Answer>;
}

/** An operation for whoever has no credential yet. */
export interface OpenRouteSpec<Q extends z.ZodType, B> extends Asked<Q, B> {
  readonly handle: (input: Input<z.output<Q>, B>, call: OpenCall) => Promise<Answer>;
}

export interface PublicRouteSpec extends Described {
  readonly handle: (surroundings: Surroundings) => Promise<Answer> | Answer;
}

/** An operation that needs a credential. */
export interface Operation extends Omit<RouteSpec<z.ZodType, unknown>, 'handle' | 'body'> {
  readonly kind: 'operation';
  readonly body?: BodySpec<unknown> | OwnBodySpec<unknown>;
  readonly handle: (input: Input<unknown, unknown>, call: Call) => Promise<Answer>;
}

/** An operation that needs none. */
export interface OpenOperation extends Omit<OpenRouteSpec<z.ZodType, unknown>, 'handle' | 'body'> {
  readonly kind: 'open';
  readonly body?: BodySpec<unknown>;
  readonly handle: (input: Input<unknown, unknown>, call: OpenCall) => Promise<Answer>;
}

/** A page or document for everybody. */
export interface PublicRoute extends PublicRouteSpec {
  readonly kind: 'public';
}

export type Route = Operation | OpenOperation | PublicRoute;

export function defineRoute<Q extends z.ZodType, B>(spec: RouteSpec<Q, B>): Operation {
  // The pipeline hands over what these very schemas made, so the types that are forgotten here are the right ones.
  return { ...spec, kind: 'operation' } as unknown as Operation;
}

export function defineOpenRoute<Q extends z.ZodType, B>(spec: OpenRouteSpec<Q, B>): OpenOperation {
  return { ...spec, kind: 'open' } as unknown as OpenOperation;
}

export function definePublicRoute(spec: PublicRouteSpec): PublicRoute {
  return { ...spec, kind: 'public' };
}

/** A suspended account may look, and do nothing. */
export function mayWhileSuspended({ method, whileSuspended }: Pick<Operation, 'method' | 'whileSuspended'>): boolean {
  return whileSuspended ?? method === 'GET';
}

/** A key that can't be one is a mistake at every POST, also where none is kept; but what programs that we don't know post to links is left alone. */
export function checksIdempotencyKey({ method, anyQuery }: Pick<Operation, 'method' | 'anyQuery'>): boolean {
  return method === 'POST' && !anyQuery;
}

const allFailures: readonly ErrorCode[] = ['INTERNAL_ERROR', 'UNAVAILABLE', 'TIMEOUT'];

/** Every code that an operation can answer with, in the order of the checks. */
export function errorsOf(route: Route): ErrorCode[] {
  if (route.kind === 'public') return [];
  const codes: ErrorCode[] = [];
  if (route.kind === 'operation') {
    codes.push('MISSING_TOKEN', 'INVALID_TOKEN', 'INSUFFICIENT_SCOPE');
    if (!mayWhileSuspended(route)) codes.push('ACCOUNT_SUSPENDED');
    if (route.sends) codes.push('QUOTA_EXCEEDED');
    codes.push('RATE_LIMITED');
  }
  if (route.body) codes.push('UNSUPPORTED_MEDIA_TYPE', 'PAYLOAD_TOO_LARGE', 'INVALID_JSON');
  if (route.idempotent) codes.push('IDEMPOTENCY_IN_PROGRESS', 'IDEMPOTENCY_MISMATCH');
  if (!route.anyQuery) codes.push('VALIDATION_ERROR');
  codes.push(...route.errors, ...(route.failures ?? allFailures));
  return [...new Set(codes)];
}
