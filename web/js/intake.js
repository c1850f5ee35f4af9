/** Takes files that are dropped anywhere, chosen or pasted, and checks them before anything is sent. */

import { size, t } from './page.js';

const TEXT_INPUTS = 'textarea, input:is([type=text], [type=number], [type=search], :not([type]))';

export class Intake {
  #picker;
  #folderPicker;
  /** @type {(files: File[]) => void} */
  take;

  /**
   * @param {HTMLInputElement} picker the hidden file input
   * @param {HTMLInputElement} folderPicker the same for a folder
   * @param {HTMLElement} overlay shown while files are dragged over the window
   * @param {(files: File[]) => void} onFiles
   */
  constructor(picker, folderPicker, overlay, onFiles) {
    this.#picker = picker;
    this.#folderPicker = folderPicker;
    this.take = onFiles;
    picker.addEventListener('change', () => {
      onFiles([...(picker.files ?? [])]);
      picker.value = ''; // so that the same file can be chosen again
    });
    folderPicker.addEventListener('change', () => {
      const files = [...(folderPicker.files ?? [])];
      files.sort((one, other) => inOrder(one.webkitRelativePath, other.webkitRelativePath));
      onFiles(files.filter(({ name }) => IMAGE_NAME.test(name)));
      folderPicker.value = '';
    });
    document.addEventListener('paste', (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      const typing = event.target instanceof Element && event.target.matches(TEXT_INPUTS);
      if (typing || files.length === 0) return;
      event.preventDefault();
      onFiles(files);
    });
    for (const name of /** @type {const} */ (['dragenter', 'dragover'])) {
      addEventListener(name, (event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        overlay.hidden = false;
      });
    }
    addEventListener('dragleave', (event) => {
      // Only when the pointer leaves the window, no other element is entered.
      if (event.relatedTarget === null) overlay.hidden = true;
    });
    addEventListener('drop', (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      overlay.hidden = true;
      if (event.dataTransfer) filesOf(event.dataTransfer).then(onFiles);
    });
  }

  /** @param {string[]} mediaTypes */
  accept(mediaTypes) {
    this.#picker.accept = mediaTypes.join(',');
  }

  choose() {
    this.#picker.click();
  }

  /** Whether folders can be chosen; not on phones. */
  get takesFolders() {
    return 'webkitdirectory' in this.#folderPicker;
  }

  chooseFolder() {
    this.#folderPicker.click();
  }
}

/** @param {DragEvent} event */
function hasFiles(event) {
  return event.dataTransfer?.types.includes('Files') ?? false;
}

const IMAGE_NAME = /\.(jpe?g|png|webp)$/i;
const inOrder = new Intl.Collator(undefined, { numeric: true }).compare;

/**
 * Return the dropped files. Each folder is replaced by the images in it and in its subfolders. A folder without images
 * is kept, and later refused like any other file that is not an image.
 * @param {DataTransfer} transfer
 * @returns {Promise<File[]>}
 */
async function filesOf(transfer) {
  // Both lists are empty once the event is over.
  const files = [...transfer.files];
  const items = [...transfer.items].filter(({ kind }) => kind === 'file');
  const entries = items.map((item) => item.webkitGetAsEntry?.());
  const found = files.map(async (file, index) => {
    const entry = entries[index];
    const images = entry?.isDirectory ? await imagesIn(entry) : [];
    return images.length ? images : [file];
  });
  return (await Promise.all(found)).flat();
}

/**
 * @param {FileSystemEntry} folder
 * @returns {Promise<File[]>} sorted by name, without files whose name is not that of an image
 */
async function imagesIn(folder) {
  const reader = /** @type {FileSystemDirectoryEntry} */ (folder).createReader();
  /** @type {FileSystemEntry[]} */
  const entries = [];
  for (;;) {
    /** @type {FileSystemEntry[]} */
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (some.length === 0) break; // a call returns at most a hundred
    entries.push(...some);
  }
  entries.sort((one, other) => inOrder(one.name, other.name));
  const found = entries.map(async (entry) => {
    if (entry.isDirectory) return imagesIn(entry);
    if (!IMAGE_NAME.test(entry.name)) return [];
    const one = /** @type {FileSystemFileEntry} */ (entry);
    /** @type {Promise<File[]>} */
    const file = new Promise((resolve) =>
      one.file(
        (got) => resolve([got]),
        () => resolve([]),
      ),
    );
    return file;
  });
  return (await Promise.all(found)).flat();
}

/** @typedef {{type: string, animated: boolean} | {short: string, message: string}} Verdict */

const HEAD_BYTES = 21;
const ANIMATED = 2; // a flag of WebP's extended header

/**
 * @param {File} file
 * @param {number} maxBytes
 * @returns {Promise<Verdict>} its media type and whether it is an animated WebP, or why it is refused
 */
export async function inspect(file, maxBytes) {
  const { name } = file;
  if (file.size === 0) return refuse('empty', { name });
  /** @type {Uint8Array} */
  let head;
  try {
    head = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
  } catch {
    return refuse('unreadable', { name }); // a folder, or a file that is gone
  }
  const type = sniff(head);
  if (!type) return refuse('unsupported', { name });
  if (file.size > maxBytes) {
    return refuse('too-large', { name, size: size(file.size), limit: megabytes(maxBytes) });
  }
  return { type, animated: type === 'image/webp' && isAnimated(head) };
}

/**
 * Return a limit in units of 2^20 bytes, since the limit of 25 * 2^20 bytes is called 25 MB everywhere.
 * @param {number} bytes
 */
export const megabytes = (bytes) => Math.floor(bytes / 2 ** 20);

/** @param {Uint8Array} head */
function sniff(head) {
  const text = String.fromCharCode(...head);
  if (text.startsWith('\xff\xd8\xff')) return 'image/jpeg';
  if (text.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png';
  if (text.startsWith('RIFF') && text.startsWith('WEBP', 8)) return 'image/webp';
  return undefined;
}

/** @param {Uint8Array} head of a WebP */
function isAnimated(head) {
  return String.fromCharCode(...head.slice(12, 16)) === 'VP8X' && !!(Number(head[20]) & ANIMATED);
}

/**
 * @param {string} why
 * @param {Record<string, string | number>} values
 * @returns {Verdict}
 */
function refuse(why, values) {
  return { short: t(`short.${why}`), message: t(`error.${why}`, values) };
}
