/** What the server was asked to find, and the words for what it found. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { findings, moves, qualityBy } from '../../web/js/search.js';

const schema = { label: (_, format) => ({ webp: 'WebP' })[format] };

/** @param {object} settings @param {object} answer @param {boolean} [animated] */
const told = (settings, answer, animated = false) => {
  const result = {
    key: JSON.stringify(settings),
    answer: { format: 'webp', quality: 78, similarity: null, ...answer },
  };
  return findings({ animated, result }, schema);
};

test('the quality is found by auto quality, else by the target size, else by nobody', () => {
  assert.equal(qualityBy({ auto_quality: 'high', target_bytes: 1000 }), 'auto_quality');
  assert.equal(qualityBy({ auto_quality: 'off', target_bytes: 1000 }), 'target_bytes');
  assert.equal(qualityBy({ auto_quality: 'off', target_bytes: null, quality: 3 }), '');
  assert.equal(qualityBy({ format: 'smallest' }), '');
});

test('nothing is told where nothing was searched for', () => {
  assert.deepEqual(told({ quality: 78 }, {}), []);
  assert.deepEqual(told({ quality: 78 }, { similarity: undefined }), []); // by an older server
});

test('what was searched for is told with the words for its similarity', () => {
  const words = {
    100: 'Cannot',
    89.5: 'Cannot',
    89.4: 'High',
    80: 'High',
    65: 'Good',
    64: 'Low',
    '-3': 'Low',
  };
  for (const [similarity, word] of Object.entries(words)) {
    const value = Math.max(0, Math.round(Number(similarity)));

    const [facts, line] = told({ auto_quality: 'small' }, { similarity: Number(similarity) });

    assert.equal(facts, `Quality 78 · Similarity ${value}`);
    assert.equal(line?.split(/[ :]/)[0], word, similarity);
  }
});

test('only a format that was searched for is told, and no quality where every pixel was kept', () => {
  assert.equal(
    told({ format: 'smallest' }, { similarity: 91 })[0],
    'WebP · Quality 78 · Similarity 91',
  );
  assert.equal(
    told({ format: 'smallest' }, { quality: null, similarity: 100 })[0],
    'WebP · Similarity 100',
  );
  assert.deepEqual(told({ format: 'webp', target_bytes: 50_000 }, { target_reached: true }), [
    'Quality 78',
  ]);
});

test('a size that was not reached comes last, with the way out', () => {
  const lines = told({ target_bytes: 50_000 }, { quality: 1, target_reached: false });

  assert.deepEqual(lines, [
    'Quality 1',
    '50 KB is out of reach with these settings. Resize to go lower.',
  ]);
});

test('an animation moves as long as it stays a WebP', () => {
  assert.equal(moves({ animated: true }, {}), true);
  assert.equal(moves({ animated: true }, { format: 'webp' }), true);
  assert.equal(moves({ animated: true }, { format: 'smallest' }), true);
  assert.equal(moves({ animated: true }, { format: 'png' }), false);
  assert.equal(moves({ animated: false }, {}), false);
});

test('of an animation nothing is told, since nothing was searched for', () => {
  assert.deepEqual(told({ auto_quality: 'high' }, {}, true), []);
  assert.deepEqual(told({ target_bytes: 1000 }, { target_reached: false }, true), []);
  assert.deepEqual(told({ quality: 50 }, {}, true), []);
  assert.deepEqual(told({ format: 'jpeg', target_bytes: 1000 }, {}, true), ['Quality 78']);
});
