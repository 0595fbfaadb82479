// The gateway in front of such services, and its client: every answer is checked for what holds of all of them.
import assert from 'node:assert/strict';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { loadSettings } from '@maildoot/runtime/config';
import type { Logger } from '@maildoot/runtime/logger';
import { settings } from '../src/config.ts';
import { errorSchema } from '../src/error-json.ts';
import { type ErrorCode, errorTable } from '../src/errors.ts';
import type { EventStreamLimits } from '../src/event-streams.ts';
import { errorsOf, type Route } from '../src/route.ts';
import { routes } from '../src/routes.ts';
import { start } from '../src/service.ts';
import { type FakeServices, quiet, secret } from './fake-services.ts';
import { nothingUndocumented, record } from './recorder.ts';

export interface Response {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  json: unknown;
  /** Of an error: its code. */
  code: ErrorCode | undefined;
  /** Of an error: `path code`, one per issue. */
  issues: string[];
}

export interface CallOptions {
  key?: string | undefined;
  /** Sent as JSON unless it is text or bytes. */
  body?: unknown;
  headers?: Record<string, string>;
  /** Also 5xx may be answered. */
  expectFailure?: boolean;
}

export interface Gateway extends AsyncDisposable {
  readonly url: string;
  /** Where messages are submitted, `host:port`; undefined unless the environment asks for it. */
  readonly smtp: { readonly starttls: string | undefined; readonly tls: string | undefined };
  /** Asks, and checks what holds for every answer; see checkAnswer. */
  call(method: string, path: string, options?: CallOptions): Promise<Response>;
}

export async function startGateway(
  services: FakeServices,
  env: Record<string, string> = {},
  logger: Logger = quiet,
  eventStreams: Partial<EventStreamLimits> = {},
  all: readonly Route[] = routes,
): Promise<Gateway> {
  const config = loadSettings(settings, {
    HTTP_PORT: '0',
    RPC_SECRET: secret,
    AUTH_ADDRESS: services.addresses.auth,
    MESSAGING_ADDRESS: services.addresses.messaging,
    DELIVERY_ADDRESS: services.addresses.delivery,
    DOMAIN_ADDRESS: services.addresses.domains,
    TEMPLATE_ADDRESS: services.addresses.templates,
    ...env,
  });
  const running = await start(config, { logger, eventStreams, routes: all });
  record(running.httpUrl, all);
  return {
    url: running.httpUrl,
    smtp: running.smtp,
    call: async (method, path, options = {}) => {
      const response = await send(running.httpUrl, method, path, options);
      nothingUndocumented();
      checkAnswer(method, path, response, options.expectFailure ?? false, all);
      return response;
    },
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}

export function send(url: string, method: string, path: string, { key, body, headers = {} }: CallOptions): Promise<Response> {
  const bytes = body === undefined ? undefined : typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      hostname,
      port,
      method,
      path,
      headers: {
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...(bytes === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(bytes) }),
        ...headers,
      },
    });
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => resolve(responseOf(response.statusCode ?? 0, response.headers, Buffer.concat(chunks).toString('utf8'))));
    });
    request.on('error', reject);
    request.end(bytes);
  });
}

export function responseOf(status: number, headers: IncomingHttpHeaders, text: string): Response {
  const isJson = headers['content-type']?.startsWith('application/json') === true && text !== '';
  const json: unknown = isJson ? JSON.parse(text) : undefined;
  const error =
    status >= 400 ? (json as { error?: { code?: ErrorCode; issues?: { path: string; code: string }[] } } | undefined)?.error : undefined;
  return { status, headers, text, json, code: error?.code, issues: error?.issues?.map((issue) => `${issue.path} ${issue.code}`) ?? [] };
}

function routeOf(method: string, path: string, all: readonly Route[] = routes): Route | undefined {
  const [bare = ''] = path.split('?');
  const asked = method === 'HEAD' ? 'GET' : method;
  return all.find((route) => route.method === asked && new RegExp(`^${route.path.replace(/:[A-Za-z]+/g, '[^/]+')}/?$`).test(bare));
}

/** What holds for every answer of the gateway: it is named, it is documented, and it has the shape that the documentation says. */
function checkAnswer(method: string, path: string, response: Response, expectFailure: boolean, all = routes): void {
  const { status, headers, json } = response;
  const where = `${method} ${path} → ${status} ${response.text.slice(0, 300)}`;
  assert.match(String(headers['x-request-id']), /^req_[0-9a-z]{26}$/, where);
  assert.equal(headers['x-powered-by'], undefined, where);
  assert.equal(headers['x-content-type-options'], 'nosniff', where);
  if (!expectFailure) assert.ok(status < 500 || path === '/readyz', where);
  const route = routeOf(method, path, all);
  if (status >= 400 && !(route?.kind === 'public')) {
    if (method === 'HEAD') return;
    const parsed = errorSchema.safeParse(json);
    assert.ok(parsed.success, `${where}: ${parsed.error?.message}`);
    assert.equal(parsed.data.error.request_id, headers['x-request-id'], where);
    assert.equal(errorTable[parsed.data.error.code].status, status, where);
    assert.ok(parsed.data.error.docs.endsWith(`/docs/errors#${parsed.data.error.code}`), where);
    assert.equal(headers['cache-control'], 'no-store', where);
    if (route && parsed.data.error.code !== 'METHOD_NOT_ALLOWED')
      assert.ok(errorsOf(route).includes(parsed.data.error.code), `${where}: not documented`);
    return;
  }
  const documented = route?.responses.find((one) => one.status === status);
  assert.ok(documented, `${where}: not documented`);
  if (documented.schema && method !== 'HEAD') {
    const parsed = documented.schema.safeParse(json);
    assert.ok(parsed.success, `${where}: ${parsed.error?.message}`);
  }
}
