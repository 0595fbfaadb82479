// A yes is remembered for ten seconds and for its tenant only, a no never; one question at a time, and none answered by an older one.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { rpcErrors } from '@maildoot/rpc/errors';
import { createSenderDomains, verifiedForMs, verifiedWithoutAnswerForMs } from './sender-domains.ts';

function world() {
  let time = 1_000_000;
  const verified = new Set(['ten_a good.example']);
  const asked: string[] = [];
  let hold: Promise<void> | undefined;
  let failure: Error | undefined;
  const domains = {
    async checkSenderDomains(request: { domains: string[] }, options?: { tenantId?: string | undefined }) {
      asked.push(`${options?.tenantId}: ${request.domains.join()}`);
      const answer = request.domains.filter((domain) => verified.has(`${options?.tenantId} ${domain}`));
      await hold;
      if (failure !== undefined) throw failure;
      return { verified: answer };
    },
  };
  const clock = { now: () => new Date(time), sleep: async () => {} };
  return {
    sender: createSenderDomains({ domains, clock }),
    asked,
    verified,
    pass: (ms: number) => (time += ms),
    failWith: (error: Error | undefined) => (failure = error),
    holdUntil: (released: Promise<void>) => (hold = released),
  };
}

describe('sender domains', () => {
  it('while nobody answers, a yes holds for a minute, and what was never said is UNAVAILABLE', async () => {
    const { sender, pass, failWith } = world();
    await sender.verified('ten_a', ['good.example'], '');
    for (const error of [rpcErrors.UNAVAILABLE({ message: 'away' }), rpcErrors.TIMEOUT({ message: 'slow' })]) {
      failWith(error);
      pass(verifiedForMs);
      assert.deepEqual(await sender.verified('ten_a', ['good.example'], ''), new Set(['good.example']));
      await assert.rejects(sender.verified('ten_a', ['good.example', 'other.example'], ''), { code: 'UNAVAILABLE' });
      await assert.rejects(sender.verified('ten_b', ['good.example'], ''), { code: 'UNAVAILABLE' });
    }
    pass(verifiedWithoutAnswerForMs - 2 * verifiedForMs);
    await assert.rejects(sender.verified('ten_a', ['good.example'], ''), { code: 'UNAVAILABLE' });
  });

  it('an answer that says no ends a yes, whatever fails afterwards', async () => {
    const { sender, pass, verified, failWith } = world();
    await sender.verified('ten_a', ['good.example'], '');
    verified.clear();
    pass(verifiedForMs);
    assert.deepEqual(await sender.verified('ten_a', ['good.example'], ''), new Set());
    failWith(rpcErrors.UNAVAILABLE({ message: 'away' }));
    await assert.rejects(sender.verified('ten_a', ['good.example'], ''), { code: 'UNAVAILABLE' });
  });

  it('asks once while a yes is fresh, and again afterwards', async () => {
    const { sender, asked, pass } = world();
    assert.deepEqual(await sender.verified('ten_a', ['good.example'], ''), new Set(['good.example']));
    pass(verifiedForMs - 1);
    assert.deepEqual(await sender.verified('ten_a', ['good.example'], ''), new Set(['good.example']));
    assert.equal(asked.length, 1);
    pass(1);
    await sender.verified('ten_a', ['good.example'], '');
    assert.equal(asked.length, 2);
  });

  it('does not remember a no, nor a yes for another tenant', async () => {
    const { sender, verified } = world();
    await sender.verified('ten_a', ['good.example'], '');
    assert.deepEqual(await sender.verified('ten_b', ['good.example'], ''), new Set());
    verified.add('ten_b good.example');
    assert.deepEqual(await sender.verified('ten_b', ['good.example'], ''), new Set(['good.example']));
  });

  it('shares one question among those who wait, and none of them gets an answer older than its own question', async () => {
    const { sender, asked, verified, holdUntil } = world();
    const gate = Promise.withResolvers<void>();
    holdUntil(gate.promise);
    const first = sender.verified('ten_a', ['new.example'], '');
    while (asked.length === 0) await new Promise(setImmediate);
    // Verified while the first question, which was answered with no, is under way.
    verified.add('ten_a new.example');
    const later = Array.from({ length: 20 }, () => sender.verified('ten_a', ['new.example'], ''));
    const other = sender.verified('ten_a', ['good.example'], '');
    gate.resolve();
    assert.deepEqual(await first, new Set());
    for (const answer of await Promise.all(later)) assert.deepEqual(answer, new Set(['new.example']));
    assert.deepEqual(await other, new Set(['good.example']));
    assert.deepEqual(asked, ['ten_a: new.example', 'ten_a: new.example,good.example']);
  });

  it('passes a failure on to those who waited for it and asks anew for the next', async () => {
    const { sender, holdUntil } = world();
    holdUntil(Promise.reject(new Error('down')));
    await assert.rejects(sender.verified('ten_a', ['good.example'], ''), /down/);
    holdUntil(Promise.resolve());
    assert.deepEqual(await sender.verified('ten_a', ['good.example'], ''), new Set(['good.example']));
  });
});
