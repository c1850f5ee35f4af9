/** Makes one file with all results, in the browser. */

import { el, release } from './page.js';

/** @import {Result} from './session.js' */

const FILENAME = 'pinch.zip';
const READ_MS = 60_000;

/**
 * Save all results as one zip, or one by one if the zip cannot be made, for example if its code cannot be loaded.
 * @param {Result[]} results
 */
export async function downloadZip(results) {
  const names = numbered(results.map(({ answer }) => answer.filename));
  const files = results.map(({ blob }, index) => ({ name: names[index], input: blob }));
  try {
    const clientZip = await import('../vendor/client-zip.js');
    const url = URL.createObjectURL(await clientZip.downloadZip(files).blob());
    el('a', { href: url, download: FILENAME }).click();
    release(url, READ_MS);
  } catch {
    await downloadEach(results);
  }
}

/** @param {Result[]} results */
async function downloadEach(results) {
  for (const { url, answer } of results) {
    el('a', { href: url, download: answer.filename }).click();
    // Browsers drop downloads that start at the same moment.
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/**
 * Make all names different, ignoring case: a.webp, a (2).webp.
 * @param {string[]} names
 * @returns {string[]}
 */
export function numbered(names) {
  /** @type {Set<string>} */
  const taken = new Set();
  return names.map((name) => {
    const dot = name.lastIndexOf('.');
    const [stem, extension] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ''];
    let unique = name;
    for (let number = 2; taken.has(unique.toLowerCase()); number += 1) {
      unique = `${stem} (${number})${extension}`;
    }
    taken.add(unique.toLowerCase());
    return unique;
  });
}
