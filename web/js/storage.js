/** Remembers choices in this browser, or in memory if the browser refuses (private windows, blocked storage). */

const memory = new Map();
const PREFIX = 'pinch.';

/**
 * @param {string} name
 * @returns {unknown} what was saved under the name, or null
 */
export function recall(name) {
  if (memory.has(name)) return memory.get(name);
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name) ?? 'null');
  } catch {
    return null;
  }
}

/**
 * @param {string} name
 * @param {unknown} value
 */
export function remember(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
    memory.delete(name);
  } catch {
    memory.set(name, value);
  }
}
