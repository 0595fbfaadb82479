// What messaging knows of suppressions, recipients and counts, kept in memory.
import { EngagementServiceService, type RecordEngagementRequest } from '@maildoot/proto/maildoot/messaging/v1/engagement';
import { StatsServiceService } from '@maildoot/proto/maildoot/messaging/v1/stats';
import { type Suppression, SuppressionReason, SuppressionServiceService } from '@maildoot/proto/maildoot/messaging/v1/suppression';
import { type ImplementedService, implement } from '@maildoot/rpc/server';
import { newId } from '@maildoot/runtime/ids';
import { type Answer, errors } from './fake-tenant.ts';

/** What a tenant with this domain has on its list from the start. */
export function suppressedEmail(domain: string): string {
  return `user@${domain}`;
}

export class FakeMail {
  readonly #lists = new Map<string, Map<string, Suppression>>();
  /** Openings and clicks that were told. */
  readonly visits: RecordEngagementRequest[] = [];
  /** `msg_… number`: who has unsubscribed. */
  readonly unsubscribed = new Set<string>();
  /** Messages that recipients' links are about. */
  readonly messageIds = new Set<string>();

  listOf(tenantId: string): Map<string, Suppression> {
    let list = this.#lists.get(tenantId);
    if (list === undefined) {
      const email = suppressedEmail(`${tenantId.slice(-8)}.example`);
      list = new Map([[email, suppression(email, 'transactional')]]);
      this.#lists.set(tenantId, list);
    }
    return list;
  }

  implementations(answer: Answer): ImplementedService[] {
    const allow = ['gateway'];
    const counts = {
      accepted: 2n,
      delivered: 1n,
      bounced: 1n,
      failed: 0n,
      suppressed: 0n,
      complained: 0n,
      unsubscribed: 0n,
      opened: 1n,
      clicked: 0n,
    };
    const about = ({ messageId }: { messageId: string }) => {
      if (!this.messageIds.has(messageId)) throw errors.NOT_FOUND({ message: 'There is no such message.' });
      return { email: 'ada@example.com', stream: 'newsletter', senderDomain: 'shop.example' };
    };
    const keyOf = ({ messageId, recipientNumber }: { messageId: string; recipientNumber: number }) => `${messageId} ${recipientNumber}`;
    return [
      implement(SuppressionServiceService, {
        listSuppressions: {
          allow,
          handle: (request, call) =>
            answer('listSuppressions', request, call, () => ({
              suppressions: [...this.listOf(call.tenantId).values()],
              nextAfterId: '',
            })),
        },
        addSuppressions: {
          allow,
          handle: (request, call) =>
            answer('addSuppressions', request, call, () => {
              const list = this.listOf(call.tenantId);
              const before = list.size;
              const suppressions = request.suppressions.map(({ email, stream }) => {
                const one = list.get(email) ?? suppression(email, stream || 'transactional');
                list.set(email, one);
                return one;
              });
              return { suppressions, added: list.size - before, replayed: false };
            }),
        },
        deleteSuppression: {
          allow,
          handle: (request, call) =>
            answer('deleteSuppression', request, call, () => {
              if (!this.listOf(call.tenantId).delete(request.email))
                throw errors.NOT_FOUND({ message: 'This address is not on the list.' });
              return { deleted: 1 };
            }),
        },
      }),
      implement(StatsServiceService, {
        getStats: {
          allow,
          handle: (request, call) =>
            answer('getStats', request, call, () => ({
              rows: [{ day: request.byDay ? request.toDay : '', value: request.value, counts }],
              total: counts,
            })),
        },
      }),
      implement(EngagementServiceService, {
        recordEngagement: {
          allow,
          handle: (request, call) =>
            answer('recordEngagement', request, call, () => {
              this.visits.push(request);
              return {};
            }),
        },
        getUnsubscription: {
          allow,
          handle: (request, call) =>
            answer('getUnsubscription', request, call, () => ({ ...about(request), unsubscribed: this.unsubscribed.has(keyOf(request)) })),
        },
        unsubscribe: {
          allow,
          handle: (request, call) =>
            answer('unsubscribe', request, call, () => {
              const found = about(request);
              this.unsubscribed.add(keyOf(request));
              return found;
            }),
        },
      }),
    ];
  }
}

function suppression(email: string, stream: string): Suppression {
  return {
    id: newId('sup'),
    email,
    stream,
    reason: SuppressionReason.SUPPRESSION_REASON_MANUAL,
    createdAt: new Date(),
    messageId: '',
  };
}
