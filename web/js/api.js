/** Calls the HTTP API. Every failed request throws a Failure with what to tell the user. */

/** @import {SettingsDocument, Values} from './form.js' */

/**
 * @typedef {{id: string, url: string, fields: Record<string, string>}} Ticket
 * @typedef {{
 *   url: string, filename: string, format: string, media_type: string,
 *   width: number, height: number, bytes: number, saved_percent: number,
 *   source: {bytes: number, width: number, height: number}, kept_original: boolean,
 *   quality: number | null, similarity: number | null, target_reached?: boolean | undefined,
 *   metadata_removed: string[], warnings: {code: string, detail: string}[],
 * }} Answer
 * @typedef {{field: string, detail: string}} FieldError
 */

const IDS_PER_REQUEST = 100;
const DEFAULT_RETRY_SECONDS = 10;

/** An answer that is not a success, or no answer at all (status 0). */
export class Failure extends Error {
  /**
   * @param {number} status
   * @param {{type?: string, detail?: string, errors?: FieldError[], retryAfter?: number}} [about]
   */
  constructor(
    status,
    { type = '', detail = '', errors = [], retryAfter = DEFAULT_RETRY_SECONDS } = {},
  ) {
    super(detail || `status ${status}`);
    this.status = status;
    this.code = type.replace('urn:pinch:problem:', '');
    this.detail = detail;
    this.errors = errors;
    this.retryAfter = retryAfter;
  }
}

export class Api {
  #base;
  /** @type {(remaining: number, reset: number) => void} gets what a counted answer says about the limit */
  onQuota = () => {};

  /** @param {string} base */
  constructor(base) {
    this.#base = base;
  }

  /** Find the API's address. Return the API and the document that describes its settings. */
  static async connect() {
    const config = await request('config.json', {}, json);
    /** @type {SettingsDocument} If it is published with the page, the first paint does not wait for a function. */
    const document = config.settings ?? (await request(`${config.api_url}/api/settings`, {}, json));
    return { api: new Api(config.api_url), document };
  }

  /**
   * @param {{name: string, type: string, size: number}[]} files
   * @returns {Promise<Ticket[]>}
   */
  async presign(files) {
    return (await this.#post('uploads', { files })).uploads;
  }

  /**
   * @param {string} id
   * @param {Values} settings
   * @param {AbortSignal} signal
   * @returns {Promise<Answer>}
   */
  optimize(id, settings, signal) {
    return this.#post(`uploads/${id}/optimize`, settings, signal);
  }

  /** @param {string[]} ids */
  async discard(ids) {
    for (const some of inChunks(ids, IDS_PER_REQUEST)) await this.#post('discard', { ids: some });
  }

  /**
   * Discard while the page is being closed. Only a beacon, or a fetch with keepalive, is still sent then; and only a
   * text body needs no preflight.
   * @param {string[]} ids
   */
  discardOnLeave(ids) {
    for (const some of inChunks(ids, IDS_PER_REQUEST)) {
      const body = new Blob([JSON.stringify({ ids: some })], { type: 'text/plain' });
      const url = `${this.#base}/api/discard`;
      if ('sendBeacon' in navigator) navigator.sendBeacon(url, body);
      else fetch(url, { method: 'POST', body, keepalive: true }).catch(() => {});
    }
  }

  /**
   * @param {string} path
   * @param {unknown} body
   * @param {AbortSignal} [signal]
   */
  #post(path, body, signal) {
    const options = {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
      signal: signal ?? null,
    };
    return request(`${this.#base}/api/${path}`, options, json, ({ headers }) => {
      const [remaining, reset] = ['Remaining', 'Reset'].map((name) =>
        headers.get(`RateLimit-${name}`),
      );
      if (remaining && reset) this.onQuota(Number(remaining), Number(reset));
    });
  }
}

/**
 * @param {Response} response
 * @returns {Promise<any>} null for an empty answer
 */
const json = (response) => (response.status === 204 ? Promise.resolve(null) : response.json());

/**
 * @template T
 * @param {string} url
 * @param {RequestInit} options
 * @param {(response: Response) => Promise<T>} read
 * @param {(response: Response) => void} [look] called with every answer, including failures
 * @returns {Promise<T>}
 */
async function request(url, options, read, look = () => {}) {
  try {
    const response = await fetch(url, options);
    look(response);
    if (response.ok) return await read(response);
    const isProblem = response.headers.get('Content-Type')?.startsWith('application/problem+json');
    const problem = isProblem ? await response.json() : {};
    const retryAfter = Number(response.headers.get('Retry-After')) || DEFAULT_RETRY_SECONDS;
    throw new Failure(response.status, { ...problem, retryAfter });
  } catch (error) {
    options.signal?.throwIfAborted();
    // If the connection is lost, fetch and the reading of its answer throw various errors.
    throw error instanceof Failure ? error : new Failure(0, { detail: String(error) });
  }
}

/**
 * @param {string} url
 * @param {AbortSignal} [signal]
 */
export const fetchBlob = (url, signal) =>
  request(url, { signal: signal ?? null }, (response) => response.blob());

/**
 * Post a file to S3 as its ticket says. It uses XMLHttpRequest because fetch does not report progress.
 * @param {Ticket} ticket
 * @param {File} file
 * @param {AbortSignal} signal
 * @param {(fraction: number) => void} onProgress
 * @returns {Promise<void>}
 */
export function postForm(ticket, file, signal, onProgress) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const form = new FormData();
    for (const [name, value] of Object.entries(ticket.fields)) form.append(name, value);
    form.append('file', file); // S3 ignores all fields after the file
    const xhr = new XMLHttpRequest();
    xhr.upload.addEventListener('progress', (event) => onProgress(event.loaded / event.total));
    xhr.addEventListener('load', () => {
      if (xhr.status >= 200 && xhr.status < 300) resolve();
      else reject(new Failure(xhr.status));
    });
    xhr.addEventListener('error', () => reject(new Failure(0)));
    xhr.addEventListener('abort', () => reject(signal.reason));
    signal.addEventListener('abort', () => xhr.abort(), { once: true });
    xhr.open('POST', ticket.url);
    xhr.send(form);
  });
}

/**
 * @template T
 * @param {T[]} items
 * @param {number} count
 * @returns {T[][]}
 */
export function inChunks(items, count) {
  const starts = Array.from({ length: Math.ceil(items.length / count) }, (_, i) => i * count);
  return starts.map((start) => items.slice(start, start + count));
}
