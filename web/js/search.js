/** What the server can find by itself (a quality, a format), and how the page shows what it found. */

import { size, t } from './page.js';

/** @import {Schema, Values} from './form.js' */
/** @import {Image} from './session.js' */

/** SSIMULACRA2 scores. A result gets the word whose place is the number of scores that it reaches. */
const SIMILARITIES = [65, 80, 90];
const WORDS = ['low', 'good', 'high', 'same'];

/**
 * Return the setting that makes the server find the quality, or '' if there is none.
 * @param {Values} settings
 */
export function qualityBy({ auto_quality = 'off', target_bytes = null }) {
  if (auto_quality !== 'off') return 'auto_quality';
  return target_bytes === null ? '' : 'target_bytes';
}

/**
 * Whether the result stays animated. The browser knows only its first frame, and the server finds no quality for it.
 * @param {Pick<Image, 'animated'>} image
 * @param {Values} settings
 */
export function moves({ animated }, { format = 'original' }) {
  return animated && format !== 'jpeg' && format !== 'png';
}

/**
 * Return lines about what was found, with what was not found at the end.
 * @param {Pick<Image, 'animated' | 'result'>} image
 * @param {Schema} schema
 * @returns {string[]}
 */
export function findings(image, schema) {
  if (!image.result) return [];
  const { answer, key } = image.result;
  const { format, quality, similarity, target_reached } = answer;
  /** @type {Values} */
  const settings = JSON.parse(key);
  if (moves(image, settings)) return [];
  const smallest = settings.format === 'smallest';
  const facts = smallest ? [schema.label('format', format)] : [];
  if (quality && (smallest || qualityBy(settings))) facts.push(t('found.quality', { quality }));
  const lines = [];
  if (typeof similarity === 'number') {
    const value = Math.max(0, Math.round(similarity));
    facts.push(t('found.similarity', { value }));
    lines.push(t(`similarity.${WORDS[SIMILARITIES.filter((least) => value >= least).length]}`));
  }
  if (facts.length) lines.unshift(facts.join(' · '));
  const target = size(Number(settings.target_bytes));
  if (target_reached === false) lines.push(t('found.missed', { size: target }));
  return lines;
}
