// What delivery knows of captured mail, kept in memory.
import assert from 'node:assert/strict';
import { DeliveryServiceService } from '@maildoot/proto/maildoot/delivery/v1/delivery';
import { type ImplementedService, implement } from '@maildoot/rpc/server';
import { type Answer, errors } from './fake-tenant.ts';

export function deliveryService(answer: Answer): ImplementedService {
  const allow = ['gateway'];
  return implement(DeliveryServiceService, {
    cancelRecipients: { allow: ['messaging'], handle: () => assert.fail('not for the gateway') },
    listCapturedMail: {
      allow,
      handle: (request, call) =>
        answer('listCapturedMail', request, call, (tenant) => ({ mails: [...tenant.mails.values()], hasMore: false })),
    },
    getCapturedMail: {
      allow,
      handle: (request, call) =>
        answer('getCapturedMail', request, call, (tenant) => {
          const mail = tenant.mails.get(request.id);
          if (!mail) throw errors.NOT_FOUND({ message: 'There is no such mail.' });
          return { mail, raw: Buffer.from('Subject: hello\r\n\r\nHello!\r\n') };
        }),
    },
  });
}
