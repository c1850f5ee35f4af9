/** Finds and builds elements, looks up sentences, and writes numbers as the language does. */

import { language as english, strings as sentences } from '../strings/en.js';

/** @typedef {Partial<Record<Intl.LDMLPluralRule, string>> & {other: string}} Plural */
/** @typedef {{language: string, strings: Record<string, string | Plural>}} Language */

const SVG = 'http://www.w3.org/2000/svg';
const LOADING_MS = 5_000;

/** @type {Record<string, string | Plural>} */
let strings;
/** @type {Intl.PluralRules} */
let plurals;
/** @type {Intl.NumberFormat} */
let whole;
/** @type {Intl.NumberFormat} */
let tenths;

/**
 * Use this language from now on. Text that is already on the page does not change.
 * @param {Language} language
 */
export function speak({ language, strings: spoken }) {
  strings = spoken;
  plurals = new Intl.PluralRules(language);
  whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
  tenths = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
}
speak({ language: english, strings: sentences });

/**
 * Return the sentence of this key with its `{names}` filled in; `count` chooses the plural form.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function t(key, values = {}) {
  const entry = strings[key];
  if (entry === undefined) throw new Error(`no such string: ${key}`);
  const form = plurals.select(Number(values.count));
  const sentence = typeof entry === 'string' ? entry : (entry[form] ?? entry.other);
  return sentence.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === 'number' ? whole.format(value) : (value ?? '');
  });
}

/**
 * Return the sentence of this key, or the fallback when the language has none.
 * @param {string} key
 * @param {string} fallback
 */
export const tOr = (key, fallback) => (key in strings ? t(key) : fallback);

/**
 * Free a blob's memory, after a while: a picture that is still loading from its URL would fail with an error in the
 * console.
 * @param {string} url if it is empty, nothing happens
 * @param {number} [milliseconds]
 */
export function release(url, milliseconds = LOADING_MS) {
  if (url) setTimeout(() => URL.revokeObjectURL(url), milliseconds);
}

/**
 * Write a number of bytes as people do: 1 KB is 1000 B.
 * @param {number} bytes
 */
export function size(bytes) {
  if (bytes < 1000) return `${whole.format(bytes)} B`;
  // 999 950 bytes would round to 1000 KB.
  const [value, unit] = bytes < 999_500 ? [bytes / 1e3, 'KB'] : [bytes / 1e6, 'MB'];
  return `${(value < 10 ? tenths : whole).format(value)} ${unit}`;
}

/**
 * Write several things in one sentence: a, b, and c.
 * @param {string[]} items
 */
export const list = (items) => new Intl.ListFormat(plurals.resolvedOptions().locale).format(items);

/**
 * Write by how many percent the result is smaller or larger, without sign. It is at most 99.9 % smaller, since some
 * bytes are always left.
 * @param {number} saved percent
 */
export function percent(saved) {
  const value = saved > 0 ? Math.min(saved, 99.9) : 0 - saved; // no negative zero
  return (value < 1 || (value >= 99.5 && value < 100) ? tenths : whole).format(value);
}

/**
 * Write the same with its sign: −97% if the result is smaller, +12% if it is larger.
 * @param {number} saved percent
 */
export function change(saved) {
  const sign = saved > 0 ? '−' : saved < 0 ? '+' : '';
  return `${sign}${t('number.percent', { value: percent(saved) })}`;
}

/**
 * Put the language's sentences into the elements marked with `data-t` (text) and `data-t-label` (accessible name).
 * @param {Document} document
 */
export function localize(document) {
  for (const element of document.querySelectorAll('[data-t]')) {
    element.textContent = t(element.getAttribute('data-t') ?? '');
  }
  for (const element of document.querySelectorAll('[data-t-label]')) {
    element.setAttribute('aria-label', t(element.getAttribute('data-t-label') ?? ''));
  }
}

/**
 * Return the element. Throws if index.html does not have it with this type.
 * @template {Element} T
 * @param {string} selector
 * @param {new () => T} type
 * @param {ParentNode} [root]
 * @returns {T}
 */
export function find(selector, type, root = document) {
  const element = root.querySelector(selector);
  if (!(element instanceof type)) throw new Error(`${selector} is missing`);
  return element;
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | number | boolean>} [attributes] `false` omits one
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children);
  return element;
}

/**
 * @param {string} name
 * @param {Record<string, unknown>} attributes
 * @param {...Node} children
 */
export function svg(name, attributes, ...children) {
  const element = /** @type {SVGElement} */ (document.createElementNS(SVG, name));
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/**
 * Return an icon of the sprite in index.html.
 * @param {string} name
 */
export function icon(name) {
  return svg('svg', { class: 'icon', 'aria-hidden': true }, svg('use', { href: `#i-${name}` }));
}

/**
 * Set the text only if it differs. Otherwise a live region would speak again.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
