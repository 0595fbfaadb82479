// The route table → an OpenAPI 3.1 document. Its schemas are the ones that check requests, printed by zod as JSON Schema 2020-12.
import { STATUS_CODES } from 'node:http';
import { z } from 'zod';
import { deprecationText, isDeprecated } from './deprecation.ts';
import { errorSchema, exampleError } from './error-json.ts';
import { type ErrorCode, errorTable, retried } from './errors.ts';
import { maxKeyChars } from './idempotency-key.ts';
import { limitHeaderNames, type NamedHeader, namedHeaders, type OpenapiHeader, type OpenapiHeaders, referred } from './openapi-headers.ts';
import { linksOf, type OpenapiLink } from './openapi-links.ts';
import { rolesOf } from './roles.ts';
import {
  type CredentialKindName,
  checksIdempotencyKey,
  errorsOf,
  type OpenOperation,
  type Operation,
  type ResponseSpec,
  type Route,
} from './route.ts';

export type JsonSchema = Record<string, unknown>;

export interface OpenapiParameter {
  name: string;
  in: 'path' | 'query' | 'header';
  required: boolean;
  description?: string;
  schema: JsonSchema;
  example?: unknown;
  style?: 'deepObject';
  explode?: boolean;
}

export interface OpenapiContent {
  schema: JsonSchema;
  examples?: Record<string, { summary?: string; value: unknown }>;
}

export interface OpenapiResponse {
  description: string;
  headers?: OpenapiHeaders;
  content?: Record<string, OpenapiContent>;
  links?: Record<string, OpenapiLink>;
}

export interface OpenapiOperation {
  operationId: string;
  tags: string[];
  summary: string;
  description?: string;
  deprecated?: true;
  /** Of a deprecated operation: the days. */
  'x-deprecated-since'?: string;
  'x-sunset'?: string;
  security: Record<string, string[]>[];
  parameters: OpenapiParameter[];
  requestBody?: { required: boolean; content: Record<string, OpenapiContent> };
  responses: Record<string, OpenapiResponse>;
}

export interface OpenapiDocument {
  openapi: '3.1.0';
  info: Record<string, unknown>;
  servers: { url: string }[];
  tags: { name: string }[];
  paths: Record<string, Record<string, OpenapiOperation>>;
  components: { schemas: Record<string, JsonSchema>; headers: Record<string, OpenapiHeader>; securitySchemes: Record<string, unknown> };
}

export function openapiDocument(routes: readonly Route[], publicUrl: string): OpenapiDocument {
  const schemas = new Schemas();
  const paths: OpenapiDocument['paths'] = {};
  for (const route of routes) {
    const path = route.path.replace(/:([A-Za-z]+)/g, '{$1}');
    paths[path] ??= {};
    paths[path][route.method.toLowerCase()] = operation(route, routes, schemas, publicUrl);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Maildoot API',
      version: '1',
      description:
        'Send mail and follow it to the recipient’s mailbox. Everything that is kept has `id`, `object` and `created_at`; a report (a dry run, a preview, statistics, what an import or the cancelling of a batch did) isn’t kept and has `object` alone.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: publicUrl }],
    tags: [...new Set(routes.map(({ tag }) => tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas: schemas.named,
      headers: namedHeaders,
      securitySchemes: {
        apiKey: { type: 'http', scheme: 'bearer', description: 'An API key, `mdsk_…`.' },
        pat: { type: 'http', scheme: 'bearer', description: 'The personal access token of `GET /v1/user/settings`, `pat_…`.' },
        session: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'The access token of `POST /v1/auth/login`.' },
      },
    },
  };
}

function operation(route: Route, routes: readonly Route[], schemas: Schemas, publicUrl: string): OpenapiOperation {
  const deprecation = isDeprecated(route) ? deprecationText(route, routes) : '';
  const withoutKey = route.kind === 'public' || !route.withoutIdempotencyKey ? '' : keepsNoKey(route, route.withoutIdempotencyKey);
  const description = [deprecation, route.description, withoutKey, route.kind === 'operation' ? needs(route) : '']
    .filter((text) => text)
    .join('\n\n');
  return {
    operationId: route.operationId,
    tags: [route.tag],
    summary: route.summary,
    ...(description === '' ? {} : { description }),
    ...(isDeprecated(route)
      ? { deprecated: true as const, 'x-deprecated-since': route.deprecated.since, 'x-sunset': route.deprecated.sunset }
      : {}),
    security: route.kind === 'operation' ? (route.credentials ?? allCredentials).map((kind) => ({ [securitySchemeOf[kind]]: [] })) : [],
    parameters: route.kind === 'public' ? [] : parameters(route, schemas),
    ...(route.kind !== 'public' && route.body ? { requestBody: requestBody(route.body, schemas) } : {}),
    responses: responses(route, schemas, publicUrl),
  };
}

function keepsNoKey(route: Operation | OpenOperation, because: string): string {
  return checksIdempotencyKey(route)
    ? `Keeps no answer under an \`Idempotency-Key\`, and refuses a malformed one like every POST: ${because}`
    : `Takes no \`Idempotency-Key\`: ${because}`;
}

const securitySchemeOf = { key: 'apiKey', session: 'session', pat: 'pat' } as const;
const allCredentials: readonly CredentialKindName[] = ['key', 'session', 'pat'];

/** Who may call, in words. */
export function needs({ scopes, credentials, ownersOnly, unlimitedKeysOnly }: Operation): string {
  const words = (list: readonly string[]): string => list.map((word) => `\`${word}\``).join(' or ');
  const roles = ownersOnly ? ['owner'] : rolesOf(scopes);
  const key = `a key of scope ${words(scopes)}${ownersOnly || unlimitedKeysOnly ? ' that nothing limits' : ''}`;
  const kinds = credentials ?? allCredentials;
  const people = kinds.flatMap((kind) => (kind === 'key' ? [] : [kind === 'pat' ? 'personal access token' : kind]));
  const person = roles.length === 0 ? [] : [`a ${people.join(' or ')} of ${words(roles)}`];
  return `Needs ${[...(kinds.includes('key') ? [key] : []), ...person].join(', or ')}.`;
}

function parameters(route: Operation | OpenOperation, schemas: Schemas): OpenapiParameter[] {
  const list: OpenapiParameter[] = [];
  for (const [name, { description, example }] of Object.entries(route.params ?? {})) {
    list.push({ name, in: 'path', required: true, description, schema: { type: 'string' }, example });
  }
  const query = route.query ? (schemas.input(route.query) as { properties?: Record<string, JsonSchema>; required?: string[] }) : {};
  for (const [name, schema] of Object.entries(query.properties ?? {})) {
    const { description, examples, ...rest } = schema;
    list.push({
      name,
      in: 'query',
      required: query.required?.includes(name) ?? false,
      ...(description === undefined ? {} : { description: String(description) }),
      schema: rest,
      ...(Array.isArray(examples) ? { example: examples[0] } : {}),
      ...(rest.type === 'object' ? { style: 'deepObject' as const, explode: true } : {}),
    });
  }
  for (const [name, { description, example }] of Object.entries(route.headers ?? {}))
    list.push({ name, in: 'header', required: false, description, schema: { type: 'string' }, example });
  if (route.idempotent) {
    list.push({
      name: 'Idempotency-Key',
      in: 'header',
      required: false,
      description: 'A value of your own: the same request with the same key is done once, and its answer is given again for a day.',
      schema: { type: 'string', minLength: 1, maxLength: maxKeyChars, pattern: '^[ -~]+$' },
      example: '0d8f3b1e-9a57-4a1b-8f2e-2f6c1f0c9a51',
    });
  }
  return list;
}

function requestBody(body: NonNullable<Operation['body']>, schemas: Schemas): NonNullable<OpenapiOperation['requestBody']> {
  const examples = Object.fromEntries(body.examples.map(({ summary, value }, index) => [`example${index + 1}`, { summary, value }]));
  return { required: body.optional !== true, content: { 'application/json': { schema: schemas.input(body.schema), examples } } };
}

function responses(route: Route, schemas: Schemas, publicUrl: string): Record<string, OpenapiResponse> {
  const all: Record<string, OpenapiResponse> = {};
  for (const spec of route.responses) all[spec.status] = success(spec, schemas);
  for (const [status, codes] of Map.groupBy(errorsOf(route), (code) => errorTable[code].status))
    all[status] = failure(status, codes, schemas, publicUrl);
  for (const [status, response] of Object.entries(all)) {
    const limits = isLimited(route, status) ? limitHeaderNames : [];
    const replayed: NamedHeader[] = route.kind !== 'public' && route.idempotent && status.startsWith('2') ? ['Idempotent-Replayed'] : [];
    const deprecation: NamedHeader[] = isDeprecated(route) ? ['Deprecation', 'Sunset', 'Link'] : [];
    response.headers = { ...referred(['X-Request-Id', ...limits, ...replayed, ...deprecation]), ...response.headers };
    const links = linksOf(route.operationId, Number(status));
    if (links) response.links = links;
  }
  return all;
}

/** Who can't be told apart has no limits. What is wrong with a password is said to somebody who is known. */
function isLimited(route: Route, status: string): boolean {
  if (route.kind !== 'operation' || status === '303') return false;
  return status !== '401' || route.errors.some((code) => errorTable[code].status === 401);
}

function success(spec: ResponseSpec, schemas: Schemas): OpenapiResponse {
  const headers = Object.entries(spec.headers ?? {}).map(([name, description]) => [
    name,
    { description, required: true, schema: { type: 'string' } },
  ]);
  const example = spec.example === undefined ? {} : { examples: { example: { value: spec.example } } };
  return {
    description: spec.description,
    ...(headers.length > 0 ? { headers: Object.fromEntries(headers) } : {}),
    ...(spec.schema ? { content: { 'application/json': { schema: schemas.output(spec.schema), ...example }, ...otherForm(spec) } } : {}),
    ...(spec.contentType
      ? { content: { [spec.contentType]: { schema: { type: spec.contentType === 'application/json' ? 'object' : 'string' }, ...example } } }
      : {}),
  };
}

function otherForm({ otherForm: form }: ResponseSpec): Record<string, OpenapiContent> {
  return form === undefined ? {} : { [form.contentType]: { schema: { type: 'string' }, examples: { example: { value: form.example } } } };
}

function failure(status: number, codes: readonly ErrorCode[], schemas: Schemas, publicUrl: string): OpenapiResponse {
  const examples = Object.fromEntries(codes.map((code) => [code, { value: exampleError(code, publicUrl) }]));
  const headers: NamedHeader[] = status === 401 ? ['WWW-Authenticate'] : [];
  if (codes.every((code) => retried.has(code))) headers.push('Retry-After');
  else if (codes.some((code) => retried.has(code))) headers.push('Retry-After-Sometimes');
  return {
    description: `${STATUS_CODES[status]}: ${codes.map((code) => `\`${code}\``).join(', ')}.`,
    ...(headers.length > 0 ? { headers: referred(headers) } : {}),
    content: { 'application/json': { schema: schemas.output(errorSchema), examples } },
  };
}

/** Prints schemas; the ones with a name go to `components` and are referred to. */
class Schemas {
  readonly named: Record<string, JsonSchema> = {};

  input(schema: z.ZodType): JsonSchema {
    return this.#print(schema, 'input');
  }

  /** Answers may get more fields later, so their objects are left open: `/v1` never breaks. */
  output(schema: z.ZodType): JsonSchema {
    return this.#print(schema, 'output');
  }

  #print(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
    const { $schema, $defs, ...printed } = z.toJSONSchema(schema, {
      io,
      target: 'draft-2020-12',
      override: ({ zodSchema, jsonSchema }) => {
        // zod leaves out what it can't be sure of behind a conversion; what a description says there is meant for the caller.
        const said = z.globalRegistry.get(zodSchema);
        if (said?.examples !== undefined) jsonSchema.examples = said.examples as unknown[];
        if (said?.default !== undefined) jsonSchema.default = said.default as never;
        delete jsonSchema.id;
        // What zod knows of integers that no reader needs.
        if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
        if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
        // A format says it; the pattern beside it is two lines of digits.
        if (jsonSchema.format !== undefined) delete jsonSchema.pattern;
        // zod calls everything behind a conversion optional; the check itself knows.
        if (io === 'input' && zodSchema instanceof z.ZodObject) jsonSchema.required = requiredOf(zodSchema);
        if (io === 'output' && jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
      },
    });
    for (const [name, definition] of Object.entries($defs ?? {})) this.named[name] = relocated(definition) as JsonSchema;
    const name = schema.meta()?.id;
    if (name === undefined) return relocated(printed) as JsonSchema;
    this.named[name] ??= relocated(printed) as JsonSchema;
    return { $ref: `#/components/schemas/${name}` };
  }
}

function requiredOf({ shape }: z.ZodObject): string[] {
  return Object.keys(shape).filter((name) => !z.safeParse(shape[name] as z.ZodType, undefined).success);
}

function relocated(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(relocated);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === '$ref' && typeof inner === 'string' ? inner.replace(/^#\/\$defs\//, '#/components/schemas/') : relocated(inner),
    ]),
  );
}
