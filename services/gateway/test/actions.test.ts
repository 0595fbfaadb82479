// What is done to domains, templates, callbacks and suppressions stands in the audit log: every operation that changes something is in the
// table or has a reason, and what auth could not be told is told later, once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newId } from '@maildoot/runtime/ids';
import { waitFor } from '@maildoot/testkit/wait';
import { audited } from '../src/actions.ts';
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
  let told = 0;
  const kept = Promise.withResolvers<void>();
  services.instead<{ actions: unknown[] }>('recordActions', async ({ actions }) => {
    told += actions.length;
    await kept.promise;
    return {};
  });
  let answered = 0;
  const create = async () => {
    assert.equal((await gateway.call('POST', '/v1/templates', { key, body })).status, 201);
    answered++;
  };
  const creations = [create()];
  await waitFor(() => told === 1, { what: 'auth is told' });
  // Those that come meanwhile share the next call.
  creations.push(create(), create());
  assert.equal((await gateway.call('GET', '/v1/templates', { key })).status, 200);
  assert.equal(answered, 0);
  kept.resolve();
  await Promise.all(creations);
  assert.equal(told, 3);
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
  assert.equal(tried.length, 1);
  const body = { name: 'Hello', text: 'Hello {{ name }}' };
  assert.equal((await gateway.call('POST', '/v1/templates', { key: tenant.keys.full, body })).status, 201);
  services.instead('recordActions');
  await waitFor(() => services.people.actions.length === 2, { what: 'auth to be told' });
  assert.equal(services.people.actions[0]?.id, tried[0]);
});
