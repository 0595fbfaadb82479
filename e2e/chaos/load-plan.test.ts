/** What the client sends: every way is among it, and the same seed sends the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planner, written } from './load-plan.ts';
import { seeded } from './random.ts';

const drawn = (options: { template: string; bySmtp: boolean }) => {
  const plan = planner(seeded(7), { from: 'load@yard.example', ...options });
  return Array.from({ length: 500 }, plan);
};
const kindsOf = (planned: ReturnType<typeof drawn>) => [...new Set(planned.map(({ kind }) => kind))].sort();

test('every kind is sent, and none that the platform has no door for', () => {
  assert.deepEqual(kindsOf(drawn({ template: 'chaos', bySmtp: true })), ['batch', 'several', 'single', 'submitted', 'template']);
  assert.deepEqual(kindsOf(drawn({ template: '', bySmtp: false })), ['batch', 'several', 'single']);
});

test('numbers go up, and the same seed draws the same kinds and recipients', () => {
  const shape = () =>
    drawn({ template: 'chaos', bySmtp: true }).map(({ request, kind, key, messages }) => [
      request,
      kind,
      key,
      messages.map(({ number, recipients }) => [number, recipients]),
    ]);
  assert.deepEqual(shape(), shape());
  const numbers = drawn({ template: 'chaos', bySmtp: true }).flatMap(({ messages }) => messages.map(({ number }) => number));
  assert.deepEqual(
    numbers,
    numbers.map((_, index) => index + 1),
  );
});

test('by SMTP: lines that fit, the number, no Message-ID of ours; whoever is not in the header gets a blind copy', () => {
  const all = drawn({ template: 'chaos', bySmtp: true }).filter(({ kind }) => kind === 'submitted');
  assert.ok(all.some(({ messages }) => (messages[0]?.recipients.length ?? 0) > 1));
  for (const planned of all) {
    const [message] = planned.messages;
    const { way, body, envelope } = written(planned);
    assert.deepEqual([way, envelope.to], ['smtp', message?.recipients]);
    assert.ok(body.split('\r\n').every((line) => line.length <= 998 && !/[\r\n]/.test(line)));
    assert.match(body, new RegExp(`^X-Chaos-Number: ${message?.number}\r$`, 'm'));
    assert.doesNotMatch(body, /^(message-id|bcc):/im);
    assert.equal(/^X-Idempotency-Key: /m.test(body), planned.key !== 'none');
    for (const hidden of message?.recipients.slice(1) ?? []) assert.ok(!body.includes(hidden));
  }
});

test('of a template: its name and variables instead of a body', () => {
  const planned = drawn({ template: 'chaos', bySmtp: true }).find(({ kind }) => kind === 'template');
  const body = JSON.parse(planned ? written(planned).body : '{}') as Record<string, unknown>;
  assert.equal(body.template_id, 'chaos');
  assert.deepEqual([body.text, body.subject, body.html], [undefined, undefined, undefined]);
  assert.equal((body.variables as { number?: number }).number, planned?.messages[0]?.number);
});
