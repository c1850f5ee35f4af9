/** Where a picture is in its frame: fitted, or zoomed around a point. Lengths are CSS px, except the picture's own. */

/** @typedef {{width: number, height: number}} Size */
/** @typedef {{x: number, y: number, growth?: number}} Point `growth`: the part of the frame’s growth to the left */
/** @typedef {{frame: Size, picture: Size, x: number, y: number}} Layout x and y: the picture's corner in the frame */

/** If a picture is smaller than this width, fitting enlarges it up to it, so that there is something to see. */
const MIN_FIT = 384;
const MIN_FRAME = 128;
const MAX_ZOOM = 8;

export class Viewport {
  /** @type {Size} */
  #cell = { width: 1, height: 1 };
  /** @type {Size} */
  #size = { width: 3, height: 2 };
  #pixelRatio = 1;
  #zoom = 0;
  /** The point of the picture that is in the middle of the frame, as fractions of its width and height. */
  #center = { x: 0.5, y: 0.5 };

  /**
   * @param {Size} cell the space for the frame
   * @param {Size} size of the result, in its own px
   * @param {number} pixelRatio device px in a CSS px
   */
  measure(cell, size, pixelRatio) {
    this.#cell = cell;
    // If the result's pixels change, it stays as large on the screen as it was.
    this.#zoom *= this.#size.width / size.width;
    this.#size = size;
    this.#pixelRatio = pixelRatio;
  }

  /** Screen px per px of the result; 1 is 100 %. */
  get zoom() {
    return this.#zoom || this.#fit;
  }

  get isFitted() {
    return this.#zoom === 0;
  }

  get #fit() {
    const { width, height } = this.#size;
    const most = Math.max(1, MIN_FIT / width);
    return Math.min(this.#cell.width / width, this.#cell.height / height, most) * this.#pixelRatio;
  }

  fit() {
    this.#zoom = 0;
    this.#center = { x: 0.5, y: 0.5 };
  }

  /**
   * Zoom so that the part of the picture at this point of the frame stays there.
   * @param {number} zoom limited to the possible range, which begins at 100 % or the fitted zoom, whichever is less
   * @param {Point} [point] in the frame; by default its middle
   */
  zoomTo(zoom, point) {
    const before = this.layout();
    /** @type {Point} */
    const middle = { x: before.frame.width / 2, y: before.frame.height / 2 };
    const { x, y, growth = 0.5 } = point ?? middle;
    const part = {
      x: (x - before.x) / before.picture.width,
      y: (y - before.y) / before.picture.height,
    };
    const fit = this.#fit;
    const wanted = Math.min(Math.max(zoom, Math.min(fit, 1)), Math.max(MAX_ZOOM, fit));
    // Only when the zoom moves towards the fitted one, so that small steps away from it add up.
    const nearer = Math.abs(wanted - fit) <= Math.abs(this.zoom - fit);
    if (nearer && Math.abs(wanted / fit - 1) < 0.02) return this.fit();
    this.#zoom = wanted;
    const { frame, picture } = this.layout();
    const grown = {
      x: x + (frame.width - before.frame.width) * growth,
      y: y + (frame.height - before.frame.height) / 2,
    };
    this.#center = {
      x: part.x + (frame.width / 2 - grown.x) / picture.width,
      y: part.y + (frame.height / 2 - grown.y) / picture.height,
    };
    this.#keepInside();
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  pan(x, y) {
    const { picture } = this.layout();
    this.#center.x -= x / picture.width;
    this.#center.y -= y / picture.height;
    this.#keepInside();
  }

  #keepInside() {
    const { frame, picture, x, y } = this.layout();
    this.#center = {
      x: (frame.width / 2 - x) / picture.width,
      y: (frame.height / 2 - y) / picture.height,
    };
  }

  /** @returns {Layout} */
  layout() {
    const scale = this.zoom / this.#pixelRatio;
    const picture = { width: this.#size.width * scale, height: this.#size.height * scale };
    /** @param {'width' | 'height'} side */
    const framed = (side) => Math.min(Math.max(picture[side], MIN_FRAME), this.#cell[side]);
    const frame = { width: framed('width'), height: framed('height') };
    return {
      frame,
      picture,
      x: offset(frame.width, picture.width, this.#center.x),
      y: offset(frame.height, picture.height, this.#center.y),
    };
  }
}

/**
 * @param {number} frame
 * @param {number} picture
 * @param {number} center
 */
function offset(frame, picture, center) {
  if (picture <= frame) return (frame - picture) / 2;
  return Math.min(Math.max(frame / 2 - center * picture, frame - picture), 0);
}
