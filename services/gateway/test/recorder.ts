// Holds every answer that a gateway of these tests gives, to whoever asked, against the OpenAPI document: the status is documented, the
// content type is, the body fits the schema, the headers that are always there are there. It listens where the server writes, so no way of
// asking gets around it. What doesn't hold fails the call, and the file where nobody waited for the call.
import assert from 'node:assert/strict';
import { subscribe } from 'node:diagnostics_channel';
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { after } from 'node:test';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { documentRoutes } from '../src/documents.ts';
import { type JsonSchema, type OpenapiDocument, type OpenapiResponse, openapiDocument } from '../src/openapi.ts';
import { type NamedHeader, namedHeaders, type OpenapiHeader } from '../src/openapi-headers.ts';
import type { Route } from '../src/route.ts';

export interface Answered {
  method: string;
  /** With its query. */
  path: string;
  status: number;
  /** Names in lower case. */
  headers: Readonly<Record<string, string>>;
  /** Undefined: cut off before its end. */
  body: Buffer | undefined;
}

/** What one answer was of. */
export interface Recorded {
  operationId: string;
  status: string;
  /** Without parameters; empty without a body. */
  contentType: string;
  /** Of an error: its code. */
  code: string;
}

const schemaOptions = { strict: true, strictTypes: false, strictRequired: false, allErrors: true, validateSchema: false } as const;

/** A format that isn't here stops the run: it would go unchecked. What an address is, is not for a pattern to say; these tell it from other text. */
const formats = {
  'date-time': (text: string) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text)),
  'idn-email': (text: string) => /^\S+@\S+$/u.test(text),
  'idn-hostname': (text: string) => /^[^\s@]+$/u.test(text),
  mailbox: (text: string) => /^([^<]*<\S+@\S+>|\S+@\S+)$/u.test(text),
  cidr: (text: string) => /^[0-9a-fA-F.:]+(\/\d{1,3})?$/.test(text),
  'http-url': (text: string) => /^https?:$/.test(URL.parse(text)?.protocol ?? ''),
  date: (text: string) => /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)),
};

/** Named schemas have an address by themselves: the validator takes no document around them. */
function idOf(name: string): string {
  return `https://gateway.example/schemas/${name}`;
}

function withIds(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withIds);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      name,
      name === '$ref' && typeof inner === 'string' ? idOf(inner.replace('#/components/schemas/', '')) : withIds(inner),
    ]),
  );
}

/** The document as something that answers are held against. */
export class Documented {
  readonly document: OpenapiDocument;
  readonly #ajv = new Ajv2020({ ...schemaOptions, formats });
  readonly #validators = new Map<string, ValidateFunction>();
  readonly #pages: ReadonlySet<string>;
  readonly #paths: { path: string; pattern: RegExp }[];

  /** `pages`: addresses that are read by people and are no operations. */
  constructor(document: OpenapiDocument, pages: readonly string[] = []) {
    this.document = document;
    this.#pages = new Set(pages);
    for (const [name, schema] of Object.entries(document.components.schemas))
      this.#ajv.addSchema(withIds(schema) as JsonSchema, idOf(name));
    this.#paths = Object.keys(document.paths).map((path) => ({ path, pattern: new RegExp(`^${path.replace(/\{[^}]+\}/g, '[^/]+')}/?$`) }));
  }

  /** What the value has against the schema at a place of the document; empty when it fits. */
  problemsOf(value: unknown, ...place: string[]): string {
    const key = place.join(' ');
    let validate = this.#validators.get(key);
    if (validate === undefined) {
      const schema = place.reduce<unknown>((at, name) => (at as Record<string, unknown>)[name], this.document);
      validate = this.#ajv.compile(withIds(schema) as JsonSchema);
      this.#validators.set(key, validate);
    }
    return validate(value) ? '' : this.#ajv.errorsText(validate.errors, { dataVar: 'body' });
  }

  headerOf(response: OpenapiResponse, name: string): OpenapiHeader | undefined {
    const header = response.headers?.[name];
    if (header === undefined || !('$ref' in header)) return header;
    return this.document.components.headers[header.$ref.split('/').at(-1) ?? ''];
  }

  pathOf(bare: string): string | undefined {
    return this.#paths.find(({ pattern }) => pattern.test(bare))?.path;
  }

  /** @throws AssertionError for what is not as the document says; undefined: no operation, and answered as such */
  check({ method, path: asked, status, headers, body }: Answered): Recorded | undefined {
    const [bare = ''] = asked.split('?');
    const path = this.pathOf(bare) ?? '';
    const verb = (method === 'HEAD' ? 'GET' : method).toLowerCase();
    const operation = this.document.paths[path]?.[verb];
    const where = `${method} ${asked.slice(0, 200)} → ${status}`;
    // A browser's question before a page's, answered to origins that are named; it is no operation.
    if (method === 'OPTIONS' && status === 204 && headers['access-control-allow-methods'] !== undefined) return undefined;
    if (path === '' && this.#pages.has(bare) && status < 400) {
      assert.doesNotMatch(headers['content-type'] ?? '', /json/, `${where}: no page`);
      return undefined;
    }
    const json: unknown =
      body !== undefined && body.length > 0 && headers['content-type']?.startsWith('application/json')
        ? JSON.parse(body.toString())
        : undefined;
    const code = status >= 400 ? ((json as { error?: { code?: string } } | undefined)?.error?.code ?? '') : '';
    if (operation === undefined || code === 'METHOD_NOT_ALLOWED') {
      const isThere = path !== '' || this.#pages.has(bare);
      assert.ok(status === (isThere ? 405 : 404), `${where}: there is no such operation`);
      if (method === 'HEAD') return undefined;
      assert.equal(code, isThere ? 'METHOD_NOT_ALLOWED' : 'NOT_FOUND', where);
      assert.equal(this.problemsOf(json, 'components', 'schemas', 'Error'), '', where);
      return undefined;
    }
    const { operationId } = operation;
    const response = operation.responses[status];
    assert.ok(response, `${where}: ${operationId} does not document this status (${code})`);
    this.#checkHeaders(response, headers, where);

    const contentType = headers['content-type']?.split(';')[0] ?? '';
    const recorded = { operationId, status: String(status), contentType, code };
    if (response.content === undefined) {
      assert.equal(contentType, '', `${where}: content, where ${operationId} documents none`);
      assert.equal(body?.length ?? 0, 0, `${where}: a body, where ${operationId} documents none`);
      return recorded;
    }
    assert.ok(response.content[contentType], `${where}: ${operationId} does not document ${contentType || 'an answer without content'}`);
    if (contentType !== 'application/json' || method === 'HEAD' || body === undefined) return recorded;
    const problems = this.problemsOf(json, 'paths', path, verb, 'responses', String(status), 'content', contentType, 'schema');
    assert.equal(problems, '', `${where}: not what ${operationId} documents: ${body.toString().slice(0, 500)}`);
    if (status >= 400 && code !== '') {
      const examples = Object.keys(response.content[contentType].examples ?? {});
      assert.ok(examples.includes(code), `${where}: ${operationId} documents ${examples.join(', ')} and not ${code}`);
    }
    return recorded;
  }

  #checkHeaders(response: OpenapiResponse, headers: Answered['headers'], where: string): void {
    for (const name of Object.keys(response.headers ?? {})) {
      const header = this.headerOf(response, name);
      const value = headers[name.toLowerCase()];
      if (header?.required) assert.notEqual(value, undefined, `${where}: without its ${name}`);
      if (value === undefined) continue;
      const { pattern, enum: words } = (header?.schema ?? {}) as { pattern?: string; enum?: string[] };
      if (pattern !== undefined) assert.match(value, new RegExp(pattern), `${where}: ${name}`);
      if (words !== undefined) assert.ok(words.includes(value), `${where}: ${name}: ${value}`);
    }
    for (const name of watchedHeaders)
      if (headers[name.toLowerCase()] !== undefined)
        assert.ok(response.headers?.[name], `${where}: ${name} is not documented: ${headers[name.toLowerCase()]}`);
    const limits = Object.keys(headers).filter((name) => name.startsWith('ratelimit'));
    assert.ok(limits.length === 0 || limits.length === 5, `${where}: some of the headers of limits are missing: ${limits.join(', ')}`);
  }
}

/** Headers that mean something to a client: documented wherever they are. */
const watchedHeaders = [
  ...(Object.keys(namedHeaders) as NamedHeader[]).filter((name) => !name.endsWith('-Sometimes')),
  'Location',
  'Content-Disposition',
];

// ── listening ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** By the port of a gateway of this process. */
const gateways = new Map<number, Documented>();
const documents = new Map<readonly Route[], Documented>();
const violations: Error[] = [];

/** Every answer of this process, as often as it was seen. */
export const seen = new Map<string, Recorded & { times: number }>();

export function keyOf({ operationId, status, contentType, code }: Recorded): string {
  return `${operationId} ${status} ${code || contentType}`.trimEnd();
}

/** From now on the answers of the gateway at this address are held against what it documents. */
export function record(url: string, routes: readonly Route[]): void {
  let documented = documents.get(routes);
  if (documented === undefined) {
    const pages = documentRoutes(routes, 'http://gateway.example').map(({ path }) => path);
    documented = new Documented(openapiDocument(routes, 'http://gateway.example'), pages);
    documents.set(routes, documented);
  }
  gateways.set(Number(new URL(url).port), documented);
}

/** @throws the first of what did not hold since this was asked last */
export function nothingUndocumented(): void {
  const [first] = violations.splice(0);
  if (first !== undefined) throw first;
}

// Those that nobody waited for.
after(nothingUndocumented);

subscribe('http.server.request.start', (message) => {
  const { request, response } = message as { request: IncomingMessage; response: ServerResponse };
  const documented = gateways.get(request.socket.localPort ?? 0);
  // Without a Host, or with two, it is no request of HTTP (RFC 9112 section 3.2), whatever operation it means.
  if (documented === undefined || request.headersDistinct.host?.length !== 1) return;
  // Express makes the path another one while it routes.
  const { method = '', url: path = '' } = request;
  let head: OutgoingHttpHeaders = {};
  const chunks: Buffer[] = [];
  const { writeHead, write, end } = response;
  response.writeHead = ((status: number, headers: OutgoingHttpHeaders) => {
    head = headers;
    return writeHead.call(response, status, headers);
  }) as ServerResponse['writeHead'];
  response.write = ((chunk: Uint8Array | string) => {
    chunks.push(Buffer.from(chunk as string));
    return write.call(response, chunk as string, 'utf8');
  }) as ServerResponse['write'];
  let isOver = false;
  const over = (whole: boolean): void => {
    if (isOver || !response.headersSent) return;
    isOver = true;
    const headers = Object.fromEntries(
      Object.entries(head).map(([name, value]) => [name.toLowerCase(), Array.isArray(value) ? value.join(', ') : String(value)]),
    );
    note(documented, { method, path, status: response.statusCode, headers, body: whole ? Buffer.concat(chunks) : undefined });
  };
  response.end = ((chunk?: Uint8Array | string) => {
    if (chunk !== undefined) chunks.push(Buffer.from(chunk as string));
    over(true);
    return end.call(response, chunk, 'utf8');
  }) as ServerResponse['end'];
  response.once('close', () => over(false));
});

function note(documented: Documented, answered: Answered): void {
  try {
    const recorded = documented.check(answered);
    if (recorded === undefined || answered.method === 'HEAD') return;
    const key = keyOf(recorded);
    seen.set(key, { ...recorded, times: (seen.get(key)?.times ?? 0) + 1 });
  } catch (error) {
    violations.push(error as Error);
  }
}
