// RPC ListCapturedMail: the tenant's captured mail, newest first; waits for the first match when asked to.

import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '@maildoot/db/database';
import type { ListCapturedMailRequest, ListCapturedMailResponse } from '@maildoot/proto/maildoot/delivery/v1/delivery';
import type { RpcCall } from '@maildoot/rpc/server';
import { idToUuid } from '@maildoot/runtime/ids';
import { callingTenant } from '../calling-tenant.ts';
import { capturedMailView } from '../captured-mail-view.ts';
import { errors } from '../errors.ts';
import { type CapturedMailFilter, listCapturedMails } from '../store/captured-mail.ts';

const maxWaitMs = 60_000;
// Mail captured by another process is announced by a notification, which can get lost.
const pollMs = 1_000;
// The answer has to be on its way before the caller gives up.
const marginMs = 250;

export function listCapturedMail(parts: { database: Database; arrivals: Arrivals }) {
  return async (request: ListCapturedMailRequest, call: RpcCall): Promise<ListCapturedMailResponse> => {
    const filter = filterOf(request, call);
    const until = Math.min(Date.now() + Math.min(request.waitMs, maxWaitMs), call.deadline.getTime() - marginMs);
    for (;;) {
      // Subscribed before looking: a mail that comes in between is not missed.
      using arrival = parts.arrivals.next(filter.tenantId);
      const rows = await listCapturedMails(parts.database, filter);
      const leftMs = until - Date.now();
      if (rows.length > 0 || leftMs <= 0 || call.signal.aborted || parts.arrivals.closed) {
        return { mails: rows.slice(0, filter.limit).map(capturedMailView), hasMore: rows.length > filter.limit };
      }
      await Promise.race([arrival.promise, delay(Math.min(pollMs, leftMs), undefined, { signal: call.signal }).catch(() => undefined)]);
    }
  };
}

function filterOf(request: ListCapturedMailRequest, call: RpcCall): CapturedMailFilter {
  const afterId = request.afterId === '' ? undefined : idToUuid('cap', request.afterId);
  if (request.afterId !== '' && afterId === undefined) throw errors.VALIDATION_ERROR({ message: 'after_id is no captured mail’s id.' });
  const messageId = request.messageId === '' ? undefined : idToUuid('msg', request.messageId);
  if (request.messageId !== '' && messageId === undefined) throw errors.VALIDATION_ERROR({ message: 'message_id is no message’s id.' });
  return {
    tenantId: callingTenant(call),
    afterId,
    messageId,
    to: request.to === '' ? undefined : request.to,
    subject: request.subject === '' ? undefined : request.subject,
    limit: Math.min(Math.max(request.limit, 1), 100),
  };
}

/** Tells those who wait that a tenant's inbox has something new. */
export class Arrivals {
  readonly #waiting = new Map<string, Set<() => void>>();

  #closed = false;

  /** Nobody waits any more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Ends every wait: a stop must not last as long as the longest of them. */
  close(): void {
    this.#closed = true;
    this.announceAll();
  }

  /** Something may be new for anybody. */
  announceAll(): void {
    for (const tenantId of [...this.#waiting.keys()]) this.announce(tenantId);
  }

  /** Resolves at the tenant's next mail; disposed of when nobody waits for it any more. */
  next(tenantId: string): { promise: Promise<void> } & Disposable {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (this.#closed) resolve();
    const waiting = this.#waiting.get(tenantId) ?? new Set();
    this.#waiting.set(tenantId, waiting.add(resolve));
    return {
      promise,
      [Symbol.dispose]: () => {
        waiting.delete(resolve);
        if (waiting.size === 0 && this.#waiting.get(tenantId) === waiting) this.#waiting.delete(tenantId);
      },
    };
  }

  announce(tenantId: string): void {
    for (const resolve of this.#waiting.get(tenantId) ?? []) resolve();
    this.#waiting.delete(tenantId);
  }
}
