import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHealth } from './health.ts';

test('readiness is about starting and draining, not about dependencies', () => {
  const health = createHealth();
  const seen: string[] = [];
  const unsubscribe = health.subscribe((state) => seen.push(state));
  assert.equal(health.snapshot().ready, false);
  health.state = 'ready';
  health.report('database', false, 'connection refused');
  assert.equal(health.snapshot().ready, true);
  assert.equal(health.snapshot().dependencies.database?.ok, false);
  health.state = 'ready';
  health.state = 'draining';
  assert.equal(health.snapshot().ready, false);
  unsubscribe();
  health.state = 'ready';
  assert.deepEqual(seen, ['ready', 'draining']);
});

test('the time tells since when it has been so', (context) => {
  context.mock.timers.enable({ apis: ['Date'], now: 1000 });
  const health = createHealth();
  health.report('log', false, 'one');
  context.mock.timers.setTime(2000);
  health.report('log', false, 'two');
  assert.deepEqual(health.snapshot().dependencies.log, { ok: false, detail: 'two', since: new Date(1000) });
  context.mock.timers.setTime(3000);
  health.report('log', true);
  assert.deepEqual(health.snapshot().dependencies.log, { ok: true, detail: undefined, since: new Date(3000) });
});
