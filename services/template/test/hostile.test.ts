// Templates that mean harm. Each costs its owner an error, within a bounded time, and nobody else anything: the process lives, the next template
// of another tenant is rendered at once.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Issue, RpcError } from '@maildoot/rpc/errors';
import { newId } from '@maildoot/runtime/ids';
import { errorOf, type RunningTemplates, startTemplates } from './running-templates.ts';

let templates: RunningTemplates;
before(async () => {
  templates = await startTemplates({ RENDER_CPU_LIMIT: '100', RENDER_HEAP: '64' });
});
after(() => templates[Symbol.asyncDispose]());

/** Longer than any of these may take, a busy machine included; endless is longer. */
const withinMs = 60_000;

interface Hostile {
  what: string;
  html: string;
  variables?: unknown;
  /** What becomes of it: an error, or harmless text. */
  comesOut: 'error' | RegExp;
}

const big = 'x'.repeat(200_000);
/** Seconds in a single node, with `s` of that length. */
const endless = `{{ s ${'| slugify: "latin" '.repeat(3000)} }}`;

const corpus: Hostile[] = [
  // Loops.
  { what: 'a loop over a large range', html: '{% for i in (1..1000000000) %}{% endfor %}', comesOut: 'error' },
  {
    what: 'loops in loops',
    html: '{% for i in (1..9999) %}{% for j in (1..9999) %}{% for k in (1..99) %}{% endfor %}{% endfor %}{% endfor %}',
    comesOut: 'error',
  },
  {
    what: 'loops in loops over what is given',
    html: '{% for a in l %}{% for b in l %}{% for c in l %}{% assign x = a %}{% endfor %}{% endfor %}{% endfor %}',
    variables: { l: Array.from({ length: 2000 }, (_, index) => index) },
    comesOut: 'error',
  },
  { what: 'a table of a large range', html: '{% tablerow i in (1..100000000) cols:2 %}x{% endtablerow %}', comesOut: 'error' },
  { what: 'a range that ends at infinity', html: '{% for i in (1..n) %}x{% endfor %}', variables: { n: 1e308 }, comesOut: 'error' },
  {
    what: 'a range that is given as text',
    html: '{% for i in (a..b) %}x{% endfor %}',
    variables: { a: '1', b: '999999999999' },
    comesOut: 'error',
  },

  // Output.
  {
    what: 'text that doubles by a filter',
    html: `{% assign s = 'xxxxxxxxxx' %}${'{% assign s = s | append: s %}'.repeat(40)}{{ s }}`,
    comesOut: 'error',
  },
  {
    what: 'text that doubles by captures',
    html: `{% assign s = 'xxxxxxxxxx' %}${'{% capture s %}{{ s }}{{ s }}{% endcapture %}'.repeat(60)}{{ s }}`,
    comesOut: 'error',
  },
  {
    what: 'text that doubles in a loop',
    html: '{% assign s = "x" %}{% for i in (1..100) %}{% capture s %}{{ s }}{{ s }}{% endcapture %}{% endfor %}{{ s | size }}',
    comesOut: 'error',
  },
  {
    what: 'a large text written often',
    html: '{% for i in (1..10000) %}{{ big }}{% endfor %}',
    variables: { big },
    comesOut: 'error',
  },
  {
    what: 'replacing each character by much',
    html: '{{ big | replace: "x", big }}',
    variables: { big },
    comesOut: 'error',
  },
  {
    what: 'joining with much',
    html: '{{ l | join: big }}',
    variables: { l: Array.from({ length: 10_000 }, () => 'a'), big },
    comesOut: 'error',
  },
  {
    what: 'more text than a message has, each piece of it harmless',
    html: '{% for i in (1..15) %}{{ big | raw }}{% endfor %}',
    variables: { big },
    comesOut: 'error',
  },
  { what: 'a date that is filled up', html: '{{ "now" | date: "%1000000000Y" }}', comesOut: 'error' },
  { what: 'a fraction of a second with very many digits', html: '{{ "now" | date: "%999999999N" }}', comesOut: 'error' },
  {
    what: 'a list that doubles',
    html: `{% assign l = "a,b" | split: "," %}${'{% assign l = l | concat: l %}'.repeat(40)}`,
    comesOut: 'error',
  },
  { what: 'a slice of very much', html: '{{ "x" | slice: 0, 1000000000000 }}', comesOut: 'error' },

  // Filters that take long, within one node: nobody looks at the time there, so the thread is ended from outside.
  { what: 'a chain of filters over much text', html: endless, variables: { s: big }, comesOut: 'error' },

  // Regular expressions in filters, quadratic in what they are given if they were simple ones.
  {
    what: 'tags that are never closed',
    html: '{{ s | strip_html }}',
    variables: { s: '<script'.repeat(35_000) },
    comesOut: /^&lt;script/,
  },
  { what: 'comments that are never closed', html: '{{ s | strip_html }}', variables: { s: '<!--'.repeat(60_000) }, comesOut: /^&lt;!--/ },
  {
    what: 'spaces without end',
    html: '{{ s | strip_newlines | rstrip | strip }}',
    variables: { s: `${' '.repeat(200_000)}x` },
    comesOut: /x/,
  },

  // Parsing.
  { what: 'very many outputs', html: '{{a}}'.repeat(100_000), variables: { a: 1 }, comesOut: 'error' },
  { what: 'very many tags', html: '{% assign a = 1 %}'.repeat(28_000), comesOut: /^\s*$/ },
  {
    what: 'conditions in conditions',
    html: `${'{% if a %}'.repeat(20_000)}x${'{% endif %}'.repeat(20_000)}`,
    variables: { a: 1 },
    comesOut: 'error',
  },
  { what: 'brackets without end', html: `{{ ${'a['.repeat(20_000)}0${']'.repeat(20_000)} }}`, variables: { a: 1 }, comesOut: 'error' },
  { what: 'filters without end', html: `{{ "a" ${'| upcase '.repeat(50_000)} }}`, comesOut: /^(A|.*)$/s },
  { what: 'an operator that never ends', html: `{% if ${'a and '.repeat(50_000)}a %}x{% endif %}`, variables: { a: 1 }, comesOut: /^x?$/ },

  {
    what: 'very many arguments that are missing, often',
    html: `{% for i in (1..1000) %}{{ a | append: ${Array(20_000).fill('b').join(',')} }}{% endfor %}`,
    comesOut: 'error',
  },
  { what: 'a range without end behind what is missing', html: '{{ a | append: (1..100000000) }}', comesOut: 'error' },

  // What is not theirs.
  { what: 'the constructor of a text', html: '{{ s.constructor.constructor }}', variables: { s: 'x' }, comesOut: 'error' },
  { what: 'the prototype of an object', html: '{{ o.__proto__.polluted }}', variables: { o: {} }, comesOut: 'error' },
  { what: 'what every object has', html: '{{ o.hasOwnProperty }}{{ constructor }}{{ toString }}', variables: { o: {} }, comesOut: 'error' },
  { what: 'the constructor of a list', html: '{{ l["constructor"]["name"] }}', variables: { l: [1] }, comesOut: 'error' },
  {
    what: 'a prototype that is given',
    html: '{{ polluted }}',
    variables: JSON.parse('{"__proto__":{"polluted":"yes"}}'),
    comesOut: 'error',
  },
  {
    what: 'a prototype that is assigned',
    html: '{% assign __proto__ = o %}{{ polluted }}',
    variables: { o: { polluted: 'yes' } },
    comesOut: 'error',
  },
  { what: 'a prototype that is counted', html: '{% increment __proto__ %}{% increment constructor %}', comesOut: /^00$/ },
  { what: 'the process', html: '{{ process.env }}{{ globalThis }}{{ require }}', comesOut: 'error' },
  { what: 'a file', html: "{% render '/etc/passwd' %}", comesOut: 'error' },
  { what: 'a file that is given', html: '{% include f %}', variables: { f: '/etc/passwd' }, comesOut: 'error' },
  { what: 'a file above', html: "{% layout '../../package.json' %}", comesOut: 'error' },

  { what: 'the prototype by a name that is given', html: '{{ o[k] }}', variables: { o: {}, k: '__proto__' }, comesOut: 'error' },
  {
    what: 'a constructor by a filter',
    html: '{{ l | map: "constructor" | first }}{{ l | where: "__proto__" | size }}',
    variables: { l: [{}] },
    comesOut: /^0?$/,
  },
  {
    what: 'the size and first of what has none',
    html: '{{ o.size.constructor }}{{ s.first.constructor }}',
    variables: { o: {}, s: 'x' },
    comesOut: 'error',
  },
  { what: 'a file whose name is put together', html: '{% assign f = "/etc" | append: "/passwd" %}{% render f %}', comesOut: 'error' },
  { what: 'a file by an address', html: "{% include 'file:///etc/passwd' %}{% render 'https://127.0.0.1/' %}", comesOut: 'error' },
  { what: 'a name that climbs, encoded', html: "{% render '..%2f..%2fetc%2fpasswd' %}", comesOut: 'error' },

  // Regular expressions: what is given is split and replaced as text, never taken for a pattern.
  {
    what: 'a pattern that backtracks',
    html: '{{ s | replace: "(a+)+$", "x" | split: "(a|aa)+$" | size }}',
    variables: { s: `${'a'.repeat(100_000)}!` },
    comesOut: /^1$/,
  },
  {
    what: 'a date with a format of its own making',
    html: '{{ "now" | date: s }}',
    variables: { s: '%%%^-_0#:Y'.repeat(20_000) },
    comesOut: /^(.*)$/s,
  },
  {
    what: 'a truncated text of words without end',
    html: '{{ s | truncatewords: 1, "" }}',
    variables: { s: 'a '.repeat(120_000) },
    comesOut: /^a$/,
  },
  {
    what: 'sorting much, often',
    html: '{{ s | split: "" | sort | reverse | uniq | join }}'.repeat(40),
    variables: { s: big },
    comesOut: 'error',
  },
  {
    what: 'text turned to markup, often',
    html: `{{ s ${'| newline_to_br '.repeat(400)} }}`,
    variables: { s: '\n'.repeat(100_000) },
    comesOut: 'error',
  },

  // Characters.
  {
    what: 'marks without end on one letter',
    html: '{{ s | upcase | capitalize }}',
    variables: { s: `a${'\u0301'.repeat(100_000)}` },
    comesOut: /^A\u0301/,
  },
  {
    what: 'a letter that grows when it is made upper case',
    html: '{{ s | upcase }}'.repeat(60),
    variables: { s: 'ß'.repeat(100_000) },
    comesOut: 'error',
  },
  {
    what: 'halves of characters',
    html: '{{ s | slice: 1 }}{{ s | truncate: 1, "" }}',
    variables: { s: '👍👍' },
    comesOut: /^[👍\ufffd]+$/u,
  },
  { what: 'directions without end', html: '{{ s }}', variables: { s: '\u202e\u2066'.repeat(30_000) }, comesOut: /^\u202e/ },
  { what: 'NUL and other controls', html: '{{ s }}', variables: { s: '\0a\0\x1b[2J\0' }, comesOut: /^a.\[2J$/ },

  // Nesting.
  { what: 'tags in tags, as many as there is room for', html: '{%if a%}'.repeat(60_000), variables: { a: 1 }, comesOut: 'error' },
  { what: 'captures in captures', html: `${'{% capture a %}'.repeat(15_000)}${'{% endcapture %}'.repeat(15_000)}`, comesOut: 'error' },
  { what: 'markup in markup', html: '<b>'.repeat(170_000), comesOut: /^<b>/ },
  { what: 'a list in a list in a path', html: `{{ a${'[0]'.repeat(100_000)} }}`, variables: { a: [1] }, comesOut: 'error' },
  { what: 'cases without end', html: `{% case a %}${'{% when 1 %}x'.repeat(35_000)}{% endcase %}`, variables: { a: 2 }, comesOut: /^$/ },
  { what: 'a comment that is never closed', html: `${'{% comment %}'.repeat(30_000)}`, comesOut: 'error' },
  { what: 'raw that is never closed', html: `${'{% raw %}'.repeat(50_000)}`, comesOut: 'error' },
  { what: 'counters without end', html: Array.from({ length: 20_000 }, (_, n) => `{% increment a${n} %}`).join(''), comesOut: /^0/ },
  { what: 'a cycle of very much', html: '{% for i in (1..1000) %}{% cycle s, s %}{% endfor %}', variables: { s: big }, comesOut: 'error' },

  // Values.
  { what: 'a value that can’t be text', html: '{{ o }}', variables: { o: { toString: 1, valueOf: 1 } }, comesOut: 'error' },
  { what: 'lists in lists', html: '{{ l }}', variables: deep(20_000), comesOut: 'error' },
  { what: 'the same as JSON', html: '{{ l | json }}', variables: deep(20_000), comesOut: 'error' },
  { what: 'a number with too many places', html: '{{ 1 | round: 100000 }}{{ 1 | divided_by: 0 }}', comesOut: /.*/s },
];

function deep(levels: number): unknown {
  return { toJSON: () => JSON.parse(`{"l":${'['.repeat(levels)}${']'.repeat(levels)}}`) };
}

describe('a hostile template', () => {
  for (const { what, html, variables = {}, comesOut } of corpus) {
    test(what, async () => {
      const owner = newId('ten');
      const beganMs = performance.now();
      const outcome = await saveAndRender(owner, html, variables);
      assert.ok(performance.now() - beganMs < withinMs);
      if (outcome.code === 'TEMPLATE_ERROR') {
        const [issue] = outcome.issues;
        assert.ok(issue, 'what is wrong is said');
        // What takes too long to be parsed, or is too deep for that, has no place: it is everywhere.
        if (!/nested too deeply|to be read: it has too many tags/.test(issue.message))
          assert.ok(issue.line && issue.column, `without a place: ${JSON.stringify(issue)}`);
      }
      if (comesOut === 'error') assert.match(outcome.code, /^(TEMPLATE_ERROR|MISSING_VARIABLES)$/);
      else if (outcome.code !== 'TEMPLATE_ERROR') assert.match(outcome.html, comesOut);
      // The same process, and nothing of it has become different.
      assert.equal(({} as Record<string, unknown>).polluted, undefined);
      assert.equal((await templates.fill(await harmless(), { a: 1 })).text, 'harmless 1');
    });
  }
});

test('is refused in a preview too, with its place; publishing one renders nothing', async () => {
  const tenantId = newId('ten');
  const html = `line 1\n  ${endless}`;
  const { id } = await templates.create({ subject: '', html, draft: true }, tenantId);
  const { template } = await templates.gateway.publishTemplate(
    { id, version: 1, idempotencyKey: '', requestSha256: Buffer.alloc(0) },
    { tenantId },
  );
  assert.equal(template?.publishedVersion, 1);
  const variablesJson = Buffer.from(JSON.stringify({ s: big }));
  const refused = await templates.gateway
    .previewTemplate({ id, version: 0, variablesJson }, { tenantId })
    .catch((error: RpcError) => error);
  assert.ok('code' in refused && refused.code === 'TEMPLATE_ERROR');
  assert.deepEqual(
    refused.detail.issues.map(({ path, code, line, column }) => [path, code, line, column]),
    [['html', 'time_limit', 2, 3]],
  );
});

let harmlessId: string | undefined;
async function harmless(): Promise<string> {
  harmlessId ??= (await templates.create({ text: 'harmless {{ a }}' })).id;
  return harmlessId;
}

interface Outcome {
  /** Empty = it was rendered. */
  code: string;
  issues: Issue[];
  html: string;
}

/** The html that comes out, or the error: of saving, of rendering. */
async function saveAndRender(tenantId: string, html: string, variables: unknown): Promise<Outcome> {
  const saved = await templates.create({ subject: '', html }, tenantId).catch((error: RpcError) => error);
  if (!('id' in saved)) return { code: saved.code, issues: saved.detail.issues, html: '' };
  const json = variables instanceof Object && 'toJSON' in variables ? (variables as { toJSON(): unknown }).toJSON() : variables;
  const variablesJson = Buffer.from(stringified(json));
  const { results } = await templates.messaging.renderTemplates(
    { items: [{ template: saved.id, version: 0, variablesJson }] },
    { tenantId },
  );
  const [result] = results;
  if (result?.result?.$case === 'rendered') return { code: '', issues: [], html: result.result.value.html };
  const { code, issues } = errorOf(result);
  return { code, issues, html: '' };
}

// JSON.stringify does not get so deep, and it leaves an own __proto__ in.
function stringified(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'l' in value && Array.isArray(value.l) && value.l.length <= 1) {
    let levels = 0;
    for (let at: unknown = value.l; Array.isArray(at); at = at[0]) levels++;
    if (levels > 100) return `{"l":${'['.repeat(levels)}${']'.repeat(levels)}}`;
  }
  return JSON.stringify(value);
}

describe('nobody else waits', () => {
  test('while tenants keep their threads busy, another one’s messages are rendered at once', { timeout: 300_000 }, async () => {
    const id = await harmless();
    await templates.fill(id, { a: 0 });
    const html = endless;
    const variables = { s: big };
    const hostile = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const tenantId = newId('ten');
        return { tenantId, template: (await templates.create({ html, subject: '' }, tenantId)).id };
      }),
    );
    // The first of each is known for what it is only afterwards.
    await Promise.all(hostile.map(({ tenantId, template }) => templates.render([{ template, variables }], tenantId).catch(() => [])));

    let stopped = false;
    const attacks = hostile.map(async ({ tenantId, template }) => {
      while (!stopped) {
        const [result] = await templates.render([{ template, variables }], tenantId).catch(() => []);
        if (result !== undefined) assert.equal(errorOf(result).code, 'TEMPLATE_ERROR');
      }
    });
    const tookMs: number[] = [];
    try {
      for (let round = 0; round < 50; round++) {
        const beganMs = performance.now();
        assert.equal((await templates.fill(id, { a: round })).text, `harmless ${round}`);
        tookMs.push(performance.now() - beganMs);
      }
    } finally {
      stopped = true;
      await Promise.all(attacks);
    }
    // A thread that had to be waited for would have been busy for its whole limit, 300 ms of CPU time and more.
    // The machine may be busy with more than this: those that had it to themselves tell.
    const quick = tookMs.sort((a, b) => a - b)[5] as number;
    assert.ok(quick < 150, `nine of ten took ${quick} ms and more`);
    assert.ok(templates.logs.text.includes('a render thread was ended'), 'threads were really ended');
  });

  test('many messages with one hostile template end soon: what has run into its limit twice is not tried again', async () => {
    const tenantId = newId('ten');
    const { id } = await templates.create(
      { subject: '', html: '{% for a in l %}{% for b in l %}{% for c in l %}{{ c }}{% endfor %}{% endfor %}{% endfor %}' },
      tenantId,
    );
    const variables = { l: Array.from({ length: 1000 }, () => '') };
    const beganMs = performance.now();
    const results = await templates.render(
      Array.from({ length: 200 }, () => ({ template: id, variables })),
      tenantId,
    );
    assert.ok(performance.now() - beganMs < withinMs);
    assert.deepEqual(new Set(results.map((result) => errorOf(result).code)), new Set(['TEMPLATE_ERROR']));
  });
});
