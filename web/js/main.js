/** Wires the page together; every other module does one thing and knows none of the others. */

import { Api, Failure } from './api.js';
import { Filmstrip } from './filmstrip.js';
import { Schema, SettingsForm } from './form.js';
import { Intake, megabytes } from './intake.js';
import { announcer, PauseNotice, Toast, TroubleNotice } from './notices.js';
import { find, localize, percent, size, t } from './page.js';
import { Presets } from './presets.js';
import { ResultPanel } from './result.js';
import { Session } from './session.js';
import { Stage } from './stage.js';
import { recall, remember } from './storage.js';
import { ThemeSwitch } from './theme.js';
import { Pause, Transfer } from './transfer.js';
import { downloadZip } from './zip.js';

/** @import {Limits, SettingsDocument} from './form.js' */
/** @import {Image, Result} from './session.js' */

/** @param {string} id */
const button = (id) => find(`#${id}`, HTMLButtonElement);

localize(document);
const say = announcer(find('#status', HTMLElement));
new ThemeSwitch(button('theme'), (dark) => t(dark ? 'theme.to-light' : 'theme.to-dark'));

// Files may come before the API has answered; they wait for it.
const started = connect().then(({ api, document }) => start(api, document));
const intake = new Intake(
  find('#picker', HTMLInputElement),
  find('#overlay', HTMLElement),
  async (files) => (await started).add(files),
);
for (const id of ['choose', 'add']) button(id).addEventListener('click', () => intake.choose());

/** Connect as often as it takes: nothing works without the limits and the settings. */
async function connect() {
  const flaw = find('#flaw', HTMLElement);
  const again = find('button', HTMLButtonElement, flaw);
  for (;;) {
    try {
      const connected = await Api.connect();
      flaw.hidden = true;
      return connected;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      find('span', HTMLElement, flaw).textContent = t('hero.unreachable');
      flaw.hidden = false;
      await new Promise((resolve) => again.addEventListener('click', resolve, { once: true }));
    }
  }
}

/**
 * @param {Api} api
 * @param {SettingsDocument} document
 */
function start(api, { properties, presets: builtIn, limits }) {
  intake.accept(limits.media_types);
  showLimits(limits);
  const schema = new Schema(properties);
  const settings = schema.accept(recall('settings'));
  const pause = new Pause(pauseTeller(limits.requests_per_minute));
  const transfer = new Transfer(api, pause, limits.files_per_request);
  const session = new Session(transfer, limits.max_upload_bytes, settings, {
    changed: render,
    added: (images) => say(addedText(images)),
    uploaded: (image) => image === session.selected && say(t('say.uploaded')),
    optimized: (image) => {
      const text = optimizedText(image, session);
      if (text) say(text);
    },
  });

  const app = find('#app', HTMLElement);
  const stage = new Stage(find('#stage', HTMLElement), recall('mode'), (mode) =>
    remember('mode', mode),
  );
  const strip = new Filmstrip(find('#strip', HTMLElement), find('#tile', HTMLTemplateElement));
  strip.onSelect = (image) => session.select(image);
  strip.onRemove = remove;

  const form = new SettingsForm(find('#form', HTMLElement), schema, settings);
  const presets = new Presets(find('#presets', HTMLElement), schema, builtIn, settings);
  form.onChange = (changed) => {
    remember('settings', changed);
    presets.show(changed);
    session.setSettings(changed);
  };
  presets.onApply = (chosen) => form.set(schema.accept(chosen));
  presets.onSaved = (name) => say(t('settings.preset-saved', { name }));
  const toast = new Toast(find('#toast', HTMLElement));
  presets.onDeleted = (name, undo) => {
    const text = t('settings.preset-deleted', { name });
    say(text);
    toast.show(text, undo);
  };
  const live = find('#live', HTMLInputElement);
  session.live = live.checked = recall('live') !== false;
  live.addEventListener('change', () => {
    remember('live', live.checked);
    session.setLive(live.checked);
  });

  const panel = new ResultPanel(find('.result', HTMLElement), find('.notes', HTMLElement), {
    optimize: onSelected((image) => session.optimize(image)),
    cancel: onSelected(remove),
  });
  const trouble = new TroubleNotice(find('.trouble', HTMLElement));
  trouble.onRetry = onSelected((image) => session.retry(image));
  trouble.onRemove = onSelected(remove);
  button('delete').addEventListener('click', onSelected(remove));
  button('delete-all').addEventListener('click', () => {
    session.removeAll();
    say(t('say.removed-all'));
    button('choose').focus();
  });
  button('optimize-all').addEventListener('click', () => session.optimizeAll());
  button('download-all').addEventListener('click', () => downloadZip(results(session)));

  addEventListener('online', () => session.retryNetwork());
  addEventListener('pagehide', () => session.leave());
  addEventListener('pageshow', (event) => event.persisted && session.comeBack());

  return session;

  /** @param {(image: Image) => void} action */
  function onSelected(action) {
    return () => session.selected && action(session.selected);
  }

  /** @param {Image} image */
  function remove(image) {
    session.remove(image);
    say(t('say.removed', { name: image.file.name }));
    if (session.selected) strip.focus(session.selected);
    else button('choose').focus();
  }

  function render() {
    const { images, selected } = session;
    app.dataset.view = images.length ? 'work' : 'empty';
    strip.show(images, selected, (image) => session.isStale(image));
    const finished = results(session);
    const bytes = finished.reduce((sum, result) => sum + result.answer.bytes, 0);
    const stale = images.filter((image) => session.wantsRun(image));
    const count = (/** @type {number} */ many) => t('count.images', { count: many });
    const total = t('count.images-size', { count: finished.length, size: size(bytes) });
    showButton('download-all', finished.length > 1, total);
    showButton(
      'optimize-all',
      stale.some((image) => image !== selected),
      count(stale.length),
    );
    button('delete-all').hidden = images.length < 2;
    trouble.show(selected?.trouble);
    if (!selected) return;
    const pending = session.isPending(selected);
    stage.show(selected, pending);
    panel.show(selected, session.isStale(selected), pending);
    const { width, height } = selected.result?.answer ?? {};
    form.remark(
      'resize_percent',
      width && height
        ? t('settings.dimensions', { width: String(width), height: String(height) })
        : '',
    );
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

/**
 * Return what shows a pause each second and says it only at its start and its end.
 * @param {number} limit requests a minute
 * @returns {(seconds: number) => void}
 */
function pauseTeller(limit) {
  const notice = new PauseNotice(find('#pause', HTMLElement), limit);
  let paused = false;
  return (seconds) => {
    notice.show(seconds);
    if (!paused && seconds > 0) say(t('say.paused', { limit, count: seconds }));
    if (paused && seconds === 0) say(t('say.resumed'));
    paused = seconds > 0;
  };
}

/**
 * @param {string} id
 * @param {boolean} shown
 * @param {string} remark
 */
function showButton(id, shown, remark) {
  button(id).hidden = !shown;
  find('.q', HTMLElement, button(id)).textContent = remark;
}

/**
 * @param {Session} session
 * @returns {Result[]}
 */
function results(session) {
  return session.images.flatMap((image) => image.result ?? []);
}

/** @param {Image[]} images */
function addedText(images) {
  const refused = images.flatMap((image) => image.trouble?.message ?? []);
  const good = images.length - refused.length;
  return [...(good ? [t('say.uploading', { count: good })] : []), ...refused].join(' ');
}

/**
 * @param {Image} image
 * @param {Session} session
 * @returns {string} about the selected image, or about all of them once the last is done
 */
function optimizedText(image, session) {
  const answer = image.result?.answer;
  if (image === session.selected && answer) {
    const key = answer.saved_percent < 0 ? 'say.larger' : 'say.smaller';
    const values = { name: answer.filename, size: size(answer.bytes) };
    return t(key, { ...values, percent: percent(answer.saved_percent) });
  }
  const running = session.images.some((each) => each.run);
  return running ? '' : t('say.all-done', { count: results(session).length });
}
