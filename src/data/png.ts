/**
 * Writing PNG files, with nothing but the platform's own zlib.
 *
 * Format: PNG (third edition), 8 bits a channel, RGB or RGBA, no filter, one `IDAT` chunk.
 *
 * @module
 */

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

/** CRC-32 of each byte, ISO 3309 (PNG specification, annex D). */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  return crc >>> 0;
});

function chunk(type: string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(12 + data.length), view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = type.charCodeAt(i);
  bytes.set(data, 8);
  let crc = 0xffffffff;
  for (const byte of bytes.subarray(4, 8 + data.length)) {
    crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  }
  view.setUint32(8 + data.length, ~crc >>> 0);
  return bytes;
}

/** A picture on its way into a PNG file. */
export interface PngParts {
  /** The chunks before the pixels: signature and header. */
  readonly head: Uint8Array<ArrayBuffer>;
  /** The pixels row by row, each row behind its filter type (0, none); to be deflated. */
  readonly lines: Uint8Array<ArrayBuffer>;
}

/**
 * Lays out a picture for a PNG file; what is left is to deflate its lines, see {@linkcode pngFile}.
 *
 * @param width pixels per row
 * @param height rows
 * @param pixels bytes row by row: `width * height * 3` (RGB) or `* 4` (RGBA, not premultiplied)
 * @returns header and lines
 * @throws RangeError when the sides are not positive whole numbers or do not match the bytes
 */
export function pngParts(
  width: number,
  height: number,
  pixels: Uint8Array | Uint8ClampedArray,
): PngParts {
  const whole = (side: number) => Number.isInteger(side) && side > 0;
  const channels = pixels.length / (width * height);
  if (!whole(width) || !whole(height) || (channels !== 3 && channels !== 4)) {
    throw new RangeError(
      `cannot encode ${pixels.length} bytes as a PNG of ${width} x ${height} pixels; that takes ` +
        `${3 * width * height} bytes of RGB or ${4 * width * height} of RGBA`,
    );
  }
  const row = channels * width;
  const lines = new Uint8Array((row + 1) * height);
  for (let y = 0; y < height; y++) {
    lines.set(pixels.subarray(y * row, (y + 1) * row), y * (row + 1) + 1);
  }
  const header = new Uint8Array(13), view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 8; // bits per channel
  header[9] = channels === 3 ? 2 : 6; // colour type
  return { head: join([Uint8Array.from(SIGNATURE), chunk("IHDR", header)]), lines };
}

/**
 * Puts a PNG file together.
 *
 * @param head header of {@linkcode pngParts}
 * @param deflated its lines in zlib format
 * @returns the file
 */
export function pngFile(head: Uint8Array, deflated: Uint8Array): Uint8Array<ArrayBuffer> {
  return join([head, chunk("IDAT", deflated), chunk("IEND", new Uint8Array())]);
}

/**
 * Encodes a picture as PNG.
 *
 * @param width pixels per row
 * @param height rows
 * @param pixels bytes row by row: `width * height * 3` (RGB) or `* 4` (RGBA, not premultiplied)
 * @returns the file
 * @throws RangeError when the sides are not positive whole numbers or do not match the bytes
 */
export async function encodePng(
  width: number,
  height: number,
  pixels: Uint8Array | Uint8ClampedArray,
): Promise<Uint8Array<ArrayBuffer>> {
  const { head, lines } = pngParts(width, height, pixels);
  const zlib = new Blob([lines]).stream().pipeThrough(new CompressionStream("deflate"));
  return pngFile(head, new Uint8Array(await new Response(zlib).arrayBuffer()));
}

/**
 * Tells PNG files from other bytes.
 *
 * @param bytes any bytes
 * @returns whether they start like a PNG file
 */
export function isPng(bytes: Uint8Array): boolean {
  return bytes.length > 24 && SIGNATURE.every((byte, index) => bytes[index] === byte);
}

/**
 * Size of a PNG picture.
 *
 * @param png the bytes of a PNG file
 * @returns width and height in pixels
 * @throws SyntaxError when the bytes are not a PNG file
 */
export function pngSize(png: Uint8Array): { width: number; height: number } {
  if (!isPng(png)) throw new SyntaxError(`Not a PNG file: ${png.length} bytes.`);
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  return { width: view.getUint32(16), height: view.getUint32(20) };
}

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}
