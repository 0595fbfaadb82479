// A tenant as the services behind the gateway know it, kept in memory, and what they share in answering about it.
import type { CapturedMail } from '@maildoot/proto/maildoot/delivery/v1/delivery';
import type { Domain } from '@maildoot/proto/maildoot/domain/v1/domain';
import type { Message } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import type { Template } from '@maildoot/proto/maildoot/template/v1/template';
import { defineErrors } from '@maildoot/rpc/errors';
import type { RpcCall } from '@maildoot/rpc/server';
import { newId } from '@maildoot/runtime/ids';

export const errors = defineErrors({
  INVALID_TOKEN: { status: 'UNAUTHENTICATED', retryable: false },
  NOT_FOUND: { status: 'NOT_FOUND', retryable: false },
  DOMAIN_NOT_VERIFIED: { status: 'FAILED_PRECONDITION', retryable: false },
  MESSAGE_NOT_CANCELLABLE: { status: 'FAILED_PRECONDITION', retryable: false },
  IDEMPOTENCY_IN_PROGRESS: { status: 'ABORTED', retryable: true },
  IDEMPOTENCY_MISMATCH: { status: 'FAILED_PRECONDITION', retryable: false },
});

export interface Tenant {
  id: string;
  batchId: string;
  messages: Map<string, Message>;
  domains: Map<string, Domain>;
  mails: Map<string, CapturedMail>;
  templates: Map<string, Template>;
  keyIds: Set<string>;
}

/** One that has nothing yet. */
export function newTenant(id: string): Tenant {
  return {
    id,
    batchId: newId('bat'),
    messages: new Map(),
    domains: new Map(),
    mails: new Map(),
    templates: new Map(),
    keyIds: new Set(),
  };
}

/** Writes a call down, then does what was asked for instead, or the usual. */
export type Answer = <Request, Response>(
  rpc: string,
  request: Request,
  call: RpcCall,
  usual: (tenant: Tenant) => Response | Promise<Response>,
) => Promise<Response>;
