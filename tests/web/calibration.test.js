/** What the server's bytes are told from, beside those of the browser's encoder. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Calibration, usual } from '../../web/js/calibration.js';

test('nothing is changed before anything was learned', () => {
  assert.equal(new Calibration().factor(85), 1);
});

test('one answer counts near its quality, and less the farther it is', () => {
  const calibration = new Calibration();

  calibration.learn(85, 0.8);

  const [same, near, far, farthest] = [85, 80, 40, 1].map((each) => calibration.factor(each));
  assert.ok(Math.abs(same - 0.8) < 0.001);
  assert.ok(Math.abs(near - 0.8) < 0.01);
  assert.ok(far > 0.9 && far < farthest && farthest < 1);
});

test('of several answers the nearest counts most', () => {
  const calibration = new Calibration();

  calibration.learn(85, 1);
  calibration.learn(40, 1.2);

  assert.ok(Math.abs(calibration.factor(85) - 1) < 0.001);
  assert.ok(Math.abs(calibration.factor(41) - 1.2) < 0.001);
  const between = calibration.factor(62);
  assert.ok(between > 1.05 && between < 1.15, String(between));
});

test('a newer answer at the same quality replaces the older', () => {
  const calibration = new Calibration();

  calibration.learn(60, 1);
  calibration.learn(60, 0.5);

  assert.ok(Math.abs(calibration.factor(60) - 0.5) < 0.001);
});

test('the usual factor of a JPEG follows the measured means', () => {
  // jpegli at the server's distances by libjpeg with halved chroma, the geometric means over 14 photos; Chromium's
  // own libjpeg comes out somewhat smaller.
  const measured = {
    ...{
      1: 2.15,
      5: 1.6,
      10: 1.08,
      20: 0.79,
      30: 0.79,
      40: 0.8,
      50: 0.8,
      60: 0.8,
      70: 0.77,
      75: 0.81,
    },
    ...{ 80: 0.81, 85: 0.835, 87: 0.86, 88: 0.845, 90: 0.9, 93: 1.03, 95: 1.07 },
  };
  for (const [quality, mean] of Object.entries(measured)) {
    const factor = usual('jpeg', Number(quality));

    assert.ok(Math.abs(factor / mean - 1) < 0.08, `${quality}: ${factor}`);
  }
});

test('other formats are made by the same encoder here and there', () => {
  assert.equal(usual('webp', 20), 1);
});
