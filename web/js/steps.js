/** The numbers of the server's steps (functions/optimizer/imaging/steps.py), for pictures that the browser makes. */

/** @import {Values} from './form.js' */
/** @typedef {{width: number, height: number}} Size */

const UNSHARP_RADIUS = 2;
const UNSHARP_THRESHOLD = 3;

/**
 * @param {Size} size of the upright picture
 * @param {Values} settings
 * @returns {Size}
 */
export function targetSize(size, settings) {
  const percent = Number(settings.resize_percent);
  const width = side((size.width * percent) / 100);
  const height = side((size.height * percent) / 100);
  const widths = (Number(settings.width) || width) / width;
  const scale = Math.min(1, widths, (Number(settings.height) || height) / height);
  return { width: side(width * scale), height: side(height * scale) };
}

/**
 * Round halves to even, as Python does; at least 1.
 * @param {number} value
 */
function side(value) {
  const up = Math.round(value);
  return Math.max(1, up - value === 0.5 ? up - (up % 2) : up);
}

/**
 * Return the mean gray of the visible pixels after this brightness. Contrast keeps it and spreads the levels around it.
 * @param {{data: Uint8ClampedArray}} image RGBA
 * @param {number} brightness
 */
export function meanGray({ data }, brightness) {
  const light = toneTable(brightness);
  const at = (/** @type {number} */ index) => light[data[index] ?? 0] ?? 0;
  let [sum, count] = [0, 0];
  for (let i = 0; i < data.length; i += 4) {
    if (!data[i + 3]) continue;
    sum += (at(i) * 19595 + at(i + 1) * 38470 + at(i + 2) * 7471 + 0x8000) >> 16;
    count += 1;
  }
  return count && Math.floor(sum / count + 0.5);
}

/** @param {{data: Uint8ClampedArray}} image RGBA */
export const isOpaque = ({ data }) =>
  data.every((value, index) => index % 4 !== 3 || value === 255);

/**
 * Return the new value of each of the 256 levels of a colour, after brightness and then contrast.
 * @param {number} brightness
 * @param {number} [contrast]
 * @param {number} [gray] the mean that contrast keeps
 */
export const toneTable = (brightness, contrast = 0, gray = 0) =>
  table((level) => blend(blend(level, 0, brightness), gray, contrast));

/**
 * Do Pillow's `blend` of a plain picture and this level: in single precision, without the fraction.
 * @param {number} level
 * @param {number} pivot
 * @param {number} percent on top of 100 % of the level
 */
function blend(level, pivot, percent) {
  const { fround } = Math;
  const moved = fround(pivot + fround(fround(1 + percent / 100) * (level - pivot)));
  return Math.trunc(Math.min(Math.max(moved, 0), 255));
}

/**
 * Return how much sharpening adds to a level that is 0, 1, ... 255 above its surroundings. Below them it subtracts as
 * much.
 * @param {number} sharpen above 0
 */
export const gainTable = (sharpen) =>
  table((difference) =>
    difference > UNSHARP_THRESHOLD
      ? Math.min(Math.trunc((difference * 5 * sharpen) / 100), 255)
      : 0,
  );

/** @param {(level: number) => number} value */
export const table = (value) => Array.from({ length: 256 }, (_, level) => value(level));

/**
 * Return the radius of the blur or, above 0, of the sharpening: a standard deviation in pixels of the result.
 * @param {number} sharpen
 */
export const blurRadius = (sharpen) => (sharpen > 0 ? UNSHARP_RADIUS : -sharpen / 10);

/**
 * @param {Size} size
 * @param {number} scale above 1 counts as 1
 * @returns {Size}
 */
export function reduced({ width, height }, scale) {
  const less = Math.min(scale, 1);
  return { width: side(width * less), height: side(height * less) };
}

/**
 * Make a bitmap smaller, and close the large one.
 * @param {ImageBitmap} bitmap
 * @param {number} scale above 1 counts as 1
 */
export async function shrink(bitmap, scale) {
  if (scale >= 1) return bitmap;
  const { width, height } = reduced(bitmap, scale);
  /** @type {ImageBitmapOptions} */
  const options = { resizeWidth: width, resizeHeight: height, resizeQuality: 'high' };
  const small = await createImageBitmap(bitmap, options);
  bitmap.close();
  return small;
}
