/** Shows Before and After of the selected image: split by a handle, side by side, or After alone; fitted or zoomed. */

import { find, setText, size, t } from './page.js';
import { Viewport } from './viewport.js';

/** @import {Image} from './session.js' */
/** @import {Point, Size} from './viewport.js' */
/** @typedef {'split' | 'side' | 'after'} Mode */
/** @typedef {{url: string, text: string, shape: Size}} Shown a preview instead of the result; without a url it is on the canvas */

const ZOOM_STEP = 1.5;
const WHEEL_SPEED = 0.002;
/** From this zoom on, the user wants to see single pixels. */
const PIXELS_AT = 3;
const PAN_STEP = 64;
/** Between two pictures side by side, in px. */
const GAP = 16;
const HOLD_MS = 250;
const STILL_PX = 6;

export class Stage {
  #root;
  #view;
  #before;
  #after;
  #radios;
  #bar;
  #zoomLabel;
  #setSplit;
  /** Where a preview is drawn. */
  canvas;
  #viewport = new Viewport();
  /** @type {Size} */
  #room = { width: 0, height: 0 };
  /** @type {Size} */
  #natural = { width: 3, height: 2 };
  #narrow = matchMedia('(max-width: 56rem)');
  #number = 0;
  /** @type {Mode} */
  #chosen;
  /** @type {Mode} */
  #mode = 'side';
  #onMode;
  /** @type {(scale: number) => void} gets how many CSS px one px of the result takes */
  onScale = () => {};

  /**
   * @param {HTMLElement} root
   * @param {unknown} mode the mode used last, if any
   * @param {(mode: Mode) => void} onMode
   */
  constructor(root, mode, onMode) {
    this.#root = root;
    this.#onMode = onMode;
    this.#view = find('.view', HTMLElement, root);
    this.#view.tabIndex = 0;
    this.canvas = find('canvas', HTMLCanvasElement, root);
    this.canvas.setAttribute('aria-label', t('stage.after-alt'));
    this.#before = new Pane(find('.before', HTMLElement, root), t('stage.before-alt'));
    this.#after = new Pane(find('.after', HTMLElement, root), t('stage.after-alt'), this.canvas);
    // Used only until there is an After.
    this.#before.onShape = (shape) => this.#radios[0]?.disabled && this.#resize(shape);
    this.#chosen = mode === 'side' || mode === 'after' ? mode : 'split';
    this.#bar = find('.bar', HTMLElement, root);
    this.#radios = [...this.#bar.querySelectorAll('input')];
    this.#bar.addEventListener('change', (event) => {
      if (event.target instanceof HTMLInputElement) {
        this.choose(/** @type {Mode} */ (event.target.value));
      }
    });
    this.#zoomLabel = find('.zoom', HTMLButtonElement, this.#bar);
    this.#zoomLabel.addEventListener('click', () => this.toggleZoom());
    find('.out', HTMLButtonElement, this.#bar).addEventListener('click', () => this.zoomOut());
    find('.in', HTMLButtonElement, this.#bar).addEventListener('click', () => this.zoomIn());
    const cut = find('.cut', HTMLElement, root);
    const handle = find('.handle', HTMLElement, cut);
    this.#setSplit = splitHandle(this.#view, cut, handle, find('input', HTMLInputElement, handle));
    // Reading the view's size would lay out the whole page at every move of a slider.
    new ResizeObserver(([entry]) => {
      if (entry) this.#room = entry.contentRect;
      this.#place();
    }).observe(this.#view);
    this.#narrow.addEventListener('change', () => this.#apply());
    this.#listen();
  }

  /**
   * @param {Image} image
   * @param {boolean} pending a newer result is on its way
   * @param {Shown | undefined} preview
   */
  show(image, pending, preview) {
    const { result } = image;
    if (image.number !== this.#number) {
      this.#number = image.number;
      this.#viewport.fit();
    }
    const shape = preview?.shape ?? result?.answer;
    // Without an After there is nothing to split, and its placeholder is shown next to Before.
    for (const radio of this.#radios) radio.disabled = !shape;
    this.#before.show(image.url, size(image.file.size));
    this.#after.onSwap = () => image.animated && this.#before.replay(image.file);
    if (preview) this.#after.show(preview.url, preview.text, true);
    else this.#after.show(result?.url ?? '', result ? size(result.answer.bytes) : '');
    if (shape) this.#resize(shape);
    this.#root.setAttribute('aria-busy', String(pending));
    this.#root.toggleAttribute(
      'data-blank',
      !image.url || (image.trouble !== undefined && !result),
    );
    this.#apply();
  }

  /** @param {Mode} mode */
  choose(mode) {
    this.#chosen = mode;
    this.#apply();
    this.#onMode(mode);
  }

  #apply() {
    // A small screen has no room for two pictures side by side, only for Before and the placeholder.
    const chosen = this.#chosen === 'side' && this.#narrow.matches ? 'split' : this.#chosen;
    const mode = this.#radios[0]?.disabled ? 'side' : chosen;
    this.#mode = mode;
    this.#root.dataset.mode = mode;
    for (const radio of this.#radios) radio.checked = radio.value === mode;
    this.#place();
  }

  /** @param {number} percent of the frame that shows Before */
  split(percent) {
    this.choose('split');
    this.#setSplit(percent);
  }

  zoomIn() {
    this.#zoomTo(this.#viewport.zoom * ZOOM_STEP);
  }

  zoomOut() {
    this.#zoomTo(this.#viewport.zoom / ZOOM_STEP);
  }

  fit() {
    this.#viewport.fit();
    this.#place();
  }

  /** @param {Point} [point] */
  toggleZoom(point) {
    if (this.#viewport.isFitted) this.#zoomTo(1, point);
    else this.fit();
  }

  /** @param {boolean} held while true, Before is shown */
  hold(held) {
    this.#root.toggleAttribute('data-hold', held);
  }

  /**
   * @param {number} zoom
   * @param {Point} [point]
   */
  #zoomTo(zoom, point) {
    this.#viewport.zoomTo(zoom, point);
    this.#place();
  }

  /** @param {Size} shape */
  #resize({ width, height }) {
    if (width === this.#natural.width && height === this.#natural.height) return;
    this.#natural = { width, height };
    this.#place();
  }

  /** Lay out the two frames and their pictures in the same way. */
  #place() {
    const room = this.#room;
    if (room.width === 0) return;
    const width = this.#mode === 'side' ? (room.width - GAP) / 2 : room.width;
    this.#viewport.measure({ width, height: room.height }, this.#natural, devicePixelRatio);
    const { frame, picture, x, y } = this.#viewport.layout();
    const beside = this.#mode === 'side' ? frame.width + GAP : 0;
    const left = onPixel((room.width - frame.width - beside) / 2);
    const lengths = {
      ...{ left, right: left + beside, top: onPixel((room.height - frame.height) / 2) },
      ...{ fw: frame.width, fh: frame.height, pw: picture.width, ph: picture.height },
      ...{ px: onPixel(x), py: onPixel(y) },
    };
    for (const [name, length] of Object.entries(lengths)) {
      this.#view.style.setProperty(`--${name}`, `${length}px`);
    }
    const { zoom, isFitted } = this.#viewport;
    this.#view.toggleAttribute('data-zoomed', !isFitted);
    this.#view.toggleAttribute('data-pixels', zoom >= PIXELS_AT);
    const percent = t('number.percent', { value: Math.round(zoom * 100) });
    setText(this.#zoomLabel, isFitted ? t('stage.fit') : percent);
    this.#zoomLabel.title = t('stage.zoom', { percent });
    this.onScale(picture.width / this.#natural.width);
  }

  #listen() {
    const view = this.#view;
    view.addEventListener(
      'wheel',
      (event) => {
        event.preventDefault();
        // Lines and pages are converted to pixels. A pinch on a trackpad is a wheel with ctrl, in small steps.
        const step = event.deltaY * (event.deltaMode ? 30 : 1) * (event.ctrlKey ? 5 : 1);
        this.#zoomTo(this.#viewport.zoom * Math.exp(-step * WHEEL_SPEED), this.#pointOf(event));
      },
      { passive: false },
    );
    view.addEventListener('dblclick', (event) => {
      if (!isHandle(event)) this.toggleZoom(this.#pointOf(event));
    });
    view.addEventListener('keydown', (event) => {
      if (event.target !== view || event.ctrlKey || event.metaKey || event.altKey) return;
      const [x, y] = ARROWS[event.key] ?? [0, 0];
      if (x || y) this.#pan(x * PAN_STEP, y * PAN_STEP);
      else if (event.key === ' ') this.hold(true);
      else return;
      event.preventDefault();
    });
    for (const name of ['keyup', 'blur']) view.addEventListener(name, () => this.hold(false));
    this.#followPointers(view);
  }

  /** @param {HTMLElement} view */
  #followPointers(view) {
    /** @type {Map<number, Point>} */
    const pointers = new Map();
    let timer = 0;
    let travelled = 0;
    view.addEventListener('pointerdown', (event) => {
      if (event.button !== 0 || isHandle(event)) return;
      if (event.isPrimary) pointers.clear(); // in case earlier pointers never ended
      pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      view.setPointerCapture(event.pointerId);
      travelled = 0;
      clearTimeout(timer);
      if (pointers.size === 1) timer = setTimeout(() => this.hold(true), HOLD_MS);
    });
    view.addEventListener('pointermove', (event) => {
      const last = pointers.get(event.pointerId);
      if (!last) return;
      const moved = { x: event.clientX - last.x, y: event.clientY - last.y };
      travelled += Math.hypot(moved.x, moved.y);
      if (travelled > STILL_PX) clearTimeout(timer);
      const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
      last.x = event.clientX;
      last.y = event.clientY;
      if (!other) return this.#pan(moved.x, moved.y);
      const before = Math.hypot(last.x - moved.x - other.x, last.y - moved.y - other.y);
      const now = Math.hypot(last.x - other.x, last.y - other.y);
      const middle = { clientX: (last.x + other.x) / 2, clientY: (last.y + other.y) / 2 };
      this.#pan(moved.x / 2, moved.y / 2);
      if (before > 0) this.#zoomTo(this.#viewport.zoom * (now / before), this.#pointOf(middle));
    });
    for (const name of /** @type {const} */ (['pointerup', 'pointercancel'])) {
      view.addEventListener(name, (event) => {
        pointers.delete(event.pointerId);
        clearTimeout(timer);
        this.hold(false);
      });
    }
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  #pan(x, y) {
    this.#viewport.pan(x, y);
    this.#place();
  }

  /**
   * Return the event's point in its frame. Side by side, both frames show the same place and grow away from each other.
   * @param {{clientX: number, clientY: number}} event
   * @returns {Point}
   */
  #pointOf({ clientX, clientY }) {
    const [before, after] = /** @type {[DOMRect, DOMRect]} */ (
      [...this.#view.querySelectorAll('figure')].map((each) => each.getBoundingClientRect())
    );
    const first = this.#mode === 'side' && clientX < after.left;
    const { left, top } = first ? before : after;
    const growth = this.#mode === 'side' ? Number(first) : 0.5;
    return { x: clientX - left, y: clientY - top, growth };
  }
}

/** @type {Record<string, [number, number]>} how the picture moves to show more of that side */
const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/** @param {number} length rounded up to the screen's grid, off which a picture is blurred; not past its frame */
const onPixel = (length) => Math.ceil(length * devicePixelRatio) / devicePixelRatio;

/** @param {Event} event */
const isHandle = (event) => event.target instanceof Element && event.target.closest('.handle');

/** One picture with its label and size. */
class Pane {
  #image;
  #size;
  #canvas;
  #url = '';
  /** @type {(shape: Size) => void} */
  onShape = () => {};
  onSwap = () => {};

  /**
   * @param {HTMLElement} figure
   * @param {string} alt
   * @param {HTMLCanvasElement} [canvas]
   */
  constructor(figure, alt, canvas) {
    this.#image = find('img', HTMLImageElement, figure);
    this.#size = find('.size', HTMLElement, figure);
    this.#image.alt = alt;
    this.#canvas = canvas;
  }

  /**
   * @param {string} url
   * @param {string} text its size
   * @param {boolean} [drawn] if there is no url, show the canvas
   */
  show(url, text, drawn = false) {
    setText(this.#size, text);
    if (!url && this.#canvas) this.#canvas.hidden = !drawn;
    if (!url) this.#image.hidden = true;
    if (url === this.#url) return;
    this.#url = url;
    if (url) this.#swap(url);
  }

  /**
   * Show a new picture once it is decoded, so that the old one stays until then.
   * @param {string} url
   */
  async #swap(url) {
    const next = new Image();
    next.src = url;
    // If it cannot be decoded, the browser shows as much as it can, or the alternative text.
    await next.decode().catch(() => {});
    if (url !== this.#url) return;
    const { naturalWidth: width, naturalHeight: height } = next;
    if (width) this.onShape({ width, height });
    this.#image.src = url;
    this.#image.hidden = false;
    if (this.#canvas) this.#canvas.hidden = true;
    this.onSwap();
  }

  /**
   * Play an animation from its start, in step with one that has just been shown. This needs a new URL.
   * @param {File} file
   */
  async replay(file) {
    const url = URL.createObjectURL(file);
    this.#image.src = url;
    await this.#image.decode().catch(() => {});
    URL.revokeObjectURL(url);
  }
}

/**
 * The handle between Before and After. It can be dragged anywhere along its length, or moved as a slider.
 * @param {HTMLElement} view gets the position as `--split`
 * @param {HTMLElement} area as wide as the pictures
 * @param {HTMLElement} handle
 * @param {HTMLInputElement} slider transparent, inside the handle, for keyboards and screen readers
 * @returns {(percent: number) => void} moves it
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
    set(Math.min(Math.max(((event.clientX - left) / width) * 100, 0), 100));
  });
  /** @param {number} percent */
  const set = (percent) => {
    slider.valueAsNumber = percent;
    show();
  };
  show();
  return set;
}
