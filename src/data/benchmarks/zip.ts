/** ZIP archives: as much of them as an office document needs. */

import { crc32, deflateRawSync } from "node:zlib";

/** Numbers of 2 or 4 bytes, little-endian. */
function packed(fields: readonly (readonly [bytes: 2 | 4, value: number])[]): Uint8Array {
  const data = new Uint8Array(fields.reduce((sum, [bytes]) => sum + bytes, 0));
  const view = new DataView(data.buffer);
  let at = 0;
  for (const [bytes, value] of fields) {
    if (bytes === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += bytes;
  }
  return data;
}

/** The first day that a ZIP file knows: files of the same content are the same. */
const DATE = (1 << 5) | 1;

/**
 * An archive of texts, deflated.
 *
 * Format: APPNOTE.TXT of PKWARE, version 2.0, sections 4.3.7, 4.3.12, 4.3.16.
 *
 * @param files texts by their paths in the archive, in ASCII
 */
export function zip(files: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder(), local: Uint8Array[] = [], central: Uint8Array[] = [];
  let offset = 0, directory = 0;
  for (const [path, text] of Object.entries(files)) {
    const name = encoder.encode(path), data = encoder.encode(text), small = deflateRawSync(data);
    const common = [
      [2, 20], // version 2.0
      [2, 0],
      [2, 8], // deflated
      [2, 0], // midnight
      [2, DATE],
      [4, crc32(data)],
      [4, small.length],
      [4, data.length],
      [2, name.length],
      [2, 0],
    ] as const;
    const head = packed([[4, 0x04034b50], ...common]);
    const entry = packed([[4, 0x02014b50], [2, 20], ...common, [2, 0], [2, 0], [2, 0], [4, 0], [
      4,
      offset,
    ]]);
    local.push(head, name, small);
    central.push(entry, name);
    offset += head.length + name.length + small.length;
    directory += entry.length + name.length;
  }
  const count = Object.keys(files).length;
  const end = packed([
    [4, 0x06054b50],
    [2, 0],
    [2, 0],
    [2, count],
    [2, count],
    [4, directory],
    [4, offset],
    [2, 0],
  ]);
  const parts = [...local, ...central, end];
  const archive = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    archive.set(part, at);
    at += part.length;
  }
  return archive;
}
