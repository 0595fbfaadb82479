// The body of POST /v1/messages → what messaging is asked. One message, `{messages: […]}` or a bare array; each item of a batch stands
// alone, so a bad one does not stop the others unless the caller says `atomic`. Runs on the main thread for small bodies and in a worker
// for large ones, so it holds on to nothing and knows nothing of HTTP.
import type { AcceptMessagesRequest, OutgoingMessage } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import { newId } from '@maildoot/runtime/ids';
import { z } from 'zod';
import { repeatableFields, requestHash } from './idempotency-key.ts';
import { type Issue, issuesOf, limitIssues, pathText, unknownField } from './issues.ts';
import { parseJson } from './json-body.ts';
import { encodedBytes, maxMessageBytes, messageInput, outgoingMessage, templateMessageInput } from './message-schema.ts';
import { isObject } from './schema-parts.ts';

const maxBatch = 1000;
/** Of each item of a batch: a thousand items with thousands of problems each would be told to nobody. */
const maxIssuesPerItem = 25;

const batchOfUnknown = z.array(z.unknown()).min(1).max(maxBatch);
const envelope = z.strictObject({ messages: batchOfUnknown, atomic: z.boolean().nullish() });

/** The three forms of the body, as the reference shows them; the reading below takes them apart itself, to keep the items apart. */
export const sendBody = z.union([
  messageInput,
  z
    .strictObject({
      messages: z.array(messageInput).min(1).max(maxBatch),
      atomic: z
        .boolean()
        .nullish()
        .meta({ description: 'All or none: one bad item refuses the request. By default the good ones are accepted.' }),
    })
    .meta({ id: 'BatchInput', description: 'Many messages, each on its own.' }),
  z.array(messageInput).min(1).max(maxBatch).meta({ id: 'MessageInputList', description: 'The same as `{"messages": […]}`.' }),
]);

export interface SendOptions {
  /** Of the request as a whole. */
  readonly idempotencyKey: string | undefined;
  /** The credential's limit on From domains; empty = none. */
  readonly allowedDomains: readonly string[];
  /** Where links to us begin. */
  readonly linkUrl: string;
  /** `key_…`, `usr_…` */
  readonly credentialId: string;
  /** Of a test key. */
  readonly test: boolean;
  /** The body is one message that is made of this template. */
  readonly template?: string;
}

/** Why one item of a batch is not part of the request. */
export interface ItemProblem {
  readonly code: 'VALIDATION_ERROR' | 'PAYLOAD_TOO_LARGE';
  readonly issues: Issue[];
}

export interface SendRequest {
  readonly form: 'single' | 'envelope' | 'array';
  /** One per item, in order: undefined where the item is part of the request. */
  readonly problems: readonly (ItemProblem | undefined)[];
  readonly request: AcceptMessagesRequest;
  /** Nothing is to be sent. */
  readonly dryRun: boolean;
}

/** The request, or all that is wrong with it as a whole. @throws ApiError INVALID_JSON */
export function readSendRequest(bytes: Buffer, options: SendOptions): SendRequest | { refused: ItemProblem } {
  const parsed = parseJson(bytes);
  const { template } = options;
  const refusals = template === undefined ? [] : refusedWithTemplate(parsed);
  if (refusals === 'no message')
    return {
      refused: { code: 'VALIDATION_ERROR', issues: [{ path: '', code: 'invalid_type', message: 'This must be one message, an object.' }] },
    };
  const value = template === undefined ? parsed : { ...(parsed as object), template_id: template };
  const { form, items, atomic, issues } = takeApart(value);
  if (issues.length > 0) return { refused: { code: 'VALIDATION_ERROR', issues } };

  const messages: OutgoingMessage[] = [];
  let dryRun = false;
  const problems = items.map((item) => {
    const checked = withIssues(refusals, checkItem(item, form));
    if ('code' in checked) return form === 'single' ? checked : { ...checked, issues: limitIssues(checked.issues, maxIssuesPerItem) };
    dryRun ||= checked.dryRun;
    messages.push({ ...checked.outgoing, test: options.test });
    return undefined;
  });
  const found = problems.filter((problem) => problem !== undefined);
  // Nothing is left to accept, or the caller wants all or none: the request fails as a whole.
  if (found.length > 0 && (atomic || messages.length === 0))
    return { refused: form === 'single' ? (found[0] as ItemProblem) : together(form, problems) };

  const { idempotencyKey, allowedDomains, credentialId, linkUrl } = options;
  const request: AcceptMessagesRequest = {
    messages,
    atomic,
    ...repeatableFields(idempotencyKey, value),
    allowedDomains: [...allowedDomains],
    batchId: form === 'single' ? '' : newId('bat'),
    credentialId,
    linkUrl,
  };
  return { form, problems, request, dryRun };
}

/** Fields of a message that the path says, or that only several messages have; taken out. */
function refusedWithTemplate(value: unknown): Issue[] | 'no message' {
  if (Array.isArray(value) || !isObject(value)) return 'no message';
  const message = value as Record<string, unknown>;
  const known = Object.keys(templateMessageInput.shape);
  const refused = ['template_id', 'messages', 'atomic'].filter((name) => Object.hasOwn(message, name));
  for (const name of refused) delete message[name];
  return refused.map((name) => unknownField([], name, known));
}

function withIssues<T extends object>(issues: readonly Issue[], checked: T | ItemProblem): T | ItemProblem {
  if (issues.length === 0) return checked;
  return { code: 'VALIDATION_ERROR', issues: [...issues, ...('code' in checked ? checked.issues : [])] };
}

interface Parts {
  form: SendRequest['form'];
  items: readonly unknown[];
  atomic: boolean;
  issues: Issue[];
}

function takeApart(value: unknown): Parts {
  if (Array.isArray(value)) return { form: 'array', ...checked(batchOfUnknown, value, (items) => ({ items, atomic: false })) };
  if (typeof value === 'object' && value !== null && Object.hasOwn(value, 'messages')) {
    return { form: 'envelope', ...checked(envelope, value, ({ messages, atomic }) => ({ items: messages, atomic: atomic ?? false })) };
  }
  return { form: 'single', items: [value], atomic: false, issues: [] };
}

function checked<S extends z.ZodType>(
  schema: S,
  value: unknown,
  parts: (value: z.output<S>) => { items: unknown[]; atomic: boolean },
): Omit<Parts, 'form'> {
  const result = schema.safeParse(value);
  if (!result.success) return { items: [], atomic: false, issues: issuesOf(schema, value, result.error) };
  return { ...parts(result.data), issues: [] };
}

function checkItem(item: unknown, form: SendRequest['form']): { outgoing: OutgoingMessage; dryRun: boolean } | ItemProblem {
  const result = messageInput.safeParse(item);
  if (!result.success) return { code: 'VALIDATION_ERROR', issues: issuesOf(messageInput, item, result.error) };
  if (encodedBytes(result.data) > maxMessageBytes) return { code: 'PAYLOAD_TOO_LARGE', issues: [] };
  const dryRun = result.data.dry_run ?? false;
  if (dryRun && form !== 'single') {
    const issue = { path: 'dry_run', code: 'not_in_a_batch', message: 'A dry run looks at one message: send it by itself.' };
    return { code: 'VALIDATION_ERROR', issues: [issue] };
  }
  const outgoing = outgoingMessage(newId('msg'), result.data, result.data.idempotency_key == null ? undefined : requestHash(item));
  return { outgoing, dryRun };
}

/** What is wrong with the items, under the paths that they have in the request. */
function together(form: SendRequest['form'], problems: readonly (ItemProblem | undefined)[]): ItemProblem {
  const issues = problems.flatMap((problem, index): Issue[] => {
    if (problem === undefined) return [];
    const under = pathText(form === 'array' ? [index] : ['messages', index]);
    if (problem.code === 'PAYLOAD_TOO_LARGE') return [{ path: under, code: 'too_large', message: tooLargeMessage }];
    return problem.issues.map((issue) => ({ ...issue, path: joined(under, issue.path) }));
  });
  return { code: 'VALIDATION_ERROR', issues };
}

function joined(under: string, path: string): string {
  return path === '' || path.startsWith('[') ? `${under}${path}` : `${under}.${path}`;
}

export const tooLargeMessage = `A message has at most ${maxMessageBytes / 1024 / 1024} MB, attachments in base64 included.`;
