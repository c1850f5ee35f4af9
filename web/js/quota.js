/** Keeps the page within the limit of requests. Batches leave some for the user; if none are left, all wait. */

/** How many requests a batch leaves for the selected image and for uploads. */
const RESERVE = 3;
/** If another pause begins within this time, it counts as the same pause. */
const CALM_MS = 1500;
const POLL_MS = 250;
/** The longest spacing. A longer wait is a pause, and the page shows it. */
const MAX_SPACING_MS = 5_000;
const MAX_RETRIES = 2;

export class Quota {
  #limit;
  #remaining = 0;
  #resetAt = 0;
  #blockedUntil = 0;
  #underway = 0;
  #lastAt = 0;
  /** @type {Set<{until: number}>} the requests that wait for the window to move */
  #waits = new Set();
  #onWait;
  #ticking = false;

  /**
   * @param {number} limit requests a minute
   * @param {(seconds: number) => void} onWait called during a wait with the seconds that are left; 0 ends it
   */
  constructor(limit, onWait) {
    this.#limit = limit;
    this.#onWait = onWait;
  }

  /**
   * Do a counted request when it is admitted. Repeat it after a pause whenever the server answers 429, and at most
   * twice when it answers 503.
   * @template T
   * @param {() => Promise<T>} task
   * @param {{signal?: AbortSignal, batch?: () => boolean}} [options] `batch`: leave the last few requests to others
   * @returns {Promise<T>}
   */
  async run(task, { signal, batch = () => false } = {}) {
    for (let retries = 0; ; ) {
      await this.#admission(batch, signal);
      try {
        return await task();
      } catch (error) {
        const { status, retryAfter } = /** @type {{status?: number, retryAfter?: number}} */ (
          error
        );
        // It was counted, but the page will never read how many the server says are left.
        if (signal?.aborted) this.#remaining -= 1;
        if (status === 429) this.#blockedUntil = Date.now() + Number(retryAfter) * 1000;
        else if (status !== 503 || retries++ === MAX_RETRIES) throw error;
        // A random wait, so that not all repeat at the same moment.
        else await after(Number(retryAfter) * 1000 * (1 + Math.random()));
      } finally {
        this.#underway -= 1;
      }
    }
  }

  /**
   * Note what the server said about the limit with an answer.
   * @param {number} remaining requests
   * @param {number} reset seconds
   */
  note(remaining, reset) {
    this.#remaining = remaining;
    this.#resetAt = Date.now() + reset * 1000;
  }

  /**
   * How many ms the next request should wait while the user keeps changing settings. It is 0 while many requests are
   * left. Later it is so long that they last until there are more.
   */
  get spacing() {
    const now = Date.now();
    const left = this.#remaining - this.#underway;
    if (this.#isUnknown || left > this.#limit * 0.6) return 0;
    const each = (this.#resetAt - now) / Math.max(left - RESERVE, 1);
    return Math.min(Math.max(this.#lastAt + each - now, 0), MAX_SPACING_MS);
  }

  /** True at first, and when the window has moved on. Then one request at a time finds out how many are left. */
  get #isUnknown() {
    return this.#resetAt <= Date.now();
  }

  /**
   * @param {() => boolean} batch asked repeatedly, since the user may select the image
   * @param {AbortSignal | undefined} signal
   */
  async #admission(batch, signal) {
    for (;;) {
      signal?.throwIfAborted();
      const now = Date.now();
      const left = this.#remaining - this.#underway;
      const spent = this.#isUnknown ? this.#underway > 0 : left <= (batch() ? RESERVE : 0);
      const until = Math.max(this.#blockedUntil, spent ? this.#resetAt : 0);
      if (until > now) await this.#pause(until);
      // Only requests under way use up the rest. Their answers will tell more.
      else if (spent) await after(POLL_MS);
      else break;
    }
    // Counted at once, before another request is admitted.
    this.#underway += 1;
    this.#lastAt = Date.now();
  }

  /** @param {number} until */
  async #pause(until) {
    const wait = { until };
    this.#waits.add(wait);
    if (!this.#ticking) this.#tick();
    await after(Math.min(until - Date.now(), POLL_MS));
    this.#waits.delete(wait);
  }

  async #tick() {
    this.#ticking = true;
    for (let calmSince = Infinity; Date.now() - calmSince < CALM_MS; ) {
      const now = Date.now();
      const next = Math.min(...[...this.#waits].map(({ until }) => until));
      if (next === Infinity) calmSince = Math.min(calmSince, now);
      else {
        calmSince = Infinity;
        this.#onWait(Math.max(Math.ceil((next - now) / 1000), 1));
      }
      await after(POLL_MS);
    }
    this.#ticking = false;
    this.#onWait(0);
  }
}

/** @param {number} ms */
const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
