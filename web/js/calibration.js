/** How many bytes the server's files have for each byte of the browser's: at first by experience, then by its answers. */

/**
 * JPEG by quality: jpegli at the server's distances, by the libjpeg of browsers. About the means of 14 photos; single
 * ones are up to 20 % off, at qualities near each other by nearly the same factor. The chroma matters little, whoever
 * halves it; what an older JPEG compression left in the pixels does, up to 20 % again.
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
/** How much experience counts beside an answer at this very quality, which counts 1. */
const EXPERIENCE = 1 / 1000;

/**
 * @param {string} format
 * @param {number} quality
 */
export function usual(format, quality) {
  if (format !== 'jpeg') return 1;
  const after = JPEG.find(([each]) => each >= quality) ?? JPEG[9];
  const [[low, from], [high, to]] = [JPEG.findLast(([each]) => each < quality) ?? after, after];
  return low < high ? from + ((to - from) * (quality - low)) / (high - low) : to;
}

/** What the answers about one picture in one format say beyond what is usual. */
export class Calibration {
  /** @type {Map<number, number>} by quality */
  #factors = new Map();

  /**
   * @param {number} quality
   * @param {number} factor the server's bytes by those that were to be expected
   */
  learn(quality, factor) {
    this.#factors.set(quality, factor);
  }

  /**
   * Return the mean of what was learned: the nearer its quality, the more it counts. Far from all of it nothing is known.
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
