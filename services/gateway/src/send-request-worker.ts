// Reads one large body of POST /v1/messages off the main thread. The answer is the finished RPC request as bytes, which are handed over
// without a copy: sixty megabytes of attachments never pass the main thread's event loop as objects.
import { AcceptMessagesRequest } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { move, transferableSymbol, valueSymbol } from 'piscina';
import { ApiError, type ErrorCode } from './errors.ts';
import { type ItemProblem, readSendRequest, type SendOptions, type SendRequest } from './send-request.ts';

export interface Task {
  readonly body: Uint8Array;
  readonly options: SendOptions;
}

/** What crosses the threads: classes would arrive without their prototype. */
export type Answer =
  | {
      readonly kind: 'request';
      readonly form: SendRequest['form'];
      readonly problems: SendRequest['problems'];
      readonly batchId: string;
      readonly dryRun: boolean;
      readonly encoded: Uint8Array;
    }
  | { readonly kind: 'refused'; readonly refused: ItemProblem }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string };

export default function readLargeBody({ body, options }: Task): Answer | ReturnType<typeof move> {
  let read: ReturnType<typeof readSendRequest>;
  try {
    read = readSendRequest(Buffer.from(body.buffer, body.byteOffset, body.byteLength), options);
  } catch (error) {
    if (error instanceof ApiError) return { kind: 'failed', code: error.code, message: error.message };
    throw error;
  }
  if ('refused' in read) return { kind: 'refused', refused: read.refused };
  const encoded = AcceptMessagesRequest.encode(read.request).finish();
  const { form, problems, dryRun } = read;
  const answer: Answer = { kind: 'request', form, problems, batchId: read.request.batchId, dryRun, encoded };
  return move({ [transferableSymbol]: encoded.buffer, [valueSymbol]: answer });
}
