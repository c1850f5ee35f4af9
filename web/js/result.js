/** What optimizing gained, in one big number, with the buttons that follow from it. */

import { change, el, find, percent, setText, size, t, tOr } from './page.js';

/** @import {Answer} from './api.js' */
/** @import {Image, Result} from './session.js' */

export class ResultPanel {
  #root;
  #number;
  #about;
  #bar;
  #notes;
  #optimize;
  #download;
  #cancel;

  /**
   * @param {HTMLElement} root
   * @param {HTMLElement} notes a list
   * @param {{optimize: () => void, cancel: () => void}} actions
   */
  constructor(root, notes, actions) {
    this.#root = root;
    this.#notes = notes;
    this.#number = find('.save strong', HTMLElement, root);
    this.#about = find('.save p', HTMLElement, root);
    this.#bar = find('.meter .fg', SVGElement, root);
    this.#optimize = find('#optimize', HTMLButtonElement, root);
    this.#download = find('#download', HTMLAnchorElement, root);
    this.#cancel = find('#cancel', HTMLButtonElement, root);
    this.#optimize.addEventListener('click', actions.optimize);
    this.#cancel.addEventListener('click', actions.cancel);
  }

  /**
   * @param {Image} image
   * @param {boolean} stale
   * @param {boolean} pending
   */
  show(image, stale, pending) {
    const { result, trouble } = image;
    const uploading = !trouble && image.phase !== 'uploaded';
    this.#root.hidden = trouble !== undefined && !result;
    this.#root.toggleAttribute('data-pending', pending && result !== undefined);
    this.#root.toggleAttribute('data-larger', (result?.answer.saved_percent ?? 0) < 0);
    if (result) this.#showResult(result);
    else this.#showState(image);
    const asks = stale && !pending && !trouble;
    this.#optimize.hidden = !asks;
    this.#download.classList.toggle('pri', !asks);
    this.#download.classList.toggle('sec2', asks);
    this.#cancel.hidden = !uploading || result !== undefined;
    this.#link(result, pending);
    const lines = result ? notes(result.answer) : [];
    this.#notes.replaceChildren(...lines.map((line) => el('li', {}, line)));
  }

  /** @param {Result} result */
  #showResult({ answer }) {
    const gained = answer.source.bytes - answer.bytes;
    setText(this.#number, change(answer.saved_percent));
    const key = gained > 0 ? 'result.saved' : gained < 0 ? 'result.more' : 'result.same';
    this.#about.replaceChildren(
      t('result.sizes', { before: size(answer.source.bytes) }),
      el('b', {}, size(answer.bytes)),
      el('br'),
      t(key, { size: size(Math.abs(gained)) }),
    );
    const part = Math.min(answer.bytes / answer.source.bytes, 1);
    this.#bar.setAttribute('width', String(part * 100));
  }

  /** @param {Image} image */
  #showState(image) {
    const percent = Math.round(image.progress * 100);
    const key = image.phase === 'uploaded' ? (image.run ? 'optimizing' : 'ready') : image.phase;
    setText(this.#number, t(`result.${key === 'refused' ? 'waiting' : key}`, { percent }));
    setText(this.#about, size(image.file.size));
    this.#bar.setAttribute('width', image.phase === 'uploaded' ? '100' : String(percent));
  }

  /**
   * @param {Result | undefined} result
   * @param {boolean} pending what could be downloaded is not what the settings say
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
    ...answer.warnings.map((warning) => warning.detail),
    ...(removed.length ? [t('result.removed', { list: removed.join(', ') })] : []),
  ];
}
