import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Viewport } from '../../web/js/viewport.js';

/** @param {number} [pixelRatio] */
function viewport(pixelRatio = 1) {
  const view = new Viewport();
  view.measure({ width: 900, height: 600 }, { width: 3000, height: 1500 }, pixelRatio);
  return view;
}

test('a large picture opens fitted, whole and in proportion', () => {
  const { frame, picture, x, y } = viewport().layout();
  assert.deepEqual(
    [frame, picture, x, y],
    [{ width: 900, height: 450 }, { width: 900, height: 450 }, 0, 0],
  );
});

test('a small picture is not enlarged beyond what can be judged', () => {
  const view = viewport();
  view.measure({ width: 900, height: 600 }, { width: 500, height: 400 }, 1);
  assert.equal(view.layout().picture.width, 500);
  view.measure({ width: 900, height: 600 }, { width: 96, height: 64 }, 1);
  assert.equal(view.layout().picture.width, 384);
});

for (const pixelRatio of [1, 2, 3]) {
  test(`100 % is one pixel of the result on one of a screen with ${pixelRatio} in a CSS px`, () => {
    const view = viewport(pixelRatio);
    view.zoomTo(1);
    assert.equal(view.layout().picture.width * pixelRatio, 3000);
  });
}

test('what is under the pointer stays there while it zooms', () => {
  const view = viewport();
  view.zoomTo(1);
  const point = { x: 300, y: 200 };
  const before = view.layout();
  view.zoomTo(2, point);
  const after = view.layout();
  /** @param {import('../../web/js/viewport.js').Layout} layout */
  const under = ({ x, y, picture }) => [
    (point.x - x) / picture.width,
    (point.y - y) / picture.height,
  ];
  for (const [i, part] of under(before).entries())
    assert.ok(Math.abs(part - (under(after)[i] ?? 0)) < 1e-9);
});

test('no pan and no zoom leaves room beside a picture that is larger than its frame', () => {
  const view = viewport();
  view.zoomTo(2, { x: 0, y: 0 });
  for (const [dx, dy] of /** @type {const} */ ([
    [1e5, 1e5],
    [-1e6, -1e6],
    [3e5, -40],
  ])) {
    view.pan(dx, dy);
    const { frame, picture, x, y } = view.layout();
    assert.ok(
      x <= 0 && y <= 0 && x + picture.width >= frame.width && y + picture.height >= frame.height,
    );
  }
});

test('a pan that was stopped at the edge does not have to be undone', () => {
  const view = viewport();
  view.zoomTo(1);
  view.pan(1e5, 0);
  assert.equal(view.layout().x, 0);
  view.pan(-10, 0);
  assert.ok(Math.abs(view.layout().x + 10) < 1e-9);
});

test('zooming out ends at the fitted picture', () => {
  const view = viewport();
  view.zoomTo(1);
  assert.equal(view.isFitted, false);
  view.zoomTo(0.01);
  assert.equal(view.isFitted, true);
});

test('a result of another size is seen as large as the one before', () => {
  const view = viewport();
  view.zoomTo(1);
  const { width } = view.layout().picture;
  view.measure({ width: 900, height: 600 }, { width: 1500, height: 750 }, 1);
  assert.equal(view.layout().picture.width, width);
});
