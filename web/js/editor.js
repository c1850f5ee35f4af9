/** The editor: connects the session to the elements that show it. Every other module does only one thing. */

import { Filmstrip } from './filmstrip.js';
import { Schema, SettingsForm } from './form.js';
import { Keys } from './keys.js';
import { Live } from './live.js';
import { PauseNotice, Toast, TroubleNotice } from './notices.js';
import { change, find, percent, size, t } from './page.js';
import { Presets, sharedSettings } from './presets.js';
import { Quota } from './quota.js';
import { ResultPanel } from './result.js';
import { findings, moves, qualityBy } from './search.js';
import { Session } from './session.js';
import { Stage } from './stage.js';
import { recall, remember } from './storage.js';
import { Transfer } from './transfer.js';
import { downloadZip } from './zip.js';

/** @import {Api} from './api.js' */
/** @import {SettingsDocument, Values} from './form.js' */
/** @import {Intake} from './intake.js' */
/** @import {Image, Result} from './session.js' */
/** @typedef {{add: (files: File[]) => Promise<void>, press: (event: KeyboardEvent) => void, help: () => void}} Editor */

const SLOW_MS = 2_000;

/** @param {string} id */
const button = (id) => find(`#${id}`, HTMLButtonElement);

/**
 * @param {Api} api
 * @param {SettingsDocument} document
 * @param {Intake} intake
 * @param {(text: string) => void} say
 * @returns {Editor}
 */
export function edit(api, { properties, presets: builtIn, limits }, intake, say) {
  const schema = new Schema(properties);
  const settings = schema.accept(recall('settings'));
  const quota = new Quota(limits.requests_per_minute, pauseTeller(limits.requests_per_minute, say));
  api.onQuota = (remaining, reset) => quota.note(remaining, reset);
  const transfer = new Transfer(api, quota, limits.files_per_request);
  const session = new Session(transfer, quota, limits.max_upload_bytes, settings, {
    changed,
    added: (images) => say(addedText(images)),
    uploaded: (image) =>
      image === session.selected && say(t(session.live ? 'say.uploaded' : 'result.ready')),
    optimized: (image) => {
      live.learn(image);
      const text = optimizedText(image, session, schema);
      if (text) say(text);
    },
  });

  const app = find('#app', HTMLElement);
  const stage = new Stage(find('#stage', HTMLElement), recall('mode'), (mode) =>
    remember('mode', mode),
  );
  const live = new Live(schema, stage.canvas, changed);
  stage.onScale = (scale) => {
    live.scale = scale;
  };
  const strip = new Filmstrip(find('#strip', HTMLElement), find('#tile', HTMLTemplateElement));
  strip.onSelect = (image) => session.select(image);
  strip.onRemove = (image) => remove([image]);

  const toast = new Toast(find('#toast', HTMLElement));
  /**
   * @param {string} text
   * @param {() => void} [undo]
   */
  const tell = (text, undo) => {
    say(text);
    toast.show(text, undo);
  };
  const form = new SettingsForm(find('#form', HTMLElement), schema, settings);
  const presets = new Presets(find('#presets', HTMLElement), schema, builtIn, settings, tell);
  /** @type {Image | undefined} the image whose settings the form shows */
  let shown;
  let slow = 0;
  let due = false;
  /** @type {Values | undefined} the settings while a slider moves */
  let draft;
  form.onChange = (changed) => {
    draft = undefined;
    session.setSettings(changed);
    if (!session.selected?.own) remember('settings', changed);
    presets.show(changed);
  };
  form.onDraft = (values) => {
    draft = values;
    render();
  };
  form.onReset = (before) => tell(t('settings.was-reset'), backTo(before));
  presets.onApply = (chosen) => form.set(schema.accept(chosen));
  const liveSwitch = find('#live', HTMLInputElement);
  session.live = liveSwitch.checked = recall('live') !== false;
  liveSwitch.addEventListener('change', () => {
    remember('live', liveSwitch.checked);
    session.setLive(liveSwitch.checked);
  });
  const own = find('#own', HTMLInputElement);
  own.addEventListener('change', () => {
    shown = undefined; // the form follows
    session.setOwn(own.checked);
  });

  const panel = new ResultPanel(find('.result', HTMLElement), find('.notes', HTMLElement), schema, {
    optimize: onSelected((image) => session.optimize(image)),
    cancel: onSelected((image) => remove([image])),
    keep: onSelected((image) => session.keepOriginal(image)),
  });
  const trouble = new TroubleNotice(find('.trouble', HTMLElement));
  trouble.onRetry = onSelected((image) => session.retry(image));
  trouble.onRemove = onSelected((image) => remove([image]));
  const removeSelected = onSelected((image) => remove([image]));
  button('delete').addEventListener('click', removeSelected);
  button('delete-all').addEventListener('click', () => remove(session.images));
  button('optimize-all').addEventListener('click', () => session.optimizeAll());
  let saving = false;
  button('download-all').addEventListener('click', downloadAll);

  addEventListener('online', () => session.retryNetwork());
  addEventListener('pagehide', () => session.leave());
  addEventListener('pageshow', (event) => event.persisted && session.comeBack());

  const keys = new Keys(find('#keys', HTMLDialogElement), {
    choose: () => intake.choose(),
    folder: () => intake.chooseFolder(),
    previous: () => step(-1),
    next: () => step(1),
    remove: removeSelected,
    before: () => stage.split(100),
    middle: () => stage.split(50),
    after: () => stage.split(0),
    split: () => stage.choose('split'),
    side: () => stage.choose('side'),
    only: () => stage.choose('after'),
    'zoom-in': () => stage.zoomIn(),
    'zoom-out': () => stage.zoomOut(),
    fit: () => stage.fit(),
    zoom: () => stage.toggleZoom(),
    download: downloadOne,
    'download-all': () => (session.images.length > 1 ? downloadAll() : downloadOne()),
    reset: onSelected(() => form.reset()),
  });
  addEventListener('hashchange', takeShared);
  takeShared();
  return {
    add: (files) => session.add(files),
    press: (event) => keys.press(event),
    help: () => keys.open(),
  };

  /** Render once for all changes made at the same time. */
  function changed() {
    if (due) return;
    due = true;
    queueMicrotask(() => {
      due = false;
      render();
    });
  }

  function downloadOne() {
    if (session.selected) panel.download();
  }

  /**
   * @param {Values} settings
   * @returns {() => void} restores these settings to the image that is selected now
   */
  function backTo(settings) {
    const image = session.selected;
    return () => {
      if (image && session.images.includes(image)) session.select(image);
      render();
      form.set(settings);
    };
  }

  /** @param {(image: Image) => void} action */
  function onSelected(action) {
    return () => session.selected && action(session.selected);
  }

  function takeShared() {
    const shared = sharedSettings(schema);
    if (!shared) return;
    const before = session.settingsOf(session.selected);
    form.set(shared);
    tell(t('settings.shared'), backTo(before));
  }

  /** @param {Image[]} images */
  function remove(images) {
    const undo = session.remove(images);
    for (const image of images) live.forget(image);
    render();
    const { name } = images[0]?.file ?? {};
    tell(t('say.removed', { count: images.length, name: name ?? '' }), undo);
    if (session.selected) strip.focus(session.selected);
    else button('choose').focus();
  }

  /** @param {number} by */
  function step(by) {
    const { images, selected } = session;
    const next = selected && images[images.indexOf(selected) + by];
    if (!next) return;
    session.select(next);
    render();
    strip.focus(next);
  }

  /** Make all missing or stale results, however long it takes, and save all in one file. */
  function downloadAll() {
    saving = true;
    changed();
  }

  function render() {
    const { images, selected } = session;
    const focused = document.activeElement;
    const pending = selected !== undefined && session.isPending(selected);
    if (pending) slow ||= setTimeout(() => say(t('result.optimizing')), SLOW_MS);
    else {
      clearTimeout(slow);
      slow = 0;
    }
    app.dataset.view = images.length ? 'work' : 'empty';
    strip.show(images, selected, (image) => session.isStale(image));
    goOnSaving();
    showBatch();
    trouble.show(selected?.trouble);
    if (!selected) return;
    if (selected !== shown) {
      shown = selected;
      draft = undefined;
      form.show(session.settingsOf(selected));
      presets.show(session.settingsOf(selected));
    }
    own.checked = selected.own !== undefined;
    const stale = session.isStale(selected);
    const wanted = draft ?? session.settingsOf(selected);
    const fits = selected.result?.key === JSON.stringify(wanted);
    if (fits) live.prepare(selected);
    if (fits || selected.trouble) live.clear();
    else if (selected.url && (selected.result || draft || live.shows(selected))) {
      live.follow(selected, wanted);
    } else live.clear();
    stage.show(selected, pending, live.shown);
    panel.show(selected, stale, pending, live.bytes);
    const quality = fits ? Math.round(selected.result?.answer.quality ?? 0) : 0;
    const by = moves(selected, wanted) ? '' : qualityBy(wanted);
    form.lock('quality', by, quality || null);
    const { width, height } = live.shown?.shape ?? selected.result?.answer ?? {};
    form.remark(
      'resize_percent',
      width && height
        ? t('settings.dimensions', { width: String(width), height: String(height) })
        : '',
    );
    // If the focused button has disappeared, move the focus to a place that exists.
    if (focused?.checkVisibility?.() === false) strip.focus(selected);
  }

  /** Make results that have become stale meanwhile, and save once nothing is under way. */
  function goOnSaving() {
    if (!saving) return;
    session.optimizeAll();
    if (session.images.some((image) => session.isUnderway(image))) return;
    saving = false;
    const finished = results(session);
    if (finished.length) downloadZip(finished);
  }

  function showBatch() {
    const { images, selected } = session;
    const finished = results(session);
    const before = finished.reduce((sum, { answer }) => sum + answer.source.bytes, 0);
    const after = finished.reduce((sum, { answer }) => sum + answer.bytes, 0);
    const stale = images.filter((image) => session.wantsRun(image));
    const running = images.filter((image) => session.isUnderway(image)).length;
    const count = { count: finished.length, size: size(after) };
    const progress = { done: images.length - running, count: images.length };
    const about = saving ? t('count.progress', progress) : t('count.images-size', count);
    const any = images.some((image) => image.result);
    showButton('download-all', images.length > 1 && any, finished.length ? about : '');
    const others = stale.some((image) => image !== selected);
    showButton('optimize-all', others && !saving, t('count.images', { count: stale.length }));
    button('delete-all').hidden = images.length < 2;
    find('#own-row', HTMLElement).hidden = images.length < 2;
    const total = find('#total', HTMLElement);
    total.hidden = finished.length < 2;
    const saved = before ? 100 - (100 * after) / before : 0;
    const sizes = { before: size(before), after: size(after) };
    total.textContent = t('result.total', { ...sizes, change: change(saved) });
  }
}

/**
 * Return a function that shows the seconds of a pause, and announces only its start and its end.
 * @param {number} limit requests a minute
 * @param {(text: string) => void} say
 * @returns {(seconds: number) => void}
 */
function pauseTeller(limit, say) {
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
 * @returns {Result[]} those made with the current settings
 */
function results(session) {
  return session.images.flatMap((image) =>
    session.isStale(image) || !image.result ? [] : [image.result],
  );
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
 * @param {Schema} schema
 * @returns {string} about the selected image, or about all of them once the last is done
 */
function optimizedText(image, session, schema) {
  const { result } = image;
  if (result && image === session.selected) {
    const { answer } = result;
    const key = answer.saved_percent < 0 ? 'say.larger' : 'say.smaller';
    const values = { name: answer.filename, size: size(answer.bytes) };
    const said = t(key, { ...values, percent: percent(answer.saved_percent) });
    return [said, ...findings(image, schema)].join('. ');
  }
  const running = session.images.some((each) => each.run);
  return running ? '' : t('say.all-done', { count: results(session).length });
}
