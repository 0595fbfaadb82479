/** What the client sends, drawn from the seed: single messages, some to several, batches, some of a template, some by SMTP. */
import { randomUUID } from 'node:crypto';
import type { Random } from './random.ts';
import type { KeyPlace, RequestKind } from './records.ts';

export interface Planned {
  request: number;
  kind: RequestKind;
  key: KeyPlace;
  messages: { number: number; recipients: string[]; body: Record<string, unknown> }[];
}

export interface PlanOptions {
  from: string;
  /** Empty: none names one. */
  template: string;
  bySmtp: boolean;
}

/** The same bytes for every try. */
export interface Written {
  way: 'http' | 'smtp';
  body: string;
  headers: Record<string, string>;
  envelope: { from: string; to: string[] };
}

export function planner(random: Random, { from, template, bySmtp }: PlanOptions): () => Planned {
  let requests = 0;
  let messages = 0;
  const message = (recipientCount: number) => {
    const number = ++messages;
    const recipients = Array.from({ length: recipientCount }, (_, index) => `to${number}-${index + 1}@sink.example`);
    const [first, ...others] = recipients;
    const body: Record<string, unknown> = {
      from,
      to: others.length > 1 ? [first, others[0]] : first,
      ...(others.length === 1 ? { cc: others } : {}),
      ...(others.length > 1 ? { bcc: others.slice(1) } : {}),
      subject: `chaos ${number}`,
      text: `Number ${number}.\n${randomUUID().repeat(random.integer(10, 60))}\n`,
      headers: { 'X-Chaos-Number': String(number) },
    };
    return { number, recipients, body };
  };
  return () => {
    const drawn = random.next();
    const kind = kindOf(drawn, { template, bySmtp });
    const count = kind === 'batch' ? random.integer(2, 6) : 1;
    const chosen = random.next();
    const several = kind === 'several' || (kind === 'submitted' && random.next() < 0.3);
    const drafts = Array.from({ length: count }, () => message(several ? random.integer(2, 4) : 1));
    return {
      request: ++requests,
      kind,
      key: chosen < 0.5 ? 'header' : chosen < 0.65 ? 'message' : 'none',
      messages: kind === 'template' ? drafts.map((draft) => ({ ...draft, body: ofTemplate(draft.body, template, draft.number) })) : drafts,
    };
  };
}

function kindOf(drawn: number, { template, bySmtp }: Pick<PlanOptions, 'template' | 'bySmtp'>): RequestKind {
  if (drawn < 0.04) return bySmtp ? 'submitted' : 'single';
  if (drawn < 0.12) return template === '' ? 'single' : 'template';
  if (drawn < 0.7) return 'single';
  return drawn < 0.82 ? 'several' : 'batch';
}

function ofTemplate({ from, to, headers }: Record<string, unknown>, template: string, number: number): Record<string, unknown> {
  return { from, to, headers, template_id: template, variables: { number, lines: Array.from({ length: 20 }, () => randomUUID()) } };
}

/** The same bytes and the same keys for both tries. */
export function written({ kind, key, messages }: Planned): Written {
  if (kind === 'submitted') return submitted(key, messages[0] as Planned['messages'][number]);
  const bodies = messages.map(({ body }) => (key === 'message' ? { ...body, idempotency_key: randomUUID() } : body));
  return {
    way: 'http',
    body: JSON.stringify(kind === 'batch' ? { messages: bodies } : bodies[0]),
    headers: key === 'header' ? { 'idempotency-key': randomUUID() } : {},
    envelope: { from: '', to: [] },
  };
}

/** Its Message-ID is left to the platform: the receiving side knows messages by it. */
function submitted(key: KeyPlace, { number, recipients, body }: Planned['messages'][number]): Written {
  const header = {
    From: body.from,
    To: recipients[0],
    Subject: body.subject,
    'X-Chaos-Number': number,
    ...(key === 'none' ? {} : { 'X-Idempotency-Key': randomUUID() }),
    'MIME-Version': '1.0',
    'Content-Type': 'text/plain; charset=utf-8',
  };
  const lines = Object.entries(header).map(([name, value]) => `${name}: ${value}`);
  const text = String(body.text).replace(/.{900}/g, '$&\n');
  return {
    way: 'smtp',
    body: `${lines.join('\r\n')}\r\n\r\n${text.replaceAll('\n', '\r\n')}`,
    headers: {},
    envelope: { from: String(body.from), to: recipients },
  };
}
