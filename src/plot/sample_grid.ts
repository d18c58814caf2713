/**
 * Contact sheets: questions with their pictures and answers, as one picture.
 *
 * One PNG shows everywhere, also where a notebook's HTML is not shown.
 *
 * @module
 */

import { encodeBase64 } from "./base64.ts";
import { type FontMetrics, fontMetrics } from "./font_metrics.ts";
import { fontFiles } from "./packages.ts";
import { svgToPng } from "./svg_to_png.ts";
import { FONT_FAMILY, INK, MUTED } from "./theme.ts";

/** One picture of a contact sheet. */
export interface GridSample {
  /** The picture, as the bytes of a PNG file; small ones are enlarged without smoothing. */
  readonly png: Uint8Array;
  /** The question, or a caption. */
  readonly question: string;
  /** The right answer. */
  readonly expected?: string;
  /** The model's answer. */
  readonly answer?: string;
  /** Whether the answer counts as right. */
  readonly correct?: boolean;
  /** Family or split, shown small. */
  readonly label?: string;
}

/** Options of {@linkcode sampleGrid}. */
export interface SampleGridOptions {
  /** Pictures in a row; at most 5 by default. */
  readonly columns?: number;
  /** Side of a picture in CSS pixels; 160 by default. */
  readonly size?: number;
  /** Picture pixels per CSS pixel; 1.5 by default. */
  readonly scale?: number;
}

const GAP = 20;
const FONT_SIZE = 12;
const LINE = 16;

/** A line of text under a picture. */
interface Line {
  readonly text: string;
  readonly color: string;
  readonly bold?: boolean;
}

/**
 * Draws samples as a grid: each picture with its question, the expected answer, the model's answer
 * and a verdict in words.
 *
 * @param samples The samples, drawn row by row.
 * @param options Columns and sizes.
 * @returns The bytes of a PNG file.
 * @throws {RangeError} If there are no samples.
 */
export async function sampleGrid(
  samples: readonly GridSample[],
  options: SampleGridOptions = {},
): Promise<Uint8Array> {
  if (samples.length === 0) throw new RangeError("sampleGrid() needs at least one sample, got 0.");
  const { columns = Math.min(5, samples.length), size = 160, scale = 1.5 } = options;
  const fonts = (await fontFiles()).map(fontMetrics);
  const texts = samples.map((sample) => sampleLines(sample, size, fonts));

  const cells: string[] = [];
  let top = GAP;
  for (let start = 0; start < samples.length; start += columns) {
    const row = samples.slice(start, start + columns);
    row.forEach(({ png }, column) => {
      const left = GAP + column * (size + GAP);
      cells.push(
        `<image x="${left}" y="${top}" width="${size}" height="${size}" ` +
          `image-rendering="optimizeSpeed" href="data:image/png;base64,${encodeBase64(png)}"/>` +
          `<rect x="${left}" y="${top}" width="${size}" height="${size}" fill="none" ` +
          `stroke="#d0d0d0"/>`,
        ...texts[start + column].map((line, index) =>
          textElement(line, left, top + size + (index + 1) * LINE)
        ),
      );
    });
    const deepest = Math.max(...row.map((_, column) => texts[start + column].length));
    top += size + deepest * LINE + GAP + LINE / 2;
  }
  const width = GAP + columns * (size + GAP);
  return await svgToPng(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${top}" ` +
      `font-family="${FONT_FAMILY}" font-size="${FONT_SIZE}">${cells.join("")}</svg>`,
    scale,
  );
}

function sampleLines(sample: GridSample, width: number, fonts: readonly FontMetrics[]): Line[] {
  const [regular, bold] = fonts;
  const lines = (text: string, color: string, isBold = false): Line[] =>
    wrap(text, width, isBold ? bold : regular).map((text) => ({ text, color, bold: isBold }));
  const { label, question, expected, answer, correct } = sample;
  const verdict = correct === undefined ? "" : correct ? "✓ right" : "✗ wrong";
  return [
    ...(label ? lines(label, MUTED) : []),
    ...lines(question, INK, true),
    ...(expected === undefined ? [] : lines(`expected: ${expected}`, INK)),
    ...(answer === undefined ? [] : lines(`model: ${answer || "(nothing)"}`, INK)),
    ...(verdict ? lines(verdict, correct ? "#00694d" : "#a63b00", true) : []),
  ];
}

/** Breaks text at spaces, and inside of words that are longer than a line. */
function wrap(text: string, width: number, font: FontMetrics): string[] {
  const fits = (line: string): boolean => font.width(line, FONT_SIZE) <= width;
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    const longer = line ? `${line} ${word}` : word;
    if (fits(longer)) {
      line = longer;
      continue;
    }
    if (line) lines.push(line);
    line = "";
    for (const character of word) {
      if (fits(line + character)) {
        line += character;
      } else {
        lines.push(line);
        line = character;
      }
    }
  }
  return line ? [...lines, line] : lines;
}

function textElement({ text, color, bold }: Line, x: number, y: number): string {
  const references: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
  const escaped = text.replace(/[&<>]/g, (character) => references[character]);
  const weight = bold ? ' font-weight="bold"' : "";
  return `<text x="${x}" y="${y}" fill="${color}"${weight}>${escaped}</text>`;
}
