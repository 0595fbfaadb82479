// Every operation with a request that works, made from the route table, for tests that try something on all of them.

import type { Operation } from '../src/route.ts';
import { routes } from '../src/routes.ts';
import { suppressedEmail } from './fake-mail.ts';
import type { KnownTenant } from './fake-services.ts';

export const operations: readonly Operation[] = routes.filter((route) => route.kind === 'operation');

/** Those that an API key may call: the others are about a person's own session. */
export const keyOperations: readonly Operation[] = operations.filter(({ credentials }) => credentials?.includes('key') ?? true);

type Ids = Pick<
  KnownTenant,
  'messageId' | 'batchId' | 'keyId' | 'memberId' | 'smtpUserId' | 'callbackId' | 'capturedId' | 'templateId' | 'domain'
> & {
  sessionId?: string;
};

/** By what stands before `/:id`. */
const idNames: Readonly<Record<string, Exclude<keyof Ids, 'domain' | 'batchId'>>> = {
  messages: 'messageId',
  'api-keys': 'keyId',
  members: 'memberId',
  'smtp-users': 'smtpUserId',
  callbacks: 'callbackId',
  inbox: 'capturedId',
  templates: 'templateId',
  sessions: 'sessionId',
};

/** The path with ids that this tenant has. */
export function pathFor(route: Operation, tenant: Ids): string {
  const of = /([a-z-]+)\/:id/.exec(route.path)?.[1] ?? '';
  const name = idNames[of];
  const path = route.path
    .replace(':id', (name && tenant[name]) ?? 'none')
    .replace(':domain', tenant.domain)
    .replace(':email', suppressedEmail(tenant.domain));
  // The one operation that does nothing without its query.
  return route.operationId === 'cancelBatch' ? `${path}?batch_id=${tenant.batchId}` : path;
}

export function bodyFor(route: Operation): unknown {
  return route.body?.examples[0].value;
}

export function nameOf(route: Pick<Operation, 'method' | 'path'>): string {
  return `${route.method} ${route.path}`;
}
