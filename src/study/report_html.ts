/** Reports as HTML. */
import { Buffer } from "node:buffer";
import type {
  CodeSection,
  FigureSection,
  GallerySample,
  GallerySection,
  ListSection,
  Report,
  Section,
  TableSection,
} from "./report.ts";
import { STYLE } from "./report_style.ts";

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
${report.contents ? contents(report.sections) : ""}
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

/** The parts as a list of links. */
function contents(sections: readonly Section[]): string {
  const items = sections.flatMap((section, i) =>
    section.heading && isPart(section)
      ? [`<li><a href="#${idOf(section, i)}">${escapeHtml(section.heading)}</a></li>`]
      : []
  );
  return `<nav aria-label="Contents"><ul>\n${items.join("\n")}\n</ul></nav>`;
}

const isPart = (section: Section): boolean => section.kind === "code" || section.level !== 3;

const idOf = ({ heading = "" }: Section, at: number): string =>
  `${heading.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-|-$/g, "")}-${at}`;

function renderSection(section: Section, at: number): string {
  if (section.kind === "code") return renderCode(section, idOf(section, at));
  const { heading, level = 2 } = section;
  const title = heading
    ? `<h${level} id="${idOf(section, at)}">${escapeHtml(heading)}</h${level}>\n`
    : "";
  return `<section>\n${title}${renderBody(section)}\n</section>`;
}

function renderBody(section: Exclude<Section, CodeSection>): string {
  switch (section.kind) {
    case "text":
      return paragraphs(section.text);
    case "list":
      return renderList(section);
    case "figure":
      return renderFigure(section);
    case "table":
      return renderTable(section);
    case "gallery":
      return renderGallery(section);
  }
}

/** Escaped text in which what stands in \` marks is code. */
function inline(text: string): string {
  return escapeHtml(text).replaceAll(/`([^`]+)`/g, "<code>$1</code>");
}

function paragraphs(text: string, style = ""): string {
  const open = style ? `<p class="${style}">` : "<p>";
  return text.trim().split(/\n\s*\n/).map((part) => `${open}${inline(part)}</p>`).join("\n");
}

function renderList({ items }: ListSection): string {
  const lines = items.map(({ text, strong }) =>
    `<li>${strong ? `<strong>${inline(text)}</strong>` : inline(text)}</li>`
  );
  return `<ul>\n${lines.join("\n")}\n</ul>`;
}

function renderFigure({ png, alt, caption, width }: FigureSection): string {
  const size = width ? ` width="${width}"` : "";
  return `<figure><div class="wide">${image(png, alt, size)}</div>${captionOf(caption)}</figure>`;
}

/** Letters of a cell that stays on one line, and of one in the first column. */
const SHORT = 14, SHORT_NAME = 24;
/** Estimated CSS pixels of a row; if it has more, the table is set smaller. */
const WIDE = 920;

function renderTable({ head, rows, caption, rowHeads, label, heading }: TableSection): string {
  const numeric = head.map((_, column) => rows.every((row) => looksNumeric(row[column])));
  // Words in narrow columns would be broken where wide ones have room.
  const longest = head.map((_, column) =>
    Math.max(0, ...rows.map((row) => String(row[column]).length))
  );
  const short = longest.map((n, column) => n <= (column === 0 ? SHORT_NAME : SHORT));
  const style = (column: number): string =>
    numeric[column] ? ' class="number"' : short[column] ? ' class="short"' : "";
  const cells = (row: readonly (string | number)[], tags: (column: number) => string): string =>
    row.map((value, column) => {
      const tag = tags(column), name = tag.split(" ")[0];
      return `<${tag}${style(column)}>${escapeHtml(String(value))}</${name}>`;
    }).join("");
  const first = rowHeads ? 'th scope="row"' : "td";
  const body = rows.map((row) => `<tr>${cells(row, (c) => c === 0 ? first : "td")}</tr>`);
  // One can scroll there, so one must be able to get there with the keyboard.
  const name = label ?? heading;
  const region = name ? ` role="region" tabindex="0" aria-label="${escapeHtml(name)}"` : "";
  // Columns of words can be broken; names of columns are bold.
  const letters = longest.map((n, column) => numeric[column] ? n : Math.min(n, SHORT_NAME));
  const width = head.reduce(
    (sum, name, i) => sum + Math.max(8 * letters[i], 9.6 * name.length) + 14,
    0,
  );
  const dense = width > WIDE ? ' class="dense"' : "";
  return `<figure><div class="scroll"${region}><table${dense}>
<thead><tr>${cells(head, () => 'th scope="col"')}</tr></thead>
<tbody>
${body.join("\n")}
</tbody>
</table></div>${captionOf(caption)}</figure>`;
}

/** Numbers, also as text: percentages, intervals, differences, or a dash for none. */
function looksNumeric(value: string | number | undefined): boolean {
  return /^(?:[\d.,\s%+±–−()-]|to)*$/.test(String(value ?? ""));
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

function renderCode({ heading = "Details", code }: CodeSection, id: string): string {
  return `<section id="${id}"><details class="code"><summary>${escapeHtml(heading)}</summary>
<pre><code>${escapeHtml(code)}</code></pre></details></section>`;
}

function captionOf(caption: string | undefined): string {
  return caption ? `<figcaption>${inline(caption)}</figcaption>` : "";
}

function image(png: Uint8Array, alt: string, attributes: string): string {
  const base64 = Buffer.from(png).toString("base64");
  return `<img alt="${escapeHtml(alt)}"${attributes} src="data:image/png;base64,${base64}">`;
}
