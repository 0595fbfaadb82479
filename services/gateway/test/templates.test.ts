// Templates at the door: names in paths, what a message may say beside a template, and what services answer about sources.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { DryRunResponse } from '@maildoot/proto/maildoot/messaging/v1/dry_run';
import type { AcceptMessagesRequest } from '@maildoot/proto/maildoot/messaging/v1/messaging';
import type { CreateTemplateRequest, ListVersionsRequest, UpdateTemplateRequest } from '@maildoot/proto/maildoot/template/v1/template';
import { defineErrors } from '@maildoot/rpc/errors';
import { FakeServices, type KnownTenant } from './fake-services.ts';
import { type Gateway, startGateway } from './running-gateway.ts';

const errors = defineErrors({
  NOT_FOUND: { status: 'NOT_FOUND', retryable: false },
  TEMPLATE_ERROR: { status: 'FAILED_PRECONDITION', retryable: false },
  MISSING_VARIABLES: { status: 'FAILED_PRECONDITION', retryable: false },
  VALIDATION_ERROR: { status: 'INVALID_ARGUMENT', retryable: false },
});

let services: FakeServices;
let gateway: Gateway;
let tenant: KnownTenant;
let key: string;

before(async () => {
  services = await FakeServices.start();
  gateway = await startGateway(services);
  tenant = services.addTenant();
  key = tenant.keys.full;
});
after(async () => {
  await gateway[Symbol.asyncDispose]();
  await services[Symbol.asyncDispose]();
});
beforeEach(() => {
  services.asked.length = 0;
});

const envelope = { from: 'shop@shop.example', to: 'ada@example.com' };
const accepted = () => {
  const [request] = services.requestsOf<AcceptMessagesRequest>('acceptMessages');
  assert.ok(request);
  return request;
};

describe('POST /v1/messages with a template', () => {
  test('hands over its name, version and variables, and no text', async () => {
    const variables = { name: 'Ada', nested: { list: [1, { a: null }] } };
    const { status } = await gateway.call('POST', '/v1/messages', {
      key,
      body: { ...envelope, template_id: 'order-confirmed', template_version: 2, variables },
    });
    assert.equal(status, 202);
    const [message] = accepted().messages;
    assert.deepEqual([message?.templateId, message?.templateVersion, message?.subject, message?.html], ['order-confirmed', 2, '', '']);
    assert.deepEqual(JSON.parse(message?.variablesJson.toString() ?? ''), variables);
  });

  for (const [what, body, issues] of [
    ['a text beside it', { template_id: 'a', text: 'x', subject: 'y' }, ['subject not_with_template', 'text not_with_template']],
    [
      'variables without it',
      { text: 'x', variables: {}, template_version: 1 },
      ['template_version only_with_template', 'variables only_with_template'],
    ],
    ['nothing to send at all', {}, ['html content_required']],
    ['what can be no name', { template_id: '../x' }, ['template_id unknown_template']],
    ['variables that are a list', { template_id: 'a', variables: [] }, ['variables invalid_type']],
    [
      'a variable with a bad name',
      '{"from":"a@b.example","to":"c@d.example","template_id":"a","variables":{"__proto__":1}}',
      ['variables.__proto__ invalid_name'],
    ],
    ['too many variables', { template_id: 'a', variables: { a: 'x'.repeat(300_000) } }, ['variables too_large']],
    ['no version', { template_id: 'a', template_version: 0 }, ['template_version too_small']],
  ] as const) {
    test(`refuses ${what}`, async () => {
      const response = await gateway.call('POST', '/v1/messages', {
        key,
        body: typeof body === 'string' ? body : { ...envelope, ...body },
      });
      assert.equal(response.status, 400);
      assert.deepEqual(response.issues, issues);
    });
  }

  test('answers what messaging says of the template, a batch item’s too', async () => {
    const error = errors.MISSING_VARIABLES({
      message: 'Missing: name.',
      issues: [{ path: 'variables.name', code: 'missing', message: 'It needs the variable name.' }],
    });
    services.instead('acceptMessages', () => ({
      results: [{ result: { $case: 'error', value: error.detail } }],
      replayed: false,
      batchId: '',
    }));
    const body = { ...envelope, template_id: 'a' };
    const single = await gateway.call('POST', '/v1/messages', { key, body });
    assert.deepEqual([single.status, single.code, single.issues], [422, 'MISSING_VARIABLES', ['variables.name missing']]);
    const batch = await gateway.call('POST', '/v1/messages', { key, body: [body] });
    services.instead('acceptMessages');
    assert.equal((batch.json as { data: { error: { code: string } }[] }).data[0]?.error.code, 'MISSING_VARIABLES');
  });
});

describe('POST /v1/templates/:id/send', () => {
  test('is a message with that template', async () => {
    const { status, json } = await gateway.call('POST', `/v1/templates/${tenant.templateId}/send`, {
      key: tenant.keys.send,
      body: { ...envelope, variables: { name: 'Ada' }, tags: ['t'] },
    });
    assert.equal(status, 202);
    assert.equal((json as { object: string }).object, 'message');
    const [message] = accepted().messages;
    assert.deepEqual([message?.templateId, message?.variablesJson.toString(), message?.tags], [tenant.templateId, '{"name":"Ada"}', ['t']]);
  });

  test('under an idempotency key the same body for another template is another request', async () => {
    for (const name of ['one', 'other', 'one']) {
      await gateway.call('POST', `/v1/templates/${name}/send`, { key, body: envelope, headers: { 'idempotency-key': 'k' } });
    }
    const hashes = services.requestsOf<AcceptMessagesRequest>('acceptMessages').map(({ requestSha256 }) => requestSha256.toString('hex'));
    assert.equal(hashes.length, 3);
    assert.equal(hashes[0], hashes[2]);
    assert.notEqual(hashes[0], hashes[1]);
  });

  test('takes one message, without what the template or the path says', async () => {
    for (const [body, issues] of [
      [{ ...envelope, template_id: 'x' }, ['template_id unknown_field']],
      [{ ...envelope, html: 'x' }, ['html not_with_template']],
      [{ messages: [envelope] }, ['messages unknown_field', 'from required', 'to required']],
      [[envelope], [' invalid_type']],
      ['"text"', [' invalid_type']],
    ] as const) {
      const response = await gateway.call('POST', '/v1/templates/a/send', { key, body });
      assert.deepEqual([response.status, response.issues], [400, issues]);
    }
  });

  test('takes what a message takes: attachments of many megabytes', async () => {
    const content = Buffer.alloc(5_000_000, 'large').toString('base64');
    const body = { ...envelope, attachments: [{ filename: 'a.bin', content }], variables: { name: 'Ada' } };
    const answer = await gateway.call('POST', `/v1/templates/${tenant.templateId}/send`, { key, body });
    assert.equal(answer.status, 202);
    const [message] = accepted().messages;
    assert.deepEqual([message?.templateId, message?.attachments[0]?.content.length], [tenant.templateId, 5_000_000]);
    const wrong = await gateway.call('POST', '/v1/templates/a/send', { key, body: { ...body, template_id: 'x' } });
    assert.deepEqual([wrong.status, wrong.issues], [400, ['template_id unknown_field']]);
    assert.equal((await gateway.call('POST', '/v1/templates/a%20b/send', { key, body })).status, 404);
  });

  test('a template that isn’t there is not found', async () => {
    const issues = [{ path: 'template_id', code: 'unknown_template', message: 'There is no such template.' }];
    const { detail } = errors.VALIDATION_ERROR({ message: 'No.', issues });
    services.instead('acceptMessages', () => ({ results: [{ result: { $case: 'error', value: detail } }], replayed: false, batchId: '' }));
    const response = await gateway.call('POST', '/v1/templates/nobody/send', { key, body: envelope });
    services.instead('acceptMessages');
    assert.deepEqual([response.status, response.code], [404, 'NOT_FOUND']);
    services.instead('dryRun', () => DryRunResponse.fromPartial({ error: detail }));
    const dry = await gateway.call('POST', '/v1/templates/nobody/send', { key, body: { ...envelope, dry_run: true } });
    services.instead('dryRun');
    assert.deepEqual([dry.status, dry.code], [404, 'NOT_FOUND']);
  });
});

describe('templates', () => {
  test('an error of a source has its line and column', async () => {
    const issues = [{ path: 'html', code: 'syntax', message: 'Not closed.', line: 3, column: 14 }];
    services.instead('createTemplate', () => {
      throw errors.TEMPLATE_ERROR({ message: 'html, line 3, column 14: Not closed.', issues });
    });
    const { status, json } = await gateway.call('POST', '/v1/templates', { key, body: { name: 'n', html: '{% if %}' } });
    services.instead('createTemplate');
    assert.equal(status, 422);
    assert.deepEqual((json as { error: { issues: unknown } }).error.issues, issues);
  });

  test('a change hands over what is given and nothing else; null takes away', async () => {
    await gateway.call('PATCH', `/v1/templates/${tenant.templateId}`, { key, body: { alias: null, html: '<p>x</p>', text: null } });
    const [request] = services.requestsOf<UpdateTemplateRequest>('updateTemplate');
    const { name, alias, subject, html, text, draft } = request as UpdateTemplateRequest;
    assert.deepEqual([name, alias, subject, html, text, draft], [undefined, '', undefined, '<p>x</p>', '', false]);
  });

  test('null says of a new template that there is none', async () => {
    const body = { name: 'n', alias: null, subject: null, html: 'x', text: null, draft: null };
    assert.equal((await gateway.call('POST', '/v1/templates', { key, body })).status, 201);
    const [request] = services.requestsOf<CreateTemplateRequest>('createTemplate');
    const { alias, subject, html, text, draft } = request as CreateTemplateRequest;
    assert.deepEqual([alias, subject, html, text, draft], ['', '', 'x', '', false]);
  });

  test('everything that is wrong with a new template is told at once', async () => {
    const body = { name: ' ', alias: 'a b', subject: 5 };
    const refused = await gateway.call('POST', '/v1/templates', { key, body });
    assert.deepEqual(refused.issues.toSorted(), [
      'alias invalid_alias',
      'html content_required',
      'name invalid_name',
      'subject invalid_type',
    ]);
    for (const alias of ['tpl_x', '.x', '-'])
      assert.deepEqual((await gateway.call('POST', '/v1/templates', { key, body: { name: 'x', alias, text: 'x' } })).issues, [
        'alias invalid_alias',
      ]);
    assert.deepEqual(services.asked, []);
  });

  test('publishing and looking need no body', async () => {
    for (const [action, rpc] of [
      ['publish', 'publishTemplate'],
      ['preview', 'previewTemplate'],
    ] as const) {
      assert.equal((await gateway.call('POST', `/v1/templates/${tenant.templateId}/${action}`, { key })).status, 200, action);
      assert.equal((services.requestsOf(rpc)[0] as { version: number }).version, 0);
      assert.equal((await gateway.call('POST', `/v1/templates/${tenant.templateId}/${action}`, { key, body: '{' })).code, 'INVALID_JSON');
    }
    assert.equal((await gateway.call('POST', '/v1/templates', { key })).code, 'INVALID_JSON', 'others do');
  });

  test('a version that a template doesn’t have is a problem of the body', async () => {
    const issues = [{ path: 'version', code: 'unknown_version', message: 'The template has no version 9.' }];
    for (const [action, rpc] of [
      ['publish', 'publishTemplate'],
      ['preview', 'previewTemplate'],
    ] as const) {
      services.instead(rpc, () => {
        throw errors.NOT_FOUND({ message: 'The template has no version 9.', issues });
      });
      const answer = await gateway.call('POST', `/v1/templates/${tenant.templateId}/${action}`, { key, body: { version: 9 } });
      assert.deepEqual([answer.status, answer.code, answer.issues], [400, 'VALIDATION_ERROR', ['version unknown_version']], action);
      services.instead(rpc);
    }
  });

  test('an alias stands in every path; what can be neither id nor alias is not found, and nobody is asked', async () => {
    services.instead('getTemplate', () => ({ template: undefined }));
    for (const name of ['..%2Fetc', 'a%20b', '%00', `${'a'.repeat(101)}`, '-a', '%C3%A4']) {
      assert.equal((await gateway.call('GET', `/v1/templates/${name}`, { key })).status, 404, name);
    }
    services.instead('getTemplate');
    assert.deepEqual(services.requestsOf('getTemplate'), []);
    await gateway.call('GET', '/v1/templates/order-confirmed?version=2', { key });
    assert.deepEqual(
      services.requestsOf<{ id: string; version: number }>('getTemplate').map(({ id, version }) => [id, version]),
      [['order-confirmed', 2]],
    );
  });

  test('versions go on where the cursor says', async () => {
    const version = (number: number) => ({
      number,
      subject: '',
      html: '',
      text: 'x',
      variables: [],
      createdAt: new Date(),
      published: false,
    });
    services.instead<ListVersionsRequest>('listVersions', ({ beforeNumber }) => ({
      versions: beforeNumber === 0 ? [version(5), version(4)] : [version(3)],
      hasMore: beforeNumber === 0,
      templateId: tenant.templateId,
    }));
    const path = `/v1/templates/${tenant.templateId}/versions`;
    type Page = { data: { version: number }[]; next_cursor: string | null };
    const first = (await gateway.call('GET', `${path}?limit=2`, { key })).json as Page;
    const second = (await gateway.call('GET', `${path}?limit=2&cursor=${first.next_cursor}`, { key })).json as Page;
    assert.deepEqual([second.data.map(({ version: number }) => number), second.next_cursor], [[3], null]);
    assert.deepEqual(
      services.requestsOf<ListVersionsRequest>('listVersions').map(({ beforeNumber }) => beforeNumber),
      [0, 4],
    );
    services.instead('listVersions');
    for (const cursor of ['x', 'djA', 'djAx', 'dg'])
      assert.equal((await gateway.call('GET', `${path}?cursor=${cursor}`, { key })).status, 400);
  });
});
