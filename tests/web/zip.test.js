import assert from 'node:assert/strict';
import { test } from 'node:test';
import { numbered } from '../../web/js/zip.js';

test('names in a zip are numbered where they come again', () => {
  for (const [names, unique] of [
    [
      ['a.png', 'b.png'],
      ['a.png', 'b.png'],
    ],
    [
      ['a.png', 'A.PNG', 'a.png'],
      ['a.png', 'A (2).PNG', 'a (3).png'],
    ],
    [
      ['a (2).png', 'a.png', 'a.png'],
      ['a (2).png', 'a.png', 'a (3).png'],
    ],
    [
      ['a', 'a', '.png', '.png'],
      ['a', 'a (2)', '.png', '.png (2)'],
    ],
  ]) {
    assert.deepEqual(numbered(names), unique);
  }
});
