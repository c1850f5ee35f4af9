/** The worker of estimator.js. It makes a picture's result with the browser's own decoders and encoders. */

import {
  blurRadius,
  gainTable,
  isOpaque,
  meanGray,
  reduced,
  shrink,
  targetSize,
  toneTable,
} from './steps.js';

/** @import {Encoded} from './estimator.js' */
/** @import {Values} from './form.js' */
/** @import {Size} from './steps.js' */

const MAX_PIXELS = 4_000_000;
const KEPT_PIXELS = 16_000_000; // of a decoded picture, 4 bytes each
const MAX_JPEG_QUALITY = 95;
const MAX_WEBP_QUALITY = 99.9; // in Chromium, 100 means lossless

/** @typedef {{file: File, size: Size, bitmap: ImageBitmap}} Source */
/** @type {Source | undefined} the last source, or undefined if it cannot be decoded */
let source;

addEventListener('message', async ({ data: { file, format, settings } }) => {
  try {
    if (file) await open(file);
    postMessage(source && (await estimate(source, format, settings)));
  } catch {
    postMessage(undefined);
  }
});

/** @param {File} file */
async function open(file) {
  source?.bitmap.close();
  source = undefined;
  const full = await createImageBitmap(file);
  const { width, height } = full;
  const bitmap = await shrink(full, Math.sqrt(KEPT_PIXELS / (width * height)));
  source = { file, size: { width, height }, bitmap };
}

/**
 * @param {Source} source
 * @param {string} format
 * @param {Values} settings
 * @returns {Promise<Encoded | undefined>}
 */
async function estimate({ file, size, bitmap }, format, settings) {
  const jpeg = format === 'jpeg';
  const type = `image/${format}`;
  // A browser that cannot encode this type makes a PNG instead.
  const probe = await contextOf(1, 1).canvas.convertToBlob({ type });
  if (probe.type !== type) return;
  const target = targetSize(size, settings);
  const all = target.width * target.height;
  const { width, height } = reduced(target, Math.sqrt(MAX_PIXELS / all));
  const context = contextOf(width, height);
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, width, height);
  const adjusted = adjust(context, settings, width / target.width);
  if (jpeg) {
    context.globalCompositeOperation = 'destination-over';
    context.fillStyle = String(settings.background);
    context.fillRect(0, 0, width, height);
  }
  const best = jpeg ? MAX_JPEG_QUALITY : MAX_WEBP_QUALITY;
  const quality = settings.lossless ? best : Math.min(Number(settings.quality), best);
  const blob = await context.canvas.convertToBlob({ type, quality: quality / 100 });
  const share = (width * height) / all;
  // If only the encoding changes, the server never returns a larger file than the source.
  const same = !adjusted && type === file.type && all === size.width * size.height;
  return { bytes: blob.size / share, blob, most: same ? file.size : Infinity };
}

/**
 * Do the steps after the resize. Return whether there were any.
 * @param {OffscreenCanvasRenderingContext2D} context
 * @param {Values} settings
 * @param {number} scale factor for the radius
 */
function adjust(context, settings, scale) {
  const { canvas } = context;
  const brightness = Number(settings.brightness);
  const contrast = Number(settings.contrast);
  const sharpen = Number(settings.sharpen);
  if (!brightness && !contrast && !sharpen) return false;

  const image = pixels(context);
  const { data } = image;
  const tones = toneTable(brightness, contrast, contrast && meanGray(image, brightness));
  each(data, (level) => tones[level]);
  context.putImageData(image, 0, 0);
  // Safari does not support filters on a canvas, so the estimate has no blur there.
  if (!sharpen || !('filter' in context)) return true;
  const soft = contextOf(canvas.width, canvas.height);
  soft.filter = `blur(${blurRadius(sharpen) * scale}px)`;
  soft.drawImage(canvas, 0, 0);
  const around = pixels(soft).data;
  if (sharpen > 0) {
    const gains = gainTable(sharpen);
    each(data, (level, index) => {
      const difference = level - (around[index] ?? 0);
      return level + Math.sign(difference) * (gains[Math.abs(difference)] ?? 0);
    });
  } else if (isOpaque(image)) {
    // A canvas is transparent outside the picture, so a blur makes its edges transparent. Only the colours are taken.
    each(data, (_, index) => around[index]);
  } else {
    data.set(around);
  }
  context.putImageData(image, 0, 0);
  return true;
}

/**
 * Replace each colour level, but not alpha.
 * @param {Uint8ClampedArray} data
 * @param {(level: number, index: number) => number | undefined} level
 */
function each(data, level) {
  for (let i = 0; i < data.length; i += 1) {
    if (i % 4 !== 3) data[i] = level(data[i] ?? 0, i) ?? 0;
  }
}

/** @param {OffscreenCanvasRenderingContext2D} context */
const pixels = (context) => context.getImageData(0, 0, context.canvas.width, context.canvas.height);

/**
 * @param {number} width
 * @param {number} height
 */
function contextOf(width, height) {
  const options = { willReadFrequently: true };
  const context = new OffscreenCanvas(width, height).getContext('2d', options);
  return /** @type {OffscreenCanvasRenderingContext2D} */ (context);
}
