/** The browser's arithmetic against the server's, whose values tests/test_web_values.py keeps true. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { gainTable, meanGray, reduced, targetSize, toneTable } from '../../web/js/steps.js';

const values = JSON.parse(readFileSync(new URL('values.json', import.meta.url), 'utf8'));

test('sizes are rounded as the server rounds them', () => {
  for (const { size, settings, target } of values.sizes) {
    const [width, height] = size;
    const all = { resize_percent: 100, width: null, height: null, ...settings };

    const result = targetSize({ width, height }, all);

    assert.deepEqual([result.width, result.height], target, JSON.stringify({ size, settings }));
  }
});

test('tones are those of the server, level by level', () => {
  for (const { of, levels } of values.tones) assert.deepEqual(toneTable(...of), levels, String(of));
});

test('the mean gray is that of the visible pixels after brightness', () => {
  const alpha = (i) => (i % 5 === 0 ? 0 : 255);
  const pixels = Array.from({ length: 256 }, (_, i) => [
    i,
    (i * 7) % 256,
    (i * 13) % 256,
    alpha(i),
  ]);
  const data = Uint8ClampedArray.from(pixels.flat());

  for (const { brightness, gray } of values.gray)
    assert.equal(meanGray({ data }, brightness), gray);
});

test('the mean gray of nothing visible is black', () => {
  assert.equal(meanGray({ data: new Uint8ClampedArray(8) }, 0), 0);
});

test('sharpening leaves differences up to the threshold and cuts fractions off', () => {
  const gains = gainTable(23);

  assert.deepEqual(gains.slice(0, 6), [0, 0, 0, 0, 4, 5]);
  assert.equal(gains[255], 255);
});

test('a reduced size is never larger and never empty', () => {
  assert.deepEqual(reduced({ width: 12, height: 7 }, 3), { width: 12, height: 7 });
  assert.deepEqual(reduced({ width: 12000, height: 1 }, 0.1), { width: 1200, height: 1 });
});
