// The way of a request, in the order of the checks:
//   1. route        404 and 405 (Express matches)
//   2. browsers     a person who opened an API address is sent to the page
//   3. principal    401; where too many unknown ones came from: 429
//   4. limits       429
//   5. scope        403, also for an account that is suspended
//   6. body         415, 413, 503; then what it says: 400
//   7. the rest     query and Idempotency-Key; every problem of all parts in one 400
//   8. handler      one question to a service
//   9. answer
import type { BlockList } from 'node:net';
import { contextFrom } from '@maildoot/runtime/telemetry';
import { context, trace } from '@opentelemetry/api';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import { z } from 'zod';
import type { Actions } from './actions.ts';
import type { Authenticator } from './authentication.ts';
import { callerAddress } from './caller-address.ts';
import { corsHeaders, isPreflight, preflightHeaders } from './cors.ts';
import type { DeprecatedCalls } from './deprecated-calls.ts';
import { deprecationHeaders, deprecationText, isDeprecated } from './deprecation.ts';
import { ApiError, apiErrorFrom, notFound, validationError } from './errors.ts';
import { Exchange, type ExchangeOptions } from './exchange.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import { type Issue, issuesOf } from './issues.ts';
import { parseJson } from './json-body.ts';
import { admit } from './permission.ts';
import { parseQuery } from './query.ts';
import type { RateLimits } from './rate-limits.ts';
import { type BodyBudget, ClientGone, hasBody, readBody, requireJson } from './request-body.ts';
import {
  type Answer,
  type Call,
  checksIdempotencyKey,
  type Input,
  type OpenCall,
  type OpenOperation,
  type Operation,
  type Route,
  type Surroundings,
} from './route.ts';
import { telemetry } from './telemetry.ts';

export interface AppParts extends ExchangeOptions {
  readonly routes: readonly Route[];
  readonly authenticator: Authenticator;
  readonly rateLimits: RateLimits;
  readonly actions: Pick<Actions, 'note'>;
  readonly deprecatedCalls: Pick<DeprecatedCalls, 'note'>;
  readonly budget: BodyBudget;
  readonly trustedProxies: BlockList | undefined;
  /** Whose pages may read answers. */
  readonly corsOrigins: readonly string[];
  readonly surroundings: Surroundings;
}

const noQuery = z.strictObject({});

export function createApp(parts: AppParts): Express {
  const app = express();
  app.disable('x-powered-by').disable('etag').set('query parser', false).set('case sensitive routing', true);

  app.use((request: Request, response: Response, next: NextFunction) => {
    const exchange = new Exchange(request, response, parts);
    exchange.corsHeaders = corsHeaders(parts.corsOrigins, request.headers);
    response.locals.exchange = exchange;
    // RFC 9112 section 3.2. Node would refuse none at all too, without a word, and of two it takes the first: a proxy before us may take the other.
    const hosts = countOf('host', request.rawHeaders);
    if (hosts === 0 && request.httpVersion === '1.1')
      throw validationError([{ path: 'Host', code: 'required', message: 'The request has no Host header.' }]);
    if (hosts > 1) throw validationError([{ path: 'Host', code: 'duplicate', message: 'The request has more than one Host header.' }]);
    next();
  });

  for (const [path, ofPath] of Map.groupBy(parts.routes, (route) => route.path)) {
    const route = app.route(path);
    for (const one of ofPath) {
      const deprecation = deprecationHeaders(one, parts.routes, parts.publicUrl);
      const handler = (request: Request, response: Response): Promise<void> => {
        const exchange = exchangeOf(response);
        exchange.deprecationHeaders = deprecation;
        return serve(one, request, exchange, parts);
      };
      route[one.method.toLowerCase() as 'get' | 'post' | 'patch' | 'delete'](handler);
    }
    const allow = ofPath.flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method])).join(', ');
    route.all(async (request: Request, response: Response) => {
      const exchange = exchangeOf(response);
      exchange.route = path;
      if (exchange.corsHeaders !== undefined && isPreflight(request.method, request.headers))
        return exchange.answer({ status: 204, headers: preflightHeaders(allow) });
      throw new ApiError('METHOD_NOT_ALLOWED', `This address answers ${allow}, not ${request.method}.`, { headers: { Allow: allow } });
    });
  }

  app.use(() => {
    throw notFound();
  });
  // Express knows an error handler by its four parameters.
  app.use((error: unknown, _request: Request, response: Response, _next: NextFunction) =>
    exchangeOf(response).answerError(errorOfExpress(error)),
  );
  return app;
}

/** How many lines a header has, of names and values in turn. */
function countOf(name: string, rawHeaders: readonly string[]): number {
  let count = 0;
  for (let at = 0; at < rawHeaders.length; at += 2)
    if (rawHeaders[at]?.length === name.length && rawHeaders[at]?.toLowerCase() === name) count++;
  return count;
}

function exchangeOf(response: Response): Exchange {
  return response.locals.exchange as Exchange;
}

/** Express itself only fails on what can't be a path of ours: a broken escape. Nothing has such an address. */
function errorOfExpress(error: unknown): ApiError {
  return error instanceof URIError ? notFound() : apiErrorFrom(error);
}

async function serve(route: Route, request: Request, exchange: Exchange, parts: AppParts): Promise<void> {
  exchange.route = route.path;
  const { traceparent } = request.headers;
  const parent = contextFrom(typeof traceparent === 'string' ? traceparent : undefined);
  const span = telemetry.startRequest(request.method, route.path, parent);
  exchange.span = span;
  try {
    const answer = await context.with(trace.setSpan(parent, span), answerOf, undefined, route, request, exchange, parts);
    await exchange.answer(answer);
  } catch (error) {
    // Nobody is there to be answered; the end of the exchange is reported when its connection closes.
    if (error instanceof ClientGone) return;
    exchange.answerError(apiErrorFrom(error));
  }
}

async function answerOf(route: Route, request: Request, exchange: Exchange, parts: AppParts): Promise<Answer> {
  if (route.kind === 'public') return route.handle(parts.surroundings);

  const { authenticator, rateLimits, trustedProxies, surroundings } = parts;
  const address = callerAddress(request.socket.remoteAddress, request.headers['x-forwarded-for'], trustedProxies);
  const open: OpenCall = {
    ...surroundings,
    method: request.method,
    requestId: exchange.requestId,
    address,
    get signal() {
      return exchange.signal;
    },
    header: (name) => headerOf(request, name),
  };
  if (route.kind === 'open') return route.handle(await inputOf(route, request, exchange, parts, open), open);

  if (route.browsersGoTo !== undefined && wantsHtml(request)) return { status: 303, headers: { Location: route.browsersGoTo } };
  const { authorization } = request.headers;
  const principal = await authenticator.principalOf(authorization, address);
  exchange.principal = principal;
  // Before what the credential may: a refusal is a request too, and says what is left.
  await rateLimits.takeRequest(principal, route, exchange);
  admit(principal, route);
  if (isDeprecated(route)) {
    parts.deprecatedCalls.note(principal, {
      operationId: route.operationId,
      operation: `${route.method} ${route.path}`,
      meaning: deprecationText(route, parts.routes),
      docsUrl: `${parts.publicUrl}/docs#${route.operationId}`,
    });
  }

  // The same object: a copy would ask for the signal, which costs more than all the rest and is seldom wanted.
  const call: Call = Object.assign(open, {
    principal,
    recheck: () => authenticator.principalOf(authorization, address),
    takeMessages: (count: number) => rateLimits.takeMessages(principal, count, exchange),
  });
  const input = await inputOf(route, request, exchange, parts, call);
  const answer = await route.handle(input, call);
  await parts.actions.note(route.operationId, call, input.params, answer);
  return answer;
}

/** The checked parts of a request. @throws ApiError with every problem of all parts */
async function inputOf<C extends OpenCall>(
  route: Operation | OpenOperation,
  request: Request,
  exchange: Exchange,
  parts: AppParts,
  call: C,
): Promise<Input<unknown, unknown>> {
  const bytes = route.body ? await bodyOf(route, request, exchange, parts.budget) : undefined;
  const issues: Issue[] = [];
  const key = checksIdempotencyKey(route) ? idempotencyKeyOf(request.headers['idempotency-key'], issues) : undefined;
  const idempotencyKey = route.idempotent ? key : undefined;
  const query = checkedQuery(route, request, issues);
  const body = bytes && route.body ? await checkedBody(route.body, bytes, idempotencyKey, call, request, issues) : undefined;
  if (issues.length > 0) throw validationError(issues);
  const headers = Object.fromEntries(Object.keys(route.headers ?? {}).map((name) => [name, headerOf(request, name.toLowerCase())]));
  return { params: request.params as Record<string, string>, query, body, idempotencyKey, headers };
}

function headerOf({ headers }: Request, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

function wantsHtml(request: Request): boolean {
  return request.headers.accept?.includes('text/html') === true && request.headers.authorization === undefined;
}

async function bodyOf(route: Operation | OpenOperation, request: Request, exchange: Exchange, budget: BodyBudget): Promise<Buffer> {
  const { headers } = request;
  if (hasBody(headers) || headers['content-type'] !== undefined) requireJson(headers);
  return readBody(
    request,
    exchange.response,
    exchange.holdBody(budget.open(exchange.principal?.tenantId ?? '')),
    route.body?.maxBytes ?? 0,
  );
}

function checkedQuery(route: Operation | OpenOperation, request: Request, issues: Issue[]): unknown {
  if (route.anyQuery) return {};
  const schema = route.query ?? noQuery;
  const at = request.url.indexOf('?');
  const query = at === -1 ? {} : parseQuery(request.url.slice(at + 1));
  const result = schema.safeParse(query);
  if (result.success) return result.data;
  issues.push(...issuesOf(schema, query, result.error).map((issue) => ({ ...issue, path: queryPath(issue.path) })));
  return undefined;
}

/** `metadata.order` is written `metadata[order]` in a query. */
function queryPath(path: string): string {
  return path.replace(/^([a-z_]+)\.(.+)$/, '$1[$2]');
}

async function checkedBody(
  spec: NonNullable<Operation['body']>,
  bytes: Buffer,
  idempotencyKey: string | undefined,
  call: OpenCall,
  { params }: Request,
  issues: Issue[],
): Promise<unknown> {
  if ('read' in spec) {
    // Only operations with a credential take their bodies apart by themselves.
    const read = await spec.read(bytes, idempotencyKey, call as Call, params as Record<string, string>);
    if ('value' in read) return read.value;
    issues.push(...read.issues);
    return undefined;
  }
  const value = spec.optional && bytes.length === 0 ? {} : parseJson(bytes);
  const result = spec.schema.safeParse(value);
  if (result.success) return result.data;
  issues.push(...issuesOf(spec.schema, value, result.error));
  return undefined;
}
