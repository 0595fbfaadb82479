// The pages of docs/ as the gateway serves them: each answers as HTML and as it is written, llms.txt names them all, no link is dead, and what
// they say there is, there is.
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { eventTypes } from '@maildoot/webhooks/event-types';
import { escapeHtml } from '../src/content-security-policy.ts';
import { anchorOf, operationNamed } from '../src/document-page.ts';
import { exampleError } from '../src/error-json.ts';
import { type ErrorCode, errorTable } from '../src/errors.ts';
import { messageStatus } from '../src/message-json.ts';
import { errorsOf } from '../src/route.ts';
import { routes } from '../src/routes.ts';
import { FakeServices } from './fake-services.ts';
import { type Gateway, startGateway } from './running-gateway.ts';

const publicUrl = 'https://api.example.com';
const root = fileURLToPath(new URL('../../../', import.meta.url));
const docs = `${root}docs/`;
const names = ['quickstart', ...globSync('concepts/*.md', { cwd: docs }).map((file) => file.replace(/\.md$/, '')), 'changelog'];
/** What pages may lead to elsewhere. Nothing is loaded from there. */
const elsewhere = ['https://liquidjs.com', 'https://www.standardwebhooks.com'];

let services: FakeServices;
let gateway: Gateway;
before(async () => {
  services = await FakeServices.start();
  gateway = await startGateway(services, { PUBLIC_URL: publicUrl });
});
after(async () => {
  await gateway[Symbol.asyncDispose]();
  await services[Symbol.asyncDispose]();
});

/** As a browser does: pages are no operations, so the client of these tests has nothing to hold them against. */
async function get(path: string, method = 'GET') {
  const response = await fetch(`${gateway.url}${path}`, { method, redirect: 'follow' });
  return { status: response.status, headers: response.headers, text: await response.text() };
}
const linksIn = (html: string): string[] => [...html.matchAll(/ href="([^"]+)"/g)].map(([, href]) => (href ?? '').replaceAll('&#38;', '&'));
const proseOf = (markdown: string): string => markdown.replace(/^```[\s\S]*?^```$/gm, '');
const read = (name: string): string => readFileSync(`${docs}${name}.md`, 'utf8');

test('every page is served as HTML that runs nothing, and as it is written', async () => {
  assert.ok(names.length > 15);
  for (const name of names) {
    const html = await get(`/docs/${name}`);
    assert.equal(html.status, 200, name);
    assert.match(String(html.headers.get('content-security-policy')), /^default-src 'none'; script-src 'none';/);
    assert.doesNotMatch(html.text, /<script|<!--|undefined|\[object|<[^>]* src=/);
    const written = await get(`/docs/${name}.md`);
    assert.match(String(written.headers.get('content-type')), /^text\/markdown/);
    assert.equal(written.text, read(name));
    assert.equal((await get(`/docs/${name}`, 'HEAD')).status, 200);
    assert.equal((await gateway.call('POST', `/docs/${name}`)).status, 405);
  }
});

test('no link on any page is dead, anchors included', async () => {
  const pages = new Map<string, string>();
  const open = async (path: string): Promise<string> => {
    const known = pages.get(path);
    if (known !== undefined) return known;
    const { status, text } = await get(path);
    assert.equal(status, 200, path);
    pages.set(path, text);
    return text;
  };
  let followed = 0;
  for (const path of ['/docs', ...names.map((name) => `/docs/${name}`)]) {
    for (const href of linksIn(await open(path))) {
      if (elsewhere.some((site) => href.startsWith(site))) continue;
      const url = new URL(href, `${publicUrl}${path}`);
      assert.equal(url.origin, publicUrl, `${path} leads to ${href}`);
      const target = await open(url.pathname);
      if (url.hash !== '') assert.ok(target.includes(`id="${url.hash.slice(1)}"`), `${path} leads to ${href}, which has no such place`);
      followed++;
    }
  }
  assert.ok(followed > 300);
});

test('the reference shows an example of every answer, errors included', async () => {
  const { text } = await get('/docs');
  const shows = (value: unknown) => text.includes(escapeHtml(typeof value === 'string' ? value : JSON.stringify(value, null, 2)));
  for (const route of routes) {
    for (const { status, example } of route.responses)
      if (example !== undefined) assert.ok(shows(example), `${route.operationId} ${status}`);
    if (route.kind === 'public') continue;
    for (const code of errorsOf(route)) assert.ok(text.includes(`href="#${code}"`), `${route.operationId} ${code}`);
  }
  for (const code of Object.keys(errorTable) as ErrorCode[]) assert.ok(shows(exampleError(code, publicUrl)), code);
});

test('llms.txt is in the form of llmstxt.org, names every page, and all that it names answers', async () => {
  const { status, text, headers } = await get('/llms.txt');
  assert.equal(status, 200);
  assert.match(String(headers.get('content-type')), /^text\/plain; charset=utf-8/);
  assert.match(text, /^# Maildoot\n\n> \S.+\n\n/);
  const lists = text.split(/^## .+$/m).slice(1);
  for (const line of lists.flatMap((list) => list.trim().split('\n'))) assert.match(line, /^- \[[^\]]+\]\(https:[^)]+\): \S.*\.$/);
  const links = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, link]) => link ?? '');
  for (const link of links) assert.equal((await get(link.replace(publicUrl, ''))).status, 200, link);
  for (const path of [...names.map((name) => `/docs/${name}.md`), '/v1/openapi.json'])
    assert.ok(links.includes(`${publicUrl}${path}`), path);
});

test('links between the files lead to files and headings', () => {
  const files = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', ...names.map((name) => `docs/${name}.md`)];
  for (const file of files) {
    for (const [, href = ''] of proseOf(readFileSync(root + file, 'utf8')).matchAll(/\]\(([^)\s]+)\)/g)) {
      // What the gateway serves is followed above.
      if (/^https?:/.test(href) || href.startsWith('/')) continue;
      const url = new URL(href, `file://${root}${file}`);
      assert.ok(existsSync(url), `${file}: ${href}`);
      if (url.hash === '') continue;
      const headings = [...readFileSync(url, 'utf8').matchAll(/^#+ (.+)$/gm)].map(([, heading]) => `#${anchorOf(heading ?? '')}`);
      assert.ok(headings.includes(url.hash), `${file}: ${href}`);
    }
  }
});

test('what pages name exists: operations, events, states', () => {
  let named = 0;
  for (const name of names) {
    for (const [, code = ''] of proseOf(read(name)).matchAll(/`((?:GET|POST|PUT|PATCH|DELETE) [^`]+)`/g)) {
      assert.ok(operationNamed(code, routes), `docs/${name}.md: ${code}`);
      named++;
    }
  }
  assert.ok(named > 40);
  for (const type of eventTypes) assert.ok(read('concepts/events').includes(`\`${type}\``), type);
  for (const status of messageStatus.words) assert.ok(read('concepts/messages').includes(`\`${status}\``), status);
});
