// Which events a callback's patterns choose.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooses, eventTypes, isEventPattern } from './event-types.ts';

test('patterns choose by name, by prefix up to a dot, or all', () => {
  for (const [patterns, type, chosen] of [
    [[], 'message.delivered', true],
    [['*'], 'domain.drifted', true],
    [['message.delivered'], 'message.delivered', true],
    [['message.delivered'], 'message.deferred', false],
    [['message.*'], 'message.deferred', true],
    [['message.*'], 'domain.verified', false],
    [['domain.verified', 'message.*'], 'message.opened', true],
    // A type that a later version adds.
    [['message.*'], 'message.translated', true],
    [['message.d*'], 'message.delivered', false],
  ] as const)
    assert.equal(chooses(patterns, type), chosen, `${patterns.join()} ${type}`);
});

test('a pattern that can choose nothing is none', () => {
  for (const type of eventTypes) assert.ok(isEventPattern(type));
  for (const pattern of ['*', 'message.*', 'domain.*', 'callback.*']) assert.ok(isEventPattern(pattern), pattern);
  for (const pattern of ['', 'message', 'message.', 'mesage.*', 'message.deliverd', '.*', '**', 'callback.test'])
    assert.ok(!isEventPattern(pattern), pattern);
});
