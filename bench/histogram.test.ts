import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Histogram } from './histogram.ts';

test('a percentile is never below the true one and at most 0.8 % above it', () => {
  const values = Array.from({ length: 20_000 }, (_, index) => (index * 7919) % 20_011).map((value) => 0.001 * (1 + value * value));
  const histogram = new Histogram();
  for (const value of values) histogram.record(value);
  const sorted = values.toSorted((a, b) => a - b);
  for (const percent of [1, 50, 90, 99, 99.9, 100]) {
    const exact = sorted[Math.ceil((percent / 100) * sorted.length) - 1] ?? Number.NaN;
    const found = histogram.percentileMs(percent);
    assert.ok(found >= exact - 0.001 && found <= exact * 1.008 + 0.001, `p${percent}: ${found} for ${exact}`);
  }
  assert.equal(histogram.maxMs, sorted.at(-1));
});

test('histograms of two processes add up to that of all their values', () => {
  const parts = [new Histogram(), new Histogram()];
  const whole = new Histogram();
  for (let index = 0; index < 1_000; index++) {
    parts[index % 2]?.record(index / 3);
    whole.record(index / 3);
  }
  const { counts, maxUs } = JSON.parse(JSON.stringify(parts[1])) as { counts: number[]; maxUs: number };
  parts[0]?.add(new Histogram(counts, maxUs));
  assert.deepEqual(parts[0]?.toJSON(), whole.toJSON());
});
