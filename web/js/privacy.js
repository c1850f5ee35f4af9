/** The page about privacy, in the chosen language, with the minutes of this deployment. */

import { Api } from './api.js';

const { lang } = document.documentElement;
for (const main of document.querySelectorAll('main')) main.hidden = main.lang !== lang;
document.title = `${document.querySelector(`main[lang=${lang}] h1`)?.textContent} – Pinch`;
delete document.documentElement.dataset.waiting;

const { document: settings } = await Api.connect();
const minutes = new Intl.NumberFormat(lang, { style: 'unit', unit: 'minute', unitDisplay: 'long' });
for (const element of document.querySelectorAll('[data-minutes]')) {
  element.textContent = minutes.format(settings.limits.retention_minutes);
}
