// GET /v1/user-settings/suppressions/export: the whole list as CSV (RFC 4180).
import { z } from 'zod';
import { textField } from '../query.ts';
import { type Call, defineRoute } from '../route.ts';
import { suppressionJson } from '../suppression-json.ts';

const pageSize = 1000;
const stalledAfterMs = 60_000;

export const getUserSettingsSuppressionsExport = defineRoute({
  method: 'GET',
  path: '/v1/user-settings/suppressions/export',
  operationId: 'exportSuppressions',
  tag: 'Suppressions',
  summary: 'The whole list as CSV',
  description: 'Newest first. What is added while it is read may be missing.',
  scopes: ['read', 'full'],
  query: z.strictObject({ stream: textField('Of this stream or group only.', 64) }),
  errors: [],
  responses: [
    {
      status: 200,
      description: 'A line of names, then a line per entry.',
      contentType: 'text/csv',
      headers: { 'Content-Disposition': 'A file name for browsers.' },
      example: 'email,stream,reason,created_at\r\nuser@example.com,broadcast,unsubscribe,2026-01-31T08:00:00.000Z\r\n',
    },
  ],
  handle: async ({ query }, call) => {
    const lines = linesOf(query.stream ?? '', call);
    // The first page decides the status: once the head is out, no error can be told any more.
    const first = await lines.next();
    return {
      status: 200,
      headers: { 'Content-Disposition': 'attachment; filename="suppressions.csv"' },
      content: { contentType: 'text/csv', stream: withFirst(first, lines), stalledAfterMs },
    };
  },
});

async function* linesOf(stream: string, { peers, principal, requestId, signal }: Call): AsyncGenerator<Uint8Array, void, undefined> {
  let afterId = '';
  let text = 'email,stream,reason,created_at\r\n';
  do {
    const page = await peers.messaging.listSuppressions(
      { limit: pageSize, afterId, stream, reason: 0, email: '' },
      { tenantId: principal.tenantId, requestId, signal },
    );
    for (const one of page.suppressions.map(suppressionJson))
      text += `${[one.email, one.stream, one.reason, one.created_at].map(quoted).join(',')}\r\n`;
    yield Buffer.from(text);
    text = '';
    afterId = page.nextAfterId;
  } while (afterId !== '');
}

async function* withFirst(
  first: IteratorResult<Uint8Array, void>,
  rest: AsyncGenerator<Uint8Array, void, undefined>,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (first.done) return;
  yield first.value;
  yield* rest;
}

// A text that a spreadsheet would take for a formula is text: it begins with a quotation mark.
function quoted(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
