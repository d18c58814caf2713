/** Tables, figures and sentences as parts of a report. */
import { figureTitle, figureToPng, isFigure } from "../plot/mod.ts";
import type {
  FigureSection,
  Finding,
  ListItem,
  Section,
  StudyTable,
  TableSection,
  TextSection,
} from "../study/mod.ts";
import type { Markdown } from "./markdown.ts";
import type { StudyFigure } from "./study_figures.ts";
import type { Table } from "./table.ts";

/** Markdown of one paragraph without its emphasis; code stays marked. */
export function plainText(text: string | Markdown): string {
  return String(text).replaceAll("**", "").replace(/^\*(.*)\*$/s, "$1");
}

/** A heading within a part, and text below it. */
export function textSection(heading: string | undefined, text: string | Markdown): TextSection {
  return { kind: "text", heading, level: 3, text: plainText(text) };
}

/** A table of a study or of the paper; a sentence if that is what stands for it. */
export function tableSection(
  heading: string | undefined,
  table: StudyTable | Table | Markdown,
): TableSection | TextSection {
  if (!("head" in table)) return textSection(heading, table);
  const { head, rows, caption } = table;
  const label = "title" in table ? table.title : undefined;
  return { kind: "table", heading, level: 3, label, head, rows, caption, rowHeads: true };
}

/** A figure as a picture with its title for an alternative text; a sentence if it is one. */
export async function figureSection(
  heading: string | undefined,
  figure: StudyFigure,
  caption?: string,
): Promise<FigureSection | TextSection> {
  if (!isFigure(figure)) return textSection(heading, figure);
  return {
    kind: "figure",
    heading,
    level: 3,
    png: await figureToPng(figure),
    width: figure.layout.width,
    alt: heading ? `${heading}. ${figureTitle(figure)}` : figureTitle(figure),
    caption,
  };
}

/** Findings as items: those that were shown stand out; those about nothing recorded are left out. */
export function findingItems(findings: readonly Finding[]): ListItem[] {
  return findings.filter(({ verdict }) => verdict).map(({ text, verdict }) => ({
    text,
    strong: verdict === "higher" || verdict === "lower",
  }));
}

/** A list within a part; nothing if it has no items. */
export function listSection(
  heading: string | undefined,
  items: readonly (ListItem | string)[],
): Section[] {
  if (items.length === 0) return [];
  const texts = items.map((item) => typeof item === "string" ? { text: item } : item);
  return [{ kind: "list", heading, level: 3, items: texts }];
}
