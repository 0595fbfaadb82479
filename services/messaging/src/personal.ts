// Which parts of a message are each recipient's own: marks stand in the frozen bytes, and delivery puts the recipient's tokens there
// (libs/mail tracking-token.ts).
import type { OutgoingMessage } from '@maildoot/proto/maildoot/messaging/v1/messaging';

export const personalOpens = 1;
export const personalClicks = 2;
export const personalUnsubscribe = 4;

/** The bits of message.personal; 0 = all recipients get the same bytes. */
export function personalOf({ html, trackOpens, trackClicks, unsubscribe }: OutgoingMessage): number {
  const hasHtml = html !== '';
  return (
    (trackOpens && hasHtml ? personalOpens : 0) |
    (trackClicks && hasHtml ? personalClicks : 0) |
    (unsubscribe !== undefined && unsubscribe.url === '' ? personalUnsubscribe : 0)
  );
}
