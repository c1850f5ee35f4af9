/** The controls of the settings form: one for each kind of setting in the schema. */

import { el, t, tOr } from './page.js';

/** @import {Property, Value} from './form.js' */

/**
 * @typedef {{element: HTMLElement, show: (value: Value) => void}} Control
 * @typedef {(value: Value) => void} Commit gets what the user has chosen
 * @typedef {(value: Value) => void} Draft gets what the user is about to choose
 */

const BYTES_PER_KB = 1000;

/**
 * @param {string} name
 * @param {Property} property
 * @param {Commit} commit
 * @param {Draft} draft
 * @returns {Control}
 */
export function build(name, property, commit, draft) {
  const types = [property.type].flat();
  if (property.enum) {
    // A group with only this setting shows its name already.
    return (property['x-group'] === name ? segments : select)(name, property, commit);
  }
  if (types.includes('boolean')) return toggle(name, property, commit);
  if (types.includes('integer') || types.includes('number')) {
    const bounded = property.minimum !== undefined && property.maximum !== undefined;
    return bounded && !types.includes('null')
      ? slider(name, property, commit, draft)
      : number(name, property, commit);
  }
  return text(name, property, commit);
}

/**
 * @param {string} name
 * @param {Property} property
 * @param {Commit} commit
 * @returns {Control}
 */
function segments(name, property, commit) {
  const options = property.enum ?? [];
  const radios = options.map((value) => el('input', { type: 'radio', name: `s-${name}`, value }));
  const labels = radios.map((radio) => {
    radio.addEventListener('change', () => commit(radio.value));
    return el('label', {}, radio, el('span', {}, labelOf(property, radio.value)));
  });
  const about = { role: 'radiogroup', 'aria-label': titleOf(name, property) };
  return {
    element: el('div', { class: 'seg', title: hintOf(name, property), ...about }, ...labels),
    show: (value) => {
      for (const radio of radios) radio.checked = radio.value === value;
    },
  };
}

/**
 * @param {string} name
 * @param {Property} property
 * @param {Commit} commit
 * @returns {Control}
 */
function select(name, property, commit) {
  const options = property.enum ?? [];
  const input = el('select', { id: `s-${name}` });
  input.append(...options.map((value) => el('option', { value }, labelOf(property, value))));
  input.addEventListener('change', () => commit(input.value));
  return {
    element: titled('row', name, property, input),
    show: (value) => {
      input.value = String(value);
    },
  };
}

/**
 * @param {string} name
 * @param {Property} property
 * @param {Commit} commit
 * @returns {Control}
 */
function toggle(name, property, commit) {
  const input = el('input', { type: 'checkbox', id: `s-${name}` });
  input.addEventListener('change', () => commit(input.checked));
  return {
    element: explained(name, property, input),
    show: (value) => {
      input.checked = value === true;
    },
  };
}

/**
 * A slider with its number. Moving it drafts the value; releasing it commits the value.
 * @param {string} name
 * @param {Property} property
 * @param {Commit} commit
 * @param {Draft} draft
 * @returns {Control}
 */
function slider(name, property, commit, draft) {
  const min = Number(property.minimum);
  const max = Number(property.maximum);
  const bounds = { min, max, step: property.type === 'integer' ? 1 : 'any' };
  const range = el('input', { type: 'range', id: `s-${name}`, ...bounds });
  const field = numberField(name, property, commit);
  const origin = min < 0 && max > 0 ? 0 : min;
  const paint = () => {
    const [low, high] = [origin, range.valueAsNumber].sort((a, b) => a - b);
    range.style.setProperty('--a', part(Number(low), min, max));
    range.style.setProperty('--b', part(Number(high), min, max));
  };
  range.addEventListener('input', () => {
    field.value = range.value;
    paint();
    draft(range.valueAsNumber);
  });
  range.addEventListener('change', () => commit(range.valueAsNumber));
  const inline = property['x-group'] === 'adjust';
  const label = el(
    'label',
    { for: range.id },
    `${titleOf(name, property)} `,
    el('small', { class: 'num' }),
  );
  const value = el('div', { class: 'val' }, field, el('span', {}, property['x-unit'] ?? ''));
  const hint = hintOf(name, property);
  const description = el('span', { class: 'vh', id: `d-${name}` }, hint);
  range.setAttribute('aria-describedby', description.id);
  const row = el('div', { class: inline ? 'row inline' : 'row', title: hint });
  row.append(label, value, range, description);
  return {
    element: row,
    show: (value) => {
      field.value = String(value ?? '');
      if (value !== null) range.value = field.value;
      paint();
    },
  };
}

/**
 * @param {string} name
 * @param {Property} property
 * @param {Commit} commit
 * @returns {Control}
 */
function number(name, property, commit) {
  const bytes = property['x-unit'] === 'bytes';
  const factor = bytes ? BYTES_PER_KB : 1;
  const unit = bytes ? 'KB' : (property['x-unit'] ?? '');
  const field = numberField(name, property, commit, factor);
  field.setAttribute('placeholder', t('settings.any'));
  field.id = `s-${name}`;
  field.removeAttribute('aria-label');
  const value = el('div', { class: 'val box' }, field, el('span', {}, unit));
  // Width and height share a line; a size in bytes has one of its own.
  const shape = bytes ? 'row' : 'half';
  return {
    element: titled(shape, name, property, value),
    show: (value) => {
      field.value = value === null ? '' : String(Number(value) / factor);
    },
  };
}

/**
 * @param {string} name
 * @param {Property} property
 * @param {Commit} commit
 * @returns {Control}
 */
function text(name, property, commit) {
  const type = property['x-control'] === 'color' ? 'color' : 'text';
  const input = el('input', { type, id: `s-${name}` });
  if (type === 'text' && property.pattern) input.pattern = property.pattern;
  input.addEventListener('change', () => input.checkValidity() && commit(input.value));
  return {
    element: explained(name, property, input),
    show: (value) => {
      input.value = String(value ?? '');
    },
  };
}

/**
 * A field with its title. The explanation is a tooltip.
 * @param {string} shape
 * @param {string} name
 * @param {Property} property
 * @param {HTMLElement} field
 */
function titled(shape, name, property, field) {
  const label = el('label', { for: `s-${name}` }, titleOf(name, property));
  return el('div', { class: shape, title: hintOf(name, property) }, label, field);
}

/**
 * A switch or a field, after its title and its explanation.
 * @param {string} name
 * @param {Property} property
 * @param {HTMLElement} field
 */
function explained(name, property, field) {
  const text = el('span', {}, titleOf(name, property), el('em', {}, hintOf(name, property)));
  return el('label', { class: 'switch' }, text, field);
}

/**
 * A field that commits the number that is typed, or the nearest value within the bounds. Empty means the default.
 * @param {string} name
 * @param {Property} property
 * @param {Commit} commit
 * @param {number} [factor] the value that a typed 1 stands for
 */
function numberField(name, property, commit, factor = 1) {
  const { minimum = -Infinity, maximum = Infinity } = property;
  const label = t('settings.value', { title: titleOf(name, property) });
  const bounds = { min: minimum / factor, max: maximum / factor, step: 'any' };
  const about = { type: 'number', inputmode: 'decimal', 'aria-label': label, ...bounds };
  const field = el('input', about);
  field.addEventListener('change', () => {
    if (Number.isNaN(field.valueAsNumber)) return commit(property.default);
    const bounded = Math.min(Math.max(field.valueAsNumber * factor, minimum), maximum);
    commit(property.type === 'number' ? bounded : Math.round(bounded));
  });
  return field;
}

/**
 * @param {string} name
 * @param {Property} property
 */
export const titleOf = (name, property) => tOr(`setting.${name}`, property.title ?? name);

/**
 * @param {string} name
 * @param {Property} property
 */
const hintOf = (name, property) => tOr(`hint.${name}`, property.description ?? '');

/**
 * @param {number} value
 * @param {number} min
 * @param {number} max
 */
const part = (value, min, max) => `${((value - min) / (max - min)) * 100}%`;

/**
 * Return the label of a choice.
 * @param {Property | undefined} property
 * @param {string} choice
 */
export function labelOf(property, choice) {
  const label = property?.['x-labels']?.[property.enum?.indexOf(choice) ?? -1];
  return tOr(`choice.${choice}`, label ?? choice);
}
