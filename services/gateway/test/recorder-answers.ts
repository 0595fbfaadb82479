// How each documented answer is brought about. Most are the same for all operations; what is special about one stands in `special`.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { linkToken, signTarget } from '@maildoot/mail/tracking-token';
import { AuditServiceService } from '@maildoot/proto/maildoot/auth/v1/audit';
import { AuthServiceService, Role, Scope } from '@maildoot/proto/maildoot/auth/v1/auth';
import { Ledger } from '@maildoot/proto/maildoot/auth/v1/quota';
import { SessionServiceService } from '@maildoot/proto/maildoot/auth/v1/session';
import { SmtpUserServiceService } from '@maildoot/proto/maildoot/auth/v1/smtp_user';
import { TeamServiceService } from '@maildoot/proto/maildoot/auth/v1/team';
import { UserServiceService } from '@maildoot/proto/maildoot/auth/v1/user';
import { DeliveryServiceService } from '@maildoot/proto/maildoot/delivery/v1/delivery';
import { DomainServiceService } from '@maildoot/proto/maildoot/domain/v1/domain';
import { TemplateServiceService } from '@maildoot/proto/maildoot/template/v1/template';
import { type ErrorMaker, rpcErrors } from '@maildoot/rpc/errors';
import { idToUuid, newId } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { errors as authErrors } from '../../auth/src/errors.ts';
import { errors as deliveryErrors } from '../../delivery/src/errors.ts';
import { errors as domainErrors } from '../../domain-provisioning/src/errors.ts';
import { errors as messagingErrors } from '../../messaging/src/errors.ts';
import { errors as templateErrors } from '../../template/src/errors.ts';
import { apiErrorFrom, type ErrorCode } from '../src/errors.ts';
import type { OpenapiDocument } from '../src/openapi.ts';
import type { Operation, Route } from '../src/route.ts';
import { FakeServices, type KnownTenant } from './fake-services.ts';
import { bodyFor, pathFor } from './operations.ts';
import { type Recorded, seen } from './recorder.ts';
import { type CallOptions, type Gateway, type Response, startGateway } from './running-gateway.ts';

export interface World {
  services: FakeServices;
  gateway: Gateway;
  calls: number;
}

const linkKey = { id: 'k1', key: Buffer.alloc(32, 7) };
/** What the links of these tests are signed with. */
export const linkEnv = { LINK_KEYS: `k1:${linkKey.key.toString('base64')}` };

/** What the document says that this operation answers: each status with each content type, of errors with each code. */
export function answersOf(route: Route, document: OpenapiDocument): Recorded[] {
  const { operationId } = route;
  const path = route.path.replace(/:([A-Za-z]+)/g, '{$1}');
  return Object.entries(document.paths[path]?.[route.method.toLowerCase()]?.responses ?? {}).flatMap(([status, { content }]) =>
    content === undefined
      ? [{ operationId, status, contentType: '', code: '' }]
      : Object.entries(content).flatMap(([contentType, { examples = {} }]): Recorded[] => {
          const codes = Number(status) >= 400 && route.kind !== 'public' ? Object.keys(examples) : [''];
          return codes.map((code) => ({ operationId, status, contentType, code }));
        }),
  );
}

/** Asks for it; undefined where the answer was taken in another way. */
export async function bringAbout(world: World, route: Route, { operationId, status, contentType, code }: Recorded) {
  const own = special[`${operationId} ${code || contentType || status}`] ?? special[`${operationId} ${status}`];
  if (own !== undefined) return own(world, route);
  if (code === '') return good(world, route);
  const known = code as ErrorCode;
  if (route.kind === 'operation' && known === 'RATE_LIMITED') return limited(world, route);
  const generic = isOwn(route, known) ? undefined : ofAll[known];
  return generic === undefined ? serviceSays(world, route, known) : generic(world, route);
}

/** That the operation documents the error as its own says that a service answers with it. */
function isOwn(route: Route, code: ErrorCode): boolean {
  return route.kind !== 'public' && route.errors.includes(code) && code !== 'PAYLOAD_TOO_LARGE';
}

type Way = (world: World, route: Route) => Promise<Response | undefined>;

// ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Holder {
  tenant: KnownTenant & { sessionId: string };
  token: string | undefined;
}

/** A tenant of its own for each request: nothing that came before shows. */
async function holder({ services, gateway }: World, route: Route, be: { suspended?: boolean; nobody?: boolean } = {}): Promise<Holder> {
  const tenant = services.addTenant();
  const { suspended = false, nobody = false } = be;
  if (route.kind === 'operation' && route.credentials?.includes('key') === false) {
    const role = nobody ? Role.ROLE_UNSPECIFIED : Role.ROLE_OWNER;
    const { id, token } = await services.people.session(gateway.url, { tenantId: tenant.id, role, suspended });
    return { tenant: { ...tenant, sessionId: id }, token };
  }
  const scope = nobody ? Scope.SCOPE_UNSPECIFIED : Scope.SCOPE_FULL;
  return { tenant: { ...tenant, sessionId: newId('ses') }, token: services.addKey({ tenantId: tenant.id, scope, suspended }) };
}

async function ask(world: World, route: Route, holder: Holder, options: CallOptions & { query?: string } = {}): Promise<Response> {
  const { query = '', headers = {}, ...rest } = options;
  const path = pathOf(world, route, holder.tenant);
  world.calls++;
  return world.gateway.call(route.method, `${path}${query === '' ? '' : `${path.includes('?') ? '&' : '?'}${query}`}`, {
    ...(route.kind === 'operation' ? { key: holder.token } : {}),
    ...(route.kind !== 'public' && route.body ? { body: bodyFor(route as Operation) } : {}),
    expectFailure: true,
    ...rest,
    headers: { 'x-forwarded-for': `198.51.${world.calls >> 8}.${world.calls & 255}`, ...cookieOf(route), ...headers },
  });
}

function cookieOf({ operationId }: Route): Record<string, string> {
  return operationId === 'refreshSession' ? { cookie: `maildoot_refresh=rt_${'r'.repeat(43)}` } : {};
}

function pathOf({ services }: World, route: Route, tenant: KnownTenant): string {
  if (!route.path.includes(':token')) return pathFor(route as Operation, tenant);
  const messageId = newId('msg');
  services.mail.messageIds.add(messageId);
  const holder = { messageId: idToUuid('msg', messageId) ?? '', recipientNumber: 3 };
  const token = {
    trackOpen: () => linkToken(linkKey, 'open', holder),
    trackClick: () => `${linkToken(linkKey, 'click', holder)}${signTarget(linkKey, 'https://shop.example/')}`,
    showUnsubscribe: () => linkToken(linkKey, 'unsubscribe', holder),
    unsubscribe: () => linkToken(linkKey, 'unsubscribe', holder),
  }[route.operationId];
  assert.ok(token, `which token does ${route.operationId} take?`);
  return route.path.replace(':token', token());
}

// ── the same for all operations ──────────────────────────────────────────────────────────────────────────────────────────

const good: Way = async (world, route) => ask(world, route, await holder(world, route));

const limited: Way = async (world, route) => {
  const ofRequests = route.kind === 'operation' && route.sends ? Ledger.LEDGER_SENDS : Ledger.LEDGER_REQUESTS;
  return withNoneLeft(world, route, ofRequests);
};

const ofAll: Partial<Record<ErrorCode, Way>> = {
  MISSING_TOKEN: async (world, route) => ask(world, route, { ...(await holder(world, route)), token: undefined }),
  INVALID_TOKEN: async (world, route) => ask(world, route, { ...(await holder(world, route)), token: `mdsk_${newId('key')}` }),
  INSUFFICIENT_SCOPE: async (world, route) => ask(world, route, await holder(world, route, { nobody: true })),
  ACCOUNT_SUSPENDED: async (world, route) => ask(world, route, await holder(world, route, { suspended: true })),
  QUOTA_EXCEEDED: (world, route) => withNoneLeft(world, route, Ledger.LEDGER_TENANT_MESSAGES),
  UNSUPPORTED_MEDIA_TYPE: async (world, route) =>
    ask(world, route, await holder(world, route), { body: '{}', headers: { 'content-type': 'text/plain' } }),
  PAYLOAD_TOO_LARGE: async (world, route) => {
    const maxBytes = route.kind === 'public' ? 0 : (route.body?.maxBytes ?? 0);
    const headers = { 'content-type': 'application/json', 'content-length': String(maxBytes + 1), expect: '100-continue' };
    return ask(world, route, await holder(world, route), { body: undefined, headers });
  },
  INVALID_JSON: async (world, route) => ask(world, route, await holder(world, route), { body: '{' }),
  VALIDATION_ERROR: async (world, route) => ask(world, route, await holder(world, route), { query: 'nonsense=1' }),
};

async function withNoneLeft(world: World, route: Route, ledger: Ledger): Promise<Response> {
  const { people } = world.services;
  const usual = people.quota;
  const none = { granted: 0, limit: 5n, remaining: 0n, windowStartS: 0n, windowS: 60, endsInMs: 60_000 };
  people.quota = (take) => (take.ledger === ledger ? none : usual(take));
  try {
    return await ask(world, route, await holder(world, route));
  } finally {
    people.quota = usual;
  }
}

// ── what services say ────────────────────────────────────────────────────────────────────────────────────────────────────

const auth = [
  AuthServiceService,
  SessionServiceService,
  TeamServiceService,
  SmtpUserServiceService,
  AuditServiceService,
  UserServiceService,
];

/** The closed list of the service that has this call. */
function errorsOfService(rpc: string): Readonly<Record<string, ErrorMaker>> {
  const has = (definitions: readonly object[]): boolean => definitions.some((definition) => rpc in definition);
  if (has(auth)) return authErrors;
  if (has([DeliveryServiceService])) return deliveryErrors;
  if (has([DomainServiceService])) return domainErrors;
  if (has([TemplateServiceService])) return templateErrors;
  return messagingErrors;
}

/** The operation's question to a service is answered with an error that becomes this code. */
async function serviceSays(world: World, route: Route, code: ErrorCode): Promise<Response> {
  const { services } = world;
  services.asked.length = 0;
  const requestId = (await good(world, route))?.headers['x-request-id'];
  const rpc = services.asked.find((one) => one.rpc !== 'authenticate' && one.requestId === requestId)?.rpc;
  assert.ok(rpc, `${route.operationId} asks no service: which says ${code}?`);
  const lists = [errorsOfService(rpc), rpcErrors];
  const make = lists.flatMap((list) => Object.values(list)).find((one) => apiErrorFrom(one({ message: 'no' })).code === code);
  assert.ok(make, `${route.operationId} documents ${code}, and the service that it asks by ${rpc} has no such error`);
  services.instead(rpc, () => {
    throw make({ message: 'It fails in this test.' });
  });
  try {
    return await ask(world, route, await holder(world, route));
  } finally {
    services.instead(rpc);
  }
}

// ── special ones ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const dry: Way = async (world, route) =>
  ask(world, route, await holder(world, route), { body: { ...(bodyFor(route as Operation) as object), dry_run: true } });

/** By operation and code, content type or status. */
const special: Readonly<Record<string, Way>> = {
  'sendMessages 200': dry,
  'sendTemplate 200': dry,
  'listCapturedMail 303': async (world, route) =>
    ask(world, route, { ...(await holder(world, route)), token: undefined }, { headers: { accept: 'text/html' } }),
  'listEvents text/event-stream': async (world, route) => {
    const { token } = await holder(world, route);
    const headers = { authorization: `Bearer ${token}`, accept: 'text/event-stream' };
    const given = new AbortController();
    const response = await fetch(`${world.gateway.url}${route.path}`, { headers, signal: given.signal });
    await response.body?.getReader().read();
    given.abort();
    // What was cut off is noted when its connection has closed.
    await waitFor(() => seen.has('listEvents 200 text/event-stream'), { what: 'the stream to be noted' });
    return undefined;
  },
  'refreshSession MISSING_TOKEN': async (world, route) => ask(world, route, await holder(world, route), { headers: { cookie: '' } }),
  'trackClick NOT_FOUND': async (world, route) => world.gateway.call(route.method, route.path.replace(':token', 'x')),
  'getJwks UNAVAILABLE': async () => {
    await using services = await FakeServices.start();
    await using gateway = await startGateway(services);
    await services.down('auth');
    return await gateway.call('GET', '/.well-known/jwks.json', { expectFailure: true });
  },
  'getReadiness 503': async () => {
    await using services = await FakeServices.start();
    const gateway = await startGateway(services);
    const { hostname, port } = new URL(gateway.url);
    // A request that has begun when the gateway is told to stop: it is let in to its end.
    const socket = connect(Number(port), hostname);
    let got = '';
    socket.setEncoding('utf8').on('data', (text: string) => (got += text));
    await new Promise<void>((resolve) => socket.write('GET /readyz HTTP/1.1\r\nHost: gateway.example\r\n', () => resolve()));
    await gateway.call('GET', '/readyz');
    const stopped = gateway[Symbol.asyncDispose]();
    socket.write('\r\n');
    await waitFor(() => got.includes('"draining"'), { what: 'the answer of a gateway that stops' });
    await stopped;
    socket.destroy();
    return undefined;
  },
};
