import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { waitFor } from '@maildoot/testkit/wait';
import { maxUnrecorded, Recorder } from './recorder.ts';
import type { Recorded } from './store/attempt.ts';

describe('Recorder', () => {
  it('records many in one transaction and does not make anybody wait', async () => {
    const house = make();
    for (let number = 0; number < 50; number++) house.recorder.submit(number, false);
    assert.equal(house.recorded.length, 0);
    assert.equal(await house.recorder.flush(60_000), true);
    assert.deepEqual(
      house.recorded,
      Array.from({ length: 50 }, (_, number) => number),
    );
    assert.equal(house.groups.length, 1);
  });

  it('keeps what the database refuses and records it when it is back', async () => {
    const house = make();
    house.failing = true;
    house.recorder.submit(1, false);
    await waitFor(() => house.failures > 0, { what: 'a failure' });
    assert.equal(await house.recorder.flush(20), false);
    house.failing = false;
    assert.equal(await house.recorder.flush(60_000), true);
    assert.deepEqual(house.recorded, [1]);
  });

  it('has room for so many unrecorded outcomes and no more', async () => {
    const house = make();
    house.failing = true;
    for (let number = 0; number < maxUnrecorded; number++) assert.equal(await house.recorder.reserve(1, 0), true);
    assert.equal(await house.recorder.reserve(1, 10), false);
    const waiting = house.recorder.reserve(1, 60_000);
    house.recorder.submit(1, true);
    await waitFor(() => house.failures > 0, { what: 'a failure' });
    house.failing = false;
    assert.equal(await waiting, true);
    assert.equal(house.recorder.unrecorded, maxUnrecorded);
    house.recorder.release(1);
    assert.equal(house.recorder.unrecorded, maxUnrecorded - 1);
  });

  it('lets more than the limit at once have its turn alone', async () => {
    const house = make();
    assert.equal(await house.recorder.reserve(1, 0), true);
    const large = house.recorder.reserve(maxUnrecorded + 1, 60_000);
    // Nobody overtakes it, or it would wait for ever.
    assert.equal(await house.recorder.reserve(1, 10), false);
    house.recorder.release(1);
    assert.equal(await large, true);
  });
});

function make() {
  const state = { failing: false, failures: 0, recorded: [] as number[], groups: [] as number[] };
  const recorder = new Recorder<number>({
    async record(ends) {
      if (state.failing) throw Object.assign(new Error('away'), { code: 'ECONNREFUSED' });
      state.groups.push(ends.length);
      return ends.map((): Recorded => 'recorded');
    },
    sizeOf: () => 1,
    onRecorded: (end) => state.recorded.push(end),
    onFailure: () => state.failures++,
  });
  return Object.assign(state, { recorder });
}
