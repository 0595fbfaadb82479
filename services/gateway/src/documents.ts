// The pages for readers, the quickstart and the concepts of docs/: as HTML at /docs/<name>, as they are written at /docs/<name>.md, and listed for
// machines at /llms.txt (https://llmstxt.org). They are no operations, so the OpenAPI document doesn't have them.
import { readdirSync, readFileSync } from 'node:fs';
import { documentPage } from './document-page.ts';
import { definePublicRoute, type Page, type PublicRoute, page, type Route } from './route.ts';

export interface Document {
  /** Below /docs, without an ending: `concepts/errors`. */
  readonly name: string;
  /** Its heading. */
  readonly title: string;
  /** Its first sentence. */
  readonly summary: string;
  readonly markdown: string;
  readonly part: 'Start' | 'Concepts' | 'Reference';
}

const directory = new URL('../../../docs/', import.meta.url);

/** The quickstart first, then the concepts by name, then the changelog. */
export function readDocuments(): Document[] {
  const concepts = readdirSync(new URL('concepts/', directory)).filter((file) => file.endsWith('.md'));
  const files: [file: string, part: Document['part']][] = [
    ['quickstart.md', 'Start'],
    ...concepts.sort().map((file): [string, 'Concepts'] => [`concepts/${file}`, 'Concepts']),
    ['changelog.md', 'Reference'],
  ];
  return files.map(([file, part]) => {
    const markdown = readFileSync(new URL(file, directory), 'utf8');
    const [, title, first] = /^# (.+)\n\n([\s\S]+?)(?:\n\n|\n?$)/.exec(markdown) ?? [];
    if (title === undefined || first === undefined) throw new Error(`docs/${file} has no heading with a paragraph under it`);
    const paragraph = first.replaceAll('\n', ' ').replace(/\[([^\]]+)\]\([^)]+\)/g, '$1');
    return {
      name: file.replace(/\.md$/, ''),
      title,
      summary: /^.+?\.(?= |$)/.exec(paragraph)?.[0] ?? paragraph,
      markdown,
      part,
    };
  });
}

export function documentRoutes(routes: readonly Route[], publicUrl: string): PublicRoute[] {
  const documents = readDocuments();
  const served = { method: 'GET', tag: 'Platform', responses: [{ status: 200, description: 'The page.' }] } as const;
  const text = (path: string, contentType: string, content: string): PublicRoute =>
    definePublicRoute({
      ...served,
      path,
      operationId: path,
      summary: path,
      handle: () => ({ status: 200, content: { text: content, contentType: `${contentType}; charset=utf-8` } }),
    });
  return [
    text('/llms.txt', 'text/plain', llmsText(documents, publicUrl)),
    ...documents.flatMap((document): PublicRoute[] => {
      const path = `/docs/${document.name}`;
      // Most processes are never asked for most pages.
      let made: Page | undefined;
      const handle = () => {
        made ??= documentPage(document, documents, routes);
        return page(made);
      };
      return [
        definePublicRoute({ ...served, path, operationId: path, summary: document.title, handle }),
        text(`${path}.md`, 'text/markdown', document.markdown),
      ];
    }),
  ];
}

function llmsText(documents: readonly Document[], publicUrl: string): string {
  const linesOf = (part: Document['part']) =>
    documents
      .filter((document) => document.part === part)
      .map(({ name, title, summary }) => `- [${title}](${publicUrl}/docs/${name}.md): ${summary}`)
      .join('\n');
  return `# Maildoot

> A self-hosted e-mail platform with a transactional API: one call, a durable 202, delivered by its own mail servers; webhooks, templates, domains with DKIM, SMTP submission.

The API is JSON over HTTP at ${publicUrl}/v1, with an API key in \`Authorization: Bearer mdsk_…\`. Every operation answers errors in one shape with a code of a closed list.

## Start

${linesOf('Start')}

## Reference

- [OpenAPI 3.1 document](${publicUrl}/v1/openapi.json): every operation with its schemas, statuses and examples.
- [Reference](${publicUrl}/docs): the same as one HTML page.
${linesOf('Reference')}

## Concepts

${linesOf('Concepts')}
`;
}
