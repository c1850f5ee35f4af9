/** The page before there is an image. It takes files, and loads the editor when somebody is about to use it. */

import { Api, Failure, fetchBlob } from './api.js';
import { Intake, megabytes } from './intake.js';
import { announcer } from './notices.js';
import { find, localize, speak, t } from './page.js';
import { remember } from './storage.js';
import { themeSwitch } from './theme.js';

/** @import {Limits} from './form.js' */

const SIGNS_OF_LIFE = ['pointermove', 'pointerdown', 'dragenter', 'focusin'];

/** @param {string} id */
const button = (id) => find(`#${id}`, HTMLButtonElement);

const root = document.documentElement;
if (root.lang === 'de') {
  await import('../strings/de.js').then(speak, () => {
    root.lang = 'en'; // better than nothing
  });
  localize(document);
}
delete root.dataset.waiting;

const say = announcer(find('#status', HTMLElement));
themeSwitch(button('theme'));
chooseLanguage(find('#language', HTMLSelectElement));
if (/^(Mac|iP)/.test(navigator.platform)) find('#ctrl', HTMLElement).textContent = '⌘';

/** How many tasks wait for the user to try again. */
let flaws = 0;
// Files may come before the API has answered; they wait for it.
const connected = insist(() => Api.connect());
connected.then(({ document: { limits, version } }) => {
  intake.accept(limits.media_types);
  showLimits(limits);
  showVersion(version);
});
/** @type {Promise<import('./editor.js').Editor> | undefined} */
let editor;
const edit = () => {
  editor ??= Promise.all([insist(() => import('./editor.js')), connected]).then(
    ([module, { api, document }]) => module.edit(api, document, intake, say),
  );
  return editor;
};

const intake = new Intake(
  find('#picker', HTMLInputElement),
  find('#folder-picker', HTMLInputElement),
  find('#overlay', HTMLElement),
  async (files) => (await edit()).add(files),
);
for (const id of ['choose', 'add']) button(id).addEventListener('click', () => intake.choose());
button('folder').addEventListener('click', () => intake.chooseFolder());
button('folder').hidden = !intake.takesFolders;
button('sample').addEventListener('click', async () => {
  const { href } = new URL('../sample.jpg', import.meta.url);
  const blob = await insist(() => fetchBlob(href));
  intake.take([new File([blob], t('hero.sample-name'))]);
});
for (const name of SIGNS_OF_LIFE) addEventListener(name, edit, { once: true });
addEventListener('keydown', pressEarly);
button('help').addEventListener('click', async () => (await edit()).help());
if (location.hash.startsWith('#s=')) edit();

const offline = find('#offline', HTMLElement);
for (const name of ['online', 'offline']) {
  addEventListener(name, () => {
    offline.hidden = navigator.onLine;
    say(t(navigator.onLine ? 'say.online' : 'error.offline'));
  });
}
offline.hidden = navigator.onLine;

/**
 * Pass on keys that are pressed before the editor listens to them itself. The first one may be Shift.
 * @param {KeyboardEvent} event
 */
async function pressEarly(event) {
  const { press } = await edit();
  removeEventListener('keydown', pressEarly);
  press(event);
}

/**
 * Do a task that everything else depends on, again and again until it succeeds.
 * @template T
 * @param {() => Promise<T>} task
 * @returns {Promise<T>}
 */
async function insist(task) {
  const flaw = find('#flaw', HTMLElement);
  const again = find('button', HTMLButtonElement, flaw);
  for (;;) {
    try {
      return await task();
    } catch (error) {
      // Without a connection, an import throws a TypeError.
      if (!(error instanceof Failure || error instanceof TypeError)) throw error;
      find('span', HTMLElement, flaw).textContent = t('hero.unreachable');
      flaw.hidden = false;
      flaws += 1;
      await new Promise((resolve) => {
        again.addEventListener('click', resolve, { once: true });
        addEventListener('online', resolve, { once: true });
      });
      flaws -= 1;
      flaw.hidden = flaws === 0;
    }
  }
}

/** @param {Limits} limits */
function showLimits({ max_upload_bytes, retention_minutes }) {
  const limit = megabytes(max_upload_bytes);
  find('#formats', HTMLElement).textContent = t('hero.limit', { limit });
  for (const element of document.querySelectorAll('[data-privacy]')) {
    element.textContent = t('privacy.full', { count: retention_minutes });
  }
}

/** @param {string} version */
function showVersion(version) {
  const element = find('#version', HTMLElement);
  element.textContent = t('app.version', { version });
  element.classList.remove('later');
}

/**
 * Let the user choose a language. The page is then loaded again, so this is only offered before there are images.
 * @param {HTMLSelectElement} select
 */
function chooseLanguage(select) {
  select.value = root.lang;
  select.addEventListener('change', () => {
    remember('language', select.value);
    location.reload();
  });
}
