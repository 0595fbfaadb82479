// What was answered before under an idempotency key is answered again when the day's messages are used up: it costs none.
import { AcceptMessagesRequest, type AcceptMessagesResponse, type OutgoingMessage } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { ApiError } from './errors.ts';
import { EncodedAcceptRequest, type Peers } from './peers.ts';

type GiveBack = (unused: number) => void;

/** Takes messages from the quota, or where there are not enough finds the answer that is stored. @throws ApiError QUOTA_EXCEEDED */
export async function takeOrReplay<Stored>(
  take: () => Promise<GiveBack>,
  replay: () => Promise<Stored | undefined>,
): Promise<{ unused: GiveBack; stored?: Stored }> {
  try {
    return { unused: await take() };
  } catch (error) {
    const stored = error instanceof ApiError && error.code === 'QUOTA_EXCEEDED' ? await replay() : undefined;
    if (stored === undefined) throw error;
    return { unused: () => undefined, stored };
  }
}

/** Undefined: not all of it was answered before. */
export async function storedAnswer(
  request: AcceptMessagesRequest | EncodedAcceptRequest,
  { messaging }: Pick<Peers, 'messaging'>,
  options: { tenantId: string; requestId: string },
): Promise<AcceptMessagesResponse | undefined> {
  const { messages, ...whole } = request instanceof EncodedAcceptRequest ? AcceptMessagesRequest.decode(request.bytes) : request;
  if (whole.idempotencyKey === '' && messages.some(({ idempotencyKey }) => idempotencyKey === '')) return undefined;
  const response = await messaging.acceptMessages(
    AcceptMessagesRequest.fromPartial({ ...whole, messages: messages.map(keyed), replayOnly: true }),
    options,
  );
  return response.results.length === 0 ? undefined : response;
}

/** No more of a message is needed to find it, and without the rest nobody can accept it. */
function keyed({ id, idempotencyKey, requestSha256, test }: OutgoingMessage): Partial<OutgoingMessage> {
  return { id, idempotencyKey, requestSha256, test };
}
