// Enhanced codes: syntax and the registry's words.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatEnhancedCode, meaningOfEnhancedCode, parseEnhancedCode } from './enhanced-code.ts';

test('parse and format', () => {
  for (const text of ['2.0.0', '4.2.2', '5.1.1', '5.7.30', '5.999.999']) {
    const code = parseEnhancedCode(text);
    assert.ok(code !== undefined);
    assert.equal(formatEnhancedCode(code), text);
  }
  for (const text of ['', '5', '5.1', '5.1.1.1', '3.1.1', '1.1.1', '5.1.1000', '5.1.x', ' 5.1.1', '5.1.1 '])
    assert.equal(parseEnhancedCode(text), undefined, text);
});

test('meanings', () => {
  assert.equal(meaningOfEnhancedCode('5.1.1'), 'bad destination mailbox address');
  assert.equal(meaningOfEnhancedCode('4.2.2'), 'mailbox is full');
  assert.equal(meaningOfEnhancedCode('5.7.99'), 'security or policy: unregistered detail 99');
  assert.equal(meaningOfEnhancedCode('5.9.1'), undefined);
  assert.equal(meaningOfEnhancedCode('garbage'), undefined);
});
