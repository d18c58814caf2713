/**
 * Many samples at a glance.
 *
 * @module
 */

import { encodePng } from "../png.ts";
import type { EmojiVqa, Sample } from "./dataset.ts";
import { loadFont } from "./fonts.ts";
import { escapeXml, type Font, loadRenderer } from "./renderer.ts";
import type { Split } from "./scales.ts";
import { blit } from "./sprite.ts";

/** What {@linkcode EmojiVqa.contactSheet} shows. */
export interface ContactSheetOptions {
  /** Which split; default "train". */
  split?: Split;
  /** The first sample; default 0. */
  start?: number;
  /** How many samples; default 24. */
  count?: number;
  /** Samples per row; default 8, or 3 with captions. */
  columns?: number;
  /** Screen pixels per picture pixel, a whole number; default 128 divided by the picture's side. */
  zoom?: number;
  /** Whether to print caption, questions and answers beside each picture; default false. */
  captions?: boolean;
}

const GAP = 4, TEXT_WIDTH = 400, LINE = 12, BORDER = 90;

/** Draws a contact sheet as a PNG file. */
export async function contactSheet(
  data: EmojiVqa,
  { split = "train", start = 0, count = 24, captions = false, ...layout }: ContactSheetOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  if (split === "text") throw new RangeError('the split "text" has no pictures to show');
  const zoom = layout.zoom ?? Math.max(1, Math.floor(128 / data.imageSize));
  const columns = layout.columns ?? (captions ? 3 : 8);
  for (const [name, value] of Object.entries({ count, columns, zoom })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`a contact sheet needs a whole ${name} of at least 1, got ${value}`);
    }
  }
  const samples = Array.from({ length: count }, (_, i) => data.sample(split, start + i));
  const side = data.imageSize * zoom;
  const tileWidth = side + GAP + (captions ? TEXT_WIDTH : 0), tileHeight = side + GAP;
  const width = Math.min(columns, count) * tileWidth + GAP;
  const height = Math.ceil(count / columns) * tileHeight + GAP;
  const sheet = new Uint8Array(3 * width * height).fill(captions ? 255 : BORDER);
  const draw = captions ? await captionPrinter() : undefined;
  for (const [i, sample] of samples.entries()) {
    const x = GAP + (i % columns) * tileWidth, y = GAP + Math.floor(i / columns) * tileHeight;
    enlarge(sample.image, data.imageSize, zoom, (row, line) => {
      sheet.set(line, 3 * ((y + row) * width + x));
    });
    if (!draw) continue;
    // blit() draws on squares: the text is drawn on one of its own and copied over.
    const canvas = new Uint8Array(3 * TEXT_WIDTH * TEXT_WIDTH).fill(255);
    blit(canvas, TEXT_WIDTH, draw(sample, side), { x: 0, y: 0 });
    for (let row = 0; row < Math.min(side, TEXT_WIDTH); row++) {
      const line = canvas.subarray(3 * row * TEXT_WIDTH, 3 * (row + 1) * TEXT_WIDTH);
      sheet.set(line, 3 * ((y + row) * width + x + side + GAP));
    }
  }
  return await encodePng(width, height, sheet);
}

/** Enlarges a square RGB picture by a whole factor, line by line. */
function enlarge(
  image: Uint8Array,
  size: number,
  zoom: number,
  write: (row: number, line: Uint8Array) => void,
): void {
  const line = new Uint8Array(3 * size * zoom);
  for (let row = 0; row < size * zoom; row++) {
    for (let x = 0; x < size * zoom; x++) {
      const from = 3 * (Math.floor(row / zoom) * size + Math.floor(x / zoom));
      line.set(image.subarray(from, from + 3), 3 * x);
    }
    write(row, line);
  }
}

async function captionPrinter() {
  const renderer = await loadRenderer(), font: Font = await loadFont("roboto");
  return (sample: Sample, height: number) => {
    const lines = [
      `${sample.id}: ${sample.caption}`,
      ...sample.questions.map(({ task, question, answer }) => `${task}: ${question} ${answer}`),
    ].map((line, i) =>
      `<text x="2" y="${LINE * (i + 1)}" fill="${i === 0 ? "#a00" : "#111"}">` +
      `${escapeXml(line)}</text>`
    );
    return renderer.render(
      `<svg xmlns="http://www.w3.org/2000/svg" width="${TEXT_WIDTH}" height="${height}" ` +
        `font-family="${font.family}" font-weight="${font.weight}" font-size="9.5">` +
        `${lines.join("")}</svg>`,
      { fonts: [font] },
    );
  };
}
