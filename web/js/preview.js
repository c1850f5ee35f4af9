/** Shows the result without the server: the source on a canvas, with tones and sharpness from an SVG filter. */

import { svg } from './page.js';
import {
  blurRadius,
  gainTable,
  isOpaque,
  meanGray,
  reduced,
  shrink,
  table,
  targetSize,
  toneTable,
} from './steps.js';

/** @import {Values} from './form.js' */
/** @import {Size} from './steps.js' */

const MAX_SIDE = 2048;
const SAMPLE_SIDE = 256;
/** A slope for alpha that makes every visible pixel opaque. */
const SOLID = 255;
const LEVELS = table((level) => level);
const INVERSE = table((level) => 255 - level);

let count = 0;

export class Preview {
  #canvas;
  #context;
  #filter;
  #url;
  #turn = 0;
  #scale = 1;
  /** @type {ImageBitmap | undefined} */
  #bitmap;
  /** @type {Size} the source's own */
  #size = { width: 0, height: 0 };
  /** The source, reduced, for measuring. */
  #sample = new ImageData(1, 1);
  #drawn = '';
  #frame = 0;
  /** @type {Size} the canvas's, in its own pixels */
  #pixels = { width: 1, height: 1 };
  /** @type {Values | undefined} */
  #settings;

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    count += 1;
    const id = `preview-${count}`;
    this.#url = `url(#${id})`;
    // Limited to the picture, since a blur would otherwise be visible outside it.
    const area = { x: 0, y: 0, width: '100%', height: '100%' };
    this.#filter = svg('filter', { id, ...area, 'color-interpolation-filters': 'sRGB' });
    // It has no size instead of `display: none`, with which some browsers drop the filter.
    const holder = svg('svg', { width: 0, height: 0, 'aria-hidden': true }, this.#filter);
    holder.style.position = 'absolute';
    document.body.append(holder);
  }

  /**
   * Open another source. The latest call wins.
   * @param {File} file
   * @returns {Promise<Size | undefined>} its upright size, or undefined if the browser cannot decode it
   */
  async open(file) {
    this.close();
    const turn = this.#turn;
    const full = await createImageBitmap(file).catch(() => undefined);
    if (!full) return;
    const { width, height } = full;
    const bitmap = await shrink(full, fit(full, MAX_SIDE)).catch(() => undefined);
    if (!bitmap) {
      full.close();
      return;
    }
    if (turn !== this.#turn) {
      bitmap.close();
      return;
    }
    this.#bitmap = bitmap;
    this.#size = { width, height };
    this.#sample = sample(bitmap);
    return this.#size;
  }

  /**
   * Show what the server will make with these settings.
   * @param {Values} settings all of them
   * @returns {Size | undefined} the result's (the canvas has at most 2048 pixels a side); undefined without a picture
   */
  show(settings) {
    if (!this.#bitmap) return;
    this.#settings = settings;
    const size = targetSize(this.#size, settings);
    // The canvas is not larger than it is shown: browsers scale a canvas down worse than an image.
    const seen = this.#scale * devicePixelRatio;
    this.#pixels = reduced(size, Math.min(seen, fit(size, MAX_SIDE)));
    // Once a frame, since a new size is often followed by a new scale, which leaves the number of pixels as it was.
    this.#frame ||= requestAnimationFrame(() => this.#draw());
    this.#adjust(settings);
    return size;
  }

  /** How many CSS pixels of the canvas's own box one pixel of the result takes. Radii are in pixels of the result. */
  set scale(/** @type {number} */ scale) {
    if (scale === this.#scale) return;
    this.#scale = scale;
    if (this.#settings) this.show(this.#settings);
  }

  /** Nobody sees the canvas, so it need not be drawn at another scale. */
  rest() {
    this.#settings = undefined;
  }

  /** Free the picture; the canvas keeps what it shows. */
  close() {
    this.#turn += 1;
    this.#bitmap?.close();
    this.#bitmap = undefined;
    this.#settings = undefined;
    this.#drawn = '';
  }

  #draw() {
    this.#frame = 0;
    const { width, height } = this.#pixels;
    const drawn = `${width} ${height}`;
    if (!this.#bitmap || drawn === this.#drawn) return;
    this.#drawn = drawn;
    this.#canvas.width = width;
    this.#canvas.height = height;
    this.#context.imageSmoothingQuality = 'high';
    this.#context.drawImage(this.#bitmap, 0, 0, width, height);
  }

  /** @param {Values} settings */
  #adjust(settings) {
    const brightness = Number(settings.brightness);
    const contrast = Number(settings.contrast);
    const sharpen = Number(settings.sharpen);
    const sample = this.#sample;
    const tones = toneTable(brightness, contrast, contrast && meanGray(sample, brightness));
    const opaque = sharpen < 0 && isOpaque(sample);
    this.#filter.replaceChildren(...primitives(tones, sharpen, this.#scale, opaque));
    this.#canvas.style.filter = brightness || contrast || sharpen ? this.#url : 'none';
  }
}

/**
 * Return the scale that makes the longer side so many pixels.
 * @param {Size} size
 * @param {number} limit
 */
const fit = ({ width, height }, limit) => limit / Math.max(width, height);

/** @param {ImageBitmap} bitmap */
function sample(bitmap) {
  const { width, height } = reduced(bitmap, fit(bitmap, SAMPLE_SIDE));
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const context = /** @type {CanvasRenderingContext2D} */ (
    canvas.getContext('2d', { willReadFrequently: true })
  );
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/**
 * Return the filter that does what the server does, with 8 bits per channel as there.
 * @param {number[]} tones
 * @param {number} sharpen
 * @param {number} scale factor for the radius
 * @param {boolean} opaque
 */
function primitives(tones, sharpen, scale, opaque) {
  if (sharpen === 0) return [transfer(tones)];
  const blur = gaussian(blurRadius(sharpen) * scale);
  // A canvas is transparent outside the picture, so a blur makes its edges transparent. Only an opaque picture can be
  // repaired.
  if (sharpen < 0) return [transfer(tones), ...blur, transfer(LEVELS, opaque ? SOLID : 1)];
  // Differences have a sign, but colours do not. So levels above and below their surroundings are handled separately.
  // Everything is made opaque, since alpha limits the colours. The source's own alpha is applied last.
  const gains = gainTable(sharpen);
  const losses = gains.map((gain) => 255 - gain).reverse();
  return [
    transfer(tones, SOLID, 'tone'),
    ...blur,
    transfer(INVERSE, SOLID, 'inverse'),
    add('tone', 'inverse', -1),
    transfer(gains, 1, 'more'),
    add('tone', 'inverse'),
    transfer(losses, 1, 'less'),
    add('tone', 'more', 0, 'sum'),
    add('sum', 'less', -1),
    svg('feComposite', { in2: 'SourceGraphic', operator: 'in' }),
  ];
}

/** @param {number} radius the standard deviation in CSS pixels */
function gaussian(radius) {
  // Without a GPU, Chromium blurs a radius of 2 as 2.12. Two blurs, each with the radius divided by the root of 2, are
  // right.
  const parts = Math.round(radius * devicePixelRatio) === 2 ? 2 : 1;
  const stdDeviation = radius / Math.sqrt(parts);
  return Array.from({ length: parts }, () => svg('feGaussianBlur', { stdDeviation }));
}

/**
 * Look every colour up in a table.
 * @param {number[]} levels
 * @param {number} [alpha] the factor for alpha
 * @param {string} [result]
 */
function transfer(levels, alpha = 1, result = '') {
  // Browsers either cut off or round the fraction of 255 times the value. Adding a third works with both.
  const tableValues = levels.map((level) => ((level + 1 / 3) / 255).toFixed(5)).join(' ');
  const colors = ['R', 'G', 'B'].map((name) =>
    svg(`feFunc${name}`, { type: 'discrete', tableValues }),
  );
  const solid = svg('feFuncA', { type: 'linear', slope: alpha });
  return svg('feComponentTransfer', { result }, ...colors, solid);
}

/**
 * @param {string} left
 * @param {string} right
 * @param {number} [more] added to every channel
 * @param {string} [result]
 */
const add = (left, right, more = 0, result = '') =>
  svg('feComposite', {
    in: left,
    in2: right,
    operator: 'arithmetic',
    k2: 1,
    k3: 1,
    k4: more,
    result,
  });
