/** Settings with a name: the server's presets and the user's own, which this browser keeps. Also shared links. */

import { el, find, icon, t, tOr } from './page.js';
import { recall, remember } from './storage.js';

/** @import {Preset, Schema, Values} from './form.js' */

const SHARED = '#s=';

export class Presets {
  #schema;
  #builtIn;
  /** @type {Preset[]} */
  #own;
  #chips;
  #rename;
  #naming;
  #name;
  #link;
  #tell;
  /** @type {Preset | undefined} the preset that is being renamed */
  #renamed;
  /** @type {Values} */
  #current;
  /** @type {(settings: Values) => void} */
  onApply = () => {};

  /**
   * @param {HTMLElement} root
   * @param {Schema} schema
   * @param {Preset[]} builtIn
   * @param {Values} current
   * @param {(text: string, undo?: () => void) => void} tell
   */
  constructor(root, schema, builtIn, current, tell) {
    this.#schema = schema;
    this.#builtIn = builtIn.map((each) => ({
      ...each,
      title: tOr(`preset.${each.name}`, each.title),
    }));
    this.#current = current;
    this.#tell = tell;
    this.#own = recallOwn(schema);
    this.#chips = find('.chips', HTMLElement, root);
    this.#naming = find('form', HTMLFormElement, root);
    this.#name = find('.name', HTMLInputElement, this.#naming);
    this.#name.placeholder = t('settings.name');
    this.#link = find('.address', HTMLInputElement, root);
    const save = find('.save-current', HTMLButtonElement, root);
    this.#rename = find('.rename', HTMLButtonElement, root);
    const close = () => {
      this.#naming.hidden = true;
      (this.#renamed ? this.#rename : save).focus();
    };
    save.addEventListener('click', () => this.#ask());
    this.#rename.addEventListener('click', () => this.#ask(this.#chosen()));
    find('.share', HTMLButtonElement, root).addEventListener('click', () => this.#share());
    this.#name.addEventListener('input', () => this.#name.setCustomValidity(''));
    this.#naming.addEventListener('keydown', (event) => event.key === 'Escape' && close());
    find('button[type=button]', HTMLButtonElement, this.#naming).addEventListener('click', close);
    this.#naming.addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.#save(this.#name.value.trim())) close();
    });
    this.#render();
  }

  /** @param {Values} current the form's settings; equal presets are marked */
  show(current) {
    this.#current = current;
    this.#link.hidden = true;
    this.#render();
  }

  /** @param {Preset} [renamed] undefined for a new preset */
  #ask(renamed) {
    this.#renamed = renamed;
    this.#naming.hidden = false;
    this.#name.value = renamed?.title ?? '';
    this.#name.setCustomValidity('');
    this.#name.select();
  }

  /** The user's own preset that equals the current settings. */
  #chosen() {
    return this.#own.find((preset) => this.#schema.same(preset.settings, this.#current));
  }

  /** @param {string} title */
  #save(title) {
    if (title === '') return false;
    if (this.#builtIn.some((preset) => preset.title === title)) {
      this.#name.setCustomValidity(t('settings.preset-taken', { name: title }));
      this.#name.reportValidity();
      return false;
    }
    const settings = this.#renamed?.settings ?? this.#current;
    const preset = { name: title, title, settings };
    /** @param {Preset} each */
    const replaced = (each) => each === this.#renamed || each.title === title;
    const place = this.#own.findIndex(replaced);
    const others = this.#own.filter((each) => !replaced(each));
    this.#keep(others.toSpliced(place < 0 ? others.length : place, 0, preset));
    this.#tell(t('settings.preset-saved', { name: title }));
    return true;
  }

  /** @param {Preset} preset */
  #delete(preset) {
    const before = this.#own;
    this.#keep(before.filter((each) => each !== preset));
    find('input', HTMLInputElement, this.#chips).focus();
    this.#tell(t('settings.preset-deleted', { name: preset.title }), () => this.#keep(before));
  }

  /** Copy this page's address with these settings, or show it in a field to copy it by hand. */
  async #share() {
    const address = new URL(location.href);
    address.hash = SHARED + encodeURIComponent(JSON.stringify(this.#current));
    try {
      await navigator.clipboard.writeText(address.href);
      this.#tell(t('settings.link-copied'));
    } catch {
      this.#link.value = address.href;
      this.#link.hidden = false;
      this.#link.select();
    }
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
    this.#rename.hidden = !this.#chosen();
    if (focused.startsWith('p-')) document.getElementById(focused)?.focus();
  }

  /** @param {Preset} preset */
  #chip(preset) {
    const id = `p-${preset.name}`;
    const radio = el('input', { type: 'radio', name: 'preset', id });
    radio.checked = this.#schema.same(preset.settings, this.#current);
    // Listens to click, not change: choosing it again after changing settings must also work.
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
 * Take shared settings out of the page's address, if there are any.
 * @param {Schema} schema
 * @returns {Values | undefined}
 */
export function sharedSettings(schema) {
  if (!location.hash.startsWith(SHARED)) return undefined;
  const { hash } = location;
  history.replaceState(null, '', location.pathname);
  try {
    const text = decodeURIComponent(hash.slice(SHARED.length));
    const settings = schema.accept(JSON.parse(text));
    // If none of its settings is known here, the link does not mean the defaults.
    return text === '{}' || Object.keys(settings).length ? settings : undefined;
  } catch {
    return undefined; // the link was cut off
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
