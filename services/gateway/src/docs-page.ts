// The reference for people: one page without scripts, made at the start from the same description as the OpenAPI document.
import { STATUS_CODES } from 'node:http';
import { escapeHtml, pageWithPolicy } from './content-security-policy.ts';
import { docsStyle } from './docs-style.ts';
import { documentLinks } from './document-page.ts';
import { readDocuments } from './documents.ts';
import { exampleError } from './error-json.ts';
import { type ErrorCode, errorTable } from './errors.ts';
import type { JsonSchema, OpenapiContent, OpenapiDocument, OpenapiOperation, OpenapiParameter } from './openapi.ts';
import { errorsOf, type Page, type Route } from './route.ts';

export function docsPage(routes: readonly Route[], document: OpenapiDocument, publicUrl: string): Page {
  const tags = document.tags.map(({ name }) => name);
  const ofTag = (tag: string): Route[] => routes.filter((route) => route.tag === tag);
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Maildoot API</title>
<style>${docsStyle}</style>
</head>
<body>
<nav>
${documentLinks(readDocuments())}
<strong>Reference</strong>
<a href="#start">Conventions</a>
${tags
  .map(
    (tag) =>
      `<strong>${escapeHtml(tag)}</strong>${ofTag(tag)
        .map((route) => `<a href="#${route.operationId}">${escapeHtml(route.summary)}</a>`)
        .join('')}`,
  )
  .join('\n')}
<strong>Errors</strong>
${Object.keys(errorTable)
  .map((code) => `<a href="#${code}"><code>${code}</code></a>`)
  .join('')}
<a href="/v1/openapi.json">openapi.json</a>
</nav>
<main id="top">
<h1>Maildoot API</h1>
${introduction(publicUrl)}
${tags
  .map(
    (tag) =>
      `<h2>${escapeHtml(tag)}</h2>\n${ofTag(tag)
        .map((route) => section(route, document, publicUrl))
        .join('\n')}`,
  )
  .join('\n')}
${errorSection(publicUrl)}
</main>
</body>
</html>
`;
  return pageWithPolicy(html, ["style-src 'unsafe-inline'", "img-src 'self'"]);
}

function introduction(publicUrl: string): string {
  const host = escapeHtml(publicUrl);
  return `<section id="start">
<p>New here? Begin with the <a href="/docs/quickstart">quickstart</a>.</p>
<p>JSON in, JSON out, in UTF-8, below <code>${host}/v1</code>. Every request needs an API key:</p>
<pre>curl ${host}/v1/messages \\
  -H 'Authorization: Bearer mdsk_…' \\
  -H 'Content-Type: application/json' \\
  -d '{"from":"no-reply@yourdomain.com","to":"user@example.com","subject":"Order Confirmed","html":"&lt;p&gt;Your order is confirmed!&lt;/p&gt;"}'</pre>
<dl>
<dt>Scopes</dt><dd><code>read</code>: every GET. <code>send</code>: sending, and GET of messages. <code>full</code>: everything.</dd>
<dt>Errors</dt><dd>One shape everywhere, with every problem of the request at once; see <a href="#errors">errors</a>. Every answer has <code>X-Request-Id</code>.</dd>
<dt>Idempotency</dt><dd>Send <code>Idempotency-Key</code> with a POST: the same request with the same key is done once, and its answer is given again for 24 hours, with <code>Idempotent-Replayed: true</code>.</dd>
<dt>Lists</dt><dd><code>limit</code> (1 to 100, by default 20) and <code>cursor</code>; the answer is <code>{"data": […], "next_cursor": "…" or null}</code>, newest first.</dd>
<dt>Objects</dt><dd>Everything that is kept has <code>id</code>, <code>object</code> and <code>created_at</code>. A report (a dry run, a preview, statistics, what an import or the cancelling of a batch did) isn’t kept and has <code>object</code> alone.</dd>
<dt>Times and ids</dt><dd>RFC 3339 in UTC; ids are a prefix and 26 characters and sort by time.</dd>
<dt>HEAD</dt><dd>Works wherever GET does.</dd>
</dl>
</section>`;
}

function section(route: Route, document: OpenapiDocument, publicUrl: string): string {
  const path = route.path.replace(/:([A-Za-z]+)/g, '{$1}');
  const operation = document.paths[path]?.[route.method.toLowerCase()];
  if (operation === undefined) throw new TypeError(`${route.method} ${path} is not in the document`);
  return `<section class="operation" id="${route.operationId}">
<h3>${escapeHtml(route.summary)}</h3>
<p class="line"><span class="method ${route.method}">${route.method}</span> <code>${escapeHtml(path)}</code>${route.kind === 'operation' ? ` <span class="scope">${route.credentials?.includes('key') === false ? 'session' : route.scopes.join(' · ')}</span>` : ''}</p>
${deprecationOf(operation)}
${route.description === undefined ? '' : `<p>${prose(route.description)}</p>`}
${parameterTable(operation.parameters)}
${bodyTable(operation, document)}
<h4>Request</h4>
<pre>${escapeHtml(curl(route, publicUrl))}</pre>
${otherRequests(operation)}
${answers(route, operation, document)}
${failures(route)}
</section>`;
}

function curl(route: Route, publicUrl: string): string {
  const params = route.kind === 'public' ? {} : (route.params ?? {});
  const path = route.path.replace(/:([A-Za-z]+)/g, (_, name: string) => params[name]?.example ?? name);
  const lines = [`curl ${route.method === 'GET' ? '' : `-X ${route.method} `}${publicUrl}${path}`];
  if (route.kind === 'operation') lines.push("-H 'Authorization: Bearer mdsk_…'");
  if (route.kind !== 'public' && route.body) {
    lines.push("-H 'Content-Type: application/json'");
    lines.push(`-d '${JSON.stringify(route.body.examples[0].value).replaceAll("'", "'\\''")}'`);
  }
  return lines.join(' \\\n  ');
}

function otherRequests(operation: OpenapiOperation): string {
  const examples = Object.values(operation.requestBody?.content['application/json']?.examples ?? {}).slice(1);
  return examples
    .map(
      ({ summary, value }) =>
        `<details><summary>${escapeHtml(summary ?? 'Another body')}</summary><pre>${escapeHtml(pretty(value))}</pre></details>`,
    )
    .join('\n');
}

/** What isn't one of the errors. */
function answers(route: Route, operation: OpenapiOperation, document: OpenapiDocument): string {
  return Object.entries(operation.responses)
    .filter(([status]) => route.kind === 'public' || Number(status) < 400)
    .map(([status, { description, content }]) => {
      const example = Object.values(content ?? {}).flatMap((one: OpenapiContent) => Object.values(one.examples ?? {}))[0];
      const shown =
        example === undefined ? '' : `<pre>${escapeHtml(typeof example.value === 'string' ? example.value : pretty(example.value))}</pre>`;
      return `<h4>${status} ${escapeHtml(STATUS_CODES[status] ?? '')}</h4><p>${prose(description)}</p>${shown}${answerFields(content, document)}`;
    })
    .join('\n');
}

function answerFields(content: Record<string, OpenapiContent> | undefined, document: OpenapiDocument): string {
  const schema = content?.['application/json']?.schema;
  if (schema === undefined) return '';
  const rows = fieldRows(plainOf(schema, document), document, '', false);
  if (rows === '') return '';
  return `<details><summary>Fields of the answer</summary><table><thead><tr><th>Field</th><th>Type</th><th>Meaning</th></tr></thead><tbody>${rows}</tbody></table></details>`;
}

/** The codes by their status; what each looks like stands once, with the errors. */
function failures(route: Route): string {
  const byStatus = Map.groupBy(errorsOf(route), (code) => errorTable[code].status);
  const rows = [...byStatus].map(([status, codes]) => {
    const names = codes.map((code) => `<a href="#${code}"><code>${code}</code></a>`).join(' ');
    return `<tr><td>${status} ${escapeHtml(STATUS_CODES[status] ?? '')}</td><td>${names}</td></tr>`;
  });
  return rows.length === 0 ? '' : `<table class="errors"><tbody>${rows.join('')}</tbody></table>`;
}

function parameterTable(parameters: readonly OpenapiParameter[]): string {
  if (parameters.length === 0) return '';
  const rows = parameters.map(({ name, in: place, required, description, schema }) =>
    row(place === 'query' && schema.type === 'object' ? `${name}[…]` : name, `${place}, ${typeText(schema)}`, required, description),
  );
  return `<table><thead><tr><th>Parameter</th><th>Type</th><th>Meaning</th></tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

function bodyTable(operation: OpenapiOperation, document: OpenapiDocument): string {
  const schema = operation.requestBody?.content['application/json']?.schema;
  if (schema === undefined) return '';
  return `<table><thead><tr><th>Field</th><th>Type</th><th>Meaning</th></tr></thead><tbody>${fieldRows(plainOf(schema, document), document, '', true)}</tbody></table>`;
}

/** Where there are several forms, the first is the plain one; the examples show the others. */
function plainOf(schema: JsonSchema, document: OpenapiDocument): JsonSchema {
  return resolved((schema.anyOf as JsonSchema[] | undefined)?.[0] ?? schema, document);
}

/** `saysRequired`: in a request; what an answer has is always there unless it says otherwise. */
function fieldRows(schema: JsonSchema, document: OpenapiDocument, under: string, saysRequired: boolean): string {
  const required = (schema.required as string[] | undefined) ?? [];
  return Object.entries((schema.properties as Record<string, JsonSchema> | undefined) ?? {})
    .map(([name, property]) => {
      const whole = resolved(property, document);
      const within = objectIn(whole, document);
      const inner = within === undefined ? '' : fieldRows(within.object, document, `${under}${name}${within.mark}`, saysRequired);
      return (
        row(`${under}${name}`, typeText(whole), saysRequired && required.includes(name), whole.description as string | undefined) + inner
      );
    })
    .join('');
}

/** The object that a field is, or that its items are, and what stands between its name and theirs. */
function objectIn(schema: JsonSchema, document: OpenapiDocument): { object: JsonSchema; mark: string } | undefined {
  const forms = (schema.anyOf as JsonSchema[] | undefined)?.filter(({ type }) => type !== 'null');
  const only = resolved(forms?.length === 1 ? (forms[0] ?? {}) : schema, document);
  if (only.properties !== undefined) return { object: only, mark: '.' };
  const items = only.type === 'array' ? resolved((only.items as JsonSchema | undefined) ?? {}, document) : {};
  return items.properties === undefined ? undefined : { object: items, mark: '[].' };
}

/** The first words of a deprecated operation's description. */
function deprecationOf({ deprecated, description = '' }: OpenapiOperation): string {
  return deprecated ? `<p><strong>${prose(description.split('\n\n')[0] ?? '')}</strong></p>` : '';
}

function row(name: string, type: string, required: boolean, description: string | undefined): string {
  return `<tr><td><code>${escapeHtml(name)}</code>${required ? ' <span class="required">required</span>' : ''}</td><td>${escapeHtml(type)}</td><td>${prose(description ?? '')}</td></tr>`;
}

function resolved(schema: JsonSchema, document: OpenapiDocument): JsonSchema {
  const name = typeof schema.$ref === 'string' ? schema.$ref.split('/').at(-1) : undefined;
  return name === undefined ? schema : { ...document.components.schemas[name], ...schema };
}

function typeText(schema: JsonSchema): string {
  if (Array.isArray(schema.enum)) return schema.enum.join(' | ');
  const options = (schema.anyOf ?? schema.oneOf) as JsonSchema[] | undefined;
  if (options !== undefined) return [...new Set(options.map(typeText))].join(' or ');
  if (schema.type === 'array') return `list of ${typeText((schema.items as JsonSchema | undefined) ?? {})}`;
  const limits = [
    schema.format === 'date-time' ? 'time' : schema.type,
    schema.contentEncoding,
    schema.minimum !== undefined && schema.maximum !== undefined ? `${schema.minimum}–${schema.maximum}` : undefined,
    schema.maxLength === undefined ? undefined : `≤ ${schema.maxLength}`,
    schema.default === undefined ? undefined : `default ${schema.default}`,
  ];
  return limits.filter((part) => part !== undefined).join(', ');
}

function errorSection(publicUrl: string): string {
  const entries = (Object.entries(errorTable) as [ErrorCode, (typeof errorTable)[ErrorCode]][]).map(
    ([code, { status, meaning, remedy }]) =>
      `<dt id="${code}"><code>${code}</code> <span class="scope">${status}</span></dt><dd>${prose(meaning)} ${prose(remedy)}<pre>${escapeHtml(pretty(exampleError(code, publicUrl)))}</pre></dd>`,
  );
  return `<h2 id="errors">Errors</h2>
<section>
<p>Checks run in this order: 404 and 405, then 401, then 403, then 415, 413 and 400. <code>issues</code> is there where there are any, and lists all of them.</p>
<dl class="codes">${entries.join('\n')}</dl>
</section>`;
}

function pretty(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

/** The little Markdown that descriptions use: `code`, **bold**, [links](https://…), paragraphs. */
function prose(text: string): string {
  return escapeHtml(text)
    .replace(/`([^`]+)`/g, '<code>$1</code>')
    .replace(/\*\*([^*]+)\*\*/g, '<b>$1</b>')
    .replace(/\[([^\]]+)\]\((https:[^)\s]+)\)/g, '<a href="$2">$1</a>')
    .replaceAll('\n\n', '</p><p>');
}
