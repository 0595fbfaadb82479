// What the doors of tracking tell messaging: without waiting, for the reader has nothing to do with it.

import type { LinkHolder } from '@maildoot/mail/tracking-token';
import type { EngagementKind } from '@maildoot/proto/maildoot/messaging/v1/engagement';
import { uuidToId } from '@maildoot/runtime/ids';
import type { OpenCall } from './route.ts';
import { telemetry } from './telemetry.ts';

const deadlineMs = 2_000;
const maxUserAgentChars = 500;

export function recordVisit(call: OpenCall, kind: EngagementKind, holder: LinkHolder, url: string): void {
  const { peers, requestId, address, header, method } = call;
  peers.messaging
    .recordEngagement(
      {
        messageId: uuidToId('msg', holder.messageId),
        recipientNumber: holder.recipientNumber,
        kind,
        url,
        userAgent: userAgentOf(call),
        remoteAddress: address,
        prefetch:
          method === 'HEAD' ||
          /prefetch|preview/i.test(`${header('sec-purpose') ?? ''} ${header('purpose') ?? ''} ${header('x-moz') ?? ''}`),
      },
      { requestId, deadlineMs },
    )
    .catch(() => telemetry.visitLost());
}

export function userAgentOf({ header }: Pick<OpenCall, 'header'>): string {
  return (header('user-agent') ?? '').slice(0, maxUserAgentChars);
}
