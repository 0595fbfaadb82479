// Templates as their owner keeps them: immutable versions, draft and publish, alias, partials, variables; and what another tenant sees.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { CreateTemplateRequest } from '@maildoot/proto/maildoot/template/v1/template';
import type { RpcError } from '@maildoot/rpc/errors';
import { idToUuid, newId } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { errorOf, present, type RunningTemplates, startTemplates } from './running-templates.ts';

let templates: RunningTemplates;
before(async () => {
  templates = await startTemplates();
});
after(() => templates[Symbol.asyncDispose]());

const hash = (text: string) => createHash('sha256').update(text).digest();

async function refusal(call: Promise<unknown>): Promise<{ code: string; detail: unknown }> {
  return await call.then(
    () => assert.fail('this was to be refused'),
    (error: { code: string; detail: unknown }) => error,
  );
}

describe('versions', () => {
  test('the first one is published, and what is rendered is its text with the variables', async () => {
    const made = await templates.create({ subject: 'Order {{ order }}', html: '<p>Hello {{ name }}!</p>', text: 'Hello {{ name }}!' });
    assert.match(made.id, /^tpl_/);
    assert.deepEqual([made.publishedVersion, made.latestVersion, made.version?.number, made.version?.published], [1, 1, 1, true]);
    assert.deepEqual(await templates.fill(made.id, { order: 7, name: '<b>Ada</b>' }), {
      subject: 'Order 7',
      html: '<p>Hello &lt;b&gt;Ada&lt;/b&gt;!</p>',
      text: 'Hello <b>Ada</b>!',
      templateId: made.id,
      templateVersion: 1,
    });
  });

  test('a source that is changed is a new version, published at once; the first one stays as it was', async () => {
    const { id } = await templates.create({ subject: 'One', text: 'first' });
    const second = await templates.update(id, { text: 'second' });
    assert.deepEqual([second.publishedVersion, second.latestVersion, second.version?.subject], [2, 2, 'One']);
    assert.equal((await templates.fill(id)).text, 'second');
    const [, old] = await templates.render([{ template: id }, { template: id, version: 1 }]);
    assert.equal(old?.result?.$case === 'rendered' && old.result.value.text, 'first');
    const { versions } = await templates.gateway.listVersions({ id, limit: 0, beforeNumber: 0 }, { tenantId: templates.tenantId });
    assert.deepEqual(
      versions.map(({ number, text, published }) => [number, text, published]),
      [
        [2, 'second', true],
        [1, 'first', false],
      ],
    );
  });

  test('a draft is not sent until it is published; publishing an older version goes back', async () => {
    const { id } = await templates.create({ text: 'one' });
    const draft = await templates.update(id, { text: 'two', draft: true });
    assert.deepEqual([draft.publishedVersion, draft.latestVersion, draft.version?.published], [1, 2, false]);
    assert.equal((await templates.fill(id)).text, 'one');
    const publish = async (version: number) =>
      present(
        await templates.gateway.publishTemplate(
          { id, version, idempotencyKey: '', requestSha256: Buffer.alloc(0) },
          { tenantId: templates.tenantId },
        ),
      );
    assert.equal((await publish(0)).publishedVersion, 2);
    assert.equal((await templates.fill(id)).text, 'two');
    assert.equal((await publish(1)).publishedVersion, 1);
    assert.equal((await templates.fill(id)).text, 'one');
    await assert.rejects(publish(3), { code: 'NOT_FOUND' });
  });

  test('a template that was never published is not sent, and says so', async () => {
    const { id, publishedVersion } = await templates.create({ text: 'x', draft: true });
    assert.equal(publishedVersion, 0);
    const error = errorOf((await templates.render([{ template: id }]))[0]);
    assert.deepEqual([error.code, error.issues.map(({ path }) => path)], ['NOT_FOUND', ['version']]);
  });

  test('the database itself refuses to change one', async () => {
    const { id } = await templates.create({ text: 'x' });
    assert.ok(id);
    await assert.rejects(templates.database.pool.query("UPDATE template_version SET text = 'y'"), /never changes/);
  });

  test('a name alone makes no version', async () => {
    const { id } = await templates.create({ text: 'x' });
    const renamed = await templates.update(id, { name: 'Other', alias: 'renamed-one' });
    assert.deepEqual([renamed.name, renamed.alias, renamed.latestVersion], ['Other', 'renamed-one', 1]);
    assert.equal((await templates.update('renamed-one', { alias: '' })).alias, '');
  });

  test('saves at the same time all become versions, none is lost', async () => {
    const { id } = await templates.create({ text: 'x' });
    await Promise.all(['a', 'b', 'c'].map((text) => templates.update(id, { text })));
    const { versions } = await templates.gateway.listVersions({ id, limit: 0, beforeNumber: 0 }, { tenantId: templates.tenantId });
    assert.deepEqual(versions.map(({ text }) => text).sort(), ['a', 'b', 'c', 'x']);
  });

  test('saves of different parts at the same time end up together: each takes over what is newest when it is kept', async () => {
    const { id } = await templates.create({ subject: 'old', text: 'old', html: 'old' });
    await Promise.all([
      templates.update(id, { subject: 'new' }),
      templates.update(id, { text: 'new' }),
      templates.update(id, { html: 'new' }),
    ]);
    const { subject, text, html } = await templates.fill(id);
    assert.deepEqual([subject, text, html], ['new', 'new', 'new']);
  });

  test('a template that is deleted is gone with its versions', async () => {
    const { id } = await templates.create({ text: 'x' });
    await templates.gateway.deleteTemplate({ id }, { tenantId: templates.tenantId });
    await assert.rejects(templates.gateway.getTemplate({ id, version: 0 }, { tenantId: templates.tenantId }), { code: 'NOT_FOUND' });
    await assert.rejects(templates.gateway.deleteTemplate({ id }, { tenantId: templates.tenantId }), { code: 'NOT_FOUND' });
    assert.equal(errorOf((await templates.render([{ template: id }]))[0]).code, 'NOT_FOUND');
  });
});

describe('names', () => {
  test('an alias stands for the id everywhere, and is the tenant’s own', async () => {
    const made = await templates.create({ text: 'mine', alias: 'welcome' });
    const other = newId('ten');
    await templates.create({ text: 'theirs', alias: 'welcome' }, other);
    assert.equal((await templates.fill('welcome')).text, 'mine');
    assert.equal((await templates.fill('welcome', {}, other)).text, 'theirs');
    assert.equal((await templates.fill('welcome')).templateId, made.id);
  });

  test('an alias is had by one template', async () => {
    await templates.create({ text: 'x', alias: 'taken' });
    const { id } = await templates.create({ text: 'x' });
    await assert.rejects(templates.create({ text: 'x', alias: 'taken' }), { code: 'CONFLICT' });
    await assert.rejects(templates.update(id, { alias: 'taken' }), { code: 'CONFLICT' });
  });

  test('all that is wrong with names and sources is told', async () => {
    await assert.rejects(templates.create({ name: '', alias: 'tpl_x', text: 'x' }), ({ code, detail }: never) => {
      assert.equal(code, 'VALIDATION_ERROR');
      assert.deepEqual(
        (detail as { issues: { path: string }[] }).issues.map(({ path }) => path),
        ['name', 'alias'],
      );
      return true;
    });
    await assert.rejects(templates.create({}), { code: 'VALIDATION_ERROR' });
  });

  test('lists are the tenant’s own, newest first, in pages', async () => {
    const tenantId = newId('ten');
    const made = [];
    for (const text of ['a', 'b', 'c']) made.push(await templates.create({ text }, tenantId));
    const first = await templates.gateway.listTemplates({ limit: 2, afterId: '' }, { tenantId });
    assert.deepEqual([first.templates.map(({ id }) => id), first.hasMore], [[made[2]?.id, made[1]?.id], true]);
    const second = await templates.gateway.listTemplates({ limit: 2, afterId: made[1]?.id ?? '' }, { tenantId });
    assert.deepEqual([second.templates.map(({ id }) => id), second.hasMore], [[made[0]?.id], false]);
  });

  test('another tenant’s template answers exactly like none', async () => {
    const { id } = await templates.create({ text: 'x' });
    const tenantId = newId('ten');
    const none = newId('tpl');
    for (const call of [
      (name: string) => templates.gateway.getTemplate({ id: name, version: 0 }, { tenantId }),
      (name: string) => templates.update(name, { text: 'y' }, tenantId),
      (name: string) => templates.gateway.deleteTemplate({ id: name }, { tenantId }),
      (name: string) => templates.gateway.listVersions({ id: name, limit: 0, beforeNumber: 0 }, { tenantId }),
      (name: string) => templates.gateway.previewTemplate({ id: name, version: 0, variablesJson: Buffer.alloc(0) }, { tenantId }),
      (name: string) =>
        templates.gateway.publishTemplate({ id: name, version: 1, idempotencyKey: '', requestSha256: Buffer.alloc(0) }, { tenantId }),
    ]) {
      const [theirs, nobodys] = await Promise.all([id, none].map((name) => refusal(call(name))));
      assert.equal(theirs?.code, 'NOT_FOUND');
      assert.deepEqual(theirs?.detail, nobodys?.detail);
    }
    assert.deepEqual(
      errorOf((await templates.render([{ template: id }], tenantId))[0]),
      errorOf((await templates.render([{ template: none }], tenantId))[0]),
    );
    assert.equal((await templates.fill(id)).text, 'x');
  });
});

describe('syntax errors', () => {
  for (const [what, source, part, line, column] of [
    ['a tag that is not closed', { html: '<p>\n  {% if a %}yes' }, 'html', 2, 3],
    ['a filter that does not exist', { text: 'one\ntwo {{ a | nope }}' }, 'text', 2, 5],
    ['a tag that does not exist', { subject: '{% frobnicate %}', text: 'x' }, 'subject', 1, 1],
    ['an output that is not closed', { text: 'x {{ a' }, 'text', 1, 3],
  ] as const) {
    test(`${what} is refused at save with line and column`, async () => {
      await assert.rejects(templates.create(source), (error: { code: string; message: string; detail: { issues: unknown[] } }) => {
        assert.equal(error.code, 'TEMPLATE_ERROR');
        const [issue] = error.detail.issues as { path: string; line: number; column: number }[];
        assert.deepEqual([issue?.path, issue?.line, issue?.column], [part, line, column]);
        assert.match(error.message, new RegExp(`line ${line}, column ${column}`));
        return true;
      });
    });
  }

  test('each part’s error is told, and nothing is kept', async () => {
    const tenantId = newId('ten');
    const call = templates.create({ subject: '{{ a | x }}', html: '{% if %}', text: '{% for %}', alias: 'nothing' }, tenantId);
    await assert.rejects(call, (error: { detail: { issues: { path: string }[] } }) => {
      assert.deepEqual(
        error.detail.issues.map(({ path }) => path),
        ['subject', 'html', 'text'],
      );
      return true;
    });
    assert.deepEqual((await templates.gateway.listTemplates({ limit: 0, afterId: '' }, { tenantId })).templates, []);
  });
});

describe('variables', () => {
  test('are inferred from subject, html and text; those that would be blank are required', async () => {
    const { version } = await templates.create({
      subject: 'For {{ user.name }}',
      html: '{% if coupon %}Use {{ coupon }}{% endif %}{% for item in items %}{{ item.price }}{% endfor %}{{ note | default: "none" }}',
      text: '{{ user.name }} {% assign total = 3 %}{{ total }}',
    });
    assert.deepEqual(version?.variables, [
      { name: 'user.name', required: true },
      { name: 'coupon', required: false },
      { name: 'items', required: true },
      { name: 'note', required: false },
    ]);
  });

  test('are required wherever they would be blank: in a filter, and by way of a name of the template’s own', async () => {
    const { version } = await templates.create({
      text: '{{ first | append: last }}{% assign shout = name | upcase %}{{ shout }}{% for x in list limit: n offset: continue %}{{ x }}{% endfor %}',
    });
    const required = version?.variables.filter((variable) => variable.required).map(({ name }) => name);
    assert.deepEqual(required, ['first', 'last', 'name', 'list', 'n']);
  });

  test('a name of the template’s own is nothing in conditions when it was made of nothing', async () => {
    const text =
      '{% assign b = a | upcase %}{% assign no = a == nil %}{% if b %}{{ b }}{% else %}none{% endif %} {{ no }} {{ b | default: "-" }}';
    const { id, version } = await templates.create({ text });
    assert.deepEqual(version?.variables, [{ name: 'a', required: false }]);
    assert.equal((await templates.fill(id, {})).text, 'none true -');
    assert.equal((await templates.fill(id, { a: 'x' })).text, 'X false X');
  });

  test('what is missing refuses the message and is named, all at once', async () => {
    const text = '{{ order | append: suffix }} {% if coupon %}{{ coupon }}{% endif %}';
    const { id } = await templates.create({ subject: 'For {{ user.name }}', text });
    const error = errorOf((await templates.render([{ template: id, variables: { user: {} } }]))[0]);
    assert.equal(error.code, 'MISSING_VARIABLES');
    assert.deepEqual(
      error.issues.map(({ path }) => path),
      ['variables.user.name', 'variables.order', 'variables.suffix'],
    );
    assert.equal((await templates.fill(id, { user: { name: 'Ada' }, order: 0, suffix: '' })).text, '0 ');
  });

  for (const [what, text, variables, missing] of [
    ['null', '{{ a }}', { a: null }, 'a'],
    ['a member of nothing', '{{ a.b.c }}', { a: {} }, 'a.b.c'],
    ['an argument of a filter', "{{ 'x' | append: a }}", {}, 'a'],
    ['what a loop goes over', '{% for x in list %}{{ x }}{% endfor %}', {}, 'list'],
    ['a member of an item', '{% for x in list %}{{ x.name }}{% endfor %}', { list: [{ name: 'a' }, {}] }, 'x.name'],
    ['behind a condition that holds', '{% if a %}{{ b }}{% endif %}', { a: true }, 'b'],
    ['what an alias was made of', '{% assign b = a %}{{ b }}', {}, 'a'],
    ['what an alias was made of by filters', '{% assign b = a | upcase %}{% assign c = b | append: "!" %}{{ c }}', {}, 'a'],
    ['an argument of what an alias was made of', '{% assign c = a | append: b %}{{ c }}', { a: 'x' }, 'b'],
    ['the last of very many arguments', `{% assign c = "x" | append: ${'"y", '.repeat(200)}b %}{{ c }}`, {}, 'b'],
    ['how far a loop goes', '{% for x in list limit: n %}{{ x }}{% endfor %}', { list: [1] }, 'n'],
  ] as const) {
    test(`never blank: ${what}`, async () => {
      const { id } = await templates.create({ subject: '', text });
      const error = errorOf((await templates.render([{ template: id, variables }]))[0]);
      assert.deepEqual([error.code, error.issues.map(({ path }) => path)], ['MISSING_VARIABLES', [`variables.${missing}`]]);
    });
  }

  test('the empty text is a value, and a default takes the place of nothing', async () => {
    const { id } = await templates.create({ text: '[{{ a }}][{{ b | default: "-" }}]' });
    assert.equal((await templates.fill(id, { a: '' })).text, '[][-]');
  });

  test('variables that are no object are refused', async () => {
    const { id } = await templates.create({ text: 'x' });
    for (const variables of [[], 'text', 7, null]) {
      assert.equal(errorOf((await templates.render([{ template: id, variables }]))[0]).code, 'VALIDATION_ERROR', JSON.stringify(variables));
    }
  });

  test('items stand alone', async () => {
    const { id } = await templates.create({ text: '{{ a }}' });
    const results = await templates.render([
      { template: id, variables: { a: 1 } },
      { template: id },
      { template: 'nobody' },
      { template: id, variables: { a: 2 } },
    ]);
    assert.deepEqual(
      results.map(({ result }) => (result?.$case === 'rendered' ? result.value.text : result?.value.code)),
      ['1', 'MISSING_VARIABLES', 'NOT_FOUND', '2'],
    );
  });
});

describe('text', () => {
  test('a line break in a variable does not become one in the subject', async () => {
    const { id } = await templates.create({ subject: 'Hi {{ name }}', text: 'x' });
    assert.equal((await templates.fill(id, { name: 'A\r\nBcc: b@c.example\u2028\u0000d' })).subject, 'Hi A Bcc: b@c.example d');
  });

  test('html is escaped unless the author says raw, and never twice', async () => {
    const { id } = await templates.create({ html: '{{ a }} {{ a | raw }} {{ a | escape }} {{ a | append: "&" }}' });
    assert.equal((await templates.fill(id, { a: '<' })).html, '&lt; < &lt; &lt;&amp;');
  });

  test('conditions, loops and filters', async () => {
    const { id } = await templates.create({
      text: '{% for line in lines %}{{ forloop.index }}. {{ line.name | upcase }}{% unless forloop.last %}, {% endunless %}{% endfor %}',
    });
    assert.equal((await templates.fill(id, { lines: [{ name: 'tea' }, { name: 'milk' }] })).text, '1. TEA, 2. MILK');
  });
});

describe('partials', () => {
  test('are templates of the same tenant, as they are published at that moment', async () => {
    await templates.create({ alias: 'footer', html: '<i>{{ shop }}</i>', text: '-- {{ shop }}' });
    const { id, version } = await templates.create({
      html: "<p>{{ name }}</p>{% render 'footer', shop: shop %}",
      text: "{{ name }}\n{% include 'footer' %}",
    });
    assert.deepEqual(version?.variables.map(({ name }) => name).sort(), ['name', 'shop']);
    const rendered = await templates.fill(id, { name: 'Ada', shop: 'A&B' });
    assert.deepEqual([rendered.html, rendered.text], ['<p>Ada</p><i>A&amp;B</i>', 'Ada\n-- A&B']);
    await templates.update('footer', { html: '<b>{{ shop }}</b>', draft: true });
    assert.equal((await templates.fill(id, { name: 'Ada', shop: 'X' })).html, '<p>Ada</p><i>X</i>');
    await templates.update('footer', { html: '<u>{{ shop }}</u>' });
    assert.equal((await templates.fill(id, { name: 'Ada', shop: 'X' })).html, '<p>Ada</p><u>X</u>');
  });

  test('a layout has blocks', async () => {
    await templates.create({ alias: 'base', html: '<main>{% block body %}{% endblock %}</main>', text: 'x' });
    const { id } = await templates.create({ html: "{% layout 'base' %}{% block body %}{{ a }}{% endblock %}" });
    assert.equal((await templates.fill(id, { a: '<' })).html, '<main>&lt;</main>');
  });

  test('one that is not there, another tenant’s, a draft, or one named by a variable is refused at save, with its place', async () => {
    await templates.create({ alias: 'theirs', html: 'x', text: 'x' }, newId('ten'));
    await templates.create({ alias: 'only-a-draft', html: 'x', text: 'x', draft: true });
    await templates.create({ alias: 'no-html', text: 'x' });
    for (const html of [
      "ab{% render 'nowhere' %}",
      "ab{% render 'theirs' %}",
      "ab{% render 'only-a-draft' %}",
      "ab{% render 'no-html' %}",
      'ab{% render name %}',
      "ab{% render '{{ name }}' %}",
      "ab{% include '../../../etc/passwd' %}",
      "ab{% layout '/etc/passwd' %}",
      "ab{% if x %}{% for i in (1..2) %}{% liquid\nrender 'nowhere'\n%}{% endfor %}{% endif %}",
    ]) {
      await assert.rejects(
        templates.create({ html }),
        (error: { code: string; detail: { issues: { code: string; column: number }[] } }) => {
          assert.deepEqual([error.code, error.detail.issues[0]?.code], ['TEMPLATE_ERROR', 'partial'], html);
          if (!html.includes('liquid')) assert.equal(error.detail.issues[0]?.column, 3);
          return true;
        },
      );
    }
  });

  test('a circle is refused where it would be closed', async () => {
    const a = await templates.create({ alias: 'a', html: 'A' });
    await templates.create({ alias: 'b', html: "B{% render 'a' %}" });
    await templates.create({ alias: 'c', html: "C{% if x %}{% render 'b' %}{% endif %}" });
    for (const html of ["{% render 'c' %}", "{% render 'a' %}", `{% render '${a.id}' %}`]) {
      await assert.rejects(templates.update('a', { html }), /circle/);
    }
    assert.equal((await templates.fill('b')).html, 'BA');
  });

  test('a circle that came to be all the same ends in an error, not in a loop', async () => {
    const { id } = await templates.create({ alias: 'p', html: 'P' });
    await templates.create({ alias: 'q', html: "{% render 'p' %}" });
    // Two saves at the same moment, each of which saw the other's former version.
    await templates.database.pool.query(
      `INSERT INTO template_version (tenant_id, template_id, number, subject, html, text, partials, variables, created_at)
       SELECT tenant_id, id, 2, '', $2, '', ARRAY['q'], '[]', now() FROM template WHERE alias = $1`,
      ['p', "{% render 'q' %}"],
    );
    await templates.database.pool.query("UPDATE template SET published_version = 2, latest_version = 2 WHERE alias = 'p'");
    assert.equal(errorOf((await templates.render([{ template: id }]))[0]).code, 'TEMPLATE_ERROR');
  });

  test('what fails in one is told with its name and its place there', async () => {
    await templates.create({ alias: 'decoding', text: 'x\n {{ a | base64_decode }}' });
    const { id } = await templates.create({ text: "{% render 'decoding', a: a %}" });
    const error = errorOf((await templates.render([{ template: id, variables: { a: '?' } }]))[0]);
    assert.equal(error.code, 'TEMPLATE_ERROR');
    assert.match(error.message, /line 2, column 2: In the template “decoding”/);
  });

  test('one that is deleted later refuses what names it', async () => {
    await templates.create({ alias: 'gone', text: 'x' });
    const { id } = await templates.create({ text: "{% render 'gone' %}" });
    await templates.gateway.deleteTemplate({ id: 'gone' }, { tenantId: templates.tenantId });
    assert.equal(errorOf((await templates.render([{ template: id }]))[0]).code, 'TEMPLATE_ERROR');
  });
});

describe('preview', () => {
  test('shows the newest version, draft or not, with what is missing', async () => {
    const { id } = await templates.create({ text: 'one' });
    await templates.update(id, { subject: 'S {{ a }}', text: 'two {{ a }}{{ b }}', draft: true });
    const preview = (version: number, variables: unknown) =>
      templates.gateway.previewTemplate(
        { id, version, variablesJson: Buffer.from(JSON.stringify(variables)) },
        { tenantId: templates.tenantId },
      );
    const { rendered, missingVariables } = await preview(0, { a: 1 });
    assert.deepEqual([rendered?.subject, rendered?.text, rendered?.templateVersion, missingVariables], ['S 1', 'two 1', 2, ['b']]);
    assert.equal((await preview(1, {})).rendered?.text, 'one');
  });
});

describe('a request that comes twice', () => {
  test('makes one template, and another request under its key is refused', async () => {
    const tenantId = newId('ten');
    const create = (text: string) =>
      templates.gateway.createTemplate(
        CreateTemplateRequest.fromPartial({ name: 'n', text, idempotencyKey: 'once', requestSha256: hash(text) }),
        { tenantId },
      );
    const first = await create('x');
    assert.deepEqual(await create('x'), { ...first, replayed: true });
    await assert.rejects(create('y'), { code: 'IDEMPOTENCY_MISMATCH' });
    assert.equal((await templates.gateway.listTemplates({ limit: 0, afterId: '' }, { tenantId })).templates.length, 1);
  });

  test('publishes once: a second publishing in between stands', async () => {
    const { id } = await templates.create({ text: 'one' });
    await templates.update(id, { text: 'two' });
    const publish = (version: number, idempotencyKey: string) =>
      templates.gateway.publishTemplate(
        { id, version, idempotencyKey, requestSha256: hash(String(version)) },
        { tenantId: templates.tenantId },
      );
    const first = await publish(1, 'back');
    await publish(2, 'forth');
    assert.deepEqual(await publish(1, 'back'), { ...first, replayed: true });
    assert.equal((await templates.fill(id)).text, 'two');
  });
});

test('a tenant has at most 5,000 templates, also of two that are made at the same moment; another has room', async () => {
  const tenantId = newId('ten');
  const uuid = idToUuid('ten', tenantId);
  const insert = (count: number) =>
    `INSERT INTO template (id, tenant_id, name, published_version, latest_version, created_at, updated_at)
     SELECT gen_random_uuid(), '${uuid}', 'One of many', NULL, 1, now(), now() FROM generate_series(1, ${count})`;
  await templates.database.pool.query(insert(4998));
  const { id } = await templates.create({ text: 'the last but one' }, tenantId);
  const refused = { code: 'CONFLICT', issue: 'too_many' };
  const make = () =>
    templates.create({ text: 'x' }, tenantId).then(
      () => 'made',
      ({ code, detail }: RpcError) => ({ code, issue: detail.issues[0]?.code }),
    );
  let settled = false;
  const made = await templates.database.transaction(async (client) => {
    // Somebody else makes the last one, and has not committed yet.
    await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('templates ' || $1, 0))`, [uuid]);
    await client.query(insert(1));
    const making = make().finally(() => (settled = true));
    const waits =
      "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    await waitFor(async () => settled || (await client.query(waits)).rowCount === 1, { what: 'the other to wait' });
    return { making };
  });
  assert.deepEqual(await made.making, refused);
  assert.deepEqual(await make(), refused);
  await templates.gateway.deleteTemplate({ id }, { tenantId });
  assert.equal(await make(), 'made');
  await templates.create({ text: 'x' });
});

test('only messaging renders what is sent, and only the gateway changes templates', async () => {
  const { tenantId } = templates;
  await assert.rejects(templates.gateway.renderTemplates({ items: [] }, { tenantId }), { code: 'CALLER_NOT_ALLOWED' });
  await assert.rejects(templates.messaging.listTemplates({ limit: 0, afterId: '' }, { tenantId }), { code: 'CALLER_NOT_ALLOWED' });
});

test('sources and variables reach no log', async () => {
  const { id } = await templates.create({ text: 'marker-in-source {{ a }}' });
  await templates.fill(id, { a: 'marker-in-variable' });
  await templates.render([{ template: id }]);
  assert.notEqual(templates.logs.text, '');
  assert.doesNotMatch(templates.logs.text, /marker-in/);
});
