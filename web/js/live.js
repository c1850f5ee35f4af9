/** Shows a preview before the server answers: at once what filters can show, then an estimate with its size. */

import { Estimator } from './estimator.js';
import { release, size, t } from './page.js';
import { Preview } from './preview.js';
import { moves, qualityBy } from './search.js';

/** @import {Schema, Values} from './form.js' */
/** @import {Image} from './session.js' */
/** @import {Shown} from './stage.js' */

/** The settings that change the look. All others change only the bytes and the noise of encoding. */
const LOOK = 'resize_percent width height brightness contrast sharpen auto_orient'.split(' ');

const IDLE_MS = 300;

export class Live {
  #schema;
  #preview;
  #estimator = new Estimator();
  #onChange;
  #key = '';
  /** @type {Image | undefined} */
  #image;
  /** @type {Shown | undefined} */
  #shown;
  #bytes = 0;
  #isOpen = false;
  /** @type {Promise<unknown>} */
  #opening = Promise.resolve();
  #idle = 0;
  /** The picture of the last estimate, and the settings for its look. */
  #made = { url: '', look: '' };

  /**
   * @param {Schema} schema
   * @param {HTMLCanvasElement} canvas
   * @param {() => void} onChange called when there is something new to show
   */
  constructor(schema, canvas, onChange) {
    this.#schema = schema;
    this.#preview = new Preview(canvas);
    this.#onChange = onChange;
  }

  /**
   * Decode the image when there is time, so that the first move of a slider has an effect at once.
   * @param {Image} image
   */
  prepare(image) {
    if (image === this.#image) return;
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#open(image), IDLE_MS);
  }

  /**
   * @param {Image} image
   * @returns {Promise<unknown>} undefined if the browser cannot decode it
   */
  #open(image) {
    clearTimeout(this.#idle);
    if (image !== this.#image) {
      this.#drop();
      this.#image = image;
      this.#isOpen = false;
      this.#opening = this.#preview.open(image.file);
      this.#opening.then((size) => {
        if (image === this.#image) this.#isOpen = size !== undefined;
      });
    }
    return this.#opening;
  }

  /** @param {number} scale CSS px per px of the result */
  set scale(scale) {
    this.#preview.scale = scale;
  }

  /** The preview to show in After, if there is one. */
  get shown() {
    return this.#shown;
  }

  /** The preview's estimated size in bytes; 0 if there is no estimate, and undefined if there is no preview. */
  get bytes() {
    return this.#shown && this.#bytes;
  }

  /**
   * Show what these settings will make of the image.
   * @param {Image} image
   * @param {Values} settings what differs from the defaults
   */
  async follow(image, settings) {
    const key = `${image.number} ${JSON.stringify(settings)}`;
    if (key === this.#key) return;
    this.#key = key;
    if (image !== this.#image || !this.#isOpen) {
      const opened = await this.#open(image);
      if (!opened || key !== this.#key) return;
    }
    const full = { ...this.#schema.defaults, ...settings };
    const shape = this.#preview.show(full);
    if (!shape) return;
    // If the look stays the same, an encoded picture that exists is closer to the result than the canvas.
    const { result } = image;
    const shown = [this.#made, { url: result?.url, look: result && look(JSON.parse(result.key)) }];
    const url = shown.find((each) => each.url && each.look === look(settings))?.url ?? '';
    this.#show({ url, text: '', shape }, 0);
    // Only the server can tell the bytes in these cases.
    if (qualityBy(settings) || moves(image, settings)) return;
    const format = formatOf(image, settings);
    const estimate = await this.#estimator.estimate(image.file, format, { ...full, format });
    if (key !== this.#key || !estimate) return;
    const { bytes, blob } = estimate;
    const old = this.#made.url;
    this.#made = { url: URL.createObjectURL(blob), look: look(settings) };
    const text = t('result.about', { size: size(bytes) });
    this.#show({ url: this.#made.url, text, shape }, bytes);
    release(old);
  }

  /**
   * Whether a preview of this image is shown.
   * @param {Image} image
   */
  shows(image) {
    return image === this.#image && this.#shown !== undefined;
  }

  /** Stop the preview: the server's result is there, or there is nothing to show. */
  clear() {
    this.#key = '';
    this.#preview.rest();
    this.#drop();
  }

  /**
   * Let estimates learn from the server's bytes, no matter who chose the format and the quality.
   * @param {Image} image
   */
  learn({ file, result }) {
    const { format, quality, bytes, kept_original } = result?.answer ?? {};
    if (!result || !format || !quality || kept_original) return;
    const settings = { ...this.#schema.defaults, ...JSON.parse(result.key), format, quality };
    this.#estimator.learn(file, format, settings, Number(bytes));
  }

  /** @param {Image} image */
  forget(image) {
    clearTimeout(this.#idle);
    this.#estimator.forget(image.file);
    if (image !== this.#image) return;
    this.clear();
    this.#image = undefined;
    this.#preview.close();
  }

  /**
   * @param {Shown} shown
   * @param {number} bytes
   */
  #show(shown, bytes) {
    this.#shown = shown;
    this.#bytes = bytes;
    this.#onChange();
  }

  #drop() {
    this.#shown = undefined;
    this.#bytes = 0;
    release(this.#made.url);
    this.#made = { url: '', look: '' };
  }
}

/** @param {Values} settings */
const look = (settings) => JSON.stringify(LOOK.map((name) => settings[name] ?? null));

/**
 * @param {Image} image
 * @param {Values} settings
 */
function formatOf(image, settings) {
  const { format = 'original' } = settings;
  return format === 'original' ? image.type.replace('image/', '') : String(format);
}
