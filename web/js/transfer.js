/** Uploads the images of a visit and fetches their results: in batches, a few at once, with pauses where needed. */

import { Failure, fetchBlob, inChunks, postForm } from './api.js';

/** @import {Api, Ticket} from './api.js' */
/** @import {Quota} from './quota.js' */
/** @import {Image, Result} from './session.js' */
/** @import {Values} from './form.js' */

/**
 * @typedef {{progress: (image: Image) => void, done: (image: Image) => void,
 *   failed: (image: Image, error: unknown) => void}} Report
 */

const UPLOADS_AT_ONCE = 3;
const OPTIMIZES_AT_ONCE = 2;

export class Transfer {
  #api;
  #quota;
  #filesPerRequest;
  #uploads = new Slots(UPLOADS_AT_ONCE);
  #optimizes = new Slots(OPTIMIZES_AT_ONCE);
  /** @type {Map<Image, Promise<void>>} */
  #again = new Map();
  /** @type {string[]} upload ids that could not be discarded yet */
  #undiscarded = [];

  /**
   * @param {Api} api
   * @param {Quota} quota
   * @param {number} filesPerRequest
   */
  constructor(api, quota, filesPerRequest) {
    this.#api = api;
    this.#quota = quota;
    this.#filesPerRequest = filesPerRequest;
  }

  /**
   * Upload these images. Each batch has one presign request, as late as possible, since a form expires.
   * @param {Image[]} images
   * @param {Report} report
   */
  async upload(images, report) {
    for (const batch of inChunks(images, this.#filesPerRequest)) {
      const there = batch.filter((image) => !image.gone.signal.aborted);
      if (there.length) await this.#uploadBatch(there, report);
    }
  }

  /**
   * @param {Image[]} images
   * @param {Report} report
   * @returns {Promise<void>}
   */
  async #uploadBatch(images, report) {
    // The current signals: an image that comes back after the page was left gets a new one.
    const signals = images.map(({ gone }) => gone.signal);
    try {
      const tickets = await this.#presign(images);
      const sent = images.map(async (image, index) => {
        const signal = /** @type {AbortSignal} */ (signals[index]);
        try {
          await this.#send(image, tickets[index], signal, () => report.progress(image));
          report.done(image);
        } catch (error) {
          if (!signal.aborted) report.failed(image, error);
        }
      });
      await Promise.all(sent);
    } catch (error) {
      // One bad file makes the server refuse the whole list. The error names it, and the others are sent again.
      const named = images.filter((_, index) => namesFile(error, index));
      for (const image of named.length ? named : images) {
        if (!signals[images.indexOf(image)]?.aborted) report.failed(image, error);
      }
      const others = images.filter((image) => !named.includes(image));
      if (named.length && others.length) await this.#uploadBatch(others, report);
    }
  }

  /**
   * Ask for a result and fetch it. If the source has expired, silently upload it again first.
   * @param {Image} image
   * @param {() => Values} settings read when the request is sent, so that it has the newest
   * @param {AbortSignal} signal
   * @param {() => boolean} batch whether to leave the last requests and the next turn to the selected image
   * @returns {Promise<Result>}
   */
  async optimize(image, settings, signal, batch) {
    if (!image.uploadId) await this.#uploadAgain(image);
    try {
      return await this.#optimizeOnce(image, settings, signal, batch);
    } catch (error) {
      if (!isFailure(error, 404)) throw error;
      image.uploadId = '';
      await this.#uploadAgain(image);
      return this.#optimizeOnce(image, settings, signal, batch);
    }
  }

  /**
   * Let the server delete these uploads, or try again later if it cannot be reached.
   * @param {string[]} ids
   */
  async discard(ids) {
    if (ids.length === 0) return;
    await this.#api.discard(ids).catch(() => this.#undiscarded.push(...ids));
  }

  retryDiscards() {
    this.discard(this.#undiscarded.splice(0));
  }

  /** @param {string[]} ids */
  discardOnLeave(ids) {
    this.#api.discardOnLeave([...this.#undiscarded.splice(0), ...ids]);
  }

  /**
   * @param {Image} image
   * @param {() => Values} settings
   * @param {AbortSignal} signal
   * @param {() => boolean} batch
   * @returns {Promise<Result>}
   */
  #optimizeOnce(image, settings, signal, batch) {
    const task = async () => {
      const chosen = settings();
      const answer = await this.#api.optimize(image.uploadId, chosen, signal);
      const blob = await fetchBlob(answer.url, signal);
      return { key: JSON.stringify(chosen), answer, blob, url: URL.createObjectURL(blob) };
    };
    // A request that waits for the limit must not block the selected image, so it takes its turn afterwards.
    const turn = () => this.#optimizes.run(task, signal, !batch());
    return connected(() => this.#quota.run(turn, { signal, batch }), signal);
  }

  /**
   * @param {Image} image
   * @returns {Promise<void>} the same promise while it runs: newer settings must not upload twice
   */
  #uploadAgain(image) {
    const running = this.#again.get(image);
    if (running) return running;
    const { signal } = image.gone;
    const started = this.#presign([image])
      .then(([ticket]) => this.#send(image, ticket, signal, () => {}))
      .finally(() => this.#again.delete(image));
    this.#again.set(image, started);
    return started;
  }

  /**
   * @param {Image[]} images
   * @returns {Promise<Ticket[]>}
   */
  async #presign(images) {
    const files = images.map(({ file, type }) => ({ name: file.name, type, size: file.size }));
    const signals = images.map(({ gone }) => gone.signal);
    const tickets = await connected(() => this.#quota.run(() => this.#api.presign(files)));
    images.forEach((image, index) => {
      const id = tickets[index]?.id ?? '';
      // If the image was removed meanwhile, nobody else will discard this id.
      if (signals[index]?.aborted) this.discard([id]);
      else image.issued.push(id);
    });
    return tickets;
  }

  /**
   * @param {Image} image
   * @param {Ticket | undefined} ticket
   * @param {AbortSignal} signal
   * @param {() => void} onProgress
   */
  #send(image, ticket, signal, onProgress) {
    /** @param {Ticket | undefined} form */
    const post = async (form) => {
      if (!form) throw new Failure(0, { detail: 'the answer has too few uploads' });
      const progress = (/** @type {number} */ fraction) => {
        image.progress = fraction;
        onProgress();
      };
      await connected(() => postForm(form, image.file, signal, progress), signal);
      image.uploadId = form.id;
    };
    const task = async () => {
      try {
        await post(ticket);
      } catch (error) {
        // While it waits in a long line, a form may expire.
        if (!isFailure(error, 403)) throw error;
        const [fresh] = await this.#presign([image]);
        await post(fresh);
      }
    };
    return this.#uploads.run(task, signal);
  }
}

/**
 * Do the task. If the connection is lost, do it again when the connection is back.
 * @template T
 * @param {() => Promise<T>} task
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
async function connected(task, signal) {
  for (;;) {
    while (!navigator.onLine) {
      await new Promise((resolve) => addEventListener('online', resolve, { once: true }));
    }
    signal?.throwIfAborted();
    try {
      return await task();
    } catch (error) {
      if (!isFailure(error, 0) || navigator.onLine) throw error;
    }
  }
}

/**
 * @param {unknown} error
 * @param {number} status
 */
function isFailure(error, status) {
  return error instanceof Failure && error.status === status;
}

/**
 * @param {unknown} error
 * @param {number} index
 */
function namesFile(error, index) {
  const field = `files[${index}]`;
  return error instanceof Failure && error.errors.some((each) => each.field.startsWith(field));
}

/** Runs a limited number of tasks at once. The others wait in line. */
class Slots {
  #free;
  /** @type {(() => void)[]} */
  #line = [];

  /** @param {number} count */
  constructor(count) {
    this.#free = count;
  }

  /**
   * Do the task when it is its turn.
   * @template T
   * @param {() => Promise<T>} task
   * @param {AbortSignal} signal
   * @param {boolean} [first] go before those that wait
   * @returns {Promise<T>}
   */
  async run(task, signal, first = false) {
    await this.#take(signal, first);
    try {
      signal.throwIfAborted();
      return await task();
    } finally {
      this.#give();
    }
  }

  /**
   * @param {AbortSignal} signal
   * @param {boolean} first
   * @returns {Promise<void>}
   */
  #take(signal, first) {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#line.splice(this.#line.indexOf(turn), 1);
        reject(signal.reason);
      };
      const turn = () => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      signal.addEventListener('abort', leave, { once: true });
      if (first) this.#line.unshift(turn);
      else this.#line.push(turn);
    });
  }

  #give() {
    const next = this.#line.shift();
    if (next) next();
    else this.#free += 1;
  }
}
