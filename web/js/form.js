/** The form of all settings, made from the schema of the API: a new setting there appears here by itself. */

import { el, t, tOr } from './page.js';

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
 * @typedef {{properties: Record<string, Property>, presets: Preset[], limits: Limits}} SettingsDocument
 */

/** The order on the page; a group that is not named here comes last. */
const GROUPS = ['format', 'size', 'adjust', 'options'];

/**
 * @typedef {{element: HTMLElement, show: (value: Value) => void}} Control
 * @typedef {(value: Value) => void} Commit what the user has chosen
 * @typedef {(value: Value) => void} Draft what the user is about to choose
 */

export class SettingsForm {
  #schema;
  #values;
  /** @type {Map<string, Control>} */
  #controls = new Map();
  /** @type {(() => void)[]} */
  #resets = [];
  /** @type {(values: Values) => void} */
  onChange = () => {};
  /** @type {(values: Values) => void} while a slider moves */
  onDraft = () => {};
  /** @type {(values: Values) => void} with what was there before */
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

  /** @param {Values} values those that are missing take their default */
  set(values) {
    this.#values = { ...this.#schema.defaults, ...values };
    this.#changed();
  }

  /**
   * The same without telling anybody: they are those of another image.
   * @param {Values} values
   */
  show(values) {
    this.#values = { ...this.#schema.defaults, ...values };
    this.#show();
  }

  /** All settings take their default. */
  reset() {
    this.#reset(Object.entries(this.#schema.properties));
  }

  /**
   * Show a short remark beside the name of a setting.
   * @param {string} name
   * @param {string} text
   */
  remark(name, text) {
    const remark = this.#controls.get(name)?.element.querySelector('small');
    if (remark) remark.textContent = text;
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
      link.closest('.sec')?.querySelector('input')?.focus(); // the link goes
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
 * @returns {Map<string, [string, Property][]>} by group; within one in the order of the schema
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

/**
 * @param {string} name
 * @param {Property} property
 * @param {Commit} commit
 * @param {Draft} draft
 * @returns {Control}
 */
function build(name, property, commit, draft) {
  const types = [property.type].flat();
  if (property.enum) return choice(name, property, commit);
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
function choice(name, property, commit) {
  const options = property.enum ?? [];
  const radios = options.map((value) => el('input', { type: 'radio', name: `s-${name}`, value }));
  const labels = radios.map((radio, index) => {
    radio.addEventListener('change', () => commit(radio.value));
    const label = tOr(`choice.${radio.value}`, property['x-labels']?.[index] ?? radio.value);
    return el('label', {}, radio, el('span', {}, label));
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
function toggle(name, property, commit) {
  const input = el('input', { type: 'checkbox', id: `s-${name}` });
  input.addEventListener('change', () => commit(input.checked));
  const hint = el('em', {}, hintOf(name, property));
  return {
    element: el('label', { class: 'switch' }, el('span', {}, titleOf(name, property), hint), input),
    show: (value) => {
      input.checked = value === true;
    },
  };
}

/**
 * A slider with its number. Moving it drafts the value; letting go of it commits.
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
  const field = numberField(name, property);
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
  onNumber(field, property, commit);
  const inline = property['x-group'] === 'adjust';
  const label = el(
    'label',
    { for: range.id },
    `${titleOf(name, property)} `,
    el('small', { class: 'num' }),
  );
  const value = el('div', { class: 'val' }, field, el('span', {}, property['x-unit'] ?? ''));
  const description = el('span', { class: 'vh', id: `d-${name}` }, hintOf(name, property));
  range.setAttribute('aria-describedby', description.id);
  const row = el('div', {
    class: inline ? 'row inline' : 'row',
    title: hintOf(name, property),
  });
  row.append(label, value, range, description);
  return {
    element: row,
    show: (value) => {
      field.value = range.value = String(value);
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
  const field = numberField(name, property);
  field.setAttribute('placeholder', t('settings.any'));
  field.id = `s-${name}`;
  field.removeAttribute('aria-label');
  onNumber(field, property, commit);
  const label = el('label', { for: field.id }, titleOf(name, property));
  const value = el('div', { class: 'val box' }, field, el('span', {}, property['x-unit'] ?? ''));
  return {
    element: el('div', { class: 'half', title: hintOf(name, property) }, label, value),
    show: (value) => {
      field.value = value === null ? '' : String(value);
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
  const hint = el('em', {}, hintOf(name, property));
  const label = el('span', {}, titleOf(name, property), hint);
  return {
    element: el('label', { class: 'switch' }, label, input),
    show: (value) => {
      input.value = String(value ?? '');
    },
  };
}

/**
 * @param {string} name
 * @param {Property} property
 */
function numberField(name, property) {
  const { minimum = '', maximum = '' } = property;
  const label = t('settings.value', { title: titleOf(name, property) });
  const bounds = { min: minimum, max: maximum, step: property.type === 'number' ? 'any' : 1 };
  return el('input', { type: 'number', inputmode: 'numeric', 'aria-label': label, ...bounds });
}

/**
 * Commit what is typed, drawn to the nearest value within the bounds; nothing means the default.
 * @param {HTMLInputElement} field
 * @param {Property} property
 * @param {Commit} commit
 */
function onNumber(field, property, commit) {
  const { minimum = -Infinity, maximum = Infinity } = property;
  field.addEventListener('change', () => {
    if (Number.isNaN(field.valueAsNumber)) return commit(property.default);
    const bounded = Math.min(Math.max(field.valueAsNumber, minimum), maximum);
    commit(property.type === 'number' ? bounded : Math.round(bounded));
  });
}

/**
 * @param {string} name
 * @param {Property} property
 */
const titleOf = (name, property) => tOr(`setting.${name}`, property.title ?? name);

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

/** The settings document of the API: defaults, what differs from them, and what may be kept of old choices. */
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
   * Return what differs from the defaults, in the order of the schema: that much is sent, kept and compared.
   * @param {Values} values
   * @returns {Values}
   */
  changes(values) {
    const all = { ...this.defaults, ...values };
    const names = Object.keys(this.properties).filter((name) => all[name] !== this.defaults[name]);
    return Object.fromEntries(names.map((name) => [name, all[name] ?? null]));
  }

  /**
   * @param {Values} left
   * @param {Values} right
   */
  same(left, right) {
    return JSON.stringify(this.changes(left)) === JSON.stringify(this.changes(right));
  }

  /**
   * Return what this server still accepts of settings that were kept, perhaps by an older version.
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
