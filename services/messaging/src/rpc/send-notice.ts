// SendNotice: mail of the installation itself to the people who use it, as an ordinary message of the installation's own tenant.

import { createHash } from 'node:crypto';
import { mailboxOf, normaliseEmail } from '@maildoot/mail/address';
import { AcceptMessagesRequest } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import type { NoticeServiceService } from '@maildoot/proto/maildoot/messaging/v1/notice';
import { newId, uuidToId } from '@maildoot/runtime/ids';
import { traceparentOf } from '@maildoot/runtime/telemetry';
import { context } from '@opentelemetry/api';
import type { Acceptor } from '../accept.ts';
import { errors } from '../errors.ts';
import { unary } from './door.ts';

/** Belongs to no customer: its messages are in nobody's lists. */
const installationTenantUuid = '00000000-0000-7000-8000-000000000001';
// Where neither NOTICE_FROM nor a host that can stand in an address is known: a machine of one's own, where all mail is captured.
const fallbackFrom = 'no-reply@maildoot.localhost';

/** The address that notices come from. */
export function noticeFrom(configured: string | undefined, publicUrl: string | undefined): string {
  const host = publicUrl === undefined ? undefined : new URL(publicUrl).hostname;
  const made = host === undefined ? undefined : normaliseEmail(`no-reply@${host}`);
  return configured ?? made ?? fallbackFrom;
}

export function sendNotice({ acceptor, from }: { acceptor: Pick<Acceptor, 'accept'>; from: string }) {
  const sender = mailboxOf(from);
  if (!sender.ok) throw new TypeError(`NOTICE_FROM is no address: ${sender.message}`);
  return unary<typeof NoticeServiceService.sendNotice>(['auth', 'gateway', 'messaging', 'domain-provisioning'], async (notice, call) => {
    const to = normaliseEmail(notice.to);
    if (to === undefined) throw errors.VALIDATION_ERROR({ message: 'The notice has no address to go to.' });
    const request = AcceptMessagesRequest.fromPartial({
      messages: [
        {
          id: newId('msg'),
          from: { email: sender.mailbox.address },
          to: [{ email: to }],
          subject: notice.subject,
          text: notice.text,
          tags: [notice.kind],
          headers: [{ name: 'Auto-Submitted', value: 'auto-generated' }],
        },
      ],
      idempotencyKey: notice.idempotencyKey,
      requestSha256:
        notice.idempotencyKey === ''
          ? Buffer.alloc(0)
          : createHash('sha256')
              .update(JSON.stringify([notice.kind, to, notice.subject, notice.text]))
              .digest(),
    });
    const { results } = await acceptor.accept(request, {
      tenantId: uuidToId('ten', installationTenantUuid),
      tenantUuid: installationTenantUuid,
      requestId: call.requestId,
      traceparent: traceparentOf(context.active()),
      isInstallation: true,
    });
    const result = results[0]?.result;
    if (result?.$case === 'accepted') return { messageId: result.value.id };
    throw errors.VALIDATION_ERROR({ message: result?.value.message ?? 'The notice was not taken.', issues: result?.value.issues ?? [] });
  });
}
