// POST /v1/messages: a message or many. 202 is said only after messaging's commit.
import { AcceptMessagesRequest, type AcceptMessagesResponse, type AcceptResult } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import type { ErrorDetail } from '@maildoot/proto/maildoot/rpc/v1/error';
import { z } from 'zod';
import { acceptedJson, acceptedSchema } from '../accepted-json.ts';
import { askAgain } from '../ask-again.ts';
import { dryRun, dryRunSchema, exampleDryRun } from '../dry-run.ts';
import { errorSchema } from '../error-json.ts';
import { ApiError, apiErrorFrom, errorBody, errorTable, internalError, knownCode } from '../errors.ts';
import { exampleIds, exampleTime } from '../examples.ts';
import { replayedHeader } from '../idempotency-key.ts';
import { largeBodyBytes } from '../large-bodies.ts';
import { EncodedAcceptRequest } from '../peers.ts';
import { type Answer, type Call, defineRoute, json } from '../route.ts';
import { type ItemProblem, readSendRequest, type SendRequest, sendBody, tooLargeMessage } from '../send-request.ts';
import { storedAnswer, takeOrReplay } from '../stored-answer.ts';
import { telemetry } from '../telemetry.ts';

/** What the caller wrote, ready to be asked of messaging. */
export interface Outgoing {
  readonly form: SendRequest['form'];
  readonly problems: SendRequest['problems'];
  readonly request: Parameters<Call['peers']['messaging']['acceptMessages']>[0];
  readonly dryRun: boolean;
}

/** Of a request. */
export const maxSendBytes = 60 * 1024 * 1024;
const acceptDeadlineMs = 15_000;

/** What sending can be refused with, beyond what every operation can. */
export const sendErrors = ['DOMAIN_NOT_VERIFIED', 'SENDER_NOT_ALLOWED', 'TEMPLATE_ERROR', 'MISSING_VARIABLES', 'CONFLICT'] as const;

const batchSchema = z
  .strictObject({
    batch_id: z.string(),
    data: z.array(z.union([acceptedSchema, errorSchema])).meta({ description: 'One per item, in order.' }),
  })
  .meta({ id: 'BatchResult' });

export const postMessages = defineRoute<z.ZodType, Outgoing>({
  method: 'POST',
  path: '/v1/messages',
  operationId: 'sendMessages',
  tag: 'Messages',
  summary: 'Send a message, or up to 1,000',
  description:
    'Takes one message, `{"messages": […]}` or a bare array. **202 means that the messages are stored and will be delivered**, whatever happens to us afterwards. ' +
    'Every item of a batch stands alone: good items are accepted though others fail, and the answer says which, in order; when no item is well-formed, or with `"atomic": true` when one can’t be accepted, the request is refused as a whole. ' +
    'Several addresses in one `to` see each other; write a batch to send to many separately. A request has at most 60 MB, a message at most 40 MB with its attachments encoded.',
  scopes: ['send', 'full'],
  sends: true,
  idempotent: true,
  body: {
    schema: sendBody,
    maxBytes: maxSendBytes,
    examples: [
      {
        summary: 'One message',
        value: {
          from: 'no-reply@yourdomain.com',
          to: 'user@example.com',
          subject: 'Order Confirmed',
          html: '<p>Your order is confirmed!</p>',
        },
      },
      {
        summary: 'With everything',
        value: {
          from: { email: 'shop@yourdomain.com', name: 'The Shop' },
          to: ['Ada <ada@example.com>', { email: 'bob@example.com', name: 'Bob' }],
          cc: 'accounts@example.com',
          reply_to: 'support@yourdomain.com',
          subject: 'Your invoice',
          text: 'The invoice is attached.',
          headers: { 'X-Order': '4711' },
          attachments: [{ filename: 'invoice.txt', content: 'VG90YWw6IDQyCg==', content_type: 'text/plain' }],
          tags: ['invoice'],
          metadata: { order: '4711' },
          send_at: '2026-01-31T08:00:00Z',
        },
      },
      {
        summary: 'A newsletter: unsubscribed from with one click, opens and clicks told',
        value: {
          from: 'news@yourdomain.com',
          to: 'ada@example.com',
          subject: 'News of January',
          html: '<p>Hello Ada, <a href="https://yourdomain.com/news">read on</a>.</p>',
          stream: 'broadcast',
          tracking: { opens: true, clicks: true },
          unsubscribe: { group: 'newsletter' },
        },
      },
      {
        summary: 'A dry run',
        value: { from: 'no-reply@yourdomain.com', to: 'ada@example.com', subject: 'Hello', text: 'Hello!', dry_run: true },
      },
      {
        summary: 'Made of a template',
        value: {
          from: 'no-reply@yourdomain.com',
          to: 'user@example.com',
          template_id: 'order-confirmed',
          variables: { name: 'Ada', order: { number: 4711 } },
        },
      },
      {
        summary: 'A batch',
        value: {
          messages: [
            { from: 'no-reply@yourdomain.com', to: 'ada@example.com', subject: 'Hello Ada', text: 'Hello!', idempotency_key: 'hello-ada' },
            { from: 'no-reply@yourdomain.com', to: 'bob@example.com', subject: 'Hello Bob', text: 'Hello!' },
          ],
        },
      },
    ],
    read: readOutgoing,
  },
  errors: sendErrors,
  responses: [
    {
      status: 200,
      description: 'A dry run: what would have been sent. Nothing was kept.',
      schema: dryRunSchema,
      example: exampleDryRun,
    },
    {
      status: 202,
      description: 'Accepted and stored. A batch answers with one result per item.',
      schema: z.union([acceptedSchema, batchSchema]),
      example: { id: exampleIds.message, object: 'message', status: 'queued', created_at: exampleTime, estimated_send_at: exampleTime },
    },
  ],
  handle: ({ body }, call) => sendOutgoing(body, call),
});

/** Hands over what was read and says what became of it. */
export async function sendOutgoing(body: Outgoing, call: Call): Promise<Answer> {
  if (body.dryRun) return json(200, await dryRun(body.request, call));
  const count = body.problems.filter((problem) => problem === undefined).length;
  const { unused, stored } = await takeOrReplay(
    () => call.takeMessages(count),
    () => storedAnswer(body.request, call.peers, { tenantId: call.principal.tenantId, requestId: call.requestId }),
  );
  const response =
    stored ??
    (await accept(body, call).catch((error: unknown) => {
      unused(count);
      throw error;
    }));
  const results = body.form === 'single' ? response.results.slice(0, 1) : response.results;
  const accepted = results.filter(({ result }) => result?.$case === 'accepted').length;
  const replayed = response.replayed || (body.form === 'single' && response.results[0]?.replayed === true);
  unused(replayed ? count : count - accepted);
  telemetry.messagesAnswered(accepted, body.problems.length - accepted);
  const headers = replayedHeader(replayed);
  if (body.form === 'single') return json(202, singleAnswer(response, call), headers);
  return json(202, { batch_id: response.batchId, data: batchAnswer(body, response, call) }, headers);
}

async function readOutgoing(bytes: Buffer, idempotencyKey: string | undefined, call: Call) {
  return await readMessages(bytes, idempotencyKey, call, {});
}

/** @param more the template that the path names */
export async function readMessages(bytes: Buffer, idempotencyKey: string | undefined, call: Call, more: { template?: string }) {
  const { allowedDomains, credentialId, test } = call.principal;
  const options = { idempotencyKey, allowedDomains, credentialId, test, linkUrl: call.publicUrl, ...more };
  if (bytes.length > largeBodyBytes) {
    const read = await call.largeBodies.read(bytes, options);
    if ('refused' in read) return refusal(read.refused);
    const { form, problems, dryRun: dry, encoded } = read;
    return { value: { form, problems, dryRun: dry, request: new EncodedAcceptRequest(encoded) } satisfies Outgoing };
  }
  const read = readSendRequest(bytes, options);
  if ('refused' in read) return refusal(read.refused);
  return { value: read satisfies Outgoing };
}

function refusal(problem: ItemProblem): { issues: ItemProblem['issues'] } {
  if (problem.code === 'PAYLOAD_TOO_LARGE') throw new ApiError('PAYLOAD_TOO_LARGE', tooLargeMessage);
  return { issues: problem.issues };
}

/** Asks again while messaging can't be reached: it knows the ids, so the same request can't be accepted twice. */
function accept({ request }: Outgoing, call: Call): Promise<AcceptMessagesResponse> {
  // No signal: who hung up has still sent.
  const options = { tenantId: call.principal.tenantId, requestId: call.requestId };
  return askAgain((deadlineMs) => call.peers.messaging.acceptMessages(request, { ...options, deadlineMs }), {
    deadlineMs: acceptDeadlineMs,
    again: () => telemetry.acceptRetried(call.logger, call.requestId),
  });
}

function singleAnswer({ results }: AcceptMessagesResponse, call: Call): z.input<typeof acceptedSchema> {
  const result = results[0]?.result;
  if (result?.$case === 'accepted') return acceptedJson(result.value, call.publicUrl);
  if (result?.$case === 'error') throw errorOf(result.value);
  throw internalError(new Error('messaging answered without a result'));
}

function batchAnswer({ problems, request }: Outgoing, { results }: AcceptMessagesResponse, call: Call): unknown[] {
  const asked = problems.filter((problem) => problem === undefined).length;
  const isWhole = results.length === asked;
  if (!isWhole) telemetry.resultsMissing(call.logger, { requestId: call.requestId, asked, answered: results.length });
  const answered = (isWhole ? results : placedById(request, results)).values();
  return problems.map((problem) => {
    if (problem !== undefined) return errorBody(itemError(problem), call.requestId, call.publicUrl);
    const result = answered.next().value?.result;
    if (result?.$case === 'accepted') return acceptedJson(result.value, call.publicUrl);
    return errorBody(result === undefined ? unknownEnd() : errorOf(result.value), call.requestId, call.publicUrl);
  });
}

/** Results whose places say nothing, because some are missing: what was accepted is told all the same, by the ids that it was given here. */
function placedById(request: Outgoing['request'], results: readonly AcceptResult[]): (AcceptResult | undefined)[] {
  const { messages } = request instanceof EncodedAcceptRequest ? AcceptMessagesRequest.decode(request.bytes) : request;
  const accepted = new Map(results.flatMap((one) => (one.result?.$case === 'accepted' ? [[one.result.value.id, one]] : [])));
  return messages.map(({ id }) => accepted.get(id));
}

function unknownEnd(): ApiError {
  const message = 'Whether this message was accepted is not known: look for it with GET /v1/messages?batch_id= before you send it again.';
  return new ApiError('INTERNAL_ERROR', message);
}

function itemError({ code, issues }: ItemProblem): ApiError {
  return new ApiError(code, code === 'PAYLOAD_TOO_LARGE' ? tooLargeMessage : 'This message is not accepted; see issues.', { issues });
}

function errorOf(detail: ErrorDetail): ApiError {
  const code = knownCode(detail.code);
  if (code === undefined || errorTable[code].status >= 500) return apiErrorFrom(new Error(`messaging answered ${detail.code} for an item`));
  return new ApiError(code, detail.message, { issues: detail.issues, retryAfterMs: detail.retryAfterMs || undefined });
}
