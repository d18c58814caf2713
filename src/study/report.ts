/**
 * Reports: one HTML page a run, readable offline and on paper.
 *
 * The page holds its pictures and styles itself and names no address, so it can be mailed,
 * archived beside the run, or opened years later.
 *
 * @module
 */

import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { renderReport } from "./report_html.ts";

export { escapeHtml, renderReport } from "./report_html.ts";

/** What every part of a report may have. */
export interface Headed {
  /** Heading; none when left out. */
  readonly heading?: string;
  /** Level of the heading: 2 (default) begins a part, 3 stands within it. */
  readonly level?: 2 | 3;
}

/** A paragraph, or several. */
export interface TextSection extends Headed {
  /** Kind of section. */
  readonly kind: "text";
  /** Plain text; an empty line starts a new paragraph, and what stands in \` marks is code. */
  readonly text: string;
}

/** An item of a list. */
export interface ListItem {
  /** Plain text, with code in \` marks. */
  readonly text: string;
  /** Whether it is set off from the others. */
  readonly strong?: boolean;
}

/** A list with bullets. */
export interface ListSection extends Headed {
  /** Kind of section. */
  readonly kind: "list";
  /** The items. */
  readonly items: readonly ListItem[];
}

/** A picture with a caption. */
export interface FigureSection extends Headed {
  /** Kind of section. */
  readonly kind: "figure";
  /** Bytes of a PNG file. */
  readonly png: Uint8Array;
  /** What the picture shows, in words, for readers who cannot see it. */
  readonly alt: string;
  /** Text under the picture. */
  readonly caption?: string;
  /** Width in CSS pixels; the page's width at most. */
  readonly width?: number;
}

/** A table. */
export interface TableSection extends Headed {
  /** Kind of section. */
  readonly kind: "table";
  /** Names of the columns. */
  readonly head: readonly string[];
  /** Cells, written as they are; columns of numbers and intervals are aligned to the right. */
  readonly rows: readonly (readonly (string | number)[])[];
  /** Whether the first cell of a row names it. Default false. */
  readonly rowHeads?: boolean;
  /** What the table shows, for readers who cannot see it; its heading if left out. */
  readonly label?: string;
  /** Text under the table. */
  readonly caption?: string;
}

/** One question with its answers. */
export interface GallerySample {
  /** The picture asked about, as the bytes of a PNG file; small ones are enlarged. */
  readonly png: Uint8Array;
  /** What the picture shows, in words. */
  readonly alt: string;
  /** The question. */
  readonly question: string;
  /** The right answer. */
  readonly expected: string;
  /** The model's answer. */
  readonly answer: string;
  /** Whether the answer counts as right. */
  readonly correct: boolean;
  /** Family or split, shown small. */
  readonly label?: string;
}

/** Questions with pictures, expected answers and the model's answers. */
export interface GallerySection extends Headed {
  /** Kind of section. */
  readonly kind: "gallery";
  /** The samples, shown in this order. */
  readonly samples: readonly GallerySample[];
  /** Text under the gallery. */
  readonly caption?: string;
}

/** Code or configuration, folded away behind its heading. */
export interface CodeSection {
  /** Kind of section. */
  readonly kind: "code";
  /** Heading; "Details" when left out. */
  readonly heading?: string;
  /** The text, shown as it is. */
  readonly code: string;
}

/** A part of a report. */
export type Section =
  | TextSection
  | ListSection
  | FigureSection
  | TableSection
  | GallerySection
  | CodeSection;

/** The content of a report. */
export interface Report {
  /** Title of the page. */
  readonly title: string;
  /** First paragraph: what was done and what came out. */
  readonly lead: string;
  /** What a reader needs to repeat the run: seed, steps, adapter, versions, time, … */
  readonly facts: readonly (readonly [name: string, value: string])[];
  /** The parts, in order. */
  readonly sections: readonly Section[];
  /** Whether the parts are listed at the beginning, with links. Default false. */
  readonly contents?: boolean;
}

/**
 * Writes a report as one HTML file. The file appears when it is complete.
 *
 * @param path Where to write; missing folders are made.
 * @param report The content.
 * @throws {Deno.errors.PermissionDenied} If the path cannot be written.
 */
export async function writeReport(path: string, report: Report): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const part = `${path}.${crypto.randomUUID()}.part`;
  try {
    await writeFile(part, renderReport(report));
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}
