// The reference for people: one page without scripts, made at the start from the same description as the OpenAPI document.
import { STATUS_CODES } from 'node:http';
import { escapeHtml, pageWithPolicy } from './content-security-policy.ts';
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
<style>${style}</style>
</head>
<body>
<nav>
<a class="brand" href="#top">Maildoot API</a>
<a href="#start">Start</a>
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
${errorSection()}
</main>
</body>
</html>
`;
  return pageWithPolicy(html, ["style-src 'unsafe-inline'", "img-src 'self'"]);
}

function introduction(publicUrl: string): string {
  const host = escapeHtml(publicUrl);
  return `<section id="start">
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
${route.description === undefined ? '' : `<p>${prose(route.description)}</p>`}
${parameterTable(operation.parameters)}
${bodyTable(operation, document)}
<h4>Request</h4>
<pre>${escapeHtml(curl(route, publicUrl))}</pre>
${otherRequests(operation)}
${successes(operation)}
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

function successes(operation: OpenapiOperation): string {
  return Object.entries(operation.responses)
    .filter(([status]) => Number(status) < 400)
    .map(([status, { description, content }]) => {
      const example = Object.values(content ?? {}).flatMap((one: OpenapiContent) => Object.values(one.examples ?? {}))[0];
      const shown =
        example === undefined ? '' : `<pre>${escapeHtml(typeof example.value === 'string' ? example.value : pretty(example.value))}</pre>`;
      return `<h4>${status} ${escapeHtml(STATUS_CODES[status] ?? '')}</h4><p>${prose(description)}</p>${shown}`;
    })
    .join('\n');
}

function failures(route: Route): string {
  const codes = errorsOf(route);
  if (codes.length === 0) return '';
  return `<p class="errors">Can fail with ${codes.map((code) => `<a href="#${code}">${errorTable[code].status} <code>${code}</code></a>`).join(', ')}.</p>`;
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
  // Where several forms are taken, the first is the plain one; the examples show the others.
  const plain = resolved((schema.anyOf as JsonSchema[] | undefined)?.[0] ?? schema, document);
  return `<table><thead><tr><th>Field</th><th>Type</th><th>Meaning</th></tr></thead><tbody>${fieldRows(plain, document, '')}</tbody></table>`;
}

function fieldRows(schema: JsonSchema, document: OpenapiDocument, under: string): string {
  const required = (schema.required as string[] | undefined) ?? [];
  return Object.entries((schema.properties as Record<string, JsonSchema> | undefined) ?? {})
    .map(([name, property]) => {
      const whole = resolved(property, document);
      const items = whole.type === 'array' ? resolved((whole.items as JsonSchema | undefined) ?? {}, document) : {};
      const inner = items.type === 'object' ? fieldRows(items, document, `${under}${name}[].`) : '';
      return row(`${under}${name}`, typeText(whole), required.includes(name), whole.description as string | undefined) + inner;
    })
    .join('');
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

function errorSection(): string {
  const entries = (Object.entries(errorTable) as [ErrorCode, (typeof errorTable)[ErrorCode]][]).map(
    ([code, { status, meaning, remedy }]) =>
      `<dt id="${code}"><code>${code}</code> <span class="scope">${status}</span></dt><dd>${prose(meaning)} ${prose(remedy)}</dd>`,
  );
  return `<h2 id="errors">Errors</h2>
<section>
<pre>{ "error": { "code": "VALIDATION_ERROR", "message": "…what is wrong and what to do", "request_id": "req_…",
             "issues": [ { "path": "to[1].email", "code": "invalid_email", "message": "…" } ], "docs": "…" } }</pre>
<p>Checks run in this order: 404 and 405, then 401, then 403, then 415, 413 and 400. <code>issues</code> is there where there are any, and lists all of them.</p>
<dl class="codes">${entries.join('\n')}</dl>
</section>`;
}

function pretty(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

/** The little Markdown that descriptions use: `code`, **bold**, paragraphs. */
function prose(text: string): string {
  return escapeHtml(text)
    .replace(/`([^`]+)`/g, '<code>$1</code>')
    .replace(/\*\*([^*]+)\*\*/g, '<b>$1</b>')
    .replaceAll('\n\n', '</p><p>');
}

const style = `
:root { color-scheme: light dark; --text: light-dark(#1c2430, #dfe5ee); --soft: light-dark(#5b6675, #97a3b4); --line: light-dark(#dfe4ea, #2c3542); --back: light-dark(#fff, #12161c); --panel: light-dark(#f5f7f9, #1a2029); --accent: light-dark(#0b63ce, #6cb0ff); }
* { box-sizing: border-box; }
body { margin: 0; display: grid; grid-template-columns: 17rem minmax(0, 1fr); font: 15px/1.55 system-ui, sans-serif; color: var(--text); background: var(--back); }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1.2rem; border-right: 1px solid var(--line); display: flex; flex-direction: column; font-size: 14px; }
nav a { color: var(--soft); text-decoration: none; padding: .12rem 0; } nav a:hover { color: var(--accent); }
nav strong { margin-top: 1rem; } nav .brand { font-weight: 700; color: var(--text); font-size: 16px; }
main { padding: 1.5rem 2.5rem 6rem; max-width: 60rem; }
h1 { margin-top: 0; } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); padding-bottom: .3rem; }
.operation { margin: 2rem 0 3rem; } h3 { margin-bottom: .3rem; } h4 { margin: 1.2rem 0 .3rem; }
:target { scroll-margin-top: 1rem; } dt:target { background: var(--panel); outline: 2px solid var(--accent); }
code, pre { font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace; } code { background: var(--panel); padding: .1em .3em; border-radius: 4px; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; } th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line); } th { color: var(--soft); font-weight: 600; }
.method { font: 700 12px/1 ui-monospace, monospace; padding: .3em .5em; border-radius: 5px; color: #fff; background: #556; } .GET { background: #1a7f4b; } .POST { background: #0b63ce; } .DELETE { background: #b3352b; }
.scope { font-size: 12px; color: var(--soft); border: 1px solid var(--line); border-radius: 99px; padding: .1em .6em; } .required { font-size: 11px; color: #c0392b; }
.errors { color: var(--soft); font-size: 13px; } a { color: var(--accent); } dd { margin: 0 0 .8rem 0; color: var(--text); } dt { font-weight: 600; padding: .1rem .3rem; border-radius: 4px; }
summary { cursor: pointer; color: var(--soft); }
@media (max-width: 800px) { body { display: block; } nav { position: static; height: auto; border: 0; } main { padding: 1rem; } }
`;
