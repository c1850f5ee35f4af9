/** Keeps results, so that settings that were tried before show at once. The least recently used are dropped first. */

import { release } from './page.js';

/** @import {Result} from './session.js' */

export class ResultCache {
  /** @type {Map<string, Result>} */
  #entries = new Map();
  #bytes = 0;
  #maxBytes;
  #isShown;

  /**
   * @param {number} maxBytes
   * @param {(result: Result) => boolean} isShown whether a result is shown; such a result stays
   */
  constructor(maxBytes, isShown) {
    this.#maxBytes = maxBytes;
    this.#isShown = isShown;
  }

  /**
   * @param {number} image
   * @param {string} key
   */
  get(image, key) {
    const name = `${image} ${key}`;
    const result = this.#entries.get(name);
    if (result) {
      this.#entries.delete(name);
      this.#entries.set(name, result);
    }
    return result;
  }

  /**
   * @param {number} image
   * @param {Result} result
   */
  put(image, result) {
    const name = `${image} ${result.key}`;
    this.#drop(name);
    this.#entries.set(name, result);
    this.#bytes += result.blob.size;
    for (const [oldest, entry] of this.#entries) {
      if (this.#bytes <= this.#maxBytes) break;
      if (!this.#isShown(entry)) this.#drop(oldest);
    }
  }

  /** @param {number} image */
  forget(image) {
    for (const name of this.#entries.keys()) {
      if (name.startsWith(`${image} `)) this.#drop(name);
    }
  }

  /** @param {string} name */
  #drop(name) {
    const result = this.#entries.get(name);
    if (!result) return;
    this.#entries.delete(name);
    this.#bytes -= result.blob.size;
    release(result.url);
  }
}
