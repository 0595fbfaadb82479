// Every operation with a request that works, made from the route table, for tests that try something on all of them.

import type { Operation } from '../src/route.ts';
import { routes } from '../src/routes.ts';
import type { KnownTenant } from './harness.ts';

export const operations: readonly Operation[] = routes.filter((route) => route.kind === 'operation');

/** The path with ids that this tenant has. */
export function pathFor(route: Operation, tenant: Pick<KnownTenant, 'messageId' | 'keyId' | 'capturedId' | 'domain'> & { templateId?: string }): string {
  const id = route.path.includes('/messages/') ? tenant.messageId : route.path.includes('/api-keys/') ? tenant.keyId : route.path.includes('/templates/') ? (tenant.templateId ?? 'none') : tenant.capturedId;
  return route.path.replace(':id', id).replace(':domain', tenant.domain);
}

export function bodyFor(route: Operation): unknown {
  return route.body?.examples[0].value;
}

export function nameOf(route: Pick<Operation, 'method' | 'path'>): string {
  return `${route.method} ${route.path}`;
}
