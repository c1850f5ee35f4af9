/** What the page says beside the images: announcements, the pause, trouble with an image, an undo. */

import { el, find, icon, setText, t } from './page.js';

/** @import {Trouble} from './session.js' */

const SAID_AT_ONCE = 3;
const UNDO_MS = 10_000;

/**
 * Return a function that tells screen readers something, politely.
 * @param {HTMLElement} status
 */
export function announcer(status) {
  /** @param {string} text */
  return (text) => {
    // What came just before stays, so that it is not cut off: only what is added is read.
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

  /** @param {number} seconds 0 for none */
  show(seconds) {
    this.#root.hidden = seconds === 0;
    setText(this.#left, t('pause.seconds', { count: seconds }));
  }
}

/** The trouble with the selected image, in a live region that speaks when it is filled. */
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

/** One sentence, perhaps with a way back for as long as it stands there. */
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
    // Nobody loses the button under their pointer or focus.
    this.#root.hidden = !this.#root.matches(':hover, :focus-within');
    if (!this.#root.hidden) this.#timer = setTimeout(() => this.#hide(), UNDO_MS);
  }
}
