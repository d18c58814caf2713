/** The paper's tables with printed names, to be shown beside results. */
import {
  PAPER_APPENDIX,
  PAPER_FIGURE_3,
  PAPER_FIGURE_4,
  PAPER_FIGURE_6,
  PAPER_TABLE_1,
  PAPER_TABLE_2,
  PAPER_TABLE_3,
  PAPER_TABLE_4,
  PAPER_TABLE_5,
  PAPER_TABLE_6,
  type PaperBenchmark,
  type PaperScores,
} from "./paper_tables.ts";
import { unknownName } from "../tensor/mod.ts";
import type { StudyTable } from "./tables.ts";

/** A part of the paper with numbers. */
export type PaperPlace =
  | "table 1"
  | "table 2"
  | "table 3"
  | "table 4"
  | "table 5"
  | "table 6"
  | "figure 3"
  | "figure 4"
  | "figure 6"
  | "appendix";

/** Printed names of the benchmarks. */
const BENCHMARKS: Readonly<Record<PaperBenchmark, string>> = {
  mmbench: "MMBench",
  gqa: "GQA",
  vqav2: "VQAv2",
  mmvet: "MM-Vet",
  seed_i: "SEED-I",
  pope: "POPE",
  hallub: "HallusionBench",
  textvqa: "TextVQA",
  docvqa: "DocVQA",
  chartqa: "ChartQA",
  ai2d: "AI2D",
  mmmu: "MMMU",
  mathvista: "MathVista",
  sciqa_img: "SciQA-IMG",
};

/** Printed names of what else stands in a row. */
const COLUMNS: Readonly<Record<string, string>> = {
  millions: "M samples",
  language: "language model",
  vision: "vision encoder",
  activated: "B activated",
  total: "B in all",
  ablated: "changed to",
  kept: "experts kept",
  depth: "with depth",
};

/** What is written behind the scores. */
const LAST = ["average", "difference"];

const PLACES: Readonly<Record<PaperPlace, { rows: readonly object[]; about: string }>> = {
  "table 1": { rows: PAPER_TABLE_1, about: "average: mean of the 13 benchmarks" },
  "table 2": { rows: PAPER_TABLE_2, about: "empty: not reported" },
  "table 3": { rows: PAPER_TABLE_3, about: "average: mean of the 13 benchmarks" },
  "table 4": {
    rows: PAPER_TABLE_4,
    about: "average: mean of the 7 benchmarks; difference: to the last row",
  },
  "table 5": {
    rows: PAPER_TABLE_5,
    about: "with what its published scripts add",
  },
  "table 6": { rows: PAPER_TABLE_6, about: "dense models made of one group of experts" },
  "figure 3": {
    rows: PAPER_FIGURE_3,
    about: "read off to about 0.05; average: mean of the figure's 7 benchmarks",
  },
  "figure 4": { rows: PAPER_FIGURE_4, about: "in the words of its text: it prints no numbers" },
  "figure 6": { rows: PAPER_FIGURE_6, about: "in the words of its text: it prints no numbers" },
  appendix: { rows: PAPER_APPENDIX, about: "average: mean of the 13 benchmarks" },
};

/**
 * A table of the paper as it is printed (arXiv 2508.09779), or some of its rows.
 *
 * @param place where it stands @param keep which rows; all by default
 * @throws {RangeError} if there is no such place, or no row is left.
 */
export function paperTable(
  place: PaperPlace,
  keep: (row: Readonly<Record<string, unknown>>) => boolean = () => true,
): StudyTable {
  if (!Object.hasOwn(PLACES, place)) throw unknownName("part of the paper", place, ALL);
  const { about } = PLACES[place];
  const rows = (PLACES[place].rows as readonly Record<string, unknown>[]).filter(keep);
  if (rows.length === 0) throw new RangeError(`no row of the paper's ${place} is left`);
  const has = (name: string) => rows.some((r) => r[name] !== undefined && r[name] !== "");
  // What one row does not report stands where the others have it.
  const fullest = rows.toSorted((a, b) => Object.keys(b).length - Object.keys(a).length);
  const fields = [...new Set(fullest.flatMap((r) => Object.keys(r)))].filter((n) => n !== "scores");
  const words = fields.filter((name) => !LAST.includes(name) && has(name));
  // What all rows have in common stands below the table instead.
  const common = words.slice(1)
    .filter((name) => rows.length > 1 && rows.every((r) => r[name] === rows[0][name]));
  const first = words.filter((name) => !common.includes(name));
  const last = LAST.filter(has);
  const scores = (row: Record<string, unknown>) => row.scores as PaperScores;
  const benchmarks = (Object.keys(BENCHMARKS) as PaperBenchmark[])
    .filter((name) => rows.some((r) => scores(r)[name] !== undefined));
  const shared = common.map((name) => `${COLUMNS[name] ?? name} ${rows[0][name]}`);
  const caption = captionOf(place, [...shared, about], benchmarks.length > 0);
  const text = (value: unknown) => value === undefined ? "" : String(value);
  const score = (value: unknown) => typeof value === "number" ? value.toFixed(1) : "";
  const signed = (value: unknown) => `${Number(value) > 0 ? "+" : ""}${score(value)}`;
  return {
    name: place.replace(" ", "-"),
    title: `The paper's ${place}`,
    head: [...first.map((n) => COLUMNS[n] ?? n), ...benchmarks.map((b) => BENCHMARKS[b]), ...last],
    rows: rows.map((row) => [
      ...first.map((name) => text(row[name])),
      ...benchmarks.map((b) => score(scores(row)[b])),
      ...last.map((name) => name === "difference" ? signed(row[name]) : score(row[name])),
    ]),
    caption,
  };
}

const captionOf = (place: string, parts: readonly string[], hasScores: boolean): string =>
  hasScores
    ? `The paper's ${place}, in percent; ${parts.join("; ")}. One run each, no intervals.`
    : `The paper's ${place}, ${parts.join("; ")}.`;

const ALL = Object.keys(PLACES);
