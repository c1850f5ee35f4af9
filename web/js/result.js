/** Shows what optimizing gained, as one big number, with the buttons for the result. */

import { change, el, find, list, percent, setText, size, t, tOr } from './page.js';
import { findings } from './search.js';

/** @import {Answer} from './api.js' */
/** @import {Schema} from './form.js' */
/** @import {Image, Result} from './session.js' */

export class ResultPanel {
  #root;
  #number;
  #about;
  #found;
  #bar;
  #schema;
  #notes;
  #optimize;
  #download;
  #cancel;
  #keep;

  /**
   * @param {HTMLElement} root
   * @param {HTMLElement} notes a list
   * @param {Schema} schema
   * @param {{optimize: () => void, cancel: () => void, keep: () => void}} actions
   */
  constructor(root, notes, schema, actions) {
    this.#root = root;
    this.#schema = schema;
    this.#notes = notes;
    this.#number = find('.save strong', HTMLElement, root);
    this.#about = find('.save p', HTMLElement, root);
    this.#found = find('.found', HTMLElement, root);
    this.#bar = find('.meter .fg', SVGElement, root);
    this.#optimize = find('#optimize', HTMLButtonElement, root);
    this.#download = find('#download', HTMLAnchorElement, root);
    this.#cancel = find('#cancel', HTMLButtonElement, root);
    this.#optimize.addEventListener('click', actions.optimize);
    this.#keep = find('#keep', HTMLButtonElement, root);
    this.#cancel.addEventListener('click', actions.cancel);
    this.#keep.addEventListener('click', actions.keep);
  }

  /**
   * @param {Image} image
   * @param {boolean} stale
   * @param {boolean} pending
   * @param {number | undefined} estimate bytes; 0 if only the look is known, undefined if the result is shown
   */
  show(image, stale, pending, estimate) {
    const { result, trouble } = image;
    const uploading = !trouble && image.phase !== 'uploaded';
    const larger = (result?.answer.saved_percent ?? 0) < 0;
    this.#root.hidden = trouble !== undefined && !result;
    this.#root.toggleAttribute('data-pending', (pending || estimate === 0) && !!result);
    this.#root.toggleAttribute('data-estimate', !!estimate);
    this.#root.toggleAttribute('data-larger', larger && !estimate);
    if (estimate) this.#showSizes(image.file.size, estimate, true);
    else if (result) this.#showSizes(result.answer.source.bytes, result.answer.bytes);
    else this.#showState(image);
    this.#tell(image, !!estimate);
    this.#keep.hidden = !larger || stale;
    const asks = stale && !pending && !trouble;
    this.#optimize.hidden = !asks;
    this.#download.classList.toggle('pri', !asks);
    this.#download.classList.toggle('sec2', asks);
    this.#cancel.hidden = !uploading || result !== undefined;
    this.#link(result, pending || stale || !!estimate);
    const lines = result ? notes(result.answer) : [];
    this.#notes.replaceChildren(...lines.map((line) => el('li', {}, line)));
  }

  /**
   * @param {number} before bytes
   * @param {number} after bytes
   * @param {boolean} [estimated]
   */
  #showSizes(before, after, estimated = false) {
    const gained = before - after;
    /** @param {string} text */
    const about = (text) => (estimated ? t('result.about', { size: text }) : text);
    setText(this.#number, about(change(Math.round((1000 * gained) / before) / 10)));
    const key = gained > 0 ? 'result.saved' : gained < 0 ? 'result.more' : 'result.same';
    this.#about.replaceChildren(
      t('result.sizes', { before: size(before) }),
      el('b', {}, about(size(after))),
      el('br'),
      estimated ? t('result.estimate') : t(key, { size: size(Math.abs(gained)) }),
    );
    this.#bar.setAttribute('width', String(Math.min(after / before, 1) * 100));
  }

  /**
   * Show what the server found (a format, a quality).
   * @param {Image} image
   * @param {boolean} estimated
   */
  #tell(image, estimated) {
    const lines = estimated ? [] : findings(image, this.#schema);
    this.#found.replaceChildren(...lines.map((line) => el('p', {}, line)));
    this.#found.toggleAttribute('data-missed', image.result?.answer.target_reached === false);
  }

  /** @param {Image} image */
  #showState(image) {
    const percent = Math.round(image.progress * 100);
    const key = image.phase === 'uploaded' ? (image.run ? 'optimizing' : 'ready') : image.phase;
    setText(this.#number, t(`result.${key === 'refused' ? 'waiting' : key}`, { percent }));
    setText(this.#about, size(image.file.size));
    this.#bar.setAttribute('width', image.phase === 'uploaded' ? '0' : String(percent));
  }

  download() {
    if (this.#download.href) this.#download.click();
  }

  /**
   * @param {Result | undefined} result
   * @param {boolean} pending the result was not made with the current settings
   */
  #link(result, pending) {
    this.#download.hidden = !result;
    if (!result || pending) {
      this.#download.removeAttribute('href');
      this.#download.setAttribute('role', 'link');
      this.#download.setAttribute('aria-disabled', 'true');
      return;
    }
    this.#download.href = result.url;
    this.#download.download = result.answer.filename;
    this.#download.removeAttribute('role');
    this.#download.removeAttribute('aria-disabled');
  }
}

/**
 * @param {Answer} answer
 * @returns {string[]}
 */
function notes(answer) {
  const removed = answer.metadata_removed.map((name) =>
    tOr(`metadata.${name}`, name.toUpperCase()),
  );
  return [
    ...(answer.saved_percent < 0
      ? [t('result.larger', { percent: percent(answer.saved_percent) })]
      : []),
    ...(answer.kept_original ? [t('result.kept')] : []),
    ...answer.warnings.map(({ code, detail }) => tOr(`warning.${code}`, detail)),
    ...(removed.length ? [t('result.removed', { list: list(removed) })] : []),
  ];
}
