/** The keyboard map: one table defines what the keys do, and the dialog that lists them is made from it. */

import { el, find, t, tOr } from './page.js';
import { recall, remember } from './storage.js';

/** @type {[action: string, ...keys: string[]][]} keys are named as in events; without an action: only listed */
const MAP = [
  ['choose', 'o'],
  ['folder', 'O'],
  ['paste', 'Ctrl V'],
  ['previous', '['],
  ['next', ']'],
  ['remove', 'Delete'],
  ['before', '1'],
  ['middle', '2'],
  ['after', '3'],
  ['split', 's'],
  ['side', 'b'],
  ['only', 'a'],
  ['handle', '←', '→'],
  ['zoom-in', '+', '='],
  ['zoom-out', '-'],
  ['fit', '0'],
  ['zoom', 'z'],
  ['pan', '←', '→', '↑', '↓'],
  ['hold', 'Space'],
  ['download', 'd'],
  ['download-all', 'D'],
  ['reset', 'r'],
  ['help', '?'],
  ['close', 'Esc'],
];
const TYPING = 'textarea, select, input:is([type=text], [type=number]), dialog *';

export class Keys {
  #dialog;
  /** @type {Record<string, () => void>} */
  #actions;
  #enabled = recall('keys') !== false;

  /**
   * @param {HTMLDialogElement} dialog
   * @param {Record<string, () => void>} actions
   */
  constructor(dialog, actions) {
    this.#dialog = dialog;
    this.#actions = { ...actions, help: () => this.open() };
    const enable = find('input', HTMLInputElement, dialog);
    enable.checked = this.#enabled;
    enable.addEventListener('change', () => {
      this.#enabled = enable.checked;
      remember('keys', this.#enabled);
    });
    find('button', HTMLButtonElement, dialog).addEventListener('click', () => dialog.close());
    dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
    addEventListener('keydown', (event) => this.press(event));
  }

  open() {
    const rows = MAP.map(([action, ...keys]) => {
      const caps = keys.flatMap((key) => [el('kbd', {}, cap(key)), ' ']);
      return el('div', {}, el('dt', {}, ...caps), el('dd', {}, t(`key.${action}`)));
    });
    find('dl', HTMLElement, this.#dialog).replaceChildren(...rows);
    this.#dialog.showModal();
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const typed = event.getModifierState('AltGraph'); // many keyboards need it for [
    const held = !typed && (event.ctrlKey || event.metaKey || event.altKey);
    const typing = event.target instanceof Element && event.target.matches(TYPING);
    if (!this.#enabled || held || typing || this.#dialog.open || event.defaultPrevented) return;
    const key = event.shiftKey
      ? event.key
      : event.key.replace(/^[A-Z]$/, (each) => each.toLowerCase());
    const action = MAP.find(([name, ...keys]) => keys.includes(key) && name in this.#actions)?.[0];
    if (!action) return;
    event.preventDefault();
    this.#actions[action]?.();
  }
}

/** @param {string} key in the map; returns it as a keyboard shows it */
function cap(key) {
  const shift = /^[A-Z]$/.test(key) ? `${t('key.shift')} ` : '';
  return key.length === 1 ? shift + key.toUpperCase() : tOr(`cap.${key}`, key);
}
