/** The theme, light or dark. The system decides until the user does. early.js applies it before the first paint. */

import { find, t } from './page.js';
import { remember } from './storage.js';

const root = document.documentElement;
const system = matchMedia('(prefers-color-scheme: dark)');

/** @param {HTMLButtonElement} button */
export function themeSwitch(button) {
  const isDark = () => (root.dataset.theme ?? (system.matches ? 'dark' : 'light')) === 'dark';
  const show = () => {
    button.setAttribute('aria-label', t(isDark() ? 'theme.to-light' : 'theme.to-dark'));
    find('use', SVGUseElement, button).setAttribute('href', isDark() ? '#i-sun' : '#i-moon');
  };
  button.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    remember('theme', root.dataset.theme);
    show();
  });
  system.addEventListener('change', show);
  show();
}
