import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { change, list, percent, size, speak, t } from '../../web/js/page.js';
import * as german from '../../web/strings/de.js';
import * as english from '../../web/strings/en.js';

afterEach(() => speak(english));

/** @type {[number, string, string][]} */
const SIZES = [
  [0, '0 B', '0 B'],
  [999, '999 B', '999 B'],
  [1_000, '1 KB', '1 KB'],
  [1_550, '1.6 KB', '1,6 KB'],
  [26_012, '26 KB', '26 KB'],
  [999_499, '999 KB', '999 KB'],
  [999_500, '1 MB', '1 MB'],
  [26_214_400, '26 MB', '26 MB'],
];
for (const [bytes, inEnglish, inGerman] of SIZES) {
  test(`${bytes} bytes are ${inEnglish}`, () => {
    assert.equal(size(bytes), inEnglish);
    speak(german);
    assert.equal(size(bytes), inGerman);
  });
}

/** @type {[number, string, string][]} */
const CHANGES = [
  [97, '−97%', '−97\u00a0%'],
  [-12, '+12%', '+12\u00a0%'],
  [0, '0%', '0\u00a0%'],
  [0.4, '−0.4%', '−0,4\u00a0%'],
  [99.97, '−99.9%', '−99,9\u00a0%'],
  [-250.4, '+250%', '+250\u00a0%'],
];
for (const [saved, inEnglish, inGerman] of CHANGES) {
  test(`${saved} percent saved are ${inEnglish}`, () => {
    assert.equal(change(saved), inEnglish);
    speak(german);
    assert.equal(change(saved), inGerman);
  });
}

test('nothing that has bytes left is 100 percent smaller', () =>
  assert.equal(percent(100), '99.9'));

test('the plural follows the count', () => {
  assert.equal(t('count.images', { count: 1 }), '1 image');
  assert.equal(t('count.images', { count: 1_200 }), '1,200 images');
});

test('an unknown sentence is a mistake of ours', () =>
  assert.throws(() => t('no.such'), /no such string/));

test('several things become one sentence', () => {
  assert.equal(list(['a', 'b', 'c']), 'a, b, and c');
  speak(german);
  assert.equal(list(['a', 'b', 'c']), 'a, b und c');
});

/** @param {unknown} entry */
const forms = (entry) =>
  typeof entry === 'string' ? [entry] : Object.values(/** @type {object} */ (entry));
/** @param {unknown} entry */
const places = (entry) =>
  [
    ...new Set(
      forms(entry)
        .join(' ')
        .match(/\{\w+\}/g),
    ),
  ].sort();

for (const [key, entry] of Object.entries(english.strings)) {
  test(`${key} says the same in German`, () => {
    const other = german.strings[key];
    assert.ok(other !== undefined, 'is missing');
    assert.deepEqual(places(other), places(entry));
    assert.equal(typeof other, typeof entry);
  });
}

test('German adds only what English takes from the server', () => {
  const added = Object.keys(german.strings).filter((key) => !(key in english.strings));
  const families = new Set(added.map((key) => key.split('.')[0]));
  assert.deepEqual([...families].sort(), [
    'cap',
    'choice',
    'hint',
    'preset',
    'problem',
    'setting',
    'warning',
  ]);
});
