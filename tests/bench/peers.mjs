// The peers of `make bench` that live in Node: answers each line of JSON on stdin by one on stdout.
//
//   node peers.mjs <folder that npm installed into>
//
// A request names a stack, the file of its source and that of its result. With `channels` the source is raw pixels, and
// only their encoding is timed; without it the source is an image file, and the whole job is. The answer holds the best
// of `repeats` times in seconds, and the peak of the process in MB.

import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const folder = resolve(process.argv[2], 'node_modules');
const sharp = createRequire(join(folder, 'package.json'))('sharp');
sharp.concurrency(1);
sharp.cache(false);

// As in a browser: @jsquash/oxipng asks for it.
globalThis.ImageData ??= class {};

const LEAST_SECONDS = 0.15; // as in stacks.py

/** The options of sharp's output, by format and stack. */
const SHARP = {
  jpeg: {
    sharp: ({ quality }) => ({ quality }),
    'sharp mozjpeg': ({ quality }) => ({ quality, mozjpeg: true }),
  },
  webp: {
    sharp: ({ quality }) => ({ quality }),
    'sharp effort 6': ({ quality }) => ({ quality, effort: 6, smartSubsample: true }),
  },
  png: {
    sharp: () => ({}),
    'sharp max': () => ({ compressionLevel: 9, adaptiveFiltering: true }),
    'sharp palette': () => ({ palette: true }),
  },
};

const JSQUASH = { jpeg: 'codec/enc/mozjpeg_enc.wasm', webp: 'codec/enc/webp_enc_simd.wasm' };

const loaded = {};

/** Load a package of jSquash with its WebAssembly, which it would fetch by HTTP. */
async function jsquash(name, entry, wasm) {
  loaded[name] ??= (async () => {
    const root = join(folder, '@jsquash', name);
    const module = await import(pathToFileURL(join(root, entry)));
    await module.init(await WebAssembly.compile(await readFile(join(root, wasm))));
    return module.default;
  })();
  return loaded[name];
}

/** Return a function that does once what is timed, and resolves to the bytes of the result. */
async function prepare(request) {
  const { stack, format, quality, width, height, channels } = request;
  const data = await readFile(request.source);
  if (stack === '@jsquash' && format === 'png') {
    const optimise = await jsquash('oxipng', 'optimise.js', 'codec/pkg/squoosh_oxipng_bg.wasm');
    const raw = { width, height, channels };
    return async () =>
      optimise(await sharp(data, { raw }).png({ compressionLevel: 1 }).toBuffer(), { level: 2 });
  }
  if (stack === '@jsquash') {
    const encode = await jsquash(format, 'encode.js', JSQUASH[format]);
    const picture = { data: withAlpha(data, channels), width, height };
    return () => encode(picture, { quality });
  }
  const options = SHARP[format][stack](request);
  if (channels) {
    const raw = { width, height, channels };
    return () => sharp(data, { raw }).toFormat(format, options).toBuffer();
  }
  return () =>
    (width ? sharp(data).resize({ width, height, fit: 'fill' }) : sharp(data))
      .toFormat(format, options)
      .toBuffer();
}

function withAlpha(data, channels) {
  if (channels === 4) return new Uint8ClampedArray(data);
  const pixels = new Uint8ClampedArray((data.length / 3) * 4).fill(255);
  for (let from = 0, to = 0; from < data.length; from += 3, to += 4) {
    pixels.set(data.subarray(from, from + 3), to);
  }
  return pixels;
}

async function answer(request) {
  if (request.stack === 'versions') return { versions: await versions() };
  const encode = await prepare(request);
  const { repeats } = request;
  let result;
  let best = Number.POSITIVE_INFINITY;
  let spent = 0;
  for (let run = 0; run < Math.max(1, repeats) || (repeats && spent < LEAST_SECONDS); run += 1) {
    const begun = performance.now();
    result = await encode();
    const seconds = (performance.now() - begun) / 1000;
    best = Math.min(best, seconds);
    spent += seconds;
  }
  await writeFile(request.result, new Uint8Array(result));
  return { seconds: best, peak_mb: await peak() };
}

async function versions() {
  const { version } = JSON.parse(await readFile(join(folder, 'sharp', 'package.json'), 'utf8'));
  const found = { node: process.versions.node, sharp: version };
  for (const name of ['vips', 'mozjpeg', 'webp', 'imagequant']) {
    found[`sharp's ${name}`] = sharp.versions[name];
  }
  for (const name of ['jpeg', 'webp', 'oxipng']) {
    const path = join(folder, '@jsquash', name, 'package.json');
    found[`@jsquash/${name}`] = JSON.parse(await readFile(path, 'utf8')).version;
  }
  return found;
}

/** Return what Linux counts for this program alone; getrusage would count what started it, too. */
async function peak() {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '');
  const kilobytes = status.match(/VmHWM:\s+(\d+)/)?.[1] ?? process.resourceUsage().maxRSS;
  return Math.round(kilobytes / 1024);
}

for await (const line of createInterface({ input: process.stdin })) {
  const reply = await answer(JSON.parse(line)).catch((error) => ({ error: String(error) }));
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
