/** Light or dark: the system decides until the user does. index.html loads this before the first paint. */

import { recall, remember } from './storage.js';

const root = document.documentElement;
const system = matchMedia('(prefers-color-scheme: dark)');

export class ThemeSwitch {
  /**
   * @param {HTMLButtonElement} button
   * @param {(dark: boolean) => string} name what the button does next, in words
   */
  constructor(button, name) {
    const show = () => button.setAttribute('aria-label', name(isDark()));
    button.addEventListener('click', () => {
      remember('theme', isDark() ? 'light' : 'dark');
      applyTheme();
      show();
    });
    system.addEventListener('change', show);
    show();
  }
}

function isDark() {
  return (root.dataset.theme ?? (system.matches ? 'dark' : 'light')) === 'dark';
}

function applyTheme() {
  const theme = recall('theme');
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
}

applyTheme();
