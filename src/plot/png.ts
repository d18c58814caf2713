/**
 * PNG files from pixels.
 *
 * Format: PNG (third edition), 8 bits, RGBA, no filter, one `IDAT` chunk.
 *
 * @module
 */

import { deflateSync } from "node:zlib";

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

/**
 * Encodes pixels as a PNG file.
 *
 * @param width Width in pixels.
 * @param height Height in pixels.
 * @param rgba Pixels row by row, four bytes each: red, green, blue, opacity.
 * @returns The bytes of the file.
 * @throws {RangeError} If the size and the number of bytes do not fit.
 */
export function encodePng(
  width: number,
  height: number,
  rgba: Uint8Array | Uint8ClampedArray,
): Uint8Array {
  const row = 4 * width;
  if (!(width > 0 && height > 0) || rgba.length !== row * height) {
    throw new RangeError(
      `encodePng() of ${width}×${height} pixels needs ${row * height} bytes, got ${rgba.length}.`,
    );
  }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, 6, 0, 0, 0], 8);

  const scanlines = new Uint8Array((row + 1) * height);
  for (let y = 0; y < height; y++) {
    scanlines.set(rgba.subarray(y * row, (y + 1) * row), y * (row + 1) + 1);
  }
  const parts = [
    Uint8Array.from(SIGNATURE),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(scanlines)),
    chunk("IEND", new Uint8Array(0)),
  ];
  const file = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    file.set(part, offset);
    offset += part.length;
  }
  return file;
}

/**
 * Tells PNG files from other bytes.
 *
 * @param bytes Any bytes.
 * @returns Whether they start like a PNG file.
 */
export function isPng(bytes: Uint8Array): boolean {
  return bytes.length > 24 && SIGNATURE.every((byte, index) => bytes[index] === byte);
}

/**
 * Size of a PNG picture.
 *
 * @param png The bytes of a PNG file.
 * @returns Width and height in pixels.
 * @throws {SyntaxError} If the bytes are not a PNG file.
 */
export function pngSize(png: Uint8Array): { width: number; height: number } {
  if (!isPng(png)) throw new SyntaxError(`Not a PNG file: ${png.length} bytes.`);
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  return { width: view.getUint32(16), height: view.getUint32(20) };
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set([...type].map((letter) => letter.charCodeAt(0)), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ byte) & 255];
  return ~crc >>> 0;
}
