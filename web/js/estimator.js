/** How large a result becomes and how it looks, before the server is asked: a worker encodes it with the browser's codecs. */

/** @import {Values} from './form.js' */

/**
 * @typedef {{bytes: number, blob: Blob}} Estimate
 * `blob` is what it looks like, perhaps with fewer pixels than the result, for which `bytes` is extrapolated then.
 */

export class Estimator {
  /** @type {Worker | undefined} */
  #worker;
  #broken = typeof Worker === 'undefined';
  #turn = 0;
  /** @type {Promise<Estimate | undefined> | undefined} the job in the worker */
  #job;
  /** Ends that job with nothing. */
  #giveUp = () => {};
  /** @type {File | undefined} the one whose picture the worker keeps */
  #file;
  /** @type {WeakMap<File, Map<string, number>>} bytes by format and settings; by format alone, what to multiply them by */
  #known = new WeakMap();

  /**
   * Encode what the server would; a later call outdates this one.
   * @param {File} file
   * @param {string} format 'jpeg', 'webp' or 'png'
   * @param {Values} settings all of them
   * @returns {Promise<Estimate | undefined>} nothing when it is outdated or the browser cannot
   */
  async estimate(file, format, settings) {
    this.#turn += 1;
    const turn = this.#turn;
    await this.#job;
    const possible = format === 'jpeg' || (format === 'webp' && !settings.lossless);
    if (turn !== this.#turn || this.#broken || !possible) return;
    this.#job = this.#ask(file, format, settings);
    const estimate = await this.#job;
    if (!estimate) return;
    const known = this.#known.get(file) ?? new Map();
    this.#known.set(file, known.set(name(format, settings), estimate.bytes));
    if (turn !== this.#turn) return;
    return { ...estimate, bytes: Math.round(estimate.bytes * (known.get(format) ?? 1)) };
  }

  /**
   * The server said how large it is: later estimates of this file and format are scaled by that.
   * Nothing is learned from settings that were not estimated.
   * @param {File} file
   * @param {string} format
   * @param {Values} settings
   * @param {number} bytes
   */
  learn(file, format, settings, bytes) {
    const known = this.#known.get(file);
    const estimated = known?.get(name(format, settings));
    if (estimated) known?.set(format, bytes / estimated);
  }

  /**
   * Drop what is kept of this file.
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
   * @returns {Promise<Estimate | undefined>}
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
 * @param {string} format
 * @param {Values} settings
 */
const name = (format, settings) => `${format} ${JSON.stringify(settings)}`;

/** @returns {Worker} */
function start() {
  const url = new URL('./estimate-worker.js', import.meta.url).href;
  // Where the browser knows of trusted types, the page's policy takes no other URL.
  const { trustedTypes } = /** @type {any} */ (globalThis);
  const policy = trustedTypes?.createPolicy('worker', { createScriptURL: () => url });
  return new Worker(policy?.createScriptURL('') ?? url, { type: 'module' });
}
