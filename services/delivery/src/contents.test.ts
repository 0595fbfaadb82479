import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { idToUuid, newId } from '@maildoot/runtime/ids';
import { bySize, Contents, ContentUnavailable } from './contents.ts';

describe('Contents', () => {
  it('reads the messages of a claim in one call, puts frames together and remembers', async () => {
    const house = make({ capBytes: 1_000, keepBytes: 1_000 });
    const [a, b] = [house.message('first message'), house.message('second')];
    const pinned = house.contents.load([a, b]);
    assert.deepEqual(await Promise.all(pinned.map(async (one) => String(await one.content))), ['first message', 'second']);
    const [again] = house.contents.load([a]);
    assert.equal(String(await again?.content), 'first message');
    assert.equal(house.calls.length, 1);
  });

  it('says missing, and tries again when messaging is away', async () => {
    const house = make({ capBytes: 1_000, keepBytes: 1_000 });
    const gone = { messageId: idToUuid('msg', newId('msg')) ?? '', sizeBytes: 10 };
    const [missing] = house.contents.load([gone]);
    assert.equal(await missing?.content, 'missing');
    house.failures = 2;
    const [found] = house.contents.load([house.message('here')]);
    assert.equal(String(await found?.content), 'here');
    house.failures = 99;
    const lost = house.message('lost');
    const [failed] = house.contents.load([lost]);
    await assert.rejects(failed?.content ?? Promise.resolve(), ContentUnavailable);
    failed?.release();
    house.failures = 0;
    const [anew] = house.contents.load([lost]);
    assert.equal(String(await anew?.content), 'lost');
  });

  it('keeps within its bytes: what is needed stays, what is not goes, and more waits', async () => {
    const house = make({ capBytes: 100, keepBytes: 100 });
    const [a, b, c] = [house.message('a'.repeat(60)), house.message('b'.repeat(30)), house.message('c'.repeat(60))];
    const [pinnedA] = house.contents.load([a]);
    const [pinnedB] = house.contents.load([b]);
    await pinnedA?.content;
    await pinnedB?.content;
    const [pinnedC] = house.contents.load([c]);
    let read = false;
    void pinnedC?.content.then(() => {
      read = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(read, false, 'it waits while the others are needed');
    pinnedA?.release();
    assert.equal(String(await pinnedC?.content), 'c'.repeat(60));
    const calls = house.calls.length;
    const [stillB] = house.contents.load([b]);
    await stillB?.content;
    assert.equal(house.calls.length, calls, 'what was pinned is still here');
  });

  it('reads what is small while large ones wait for room, and gives each its own', async () => {
    const [small, large] = [make({ capBytes: 100, keepBytes: 0 }), make({ capBytes: 100, keepBytes: 0 })];
    const contents = bySize(small.contents, large.contents, 50);
    const [x, a, y, b] = [large.message('x'.repeat(80)), small.message('a'), large.message('y'.repeat(80)), small.message('b')];
    const pinned = contents.load([x, a, y, b]);
    assert.deepEqual(await Promise.all([0, 1, 3].map(async (index) => String(await pinned[index]?.content))), ['x'.repeat(80), 'a', 'b']);
    assert.deepEqual([small.calls.length, large.calls.length], [1, 1]);
    pinned[0]?.release();
    assert.equal(String(await pinned[2]?.content), 'y'.repeat(80));
  });

  it('keeps only so much of what nobody needs, and nothing is left over of what was given up before it was read', async () => {
    const house = make({ capBytes: 1_000, keepBytes: 100 });
    const [a, b] = [house.message('a'.repeat(60)), house.message('b'.repeat(60))];
    for (const message of [a, b]) {
      const [pinned] = house.contents.load([message]);
      await pinned?.content;
      pinned?.release();
    }
    await house.contents.load([b])[0]?.content;
    assert.equal(house.calls.length, 2, 'the last one is kept');
    await house.contents.load([a])[0]?.content;
    assert.equal(house.calls.length, 3, 'the one before is not');
    for (let time = 0; time < 100; time++) {
      const [given] = house.contents.load([house.message('c'.repeat(90))]);
      given?.release();
    }
    const large = house.message('d'.repeat(800));
    assert.equal(String(await house.contents.load([large])[0]?.content).length, 800);
  });

  it('takes a message larger than all of it, alone', async () => {
    const house = make({ capBytes: 10, keepBytes: 10 });
    const [large] = house.contents.load([house.message('x'.repeat(50))]);
    assert.equal(String(await large?.content).length, 50);
  });

  it('makes a signature once, and anew after a failure', async () => {
    const house = make({ capBytes: 1_000, keepBytes: 1_000 });
    const [one] = house.contents.load([house.message('m')]);
    let made = 0;
    await assert.rejects(one?.signature(() => Promise.reject(new Error('no key'))) ?? Promise.resolve());
    const make1 = async () => Buffer.from(`signature ${++made}`);
    assert.equal(String(await one?.signature(make1)), 'signature 1');
    assert.equal(String(await one?.signature(make1)), 'signature 1');
  });
});

function make({ capBytes, keepBytes }: { capBytes: number; keepBytes: number }) {
  const bytes = new Map<string, string>();
  const state = { failures: 0, calls: [] as string[][] };
  const contents = new Contents({
    capBytes,
    keepBytes,
    retryDelaysMs: [1, 1, 1],
    messaging: {
      async *readContents({ ids }) {
        if (state.failures > 0) {
          state.failures--;
          throw new Error('away');
        }
        state.calls.push(ids);
        for (const id of ids) {
          const text = bytes.get(id);
          if (text === undefined) yield { id, data: Buffer.alloc(0), last: true, missing: true };
          else {
            yield { id, data: Buffer.from(text.slice(0, 3)), last: false, missing: false };
            yield { id, data: Buffer.from(text.slice(3)), last: true, missing: false };
          }
        }
      },
    },
  });
  return Object.assign(state, {
    contents,
    message(text: string) {
      const id = newId('msg');
      bytes.set(id, text);
      return { messageId: idToUuid('msg', id) ?? '', sizeBytes: text.length };
    },
  });
}
