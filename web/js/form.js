/** The form of all settings, made from the API's schema. A new setting in the schema appears here by itself. */

import { build, labelOf, titleOf } from './controls.js';
import { el, t, tOr } from './page.js';

/** @import {Control} from './controls.js' */

/**
 * @typedef {string | number | boolean | null} Value
 * @typedef {Record<string, Value>} Values
 * @typedef {{
 *   title?: string, description?: string, type: string | string[], default: Value,
 *   enum?: string[], minimum?: number, maximum?: number, pattern?: string,
 *   'x-group'?: string, 'x-labels'?: string[], 'x-unit'?: string, 'x-control'?: string,
 * }} Property
 * @typedef {{name: string, title: string, settings: Values}} Preset
 * @typedef {{
 *   max_upload_bytes: number, requests_per_minute: number, retention_minutes: number,
 *   files_per_request: number, media_types: string[],
 * }} Limits
 * @typedef {{properties: Record<string, Property>, presets: Preset[], limits: Limits, version: string}} SettingsDocument
 */

/** The order of the groups on the page. Any other group comes last. */
const GROUPS = ['format', 'size', 'adjust', 'options'];

export class SettingsForm {
  #schema;
  #values;
  /** @type {Map<string, Control>} */
  #controls = new Map();
  /** @type {(() => void)[]} */
  #resets = [];
  /** @type {(values: Values) => void} */
  onChange = () => {};
  /** @type {(values: Values) => void} called while a slider moves */
  onDraft = () => {};
  /** @type {(values: Values) => void} called with the values from before */
  onReset = () => {};

  /**
   * @param {HTMLElement} root
   * @param {Schema} schema
   * @param {Values} values
   */
  constructor(root, schema, values) {
    this.#schema = schema;
    this.#values = { ...schema.defaults, ...values };
    for (const [name, properties] of groups(schema.properties)) {
      if (properties.length) root.append(this.#section(name, properties));
    }
    this.#show();
  }

  /** @param {Values} values missing ones get their default */
  set(values) {
    this.#values = { ...this.#schema.defaults, ...values };
    this.#changed();
  }

  /**
   * Show the settings of another image, without calling `onChange`.
   * @param {Values} values
   */
  show(values) {
    this.#values = { ...this.#schema.defaults, ...values };
    this.#show();
  }

  /** Set all settings to their defaults. */
  reset() {
    this.#reset(Object.entries(this.#schema.properties));
  }

  /**
   * Show a short remark next to the name of a setting.
   * @param {string} name
   * @param {string} text
   */
  remark(name, text) {
    const remark = this.#controls.get(name)?.element.querySelector('small');
    if (remark) remark.textContent = text;
  }

  /**
   * Show the value that another setting led to, in place of the user's own. An empty `by` brings the user's value back.
   * @param {string} name
   * @param {string} by
   * @param {Value} value null while it is unknown
   */
  lock(name, by, value) {
    const control = this.#controls.get(name);
    const inputs = control?.element.querySelectorAll('input') ?? [];
    if (!by && !inputs[0]?.disabled) return; // the user may be changing it
    for (const input of inputs) input.disabled = by !== '';
    control?.show(by ? value : (this.#values[name] ?? null));
    const property = this.#schema.properties[by];
    this.remark(name, property ? t('settings.by', { title: titleOf(by, property) }) : '');
  }

  #changed() {
    this.#show();
    this.onChange(this.#schema.changes(this.#values));
  }

  /** @param {[string, Property][]} properties */
  #reset(properties) {
    const before = this.#schema.changes(this.#values);
    for (const [name, property] of properties) this.#values[name] = property.default;
    this.#changed();
    this.onReset(before);
  }

  #show() {
    for (const [name, control] of this.#controls) control.show(this.#values[name] ?? null);
    for (const reset of this.#resets) reset();
  }

  /**
   * @param {string} group
   * @param {[string, Property][]} properties
   */
  #section(group, properties) {
    const title = tOr(`group.${group}`, group);
    const heading = el('h2', { id: `h-${group}` }, title);
    const head = el('div', { class: 'head' }, heading, this.#resetLink(title, properties));
    const section = el('div', { class: 'sec', role: 'group', 'aria-labelledby': heading.id }, head);
    for (const [name, property] of properties) {
      /** @param {Value} value */
      const commit = (value) => {
        if (value === this.#values[name]) return this.#show();
        this.#values[name] = value;
        this.#changed();
      };
      /** @param {Value} value */
      const draft = (value) =>
        this.onDraft(this.#schema.changes({ ...this.#values, [name]: value }));
      const control = build(name, property, commit, draft);
      this.#controls.set(name, control);
      section.append(control.element);
    }
    return section;
  }

  /**
   * @param {string} group
   * @param {[string, Property][]} properties
   */
  #resetLink(group, properties) {
    const label = t('settings.reset-group', { group });
    const link = el('button', { type: 'button', class: 'link', 'aria-label': label });
    link.textContent = t('settings.reset');
    link.addEventListener('click', () => {
      const input = link.closest('.sec')?.querySelector('input:enabled');
      if (input instanceof HTMLElement) input.focus(); // the link disappears
      this.#reset(properties);
    });
    this.#resets.push(() => {
      link.hidden = properties.every(([name, property]) => this.#values[name] === property.default);
    });
    return link;
  }
}

/**
 * @param {Record<string, Property>} properties
 * @returns {Map<string, [string, Property][]>} by group; within a group in the order of the schema
 */
function groups(properties) {
  /** @type {Map<string, [string, Property][]>} */
  const groups = new Map();
  for (const group of GROUPS) groups.set(group, []);
  for (const entry of Object.entries(properties)) {
    const group = entry[1]['x-group'] ?? 'options';
    groups.set(group, [...(groups.get(group) ?? []), entry]);
  }
  return groups;
}

/** The API's schema of the settings: the defaults, what differs from them, and which old choices are still valid. */
export class Schema {
  /** @param {Record<string, Property>} properties */
  constructor(properties) {
    this.properties = properties;
    /** @type {Values} */
    this.defaults = Object.fromEntries(
      Object.entries(properties).map(([name, property]) => [name, property.default]),
    );
  }

  /**
   * Return the values that differ from the defaults, in the schema's order. Only these are sent, kept and compared.
   * @param {Values} values
   * @returns {Values}
   */
  changes(values) {
    const all = { ...this.defaults, ...values };
    const names = Object.keys(this.properties).filter((name) => all[name] !== this.defaults[name]);
    return Object.fromEntries(names.map((name) => [name, all[name] ?? null]));
  }

  /**
   * @param {string} name
   * @param {string} choice
   */
  label(name, choice) {
    return labelOf(this.properties[name], choice);
  }

  /**
   * @param {Values} left
   * @param {Values} right
   */
  same(left, right) {
    return JSON.stringify(this.changes(left)) === JSON.stringify(this.changes(right));
  }

  /**
   * Return the kept settings that this server still accepts. An older version may have kept them.
   * @param {unknown} kept
   * @returns {Values}
   */
  accept(kept) {
    if (typeof kept !== 'object' || kept === null) return {};
    const entries = Object.entries(kept).filter(([name, value]) => {
      const property = this.properties[name];
      return property !== undefined && fits(property, value);
    });
    return this.changes(Object.fromEntries(entries));
  }
}

/**
 * @param {Property} property
 * @param {unknown} value
 */
function fits(property, value) {
  const types = [property.type].flat();
  if (value === null) return types.includes('null');
  if (property.enum) return typeof value === 'string' && property.enum.includes(value);
  if (typeof value === 'number') {
    const { minimum = -Infinity, maximum = Infinity } = property;
    const right = types.includes('integer') ? Number.isInteger(value) : types.includes('number');
    return right && value >= minimum && value <= maximum;
  }
  if (typeof value === 'string') {
    return types.includes('string') && new RegExp(property.pattern ?? '').test(value);
  }
  return typeof value === 'boolean' && types.includes('boolean');
}
