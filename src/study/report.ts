/**
 * Reports: one HTML page a run, readable offline and on paper.
 *
 * The page holds its pictures and styles itself and names no address, so it can be mailed,
 * archived beside the run, or opened years later.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

/** A paragraph, or several. */
export interface TextSection {
  /** Kind of section. */
  readonly kind: "text";
  /** Heading; none when left out. */
  readonly heading?: string;
  /** Plain text; an empty line starts a new paragraph. */
  readonly text: string;
}

/** A picture with a caption. */
export interface FigureSection {
  /** Kind of section. */
  readonly kind: "figure";
  /** Heading; none when left out. */
  readonly heading?: string;
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
export interface TableSection {
  /** Kind of section. */
  readonly kind: "table";
  /** Heading; none when left out. */
  readonly heading?: string;
  /** Names of the columns. */
  readonly head: readonly string[];
  /** Cells, written as they are; columns of numbers and intervals are aligned to the right. */
  readonly rows: readonly (readonly (string | number)[])[];
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
export interface GallerySection {
  /** Kind of section. */
  readonly kind: "gallery";
  /** Heading; none when left out. */
  readonly heading?: string;
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
export type Section = TextSection | FigureSection | TableSection | GallerySection | CodeSection;

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

/**
 * Renders a report.
 *
 * @param report The content.
 * @returns A complete HTML document without references to other files.
 */
export function renderReport(report: Report): string {
  const facts = report.facts.map(([name, value]) =>
    `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd></div>`
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(report.title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escapeHtml(report.title)}</h1>
${paragraphs(report.lead, "lead")}
<dl class="facts">
${facts.join("\n")}
</dl>
${report.sections.map(renderSection).join("\n")}
</main>
</body>
</html>
`;
}

/**
 * Escapes text for HTML, in element contents and quoted attributes.
 *
 * @param text Any text.
 * @returns The text with `&`, `<`, `>`, `"` and `'` as character references.
 */
export function escapeHtml(text: string): string {
  const references: Record<string, string> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replace(/[&<>"']/g, (character) => references[character]);
}

function renderSection(section: Section): string {
  if (section.kind === "code") return renderCode(section);
  const heading = section.heading ? `<h2>${escapeHtml(section.heading)}</h2>\n` : "";
  return `<section>\n${heading}${renderBody(section)}\n</section>`;
}

function renderBody(section: Exclude<Section, CodeSection>): string {
  switch (section.kind) {
    case "text":
      return paragraphs(section.text);
    case "figure":
      return renderFigure(section);
    case "table":
      return renderTable(section);
    case "gallery":
      return renderGallery(section);
  }
}

function paragraphs(text: string, style = ""): string {
  const open = style ? `<p class="${style}">` : "<p>";
  return text.trim().split(/\n\s*\n/).map((part) => `${open}${escapeHtml(part)}</p>`).join("\n");
}

function renderFigure({ png, alt, caption, width }: FigureSection): string {
  const size = width ? ` width="${width}"` : "";
  return `<figure>${image(png, alt, size)}${captionOf(caption)}</figure>`;
}

function renderTable({ head, rows, caption }: TableSection): string {
  const numeric = head.map((_, column) => rows.every((row) => looksNumeric(row[column])));
  const cells = (tag: string, row: readonly (string | number)[]): string =>
    row.map((value, column) =>
      `<${tag}${numeric[column] ? ' class="number"' : ""}>${escapeHtml(String(value))}</${
        tag.split(" ")[0]
      }>`
    ).join("");
  const body = rows.map((row) => `<tr>${cells("td", row)}</tr>`).join("\n");
  return `<figure><div class="scroll"><table>
<thead><tr>${cells('th scope="col"', head)}</tr></thead>
<tbody>
${body}
</tbody>
</table></div>${captionOf(caption)}</figure>`;
}

/** Numbers, also as text: percentages, intervals, differences, or a dash for none. */
function looksNumeric(value: string | number | undefined): boolean {
  return /^[\d.,\s%+±–−-]*$/.test(String(value ?? ""));
}

function renderGallery({ samples, caption }: GallerySection): string {
  const right = samples.filter((sample) => sample.correct).length;
  const summary = `<p class="count">${right} of ${samples.length} right</p>`;
  return `${summary}
<ul class="gallery">
${samples.map(renderSample).join("\n")}
</ul>${caption ? `<p class="caption">${escapeHtml(caption)}</p>` : ""}`;
}

function renderSample(sample: GallerySample): string {
  const { png, alt, question, expected, answer, correct, label } = sample;
  const verdict = correct ? "✓ right" : "✗ wrong";
  return `<li class="${correct ? "right" : "wrong"}">
${image(png, alt, ' class="pixels"')}
${label ? `<p class="label">${escapeHtml(label)}</p>` : ""}
<p class="question">${escapeHtml(question)}</p>
<dl><dt>Expected</dt><dd>${escapeHtml(expected)}</dd>
<dt>Model</dt><dd>${escapeHtml(answer) || "<i>(nothing)</i>"}</dd></dl>
<p class="verdict">${verdict}</p>
</li>`;
}

function renderCode({ heading = "Details", code }: CodeSection): string {
  return `<section><details><summary>${escapeHtml(heading)}</summary>
<pre><code>${escapeHtml(code)}</code></pre></details></section>`;
}

function captionOf(caption: string | undefined): string {
  return caption ? `<figcaption>${escapeHtml(caption)}</figcaption>` : "";
}

function image(png: Uint8Array, alt: string, attributes: string): string {
  const base64 = Buffer.from(png).toString("base64");
  return `<img alt="${escapeHtml(alt)}"${attributes} src="data:image/png;base64,${base64}">`;
}

/** Figures are drawn on white, so in the dark they stand on a white card. */
const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fdfdfc; --ink: #1d1f21; --soft: #5a6068; --rule: #d9dcde; --card: #ffffff;
  --right: #00694d; --wrong: #a63b00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #1a1c1e; --ink: #e6e7e8; --soft: #a3aab1; --rule: #3b4046; --card: #222528;
    --right: #4cc9a0; --wrong: #ff9a5c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, "Segoe UI", "DejaVu Sans", sans-serif;
}
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .75rem; text-wrap: balance; }
h2 {
  font-size: 1.25rem; margin: 2.75rem 0 .75rem; padding-top: 1rem;
  border-top: 1px solid var(--rule);
}
p { max-width: 44rem; margin: .5rem 0; }
.lead { font-size: 1.1rem; }
dl, dd { margin: 0; }
.facts {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr));
  gap: .75rem 1.5rem; margin: 1.75rem 0;
}
.facts dt, .gallery dt, .label { color: var(--soft); font-size: .8rem; }
.facts dd { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
figure { margin: 1rem 0; }
figure > img {
  display: block; max-width: 100%; height: auto; background: #fff; border-radius: 4px;
}
figcaption, .caption, .count { color: var(--soft); font-size: .9rem; margin-top: .5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .9rem .35rem 0; text-align: left; border-bottom: 1px solid var(--rule); }
thead th { border-bottom: 2px solid var(--ink); font-weight: 600; vertical-align: bottom; }
th.number, td.number { text-align: right; white-space: nowrap; }
.gallery {
  list-style: none; margin: 1rem 0; padding: 0; display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr));
}
.gallery li {
  background: var(--card); border: 1px solid var(--rule); border-radius: 6px; padding: .75rem;
  display: flex; flex-direction: column; break-inside: avoid;
}
.gallery p { margin: .35rem 0 0; }
.gallery dl {
  display: grid; grid-template-columns: auto 1fr; gap: .1rem .6rem; align-items: baseline;
  margin: .4rem 0;
}
.gallery dd { overflow-wrap: anywhere; }
.pixels { width: 100%; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated; }
.question { font-weight: 600; line-height: 1.35; }
.gallery .verdict { margin-top: auto; font-weight: 600; }
.right .verdict { color: var(--right); }
.wrong .verdict { color: var(--wrong); }
.wrong { border-style: dashed; }
details { border-top: 1px solid var(--rule); margin-top: 2.75rem; padding-top: 1rem; }
summary { font-size: 1.1rem; font-weight: 600; cursor: pointer; }
pre {
  overflow-x: auto; background: var(--card); border: 1px solid var(--rule); border-radius: 6px;
  padding: 1rem; font: .85rem/1.5 ui-monospace, "DejaVu Sans Mono", monospace;
}
@media print {
  :root {
    color-scheme: light;
    --paper: #fff; --ink: #000; --soft: #444; --rule: #bbb; --card: #fff;
    --right: #004d38; --wrong: #8a3100;
  }
  body { font-size: 11pt; }
  main { max-width: none; padding: 0; }
  h2 { break-after: avoid; }
  figure, tr { break-inside: avoid; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
}
`;
