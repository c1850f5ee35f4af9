/** The images of this visit: uploaded once, optimized as often as the settings change, discarded at the end. */

import { Failure } from './api.js';
import { inspect } from './intake.js';
import { t } from './page.js';

/** @import {Answer} from './api.js' */
/** @import {Values} from './form.js' */
/** @import {Transfer} from './transfer.js' */

/**
 * @typedef {{key: string, answer: Answer, blob: Blob, url: string}} Result
 *
 * @typedef {{short: string, message: string, details: string[], retry: boolean, network: boolean}} Trouble
 *
 * @typedef {{
 *   number: number, file: File, type: string, url: string,
 *   phase: 'refused' | 'waiting' | 'uploading' | 'uploaded',
 *   progress: number, uploadId: string, issued: string[],
 *   result: Result | undefined, trouble: Trouble | undefined,
 *   run: AbortController | undefined, gone: AbortController,
 * }} Image
 * `issued` lists every upload id it had; `run` is the optimize in flight; `gone` ends all work on it.
 *
 * @typedef {{
 *   changed: () => void, added: (images: Image[]) => void,
 *   uploaded: (image: Image) => void, optimized: (image: Image) => void,
 * }} Listener
 */

const DEBOUNCE_MS = 250;
/** What is wrong with the file itself, and stays wrong under any settings, by status. */
const SHORTS = new Map([
  [413, 'too-large'],
  [415, 'unsupported'],
]);
const MAX_CACHE_BYTES = 64_000_000;

export class Session {
  /** @type {Image[]} */
  images = [];
  /** @type {Image | undefined} */
  selected;
  live = true;

  #transfer;
  #maxBytes;
  #settings;
  #key;
  #listener;
  #cache = new ResultCache((result) => this.images.some((image) => image.result === result));
  /** @type {string[]} ids of removed images that the server could not be told about yet */
  #undiscarded = [];
  #debounce = 0;
  #count = 0;

  /**
   * @param {Transfer} transfer
   * @param {number} maxBytes
   * @param {Values} settings
   * @param {Listener} listener
   */
  constructor(transfer, maxBytes, settings, listener) {
    this.#transfer = transfer;
    this.#maxBytes = maxBytes;
    this.#settings = settings;
    this.#key = JSON.stringify(settings);
    this.#listener = listener;
  }

  /**
   * Take files in: refuse what the server would refuse, upload and optimize the rest.
   * @param {File[]} files
   */
  async add(files) {
    const added = await Promise.all(files.map((file) => this.#create(file)));
    if (added.length === 0) return;
    const good = added.filter((image) => image.phase !== 'refused');
    this.images.push(...added);
    this.selected = good[0] ?? added[0];
    this.#listener.added(added);
    this.#upload(good);
  }

  /** @param {Image} image */
  select(image) {
    this.selected = image;
    if (this.live && !image.trouble) this.#refresh(image);
    this.#listener.changed();
  }

  /**
   * Use these settings from now on: for the selected image soon, for the others when they are asked for.
   * @param {Values} settings what differs from the defaults
   */
  setSettings(settings) {
    const key = JSON.stringify(settings);
    if (key === this.#key) return;
    this.#settings = settings;
    this.#key = key;
    for (const image of this.images) {
      image.result = this.#cache.get(image.number, key) ?? image.result;
    }
    const image = this.selected;
    clearTimeout(this.#debounce);
    if (image?.phase === 'uploaded') {
      this.#stop(image);
      image.trouble = undefined;
      if (this.live) this.#debounce = setTimeout(() => this.#refresh(image), DEBOUNCE_MS);
    }
    this.#listener.changed();
  }

  /** @param {boolean} live */
  setLive(live) {
    this.live = live;
    if (live && this.selected) this.#refresh(this.selected);
    this.#listener.changed();
  }

  /**
   * What is shown of it, if anything, was not made with the settings of now.
   * @param {Image} image
   */
  isStale(image) {
    return image.phase === 'uploaded' && image.result?.key !== this.#key;
  }

  /**
   * A result with the settings of now is on its way.
   * @param {Image} image
   */
  isPending(image) {
    if (!this.isStale(image) || image.trouble) return false;
    return image.run !== undefined || (this.live && image === this.selected);
  }

  /**
   * Somebody has to ask for it before it is made with the settings of now.
   * @param {Image} image
   */
  wantsRun(image) {
    return this.isStale(image) && !this.isPending(image) && !image.trouble;
  }

  /**
   * Make the result of this image with the settings of now.
   * @param {Image} image
   */
  async optimize(image) {
    this.#stop(image);
    image.trouble = undefined;
    const cached = this.#cache.get(image.number, this.#key);
    if (cached) {
      image.result = cached;
      this.#listener.changed();
      return;
    }
    const run = new AbortController();
    const signal = AbortSignal.any([run.signal, image.gone.signal]);
    const first = image === this.selected;
    image.run = run;
    this.#listener.changed();
    try {
      const result = await this.#transfer.optimize(image, () => this.#settings, signal, first);
      if (signal.aborted) return URL.revokeObjectURL(result.url);
      image.run = undefined;
      image.result = result;
      this.#cache.put(image.number, result);
      this.#listener.optimized(image);
      // Settings that changed while it was not the selected image were not sent for it.
      if (this.live && image === this.selected) this.#refresh(image);
    } catch (error) {
      if (signal.aborted) return;
      image.run = undefined;
      this.#fail(image, error);
    }
    this.#listener.changed();
  }

  optimizeAll() {
    for (const image of this.images) if (this.wantsRun(image)) this.optimize(image);
  }

  /** @param {Image} image */
  retry(image) {
    image.trouble = undefined;
    if (image.phase === 'uploaded') this.optimize(image);
    else this.#upload([image]);
  }

  /** Go on with what failed because there was no network. */
  retryNetwork() {
    for (const image of this.images) if (image.trouble?.network) this.retry(image);
  }

  /**
   * Delete the image, here and on the server; its neighbour is selected.
   * @param {Image} image
   */
  remove(image) {
    const index = this.images.indexOf(image);
    this.#forget([image]);
    const neighbour = this.images[index] ?? this.images[index - 1];
    if (this.selected === image) this.selected = neighbour;
    if (this.selected) this.select(this.selected);
    else this.#listener.changed();
  }

  removeAll() {
    this.#forget(this.images);
    this.selected = undefined;
    this.#listener.changed();
  }

  /** The page goes away: the server forgets every image. */
  leave() {
    const ids = this.images.flatMap((image) => image.issued);
    this.#transfer.discardOnLeave([...this.#undiscarded, ...ids]);
    this.#undiscarded = [];
    for (const image of this.images) {
      image.issued = [];
      image.uploadId = '';
    }
  }

  /** The page came back from the back/forward cache: upload again what leaving discarded. */
  comeBack() {
    const discarded = this.images.filter((image) => image.phase !== 'refused' && !image.uploadId);
    for (const image of discarded) {
      image.gone.abort();
      image.gone = new AbortController();
      image.run = undefined;
      image.trouble = undefined;
    }
    this.#upload(discarded);
  }

  /**
   * @param {File} file
   * @returns {Promise<Image>}
   */
  async #create(file) {
    const verdict = await inspect(file, this.#maxBytes);
    const good = 'type' in verdict;
    this.#count += 1;
    return {
      number: this.#count,
      file,
      type: good ? verdict.type : '',
      url: good ? URL.createObjectURL(file) : '',
      phase: good ? 'waiting' : 'refused',
      progress: 0,
      uploadId: '',
      issued: [],
      result: undefined,
      trouble: good ? undefined : { ...verdict, details: [], retry: false, network: false },
      run: undefined,
      gone: new AbortController(),
    };
  }

  /** @param {Image[]} images */
  #upload(images) {
    for (const image of images) {
      image.phase = 'waiting';
      image.progress = 0;
    }
    this.#listener.changed();
    this.#transfer.upload(images, {
      progress: (image) => {
        image.phase = 'uploading';
        this.#listener.changed();
      },
      done: (image) => {
        image.phase = 'uploaded';
        this.#listener.uploaded(image);
        if (this.live) this.#refresh(image);
        this.#listener.changed();
      },
      failed: (image, error) => {
        if (image.gone.signal.aborted) return;
        this.#fail(image, error);
        this.#listener.changed();
      },
    });
  }

  /**
   * Optimize unless what is shown, or what is on its way, was made with the settings of now.
   * @param {Image} image
   */
  #refresh(image) {
    if (this.isStale(image) && !image.run) this.optimize(image);
  }

  /** @param {Image} image */
  #stop(image) {
    image.run?.abort();
    image.run = undefined;
  }

  /**
   * @param {Image} image
   * @param {unknown} error
   */
  #fail(image, error) {
    if (!(error instanceof Failure)) throw error;
    image.trouble = describe(error);
    if (SHORTS.has(error.status)) image.phase = 'refused';
  }

  /** @param {Image[]} images */
  #forget(images) {
    const ids = images.flatMap((image) => image.issued);
    this.images = this.images.filter((image) => !images.includes(image));
    for (const image of images) {
      image.gone.abort();
      image.result = undefined;
      this.#cache.forget(image.number);
      URL.revokeObjectURL(image.url);
    }
    if (ids.length === 0) return;
    this.#transfer.discard(ids).catch(() => this.#undiscarded.push(...ids));
  }
}

/**
 * @param {Failure} failure
 * @returns {Trouble}
 */
function describe({ status, detail, errors }) {
  const network = status === 0;
  const offline = network && !navigator.onLine;
  const told = status >= 400 && status < 500 && detail !== '';
  const problem = offline ? 'offline' : network ? 'network' : 'server';
  const short = SHORTS.get(status) ?? (offline ? 'offline' : 'failed');
  return {
    short: t(`short.${short}`),
    message: told ? detail : t(`error.${problem}`),
    details: told ? errors.map((each) => each.detail).filter((each) => each !== detail) : [],
    retry: status !== 422 && !SHORTS.has(status),
    network,
  };
}

/** Keeps results so that settings tried before show at once; the least recently used ones go first. */
class ResultCache {
  /** @type {Map<string, Result>} */
  #entries = new Map();
  #bytes = 0;

  /** @param {(result: Result) => boolean} isShown such a result stays, however old */
  constructor(isShown) {
    this.isShown = isShown;
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
      if (this.#bytes <= MAX_CACHE_BYTES) break;
      if (!this.isShown(entry)) this.#drop(oldest);
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
    URL.revokeObjectURL(result.url);
  }
}
