/**
 * Widths of texts, read from a TrueType font.
 *
 * plotly.js places labels by measuring them. There is no browser to measure with when pictures are
 * drawn without one, so the widths come from the same font file that the picture is drawn with.
 * Format: OpenType 1.9, tables `head`, `hhea`, `hmtx` and `cmap` (format 4).
 *
 * @module
 */

/** Measures texts in one font. */
export interface FontMetrics {
  /**
   * Width of a text.
   *
   * @param text Text on one line.
   * @param size Font size in pixels.
   * @returns Width in pixels, without kerning.
   */
  width(text: string, size: number): number;
}

/**
 * Reads the glyph widths of a TrueType font.
 *
 * @param file The font file.
 * @returns A measure for texts.
 * @throws {SyntaxError} If the file is not a TrueType font with a Unicode character map.
 */
export function fontMetrics(file: Uint8Array): FontMetrics {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const tables = tableOffsets(view);
  const unitsPerEm = view.getUint16(tables("head") + 18);
  const widthCount = view.getUint16(tables("hhea") + 34);
  const glyphOf = characterMap(view, tables("cmap"));
  const widths = tables("hmtx");
  return {
    width(text: string, size: number): number {
      let units = 0;
      for (const character of text) {
        const glyph = glyphOf(character.codePointAt(0) ?? 0);
        units += view.getUint16(widths + 4 * Math.min(glyph, widthCount - 1));
      }
      return (units / unitsPerEm) * size;
    },
  };
}

function tableOffsets(view: DataView): (tag: string) => number {
  const offsets = new Map<string, number>();
  const count = view.byteLength >= 12 ? view.getUint16(4) : 0;
  for (let i = 0; i < count && 28 + 16 * i <= view.byteLength; i++) {
    const record = 12 + 16 * i;
    const tag = String.fromCharCode(...[0, 1, 2, 3].map((k) => view.getUint8(record + k)));
    offsets.set(tag, view.getUint32(record + 8));
  }
  return (tag) => {
    const offset = offsets.get(tag);
    if (offset === undefined) {
      throw new SyntaxError(`Not a TrueType font: no "${tag}" table in ${view.byteLength} bytes.`);
    }
    return offset;
  };
}

/** Glyph numbers of the basic multilingual plane; 0 (the missing-glyph box) for all others. */
function characterMap(view: DataView, cmap: number): (code: number) => number {
  const subtables = view.getUint16(cmap + 2);
  for (let i = 0; i < subtables; i++) {
    const table = cmap + view.getUint32(cmap + 4 + 8 * i + 4);
    if (view.getUint16(table) === 4) return segmentMap(view, table);
  }
  throw new SyntaxError("Not a usable TrueType font: its character map has no format 4 table.");
}

function segmentMap(view: DataView, table: number): (code: number) => number {
  const segments = view.getUint16(table + 6) / 2;
  const ends = table + 14;
  const starts = ends + 2 * segments + 2;
  const deltas = starts + 2 * segments;
  const ranges = deltas + 2 * segments;
  return (code) => {
    for (let i = 0; i < segments; i++) {
      if (code > view.getUint16(ends + 2 * i)) continue;
      const start = view.getUint16(starts + 2 * i);
      if (code < start) return 0;
      const delta = view.getUint16(deltas + 2 * i);
      const range = view.getUint16(ranges + 2 * i);
      if (range === 0) return (code + delta) & 0xffff;
      const glyph = view.getUint16(ranges + 2 * i + range + 2 * (code - start));
      return glyph === 0 ? 0 : (glyph + delta) & 0xffff;
    }
    return 0;
  };
}
