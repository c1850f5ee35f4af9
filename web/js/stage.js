/** Before and After of the selected image: divided by the handle, side by side, or After alone. */

import { find, setText, size, t } from './page.js';

/** @import {Image} from './session.js' */
/** @typedef {'split' | 'side' | 'after'} Mode */

export class Stage {
  #root;
  #view;
  #before;
  #after;
  #radios;
  #bar;
  /** @type {Mode} */
  #chosen;

  /**
   * @param {HTMLElement} root
   * @param {unknown} mode the one used last, if any
   * @param {(mode: Mode) => void} onMode
   */
  constructor(root, mode, onMode) {
    this.#root = root;
    this.#view = find('.view', HTMLElement, root);
    this.#before = new Pane(find('.before', HTMLElement, root), t('stage.before-alt'));
    this.#after = new Pane(find('.after', HTMLElement, root), t('stage.after-alt'));
    this.#before.onShape = (width, height) => {
      this.#view.style.setProperty('--ratio', String(width / height));
      this.#view.style.setProperty('--natural', `${width}px`);
    };
    this.#chosen = mode === 'side' || mode === 'after' ? mode : 'split';
    this.#bar = find('.bar', HTMLFieldSetElement, root);
    this.#radios = [...this.#bar.querySelectorAll('input')];
    this.#bar.addEventListener('change', () => {
      const checked = this.#radios.find((radio) => radio.checked);
      this.#chosen = /** @type {Mode} */ (checked?.value);
      this.#setMode(this.#chosen);
      onMode(this.#chosen);
    });
    const cut = find('.cut', HTMLElement, root);
    const handle = find('.handle', HTMLElement, cut);
    splitHandle(this.#view, cut, handle, find('input', HTMLInputElement, handle));
  }

  /**
   * @param {Image} image
   * @param {boolean} pending a newer result is on its way
   */
  show(image, pending) {
    const { result } = image;
    this.#before.show(image.url, image.file.size);
    this.#after.show(result?.url ?? '', result?.answer.bytes);
    this.#root.setAttribute('aria-busy', String(pending));
    this.#root.toggleAttribute('data-blank', !image.url);
    // Without a result there is nothing to divide: the placeholder stands beside the original.
    this.#bar.disabled = !result;
    this.#setMode(result ? this.#chosen : 'side');
  }

  /** @param {Mode} mode */
  #setMode(mode) {
    this.#root.dataset.mode = mode;
    for (const radio of this.#radios) radio.checked = radio.value === mode;
  }
}

/** One labelled picture with its size. */
class Pane {
  #image;
  #size;
  #url = '';
  /** @type {(width: number, height: number) => void} */
  onShape = () => {};

  /**
   * @param {HTMLElement} figure
   * @param {string} alt
   */
  constructor(figure, alt) {
    this.#image = find('img', HTMLImageElement, figure);
    this.#size = find('.size', HTMLElement, figure);
    this.#image.alt = alt;
  }

  /**
   * @param {string} url empty for none
   * @param {number | undefined} bytes
   */
  show(url, bytes) {
    setText(this.#size, bytes === undefined ? '' : size(bytes));
    if (url === this.#url) return;
    this.#url = url;
    if (url) this.#swap(url);
    else this.#image.hidden = true;
  }

  /**
   * Decode first, so that the old picture stays until the new one can be painted whole.
   * @param {string} url
   */
  async #swap(url) {
    const next = new Image();
    next.src = url;
    // What cannot be decoded shows as far as the browser gets, or its alternative text.
    await next.decode().catch(() => {});
    if (url !== this.#url) return;
    if (next.naturalWidth) this.onShape(next.naturalWidth, next.naturalHeight);
    this.#image.src = url;
    this.#image.hidden = false;
  }
}

/**
 * The handle that divides Before from After: dragged anywhere along it, or moved as the slider that it is.
 * @param {HTMLElement} view gets the position as `--split`
 * @param {HTMLElement} area as wide as the pictures
 * @param {HTMLElement} handle
 * @param {HTMLInputElement} slider transparent, inside the handle, for keyboards and screen readers
 */
function splitHandle(view, area, handle, slider) {
  const show = () => {
    const before = Math.round(slider.valueAsNumber);
    view.style.setProperty('--split', `${slider.value}%`);
    slider.setAttribute('aria-valuetext', t('stage.handle-value', { before, after: 100 - before }));
  };
  slider.addEventListener('input', show);
  // Dragging the thumb of the slider itself loses the pointer after a few pixels in Chromium.
  handle.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    handle.setPointerCapture(event.pointerId);
    slider.focus({ preventScroll: true });
  });
  handle.addEventListener('pointermove', (event) => {
    if (!handle.hasPointerCapture(event.pointerId)) return;
    const { left, width } = area.getBoundingClientRect();
    slider.valueAsNumber = Math.min(Math.max(((event.clientX - left) / width) * 100, 0), 100);
    show();
  });
  show();
}
