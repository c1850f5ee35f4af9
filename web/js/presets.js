/** Settings under a name: those of the server, and the user's own, kept in this browser. */

import { el, find, icon, t } from './page.js';
import { recall, remember } from './storage.js';

/** @import {Preset, Schema, Values} from './form.js' */

export class Presets {
  #schema;
  #builtIn;
  /** @type {Preset[]} */
  #own;
  #chips;
  #naming;
  #name;
  /** @type {Values} */
  #current;
  /** @type {(settings: Values) => void} */
  onApply = () => {};
  /** @type {(title: string) => void} */
  onSaved = () => {};
  /** @type {(title: string, undo: () => void) => void} */
  onDeleted = () => {};

  /**
   * @param {HTMLElement} root
   * @param {Schema} schema
   * @param {Preset[]} builtIn
   * @param {Values} current
   */
  constructor(root, schema, builtIn, current) {
    this.#schema = schema;
    this.#builtIn = builtIn;
    this.#current = current;
    this.#own = recallOwn(schema);
    this.#chips = find('.chips', HTMLElement, root);
    this.#naming = find('form', HTMLFormElement, root);
    this.#name = find('input', HTMLInputElement, this.#naming);
    const open = find('.head button', HTMLButtonElement, root);
    const close = () => {
      this.#naming.hidden = true;
      open.focus();
    };
    open.addEventListener('click', () => {
      this.#naming.hidden = false;
      this.#name.value = '';
      this.#name.focus();
    });
    this.#name.addEventListener('input', () => this.#name.setCustomValidity(''));
    this.#naming.addEventListener('keydown', (event) => event.key === 'Escape' && close());
    find('button[type=button]', HTMLButtonElement, this.#naming).addEventListener('click', close);
    this.#naming.addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.#save(this.#name.value.trim())) close();
    });
    this.#render();
  }

  /** @param {Values} current what the form says; the chips of equal presets are marked */
  show(current) {
    this.#current = current;
    this.#render();
  }

  /** @param {string} title */
  #save(title) {
    if (title === '') return false;
    if (this.#builtIn.some((preset) => preset.title === title)) {
      this.#name.setCustomValidity(t('settings.preset-taken', { name: title }));
      this.#name.reportValidity();
      return false;
    }
    const preset = { name: title, title, settings: this.#current };
    this.#keep([...this.#own.filter((each) => each.title !== title), preset]);
    this.onSaved(title);
    return true;
  }

  /** @param {Preset} preset */
  #delete(preset) {
    const before = this.#own;
    this.#keep(before.filter((each) => each !== preset));
    find('input', HTMLInputElement, this.#chips).focus();
    this.onDeleted(preset.title, () => this.#keep(before));
  }

  /** @param {Preset[]} own */
  #keep(own) {
    this.#own = own;
    remember('presets', own);
    this.#render();
  }

  #render() {
    const focused = document.activeElement?.id ?? '';
    const chips = [...this.#builtIn, ...this.#own].map((preset) => this.#chip(preset));
    this.#chips.replaceChildren(...chips);
    if (focused.startsWith('p-')) document.getElementById(focused)?.focus();
  }

  /** @param {Preset} preset */
  #chip(preset) {
    const id = `p-${preset.name}`;
    const radio = el('input', { type: 'radio', name: 'preset', id });
    radio.checked = this.#schema.same(preset.settings, this.#current);
    // A click, not a change: choosing it again after the settings were changed must work as well.
    radio.addEventListener('click', () => this.onApply(preset.settings));
    const label = el('label', {}, radio, el('span', {}, preset.title));
    if (!this.#own.includes(preset)) return label;
    const name = t('settings.delete-preset', { name: preset.title });
    const remove = el('button', { type: 'button', class: 'x', 'aria-label': name }, icon('x'));
    remove.addEventListener('click', () => this.#delete(preset));
    return el('span', { class: 'own' }, label, remove);
  }
}

/**
 * @param {Schema} schema
 * @returns {Preset[]}
 */
function recallOwn(schema) {
  const kept = recall('presets');
  if (!Array.isArray(kept)) return [];
  return kept
    .filter((preset) => typeof preset?.title === 'string')
    .map(({ title, settings }) => ({ name: title, title, settings: schema.accept(settings) }));
}
