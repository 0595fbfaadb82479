// A page of docs/ as HTML. What stands in it as code and names an operation (`POST /v1/messages`) leads to it in the reference.
import { Marked } from 'marked';
import { escapeHtml, pageWithPolicy } from './content-security-policy.ts';
import { docsStyle } from './docs-style.ts';
import type { Document } from './documents.ts';
import type { Page, Route } from './route.ts';

export function documentPage(document: Document, documents: readonly Document[], routes: readonly Route[]): Page {
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(document.title)} · Maildoot</title>
<style>${docsStyle}</style>
</head>
<body>
<nav>
${documentLinks(documents, document)}
<a href="/docs/${document.name}.md">This page as Markdown</a>
</nav>
<main class="prose">
${render(document.markdown, routes)}
</main>
</body>
</html>
`;
  return pageWithPolicy(html, ["style-src 'unsafe-inline'", "img-src 'self'"]);
}

/** The navigation that all pages share. */
export function documentLinks(documents: readonly Document[], current?: Document): string {
  const link = (path: string, title: string, isCurrent: boolean) =>
    `<a href="${path}"${isCurrent ? ' aria-current="page"' : ''}>${escapeHtml(title)}</a>`;
  const linksOf = (part: Document['part']) =>
    documents
      .filter((one) => one.part === part)
      .map((one) => link(`/docs/${one.name}`, one.title, one === current))
      .join('\n');
  return `<a class="brand" href="/docs">Maildoot API</a>
${linksOf('Start')}
${link('/docs', 'Reference', false)}
${linksOf('Reference')}
<strong>Concepts</strong>
${linksOf('Concepts')}`;
}

function render(markdown: string, routes: readonly Route[]): string {
  const marked = new Marked({
    async: false,
    renderer: {
      // What is for the tests alone.
      html: () => '',
      heading({ tokens, depth, text }) {
        return `<h${depth} id="${anchorOf(text)}">${this.parser.parseInline(tokens)}</h${depth}>\n`;
      },
      code: ({ text }) => `<pre>${escapeHtml(text)}</pre>\n`,
      codespan({ text }) {
        const operation = operationNamed(text, routes);
        const code = `<code>${escapeHtml(text)}</code>`;
        return operation === undefined ? code : `<a href="/docs#${operation.operationId}">${code}</a>`;
      },
      link({ href, tokens }) {
        return `<a href="${escapeHtml(href.replace(/\.md(?=#|$)/, ''))}">${this.parser.parseInline(tokens)}</a>`;
      },
    },
  });
  return marked.parse(markdown) as string;
}

/** As GitHub makes them, so that a link works in both places. */
export function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\- _]/gu, '')
    .replaceAll(' ', '-');
}

/** The operation that `GET /v1/messages/:id` names, whatever its placeholders are called. */
export function operationNamed(text: string, routes: readonly Route[]): Route | undefined {
  const [, method, path = ''] = /^(GET|POST|PATCH|DELETE) (\/[^ ?]*)/.exec(text) ?? [];
  const shape = (one: string) => one.replace(/:[a-z_]+/gi, ':');
  return routes.find((route) => route.method === method && shape(route.path) === shape(path));
}
