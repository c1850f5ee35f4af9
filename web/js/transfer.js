/** Moves one visit's images to the server and their results back: in batches, so many at once, through every pause. */

import { Failure, inChunks, postForm } from './api.js';

/** @import {Api, Ticket} from './api.js' */
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
  #pause;
  #filesPerRequest;
  #uploads = new Slots(UPLOADS_AT_ONCE);
  #optimizes = new Slots(OPTIMIZES_AT_ONCE);
  /** @type {Map<Image, Promise<void>>} */
  #again = new Map();

  /**
   * @param {Api} api
   * @param {Pause} pause
   * @param {number} filesPerRequest
   */
  constructor(api, pause, filesPerRequest) {
    this.#api = api;
    this.#pause = pause;
    this.#filesPerRequest = filesPerRequest;
  }

  /**
   * Upload these images, with one presign for each batch.
   * @param {Image[]} images
   * @param {Report} report
   */
  upload(images, report) {
    for (const batch of inChunks(images, this.#filesPerRequest)) this.#uploadBatch(batch, report);
  }

  /**
   * @param {Image[]} images
   * @param {Report} report
   * @returns {Promise<void>}
   */
  async #uploadBatch(images, report) {
    try {
      const tickets = await this.#presign(images);
      images.forEach((image, index) => {
        const { signal } = image.gone;
        this.#send(image, tickets[index], () => report.progress(image)).then(
          () => report.done(image),
          (error) => signal.aborted || report.failed(image, error),
        );
      });
    } catch (error) {
      // One bad file refuses the whole list, naming it: the others go again without it.
      const named = images.filter((_, index) => namesFile(error, index));
      for (const image of named.length ? named : images) report.failed(image, error);
      const others = images.filter((image) => !named.includes(image));
      if (named.length && others.length) await this.#uploadBatch(others, report);
    }
  }

  /**
   * Ask for a result and fetch it. Where the source has expired, upload it again first, silently.
   * @param {Image} image
   * @param {() => Values} settings read when the request goes out, so that the newest are sent
   * @param {AbortSignal} signal
   * @param {boolean} first go before the other images
   * @returns {Promise<Result>}
   */
  optimize(image, settings, signal, first) {
    const task = async () => {
      if (!image.uploadId) await this.#uploadAgain(image);
      try {
        return await this.#optimizeOnce(image, settings, signal);
      } catch (error) {
        if (!isFailure(error, 404)) throw error;
        image.uploadId = '';
        await this.#uploadAgain(image);
        return this.#optimizeOnce(image, settings, signal);
      }
    };
    return this.#optimizes.run(task, signal, first);
  }

  /** @param {string[]} ids */
  discard(ids) {
    return this.#api.discard(ids);
  }

  /** @param {string[]} ids */
  discardOnLeave(ids) {
    this.#api.discardOnLeave(ids);
  }

  /**
   * @param {Image} image
   * @param {() => Values} settings
   * @param {AbortSignal} signal
   * @returns {Promise<Result>}
   */
  async #optimizeOnce(image, settings, signal) {
    const { key, answer } = await this.#pause.run(async () => {
      const chosen = settings();
      const answer = await this.#api.optimize(image.uploadId, chosen, signal);
      return { key: JSON.stringify(chosen), answer };
    }, signal);
    const blob = await this.#api.download(answer.url, signal);
    return { key, answer, blob, url: URL.createObjectURL(blob) };
  }

  /**
   * @param {Image} image
   * @returns {Promise<void>} the same one while it lasts: newer settings must not upload twice
   */
  #uploadAgain(image) {
    const running = this.#again.get(image);
    if (running) return running;
    const started = this.#presign([image])
      .then(([ticket]) => this.#send(image, ticket, () => {}))
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
    const tickets = await this.#pause.run(() => this.#api.presign(files));
    images.forEach((image, index) => {
      const id = tickets[index]?.id ?? '';
      // Removed meanwhile: nobody else will discard this id.
      if (image.gone.signal.aborted) this.#api.discard([id]).catch(() => {});
      else image.issued.push(id);
    });
    return tickets;
  }

  /**
   * @param {Image} image
   * @param {Ticket | undefined} ticket
   * @param {() => void} onProgress
   */
  #send(image, ticket, onProgress) {
    const { signal } = image.gone;
    /** @param {Ticket | undefined} form */
    const post = async (form) => {
      if (!form) throw new Failure(0, { detail: 'the answer has too few uploads' });
      await postForm(form, image.file, signal, (fraction) => {
        image.progress = fraction;
        onProgress();
      });
      image.uploadId = form.id;
    };
    const task = async () => {
      try {
        await post(ticket);
      } catch (error) {
        // In a long line a form may expire before its turn comes.
        if (!isFailure(error, 403)) throw error;
        const [fresh] = await this.#presign([image]);
        await post(fresh);
      }
    };
    return this.#uploads.run(task, signal);
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

/** Lets so many go at once; the others wait in line. */
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

/** The pause after a 429: every counted request waits for its end, then goes on by itself. */
export class Pause {
  #until = 0;
  /** @type {Promise<void> | undefined} */
  #over;

  /** @param {(seconds: number) => void} onTick called each second with what is left; 0 is the end */
  constructor(onTick) {
    this.onTick = onTick;
  }

  /**
   * Do a counted request, again after a pause as often as the server answers 429.
   * @template T
   * @param {() => Promise<T>} task
   * @param {AbortSignal} [signal]
   * @returns {Promise<T>}
   */
  async run(task, signal) {
    for (;;) {
      // A task that is dropped meanwhile waits on harmlessly and ends here, unsent.
      while (this.#over) await this.#over;
      signal?.throwIfAborted();
      try {
        return await task();
      } catch (error) {
        if (!(error instanceof Failure && error.status === 429)) throw error;
        this.#start(error.retryAfter);
      }
    }
  }

  /** @param {number} seconds */
  #start(seconds) {
    this.#until = Math.max(this.#until, Date.now() + seconds * 1000);
    this.#over ??= this.#count().finally(() => {
      this.#over = undefined;
    });
  }

  async #count() {
    for (;;) {
      const left = Math.ceil((this.#until - Date.now()) / 1000);
      this.onTick(Math.max(left, 0));
      if (left <= 0) return;
      await new Promise((resolve) =>
        setTimeout(resolve, this.#until - Date.now() - (left - 1) * 1000),
      );
    }
  }
}
