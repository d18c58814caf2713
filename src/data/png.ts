/**
 * Writing PNG files, with nothing but the platform's own zlib.
 *
 * @module
 */

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
  const whole = (side: number) => Number.isInteger(side) && side > 0;
  const channels = pixels.length / (width * height);
  if (!whole(width) || !whole(height) || (channels !== 3 && channels !== 4)) {
    throw new RangeError(
      `cannot encode ${pixels.length} bytes as a PNG of ${width} x ${height} pixels; that takes ` +
        `${3 * width * height} bytes of RGB or ${4 * width * height} of RGBA`,
    );
  }
  const row = channels * width;
  const lines = new Uint8Array((row + 1) * height); // each line begins with filter type 0
  for (let y = 0; y < height; y++) {
    lines.set(pixels.subarray(y * row, (y + 1) * row), y * (row + 1) + 1);
  }
  const zlib = new Blob([lines]).stream().pipeThrough(new CompressionStream("deflate"));
  const header = new Uint8Array(13), view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 8; // bits per channel
  header[9] = channels === 3 ? 2 : 6; // colour type
  const parts = [
    Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10),
    chunk("IHDR", header),
    chunk("IDAT", new Uint8Array(await new Response(zlib).arrayBuffer())),
    chunk("IEND", new Uint8Array()),
  ];
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
