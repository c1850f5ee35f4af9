import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { ResultCache } from '../../web/js/cache.js';

/** @type {string[]} */
let revoked = [];
beforeEach(() => {
  revoked = [];
  mock.method(URL, 'revokeObjectURL', (/** @type {string} */ url) => revoked.push(url));
  mock.timers.enable({ apis: ['setTimeout'] });
});
afterEach(() => mock.reset());

/**
 * @param {string} key
 * @param {number} bytes
 */
function result(key, bytes) {
  const made = { key, url: `blob:${key}`, blob: { size: bytes } };
  return /** @type {import('../../web/js/session.js').Result} */ (/** @type {unknown} */ (made));
}

test('what was used least recently goes first, and its memory with it', () => {
  const cache = new ResultCache(100, () => false);
  cache.put(1, result('a', 40));
  cache.put(1, result('b', 40));
  cache.get(1, 'a');
  cache.put(1, result('c', 40));
  assert.deepEqual(revoked, []);
  mock.timers.tick(10_000);
  assert.deepEqual(revoked, ['blob:b']);
  assert.equal(cache.get(1, 'b'), undefined);
  assert.equal(cache.get(1, 'a')?.key, 'a');
});

test('what is shown stays, however old and large', () => {
  const shown = result('a', 90);
  const cache = new ResultCache(100, (each) => each === shown);
  cache.put(1, shown);
  cache.put(2, result('b', 90));
  assert.equal(cache.get(1, 'a'), shown);
});

test('images do not mix', () => {
  const cache = new ResultCache(100, () => false);
  cache.put(1, result('a', 10));
  cache.put(11, result('a', 10));
  cache.forget(1);
  assert.equal(cache.get(1, 'a'), undefined);
  assert.equal(cache.get(11, 'a')?.key, 'a');
});
