// Who may have how many attempts under way.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Places } from './places.ts';

const placesOf = (places: Places, lane: string) => places.known().find((one) => one.lane === lane)?.places ?? places.ofUnknown;

test('an endpoint has its own places and no others', () => {
  const places = new Places(100);
  for (let count = 0; count < 10; count++) places.take('a');
  assert.equal(placesOf(places, 'a'), 0);
  assert.equal(placesOf(places, 'b'), 10);
  assert.equal(places.free, 90);
});

test('one that does not answer is left with one place until it answers, and gets them back step by step', () => {
  const places = new Places(100);
  for (let count = 0; count < 10; count++) places.take('a');
  for (let count = 0; count < 10; count++) places.release('a', false);
  assert.equal(placesOf(places, 'a'), 1);
  const seen: number[] = [];
  for (let count = 0; count < 4; count++) {
    places.take('a');
    places.release('a', true);
    seen.push(placesOf(places, 'a'));
  }
  assert.deepEqual(seen, [2, 4, 8, 10]);
  assert.deepEqual(places.known(), [], 'nothing is remembered of endpoints that are well');
});

test('those that do not answer share half of all places', () => {
  const places = new Places(8);
  const silent = ['a', 'b', 'c', 'd', 'e'];
  for (const lane of silent) {
    places.take(lane);
    places.release(lane, false);
  }
  for (const lane of silent.slice(0, 4)) places.take(lane);
  assert.equal(placesOf(places, 'e'), 0);
  assert.equal(places.free, 4);
  assert.equal(placesOf(places, 'well'), 10);
  places.release('a', true);
  assert.equal(placesOf(places, 'e'), 1, 'a place is free again');
});

test('endpoints that failed and are asked nothing more are forgotten, those first that were asked longest ago', () => {
  const places = new Places(10);
  places.take('busy');
  for (let count = 0; count < 1_500; count++) {
    for (const lane of ['failing', `gone-${count}`]) {
      places.take(lane);
      places.release(lane, false);
    }
  }
  assert.equal(places.known().length, 1_010);
  assert.equal(placesOf(places, 'busy'), 9);
  assert.equal(placesOf(places, 'failing'), 1);
  assert.equal(placesOf(places, 'gone-1499'), 1);
  assert.equal(placesOf(places, 'gone-0'), places.ofUnknown);
  assert.equal(places.underWay, 1);
});
