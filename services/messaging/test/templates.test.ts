// Messages that name a template: one question for all of a request, an error of that message alone, and nothing of it where nobody names one.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { type RenderRequest, type RenderResult, TemplateServiceService } from '@maildoot/proto/maildoot/template/v1/template';
import { defineErrors, type RpcError } from '@maildoot/rpc/errors';
import { implement, type RpcServer, startRpcServer } from '@maildoot/rpc/server';
import { newId } from '@maildoot/runtime/ids';
import { createLogger } from '@maildoot/runtime/logger';
import { createWorld, errorAt, hashOf, rpcError, secret, type World } from './world.ts';

const errors = defineErrors({
  NOT_FOUND: { status: 'NOT_FOUND', retryable: false },
  TEMPLATE_ERROR: { status: 'FAILED_PRECONDITION', retryable: false },
  MISSING_VARIABLES: { status: 'FAILED_PRECONDITION', retryable: false },
  UNAVAILABLE: { status: 'UNAVAILABLE', retryable: true },
  OVERLOADED: { status: 'UNAVAILABLE', retryable: true },
});

const templateId = newId('tpl');
const asked: { items: RenderRequest[]; tenantId: string }[] = [];
let down: RpcError | undefined;
let world: World;
let server: RpcServer;

/** `hello` greets `name`; the others are what they are called. */
function rendered({ template, version, variablesJson }: RenderRequest): RenderResult {
  const variables = JSON.parse(variablesJson.toString() || '{}') as Record<string, string>;
  const failed = (error: RpcError): RenderResult => ({ result: { $case: 'error', value: error.detail } });
  if (template === 'nobody')
    return failed(errors.NOT_FOUND({ message: 'No.', issues: [{ path: 'template', code: 'unknown_template', message: 'No.' }] }));
  if (template === 'broken') return failed(errors.TEMPLATE_ERROR({ message: 'It takes too long.' }));
  if (variables.name === undefined)
    return failed(errors.MISSING_VARIABLES({ message: 'No.', issues: [{ path: 'variables.name', code: 'missing', message: 'No.' }] }));
  const text = template === 'empty' ? '' : `Hello ${variables.name}!`;
  return {
    result: {
      $case: 'rendered',
      value: { subject: `For ${variables.name}`, html: '', text, templateId, templateVersion: version || 3 },
    },
  };
}

before(async () => {
  const unused = () => {
    throw new Error('this test does not expect this call');
  };
  const neverCalled = { allow: [], handle: unused };
  server = await startRpcServer({
    listen: '127.0.0.1:0',
    secret,
    service: 'template',
    logger: createLogger({ service: 'test', level: 'silent' }),
    implementations: [
      implement(TemplateServiceService, {
        renderTemplates: {
          allow: ['messaging'],
          handle({ items }, call) {
            asked.push({ items, tenantId: call.tenantId });
            if (down !== undefined) throw down;
            return { results: items.map(rendered) };
          },
        },
        createTemplate: neverCalled,
        listTemplates: neverCalled,
        getTemplate: neverCalled,
        updateTemplate: neverCalled,
        deleteTemplate: neverCalled,
        listVersions: neverCalled,
        publishTemplate: neverCalled,
        previewTemplate: neverCalled,
      }),
    ],
  });
  world = await createWorld({ env: { TEMPLATE_ADDRESS: server.address } });
});
after(async () => {
  await world[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});
beforeEach(() => {
  asked.length = 0;
  down = undefined;
});

const variables = (name: string) => Buffer.from(JSON.stringify({ name }));
const made = (template: string, name?: string) => ({
  templateId: template,
  subject: '',
  text: '',
  ...(name === undefined ? {} : { variablesJson: variables(name) }),
});

describe('a message that names a template', () => {
  test('is frozen with what came of it', async () => {
    const { id } = await world.acceptOne({ ...made('hello', 'Ada'), templateVersion: 2 });
    assert.deepEqual(
      asked.map(({ items, tenantId }) => [items.map(({ template, version }) => [template, version]), tenantId]),
      [[[['hello', 2]], world.tenantId]],
    );
    const mime = (await world.content(id)).toString();
    assert.match(mime, /^Subject: For Ada\r$/m);
    assert.match(mime, /Hello Ada!/);
    assert.equal((await world.get(id)).message?.subject, 'For Ada');
  });

  test('is asked about together with the others of its request; the rest is accepted though one fails', async () => {
    const response = await world.accept([
      made('hello', 'Ada'),
      { text: 'No template.' },
      made('hello'),
      made('broken', 'x'),
      made('nobody', 'x'),
      made('empty', 'x'),
      made('hello', 'Bob'),
    ]);
    assert.equal(asked.length, 1);
    assert.equal(asked[0]?.items.length, 6);
    assert.deepEqual(
      response.results.map(({ result }) => (result?.$case === 'error' ? result.value.code : 'accepted')),
      ['accepted', 'accepted', 'MISSING_VARIABLES', 'TEMPLATE_ERROR', 'VALIDATION_ERROR', 'TEMPLATE_ERROR', 'accepted'],
    );
    assert.deepEqual(
      errorAt(response, 2).issues.map(({ path }) => path),
      ['variables.name'],
    );
    assert.deepEqual(
      errorAt(response, 4).issues.map(({ path, code }) => [path, code]),
      [['template_id', 'unknown_template']],
    );
  });

  test('refuses an atomic request as a whole', async () => {
    const call = world.accept([made('hello', 'Ada'), made('hello')], { atomic: true });
    await assert.rejects(call, rpcError('MISSING_VARIABLES'));
  });

  test('is not rendered for a sender that is refused', async () => {
    const response = await world.accept({ ...made('hello', 'Ada'), from: { email: 'a@not-verified.example' } });
    assert.equal(errorAt(response, 0).code, 'DOMAIN_NOT_VERIFIED');
    assert.equal(asked.length, 0);
  });

  test('gets its first answer again under its key, whatever has become of the template', async () => {
    const message = { id: newId('msg'), ...made('hello', 'Ada') };
    const key = { idempotencyKey: 'template-once', requestSha256: hashOf('template-once') };
    const first = await world.accept(message, key);
    down = errors.TEMPLATE_ERROR({ message: 'No.' });
    const again = await world.accept({ ...message, id: newId('msg') }, key);
    assert.deepEqual(again, { ...first, replayed: true });
  });

  test('waits for better times when nothing can be rendered: UNAVAILABLE, or OVERLOADED, and nothing is kept', async () => {
    for (const [error, code] of [
      [errors.UNAVAILABLE({ message: 'down', retryAfterMs: 2000 }), 'UNAVAILABLE'],
      [errors.OVERLOADED({ message: 'busy', retryAfterMs: 1000 }), 'OVERLOADED'],
    ] as const) {
      down = error;
      const id = newId('msg');
      await assert.rejects(world.accept({ id, ...made('hello', 'Ada') }), rpcError(code));
      await assert.rejects(world.get(id), rpcError('NOT_FOUND'));
    }
  });
});

test('without a template nobody is asked', async () => {
  down = errors.UNAVAILABLE({ message: 'down' });
  await world.acceptOne();
  await world.accept([{}, {}, {}]);
  assert.equal(asked.length, 0);
});
