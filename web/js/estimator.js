/** Estimates a result's size and look without the server: a worker encodes it with the browser's codecs. */

import { Calibration, usual } from './calibration.js';

/** @import {Values} from './form.js' */

/**
 * @typedef {{bytes: number, blob: Blob}} Estimate
 * `blob` shows what the result looks like. It may have fewer pixels than the result; `bytes` is then extrapolated.
 *
 * @typedef {Estimate & {most: number}} Encoded what the browser made. Its bytes differ from the server's, which never
 * exceed `most`.
 *
 * @typedef {{calibration: Calibration, encoded: Map<string, Pick<Encoded, 'bytes'>>, told?: [Values, number] | undefined}} Known
 * what is known of a file in a format; `told` are settings and the server's bytes, of which nothing was learned yet
 */

export class Estimator {
  /** @type {Worker | undefined} */
  #worker;
  #broken = typeof Worker === 'undefined';
  #turn = 0;
  /** @type {Promise<Encoded | undefined> | undefined} the job in the worker */
  #job;
  /** Ends that job without a result. */
  #giveUp = () => {};
  /** @type {File | undefined} the file whose picture the worker keeps */
  #file;
  /** @type {WeakMap<File, Map<string, Known>>} by format */
  #known = new WeakMap();

  /**
   * Encode as the server would. A later call makes this one outdated.
   * @param {File} file
   * @param {string} format 'jpeg', 'webp' or 'png'
   * @param {Values} settings all of them
   * @returns {Promise<Estimate | undefined>} undefined if it is outdated or the browser cannot encode it
   */
  async estimate(file, format, settings) {
    this.#turn += 1;
    const turn = this.#turn;
    await this.#job;
    const possible = format === 'jpeg' || (format === 'webp' && !settings.lossless);
    if (turn !== this.#turn || this.#broken || !possible) return;
    const known = this.#of(file, format);
    if (known.told) {
      const [settings, bytes] = known.told;
      known.told = undefined;
      this.#job = this.#ask(file, format, settings);
      const encoded = await this.#job;
      if (encoded) calibrate(known, format, settings, encoded, bytes);
      if (turn !== this.#turn) return;
    }
    this.#job = this.#ask(file, format, settings);
    const encoded = await this.#job;
    if (!encoded) return;
    known.encoded.set(JSON.stringify(settings), { bytes: encoded.bytes });
    if (turn !== this.#turn) return;
    const quality = Number(settings.quality);
    const factor = usual(format, quality) * known.calibration.factor(quality);
    return {
      blob: encoded.blob,
      bytes: Math.round(Math.min(encoded.bytes * factor, encoded.most)),
    };
  }

  /**
   * Learn the server's bytes for these settings. Later estimates of this file and format are scaled by them.
   * @param {File} file
   * @param {string} format
   * @param {Values} settings
   * @param {number} bytes
   */
  learn(file, format, settings, bytes) {
    const known = this.#of(file, format);
    const encoded = known.encoded.get(JSON.stringify(settings));
    if (encoded) calibrate(known, format, settings, encoded, bytes);
    // Only encoded here once there is something to estimate: many pictures are never changed again.
    else known.told = [settings, bytes];
  }

  /**
   * @param {File} file
   * @param {string} format
   */
  #of(file, format) {
    const formats = this.#known.get(file) ?? new Map();
    this.#known.set(file, formats);
    /** @type {Known} */
    const known = formats.get(format) ?? { calibration: new Calibration(), encoded: new Map() };
    formats.set(format, known);
    return known;
  }

  /**
   * Drop everything that is kept about this file.
   * @param {File} file
   */
  forget(file) {
    this.#known.delete(file);
    if (file === this.#file) this.#end();
  }

  /**
   * @param {File} file
   * @param {string} format
   * @param {Values} settings
   * @returns {Promise<Encoded | undefined>}
   */
  #ask(file, format, settings) {
    return new Promise((resolve) => {
      this.#giveUp = () => resolve(undefined);
      try {
        this.#worker ??= start();
        this.#worker.onmessage = ({ data }) => resolve(data);
        this.#worker.onerror = () => this.#fail();
        this.#worker.postMessage({
          file: file === this.#file ? undefined : file,
          format,
          settings,
        });
        this.#file = file;
      } catch {
        this.#fail();
      }
    });
  }

  #fail() {
    this.#broken = true;
    this.#end();
  }

  #end() {
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#file = undefined;
    this.#giveUp();
  }
}

/**
 * @param {Known} known
 * @param {string} format
 * @param {Values} settings
 * @param {Pick<Encoded, 'bytes'>} encoded
 * @param {number} bytes of the server's file
 */
function calibrate(known, format, settings, encoded, bytes) {
  const quality = Number(settings.quality);
  known.calibration.learn(quality, bytes / (encoded.bytes * usual(format, quality)));
}

/** @returns {Worker} */
function start() {
  const url = new URL('./estimate-worker.js', import.meta.url).href;
  // If the browser supports trusted types, the page's policy accepts no other URL.
  const { trustedTypes } = /** @type {any} */ (globalThis);
  const policy = trustedTypes?.createPolicy('worker', { createScriptURL: () => url });
  return new Worker(policy?.createScriptURL('') ?? url, { type: 'module' });
}
