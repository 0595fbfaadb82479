// What is done to domains, templates, callbacks and suppressions stands in the audit log: every operation that changes something is in the
// table or has a reason, and what auth could not be told is told later, once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newId } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { Actions, audited } from '../src/actions.ts';
import type { Call } from '../src/route.ts';
import { routes } from '../src/routes.ts';
import { FakeServices } from './fake-services.ts';
import { startGateway } from './running-gateway.ts';
import { sampleTemplate } from './samples.ts';

/** Changes that are not told by the gateway, and why. */
const notAudited: Readonly<Record<string, string>> = {
  sendMessages: 'a message, with events of its own',
  sendTemplate: 'a message, with events of its own',
  cancelMessage: 'a message, with events of its own',
  cancelBatch: 'a message, with events of its own',
  rescheduleMessage: 'a message, with events of its own',
  resendMessage: 'a message, with events of its own',
  unsubscribe: 'a recipient’s, with an event of its own',
  previewTemplate: 'changes nothing',
  testCallback: 'changes nothing',
  verifyDomain: 'looks; a change of status is an event',
  ...Object.fromEntries(
    [
      ...[
        'login',
        'refreshSession',
        'logout',
        'endSession',
        'endSessions',
        'changePassword',
        'requestPasswordReset',
        'completePasswordReset',
      ],
      ...['createApiKey', 'revokeApiKey', 'inviteMember', 'removeMember', 'createSmtpUser', 'deleteSmtpUser', 'resetSmtpPassword'],
      'regenerateUserAuthPat',
    ].map((name) => [name, 'auth writes it down itself, in its transaction']),
  ),
};

test('every operation that changes something is audited, or has a reason not to be', () => {
  const changing = routes.filter(({ kind, method }) => kind !== 'public' && method !== 'GET').map(({ operationId }) => operationId);
  assert.deepEqual(
    changing.filter((operation) => Object.hasOwn(audited, operation) === Object.hasOwn(notAudited, operation)),
    [],
  );
  const known = new Set(changing);
  assert.deepEqual(
    [...Object.keys(audited), ...Object.keys(notAudited)].filter((operation) => !known.has(operation)),
    [],
  );
});

test('what was done is told, with who and what; a refusal and a repeated answer are not', async () => {
  await using services = await FakeServices.start();
  await using gateway = await startGateway(services);
  const tenant = services.addTenant();
  const key = tenant.keys.full;
  const body = { name: 'Hello', text: 'Hello {{ name }}' };
  const created = await gateway.call('POST', '/v1/templates', { key, body });
  assert.equal(created.status, 201);
  assert.equal((await gateway.call('DELETE', `/v1/templates/${tenant.templateId}`, { key })).status, 204);
  assert.equal((await gateway.call('POST', '/v1/templates', { key, body: {} })).status, 400);
  services.instead('createTemplate', () => ({ template: sampleTemplate(newId('tpl')), replayed: true }));
  await gateway.call('POST', '/v1/templates', { key, body, headers: { 'idempotency-key': 'again' } });
  assert.equal(services.people.actions.length, 2);
  const principal = services.principals.values().find(({ tenantId }) => tenantId === tenant.id);
  assert.ok(principal);
  assert.deepEqual(
    services.people.actions.map(({ tenantId, action, subjectId, address }) => [tenantId, action, subjectId, address]),
    [
      [tenant.id, 'template.created', (created.json as { id: string }).id, '127.0.0.1'],
      [tenant.id, 'template.deleted', tenant.templateId, '127.0.0.1'],
    ],
  );
  for (const { actorId } of services.people.actions) assert.match(actorId, /^key_/);
});

test('auth has it before it is answered', async () => {
  await using services = await FakeServices.start();
  await using gateway = await startGateway(services);
  const { full: key } = services.addTenant().keys;
  const body = { name: 'Hello', text: 'Hello {{ name }}' };
  const told = new Set<string>();
  const kept = Promise.withResolvers<void>();
  services.instead<{ actions: { id: string }[] }>('recordActions', async ({ actions }) => {
    for (const { id } of actions) told.add(id);
    await kept.promise;
    return {};
  });
  let answered = false;
  const creation = gateway.call('POST', '/v1/templates', { key, body }).then(({ status }) => {
    assert.equal(status, 201);
    answered = true;
  });
  await waitFor(() => told.size === 1, { what: 'auth is told' });
  assert.equal((await gateway.call('GET', '/v1/templates', { key })).status, 200);
  assert.equal(answered, false);
  kept.resolve();
  await creation;
  assert.equal(told.size, 1);
});

/** What an operation of somebody has done. */
const done = (actions: Actions) =>
  actions.note(
    'createTemplate',
    { principal: { tenantId: 'ten_1', credentialId: 'key_1' }, address: '127.0.0.1' } as Call,
    {},
    { status: 201, content: { json: { id: 'tpl_1' } } },
  );

test('those that come while a call is under way share the next one', async () => {
  const calls: { count: number; answer: () => void }[] = [];
  await using actions = new Actions(
    ({ actions: { length: count } }) => new Promise<void>((resolve) => calls.push({ count, answer: resolve })),
    () => {},
  );
  const all = [done(actions)];
  await waitFor(() => calls.length === 1, { what: 'the first call' });
  all.push(done(actions), done(actions));
  calls[0]?.answer();
  await waitFor(() => calls.length === 2, { what: 'the second call' });
  calls[1]?.answer();
  await Promise.all(all);
  assert.deepEqual(
    calls.map(({ count }) => count),
    [1, 2],
  );
});

test('what is done while auth is told again, after it was away, is told as well', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  let answer: Promise<void> = Promise.reject(new Error('away'));
  let told = 0;
  await using actions = new Actions(
    async ({ actions: { length } }) => {
      await answer;
      told += length;
    },
    () => {},
  );
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  await done(actions);
  const back = Promise.withResolvers<void>();
  answer = back.promise;
  context.mock.timers.tick(2_000);
  await turn();
  await done(actions);
  back.resolve();
  await turn();
  assert.equal(told, 1);
  context.mock.timers.tick(2_000);
  await turn();
  assert.equal(told, 2);
});

test('what auth can’t be told is told when it is back, under the same id', async () => {
  await using services = await FakeServices.start();
  await using gateway = await startGateway(services);
  const tenant = services.addTenant();
  const tried: string[] = [];
  services.instead<{ actions: { id: string }[] }>('recordActions', ({ actions }) => {
    tried.push(...actions.map(({ id }) => id));
    throw new Error('away');
  });
  assert.equal((await gateway.call('DELETE', `/v1/templates/${tenant.templateId}`, { key: tenant.keys.full })).status, 204);
  const [first] = tried;
  const body = { name: 'Hello', text: 'Hello {{ name }}' };
  assert.equal((await gateway.call('POST', '/v1/templates', { key: tenant.keys.full, body })).status, 201);
  services.instead('recordActions');
  await waitFor(() => services.people.actions.length === 2, { what: 'auth to be told' });
  assert.equal(services.people.actions[0]?.id, first);
});
