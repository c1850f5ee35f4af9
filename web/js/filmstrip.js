/** The row of images. Each has a button with its progress, what it saved, or what is wrong with it. */

import { change, find, setText, t } from './page.js';

/** @import {Image} from './session.js' */

export class Filmstrip {
  #list;
  #template;
  /** @type {Map<number, HTMLLIElement>} */
  #tiles = new Map();
  /** @type {(image: Image) => void} */
  onSelect = () => {};
  /** @type {(image: Image) => void} */
  onRemove = () => {};

  /**
   * @param {HTMLElement} list
   * @param {HTMLTemplateElement} template
   */
  constructor(list, template) {
    this.#list = list;
    this.#template = template;
  }

  /**
   * @param {Image[]} images
   * @param {Image | undefined} selected
   * @param {(image: Image) => boolean} isStale
   */
  show(images, selected, isStale) {
    const numbers = new Set(images.map((image) => image.number));
    for (const [number, tile] of this.#tiles) {
      if (numbers.has(number)) continue;
      tile.remove();
      this.#tiles.delete(number);
    }
    for (const [index, image] of images.entries()) {
      const tile = this.#tiles.get(image.number) ?? this.#create(image);
      const there = this.#list.children[index] ?? null;
      if (there !== tile) this.#list.insertBefore(tile, there);
      fill(tile, image, image === selected, isStale(image));
    }
  }

  /** @param {Image} image */
  focus(image) {
    const tile = this.#tiles.get(image.number);
    if (tile) find('.thumb', HTMLButtonElement, tile).focus();
  }

  /** @param {Image} image */
  #create(image) {
    const content = /** @type {DocumentFragment} */ (this.#template.content.cloneNode(true));
    const tile = find('li', HTMLLIElement, content);
    const { name } = image.file;
    const thumb = find('.thumb', HTMLButtonElement, tile);
    thumb.title = name;
    thumb.addEventListener('click', () => this.onSelect(image));
    const remove = find('.x', HTMLButtonElement, tile);
    remove.setAttribute('aria-label', t('strip.remove', { name }));
    remove.addEventListener('click', () => this.onRemove(image));
    if (image.url) find('img', HTMLImageElement, tile).src = image.url;
    this.#tiles.set(image.number, tile);
    return tile;
  }
}

/**
 * @param {HTMLLIElement} tile
 * @param {Image} image
 * @param {boolean} current
 * @param {boolean} stale
 */
function fill(tile, image, current, stale) {
  const { result, trouble } = image;
  const thumb = find('.thumb', HTMLButtonElement, tile);
  const failed = trouble !== undefined;
  const uploading = !failed && image.phase !== 'uploaded';
  thumb.setAttribute('aria-current', String(current));
  thumb.classList.toggle('err', failed);
  thumb.classList.toggle('up', uploading);
  thumb.classList.toggle('stale', stale);
  thumb.classList.toggle('larger', (result?.answer.saved_percent ?? 0) < 0);
  // Set through CSSOM, since the page's policy allows no style attributes.
  thumb.style.setProperty('--progress', String(Math.round(image.progress * 100)));
  setText(
    find('b', HTMLElement, tile),
    result && !failed ? change(result.answer.saved_percent) : '',
  );
  setText(find('.name', HTMLElement, tile), failed ? trouble.short : image.file.name);
  setText(find('.state', HTMLElement, tile), state(image, failed, stale));
}

/**
 * @param {Image} image
 * @param {boolean} failed
 * @param {boolean} stale
 * @returns {string} what screen readers say after the name
 */
function state(image, failed, stale) {
  if (failed) return image.file.name;
  if (image.phase === 'waiting') return t('strip.waiting');
  if (image.phase === 'uploading') {
    return t('strip.uploading', { percent: Math.round(image.progress * 100) });
  }
  if (image.run) return t('strip.optimizing');
  if (!image.result) return t('strip.ready');
  return stale ? t('strip.stale') : '';
}
