/** The page's messages: announcements, the pause, trouble with an image, an undo. */

import { el, find, icon, setText, t } from './page.js';

/** @import {Trouble} from './session.js' */

const SAID_AT_ONCE = 3;
const UNDO_MS = 10_000;

/**
 * Return a function that makes screen readers say a text after what they are saying.
 * @param {HTMLElement} status
 */
export function announcer(status) {
  /** @param {string} text */
  return (text) => {
    // Earlier texts stay, so that they are not cut off. Only the added one is read.
    if (status.childElementCount === SAID_AT_ONCE) status.firstElementChild?.remove();
    status.append(el('p', {}, text));
  };
}

export class PauseNotice {
  #root;
  #left;

  /**
   * @param {HTMLElement} root
   * @param {number} limit requests a minute
   */
  constructor(root, limit) {
    this.#root = root;
    this.#left = find('.left', HTMLElement, root);
    setText(find('b + span', HTMLElement, root), t('pause.text', { limit }));
  }

  /** @param {number} seconds 0 hides the notice */
  show(seconds) {
    this.#root.hidden = seconds === 0;
    setText(this.#left, t('pause.seconds', { count: seconds }));
  }
}

/** The trouble with the selected image, in a live region: screen readers say it when it appears. */
export class TroubleNotice {
  #root;
  /** @type {Trouble | undefined} */
  #shown;
  onRetry = () => {};
  onRemove = () => {};

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
  }

  /** @param {Trouble | undefined} trouble */
  show(trouble) {
    if (trouble === this.#shown) return;
    this.#shown = trouble;
    this.#root.replaceChildren(...(trouble ? this.#content(trouble) : []));
  }

  /** @param {Trouble} trouble */
  #content(trouble) {
    const button = el('button', { type: 'button', class: 'link' });
    button.textContent = t(trouble.retry ? 'error.retry' : 'error.dismiss');
    button.addEventListener('click', () => (trouble.retry ? this.onRetry() : this.onRemove()));
    const details = trouble.details.map((detail) => el('li', {}, detail));
    const text = el('div', {}, el('p', {}, trouble.message), el('ul', {}, ...details));
    return [icon('warn'), text, button];
  }
}

/** One sentence, with a button for undo if possible. Both disappear after a while. */
export class Toast {
  #root;
  #text;
  #button;
  #timer = 0;
  #undo = () => {};

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    this.#text = find('span', HTMLElement, root);
    this.#button = find('button', HTMLButtonElement, root);
    this.#button.addEventListener('click', () => {
      this.#root.hidden = true;
      this.#undo();
    });
  }

  /**
   * @param {string} text
   * @param {() => void} [undo]
   */
  show(text, undo) {
    this.#text.textContent = text;
    this.#button.hidden = !undo;
    this.#undo = undo ?? this.#undo;
    this.#root.hidden = false;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#hide(), UNDO_MS);
  }

  #hide() {
    // The button stays while the pointer or the focus is on it.
    this.#root.hidden = !this.#root.matches(':hover, :focus-within');
    if (!this.#root.hidden) this.#timer = setTimeout(() => this.#hide(), UNDO_MS);
  }
}
