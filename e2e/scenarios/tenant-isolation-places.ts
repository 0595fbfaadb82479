/** Every place of the served document in which a caller can write text of its own, and which of them name nothing. */
import { rows } from './tenant-isolation-rows.ts';

/** Places that name nothing of anybody's, and why. By their own name, or with the operation before it where the name alone says too little. */
const namesNothing: Readonly<Record<string, string>> = {
  // Content of the caller's own.
  'from.name': 'text',
  'to[]': 'as to',
  'to.email': 'as to',
  'to[].email': 'as to',
  'to.name': 'text',
  'to[].name': 'text',
  'cc[]': 'as cc',
  'cc.email': 'as cc',
  'cc[].email': 'as cc',
  'cc.name': 'text',
  'cc[].name': 'text',
  'bcc[]': 'as bcc',
  'bcc.email': 'as bcc',
  'bcc[].email': 'as bcc',
  'bcc.name': 'text',
  'bcc[].name': 'text',
  reply_to: 'an address in a header',
  'reply_to[]': 'an address in a header',
  'reply_to.email': 'an address in a header',
  'reply_to[].email': 'an address in a header',
  'reply_to.name': 'text',
  'reply_to[].name': 'text',
  subject: 'text; the templates of a template stand in its row',
  html: 'text',
  text: 'text',
  'headers{}': 'text',
  'attachments[].filename': 'text',
  'attachments[].content': 'bytes',
  'attachments[].content_type': 'text',
  'attachments[].content_id': 'text',
  'tags[]': 'text',
  'metadata{}': 'text',
  'variables{}': 'values',
  'unsubscribe.url': 'a URL outside',
  'unsubscribe.mailto': 'an address outside',
  'unsubscribe.group': 'a name of the caller’s own',
  stream: 'a name of the caller’s own',
  'suppressions[].stream': 'a name of the caller’s own',
  pool: 'a name of the installation’s',
  'messages[].to': 'as to',
  'messages[].cc': 'as cc',
  'messages[].bcc': 'as bcc',
  '[].to': 'as to',
  '[].cc': 'as cc',
  '[].bcc': 'as bcc',
  'messages[].from.email': 'as from',
  '[].from.email': 'as from',
  idempotency_key: 'tried on its own, as the header is',
  'Idempotency-Key': 'tried on its own for every operation that takes it',
  name: 'text',
  description: 'text',
  url: 'a URL outside',
  'events[]': 'types',
  'allowed_ips[]': 'networks',
  action: 'a word of ours',
  // Secrets: whoever has one is its holder.
  password: 'a secret',
  current_password: 'a secret',
  new_password: 'a secret',
  token: 'a secret, or signed by us for whoever holds it',
  Cookie: 'a secret',
  // Numbers and times in text.
  'GET /v1/templates/{id}/versions query cursor': 'a number of a version, of the template in the path',
  'GET /v1/stats query from': 'a day',
  'GET /v1/stats query to': 'a day',
};

type Schema = Record<string, unknown> & { $ref?: string };

/** What is read of the served document. */
export interface OpenapiDocument {
  paths: Record<string, Record<string, OpenapiOperation>>;
  components: { schemas: Record<string, Schema> };
}
interface OpenapiOperation {
  parameters: { in: string; name: string; schema: Schema }[];
  requestBody?: { content: Record<string, { schema: Schema }> };
}

/** Every place of an operation in which a caller can write text of its own: `query cursor`, `body messages[].template_id`. */
export function placesOf(document: OpenapiDocument, method: string, path: string): string[] {
  const operation = document.paths[path]?.[method.toLowerCase()];
  if (operation === undefined) return [];
  const found: string[] = [];
  const walk = (given: Schema | undefined, at: string): void => {
    const schema = (given?.$ref === undefined ? given : document.components.schemas[given.$ref.split('/').at(-1) ?? '']) as
      | Schema
      | undefined;
    if (schema === undefined) return;
    const choices = ['anyOf', 'oneOf', 'allOf'].flatMap((word) => (schema[word] as Schema[] | undefined) ?? []);
    for (const choice of choices) walk(choice, at);
    for (const [name, property] of Object.entries((schema.properties as Record<string, Schema> | undefined) ?? {}))
      walk(property, /[ ]$/.test(at) ? `${at}${name}` : `${at}.${name}`);
    if (schema.items !== undefined) walk(schema.items as Schema, `${at}[]`);
    if (typeof schema.additionalProperties === 'object') walk(schema.additionalProperties as Schema, `${at}{}`);
    if (schema.type === 'null') return;
    const types = [schema.type].flat().filter((type) => type !== 'null');
    const anything = types.length === 0 || types[0] === undefined;
    const closed = schema.enum !== undefined || schema.const !== undefined || schema.format === 'date-time';
    if (types.includes('string') ? !closed : anything && choices.length === 0 && !closed) found.push(at);
  };
  for (const parameter of operation.parameters) walk(parameter.schema, `${parameter.in} ${parameter.name}`);
  for (const { schema } of Object.values(operation.requestBody?.content ?? {})) walk(schema, 'body ');
  return [...new Set(found)];
}

/** Whether the rows, or the list of what names nothing, say what a place is. */
export function isListed(operation: string, place: string): boolean {
  const row = rows[operation];
  const [where = '', name = ''] = [place.slice(0, place.indexOf(' ')), place.slice(place.indexOf(' ') + 1)];
  const inRow =
    (where === 'path' && row?.path !== undefined) ||
    (where === 'query' && Object.keys(row?.query ?? {}).some((key) => key === name || key.startsWith(`${name.replace('{}', '')}[`))) ||
    (where === 'header' && row?.headers?.[name] !== undefined) ||
    (where === 'body' && row?.names?.[name] !== undefined);
  if (inRow || namesNothing[`${operation} ${place}`] !== undefined) return true;
  // In a query a word narrows a list, and a list is where others’ things would show.
  if (where === 'query') return name === 'action';
  return [name, name.replace(/^(?:messages)?\[\]\./, '')].some((key) => namesNothing[key] !== undefined);
}
