/**
 * Reading picture files: PNG through fast-png (MIT), JPEG through @jsquash/jpeg (Apache-2.0), which is
 * the libjpeg of MozJPEG as WebAssembly, so that pixels are those that Pillow reads. Both are loaded
 * when the first such file is.
 *
 * @module
 */
import type { DecodedPng } from "fast-png";
import { isPng, pngSize } from "./png.ts";
import type { RgbImage } from "./resize.ts";

/** Pictures beyond are refused before memory is taken for them: the limit of Pillow. */
const MOST_PIXELS = 178_956_970;

/** How the files begin that are told from each other, with the name of their format. */
const BEGINNINGS: readonly (readonly [string, string])[] = [
  ["GIF8", "GIF"],
  ["RIFF", "WebP"],
  ["BM", "BMP"],
  ["II*\0", "TIFF"],
  ["MM\0*", "TIFF"],
  ["<svg", "SVG"],
  ["<?xml", "SVG"],
];

/**
 * Reads a picture, in the manner of Pillow's `Image.open(…).convert("RGB")`: transparency is dropped,
 * grey is spread over the three channels, of 16 bits the upper 8 count, and the orientation that a
 * camera noted is not applied.
 *
 * @param bytes the contents of a PNG or JPEG file
 * @throws {TypeError} if the file is of another format. @throws {SyntaxError} if it is cut short or
 * broken. @throws {RangeError} if the picture has more than 178,956,970 pixels.
 *
 * @example
 * ```ts
 * import { decodeImage, encodePng } from "@moiie/lab/data";
 * const image = await decodeImage(await encodePng(1, 1, Uint8Array.of(255, 128, 0)));
 * console.log(image); // { width: 1, height: 1, data: Uint8Array(3) [ 255, 128, 0 ] }
 * ```
 */
export async function decodeImage(bytes: Uint8Array): Promise<RgbImage> {
  if (isPng(bytes)) return await decodePng(bytes);
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return await decodeJpeg(bytes);
  const start = String.fromCharCode(...bytes.subarray(0, 8));
  const [, format] = BEGINNINGS.find(([begin]) => start.startsWith(begin)) ?? [];
  throw new TypeError(
    format
      ? `a ${format} picture cannot be read, only PNG and JPEG: convert it first`
      : `${bytes.length} bytes that are neither a PNG nor a JPEG picture`,
  );
}

function checkPixels(width: number, height: number): void {
  if (width * height <= MOST_PIXELS) return;
  throw new RangeError(
    `a picture of ${width} x ${height} pixels: more than ${MOST_PIXELS} are not read; make it smaller`,
  );
}

async function decodePng(bytes: Uint8Array): Promise<RgbImage> {
  const { width, height } = pngSize(bytes);
  checkPixels(width, height);
  const { decode } = await import("fast-png");
  let png: DecodedPng;
  try {
    png = decode(bytes, { checkCrc: true });
  } catch (error) {
    throw new SyntaxError(`PNG of ${bytes.length} bytes: ${messageOf(error)}`, { cause: error });
  }
  const samples = samplesOf(png), { palette, channels } = png;
  const data = new Uint8Array(3 * width * height);
  for (let i = 0; i < width * height; i++) {
    if (palette) {
      const colour = palette[samples[i]];
      if (!colour) throw new SyntaxError(`PNG: pixel ${i} has colour ${samples[i]} of no palette`);
      for (let c = 0; c < 3; c++) data[3 * i + c] = colour[c];
    } else {
      const colours = channels < 3 ? 0 : 1; // grey: the same sample three times
      for (let c = 0; c < 3; c++) data[3 * i + c] = samples[i * channels + c * colours];
    }
  }
  return { width, height, data };
}

/** Numbers of a palette, or bytes: of fewer bits spread over 0 to 255, of 16 the upper half. */
function samplesOf({ data, depth, width, height, channels, palette }: DecodedPng) {
  if (depth === 16) return Uint8Array.from(data, (sample) => sample >> 8);
  if (depth === 8) return data;
  const row = width * channels, stride = Math.ceil(row * depth / 8), most = 2 ** depth - 1;
  const unit = palette ? 1 : 255 / most;
  return Uint8Array.from({ length: row * height }, (_, i) => {
    const bit = (i % row) * depth, byte = data[Math.floor(i / row) * stride + (bit >> 3)];
    return (byte >> (8 - depth - bit % 8) & most) * unit;
  });
}

/** What the JPEG decoder last complained of. */
let complaint = "";
let decoder: Promise<(bytes: ArrayBuffer) => Promise<ImageData>> | undefined;
/** One decoding after the other, so that complaints are about the right file. */
let turn: Promise<unknown> = Promise.resolve();

async function loadDecoder(): Promise<(bytes: ArrayBuffer) => Promise<ImageData>> {
  const { default: decode, init } = await import("@jsquash/jpeg/decode.js");
  // Else it prints them.
  await init({ printErr: (line: string) => complaint = line });
  return decode;
}

async function decodeJpeg(bytes: Uint8Array): Promise<RgbImage> {
  const size = jpegSize(bytes);
  if (size) checkPixels(...size);
  const decode = await (decoder ??= loadDecoder());
  const mine = turn.then(async () => {
    complaint = "";
    try {
      return await decode(Uint8Array.from(bytes).buffer);
    } catch (error) {
      const why = complaint || messageOf(error);
      throw new SyntaxError(`JPEG of ${bytes.length} bytes: ${why}`, { cause: error });
    }
  });
  turn = mine.catch(() => {});
  const { width, height, data: rgba } = await mine;
  const data = new Uint8Array(3 * width * height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) data[3 * i + c] = rgba[4 * i + c];
  }
  return { width, height, data };
}

/** Width and height that a JPEG's frame header says, if it has one (ITU-T T.81, B.2.2). */
function jpegSize(bytes: Uint8Array): [number, number] | undefined {
  const two = (at: number) => bytes[at] << 8 | bytes[at + 1];
  for (let at = 2; at + 9 <= bytes.length && bytes[at] === 0xff; at += 2 + two(at + 2)) {
    const marker = bytes[at + 1];
    const isTable = marker === 0xc4 || marker === 0xc8 || marker === 0xcc;
    if (marker >= 0xc0 && marker <= 0xcf && !isTable) return [two(at + 7), two(at + 5)];
  }
  return undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
