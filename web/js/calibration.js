/** Predicts the server's bytes for each byte that the browser encodes: first by experience, then from the answers. */

/**
 * JPEG, as pairs of quality and factor: jpegli's bytes at the server's distances, divided by those of the browsers'
 * libjpeg. The factors are about the means of 14 photos. A single photo is up to 20 % off, by nearly the same factor at
 * similar qualities. It matters little which of the two halves the chroma. An earlier JPEG compression of the pixels
 * matters more, again up to 20 %.
 */
const JPEG = /** @type {const} */ ([
  [1, 2.1],
  [10, 1.08],
  [20, 0.84],
  [40, 0.85],
  [60, 0.82],
  [70, 0.79],
  [75, 0.81],
  [85, 0.835],
  [88, 0.845],
  [95, 1.08],
]);
/** The weight of experience, where an answer at exactly this quality has the weight 1. */
const EXPERIENCE = 1 / 1000;

/**
 * The factor by experience, without any answer.
 * @param {string} format
 * @param {number} quality
 */
export function usual(format, quality) {
  if (format !== 'jpeg') return 1;
  const after = JPEG.find(([each]) => each >= quality) ?? JPEG[9];
  const [[low, from], [high, to]] = [JPEG.findLast(([each]) => each < quality) ?? after, after];
  return low < high ? from + ((to - from) * (quality - low)) / (high - low) : to;
}

/** How the answers about one picture in one format differ from the usual factor. */
export class Calibration {
  /** @type {Map<number, number>} by quality */
  #factors = new Map();

  /**
   * @param {number} quality
   * @param {number} factor the server's bytes divided by the expected bytes
   */
  learn(quality, factor) {
    this.#factors.set(quality, factor);
  }

  /**
   * Return the mean of the learned factors. The closer the quality, the more a factor counts. Far from all of them, the
   * result is near 1.
   * @param {number} quality
   */
  factor(quality) {
    let [sum, weights] = [EXPERIENCE, EXPERIENCE];
    for (const [learned, factor] of this.#factors) {
      const weight = 1 / (1 + (learned - quality) ** 2);
      sum += weight * factor;
      weights += weight;
    }
    return sum / weights;
  }
}
