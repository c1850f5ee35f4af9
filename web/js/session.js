/** The images of this visit: uploaded once, optimized whenever the settings change, and discarded at the end. */

import { Failure } from './api.js';
import { ResultCache } from './cache.js';
import { inspect } from './intake.js';
import { release, t, tOr } from './page.js';

/** @import {Answer} from './api.js' */
/** @import {Values} from './form.js' */
/** @import {Quota} from './quota.js' */
/** @import {Transfer} from './transfer.js' */

/**
 * @typedef {{key: string, answer: Answer, blob: Blob, url: string}} Result
 *
 * @typedef {{short: string, message: string, details: string[], retry: boolean, network: boolean}} Trouble
 *
 * @typedef {{
 *   number: number, file: File, type: string, animated: boolean, url: string,
 *   phase: 'refused' | 'waiting' | 'uploading' | 'uploaded',
 *   progress: number, uploadId: string, issued: string[],
 *   result: Result | undefined, trouble: Trouble | undefined,
 *   run: AbortController | undefined, gone: AbortController, own: Values | undefined,
 * }} Image
 * `issued` lists every upload id that it had. `run` aborts the optimize in flight, `gone` the upload. `own` are its own
 * settings, if it does not use the common ones.
 *
 * @typedef {{
 *   changed: () => void, added: (images: Image[]) => void,
 *   uploaded: (image: Image) => void, optimized: (image: Image) => void,
 * }} Listener
 */

const DEBOUNCE_MS = 250;
/** By status: problems of the file itself, which no settings can fix. */
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
  #quota;
  #maxBytes;
  #settings;
  #listener;
  #cache = new ResultCache(MAX_CACHE_BYTES, (result) =>
    this.images.some((image) => image.result === result),
  );
  #debounce = 0;
  #count = 0;

  /**
   * @param {Transfer} transfer
   * @param {Quota} quota
   * @param {number} maxBytes
   * @param {Values} settings
   * @param {Listener} listener
   */
  constructor(transfer, quota, maxBytes, settings, listener) {
    this.#transfer = transfer;
    this.#quota = quota;
    this.#maxBytes = maxBytes;
    this.#settings = settings;
    this.#listener = listener;
  }

  /**
   * Add files. Refuse those that the server would refuse; upload and optimize the rest.
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
   * The settings of this image: its own, or the common ones.
   * @param {Image | undefined} image
   */
  settingsOf(image) {
    return image?.own ?? this.#settings;
  }

  /**
   * Use these settings from now on: soon for the selected image, and for the others on request.
   * @param {Values} settings what differs from the defaults
   */
  setSettings(settings) {
    const image = this.selected;
    const before = this.#keyOf(image);
    if (image?.own) image.own = settings;
    else this.#settings = settings;
    if (this.#keyOf(image) !== before) this.#settingsChanged();
  }

  /**
   * Give the selected image its own copy of the common settings, or let it follow the common ones again.
   * @param {boolean} own
   */
  setOwn(own) {
    if (!this.selected) return;
    this.selected.own = own ? this.#settings : undefined;
    this.#settingsChanged();
  }

  #settingsChanged() {
    for (const image of this.images) {
      image.result = this.#cache.get(image.number, this.#keyOf(image)) ?? image.result;
    }
    const image = this.selected;
    clearTimeout(this.#debounce);
    if (image?.phase === 'uploaded') {
      this.#stop(image);
      image.trouble = undefined;
      const wait = Math.max(DEBOUNCE_MS, this.#quota.spacing);
      if (this.live) this.#debounce = setTimeout(() => this.#refresh(image), wait);
    }
    this.#listener.changed();
  }

  /** @param {Image | undefined} image */
  #keyOf(image) {
    return JSON.stringify(this.settingsOf(image));
  }

  /** @param {boolean} live */
  setLive(live) {
    this.live = live;
    if (live && this.selected) this.#refresh(this.selected);
    this.#listener.changed();
  }

  /**
   * Whether the image is uploaded but has no result with the current settings.
   * @param {Image} image
   */
  isStale(image) {
    return image.phase === 'uploaded' && image.result?.key !== this.#keyOf(image);
  }

  /**
   * Whether a result with the current settings is on its way.
   * @param {Image} image
   */
  isPending(image) {
    if (!this.isStale(image) || image.trouble) return false;
    return image.run !== undefined || (this.live && image === this.selected);
  }

  /**
   * Whether it is stale and is only optimized if somebody asks for it.
   * @param {Image} image
   */
  wantsRun(image) {
    return this.isStale(image) && !this.isPending(image) && !image.trouble;
  }

  /**
   * Whether something is being done for it, without anybody asking again.
   * @param {Image} image
   */
  isUnderway(image) {
    const arriving = image.phase === 'waiting' || image.phase === 'uploading';
    return !image.trouble && (arriving || image.run !== undefined || this.isPending(image));
  }

  /**
   * Make this image's result with the current settings.
   * @param {Image} image
   */
  async optimize(image) {
    if (image.gone.signal.aborted) return; // removed while it waited
    this.#stop(image);
    image.trouble = undefined;
    const cached = this.#cache.get(image.number, this.#keyOf(image));
    if (cached) {
      image.result = cached;
      this.#listener.changed();
      return;
    }
    const run = new AbortController();
    const { signal } = run;
    const settings = () => this.settingsOf(image);
    const batch = () => image !== this.selected;
    image.run = run;
    this.#listener.changed();
    try {
      const result = await this.#transfer.optimize(image, settings, signal, batch);
      if (signal.aborted) return URL.revokeObjectURL(result.url);
      image.run = undefined;
      image.result = result;
      this.#cache.put(image.number, result);
      this.#listener.optimized(image);
      // Settings may have changed while it was not selected.
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

  /**
   * Use the original instead of a larger result.
   * @param {Image} image
   */
  keepOriginal(image) {
    if (!image.result) return;
    const { key, answer } = image.result;
    const { file, type } = image;
    image.result = {
      key,
      answer: {
        ...answer,
        ...answer.source,
        filename: file.name,
        format: type.replace('image/', ''),
        saved_percent: 0,
        quality: null,
        similarity: null,
        target_reached: undefined,
        kept_original: false,
        metadata_removed: [],
        warnings: [{ code: 'original', detail: t('warning.original') }],
      },
      blob: file,
      url: URL.createObjectURL(file),
    };
    this.#cache.put(image.number, image.result);
    this.#listener.changed();
  }

  /** Try again what failed because there was no network. */
  retryNetwork() {
    this.#transfer.retryDiscards();
    const failed = this.images.filter((image) => image.trouble?.network);
    for (const image of failed) image.trouble = undefined;
    for (const image of failed) if (image.phase === 'uploaded') this.optimize(image);
    this.#upload(failed.filter((image) => image.phase !== 'uploaded'));
  }

  /**
   * Delete these images here and on the server, and select a neighbour.
   * @param {Image[]} images
   * @returns {() => void} adds the files again, at their old places
   */
  remove(images) {
    const before = this.images;
    const index = before.findIndex((image) => images.includes(image));
    this.#forget(images);
    if (this.selected && images.includes(this.selected)) {
      this.selected = this.images[index] ?? this.images[index - 1];
    }
    if (this.selected) this.select(this.selected);
    else this.#listener.changed();
    return () => this.#restore(images, before);
  }

  /**
   * @param {Image[]} removed
   * @param {Image[]} before the order they had
   */
  async #restore(removed, before) {
    const back = await Promise.all(removed.map(({ file, own }) => this.#create(file, own)));
    /** @param {Image} image */
    const place = (image) => before.indexOf(removed[back.indexOf(image)] ?? image);
    this.images.push(...back);
    this.images.sort((one, other) => (place(one) + 1 || 1e9) - (place(other) + 1 || 1e9));
    this.selected = back[0];
    this.#upload(back.filter((image) => image.phase !== 'refused'));
  }

  /** The page is being closed: let the server delete every image. */
  leave() {
    const ids = this.images.flatMap((image) => image.issued);
    this.#transfer.discardOnLeave(ids);
    for (const image of this.images) {
      image.issued = [];
      image.uploadId = '';
    }
  }

  /** The page came back from the back/forward cache: upload the images again that `leave` discarded. */
  comeBack() {
    const discarded = this.images.filter((image) => image.phase !== 'refused' && !image.uploadId);
    for (const image of discarded) {
      image.gone.abort();
      image.gone = new AbortController();
      this.#stop(image);
      image.trouble = undefined;
    }
    this.#upload(discarded);
  }

  /**
   * @param {File} file
   * @param {Values} [own]
   * @returns {Promise<Image>}
   */
  async #create(file, own) {
    const verdict = await inspect(file, this.#maxBytes);
    const good = 'type' in verdict;
    const typed = good && file.type !== verdict.type;
    this.#count += 1;
    return {
      number: this.#count,
      // The type comes from the file's content, not from its name as in the browser.
      file: typed ? new File([file], file.name, { type: verdict.type }) : file,
      type: good ? verdict.type : '',
      animated: good && verdict.animated,
      url: good ? URL.createObjectURL(file) : '',
      phase: good ? 'waiting' : 'refused',
      progress: 0,
      uploadId: '',
      issued: [],
      result: undefined,
      trouble: good ? undefined : { ...verdict, details: [], retry: false, network: false },
      run: undefined,
      gone: new AbortController(),
      own,
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
        this.#fail(image, error);
        this.#listener.changed();
      },
    });
  }

  /**
   * Optimize the image unless it has a result with the current settings, or one is on its way.
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
      this.#stop(image);
      image.result = undefined;
      this.#cache.forget(image.number);
      release(image.url);
    }
    this.#transfer.discard(ids);
  }
}

/**
 * @param {Failure} failure
 * @returns {Trouble}
 */
function describe({ status, code, detail, errors }) {
  const network = status === 0;
  const told = status >= 400 && status < 500 && detail !== '';
  const short = SHORTS.get(status) ?? (code === 'damaged_image' ? 'damaged' : 'failed');
  return {
    short: t(`short.${short}`),
    message: told ? tOr(`problem.${code}`, detail) : t(`error.${network ? 'network' : 'server'}`),
    details: told ? errors.map((each) => each.detail).filter((each) => each !== detail) : [],
    retry: status !== 422 && !SHORTS.has(status),
    network,
  };
}
