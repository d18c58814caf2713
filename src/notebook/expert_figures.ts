/**
 * Figures, tables and sentences about the experts of recorded runs: where tokens go, and what single
 * experts can do. Each is a sentence where nothing is recorded.
 *
 * @module
 */

import {
  expertAnalysis,
  type ExpertBenchmark,
  pathFlow,
  pathways,
  type PathwaysOptions,
} from "../plot/mod.ts";
import {
  expertDriftTable,
  expertScores,
  expertScoresTable,
  expertSimilarityTable,
  interModalityTable,
  modalityInformationTable,
  PAPER_ROWS,
  PAPER_TABLE_6,
  paperWayTable,
  pathInputs,
  patternTable,
  REFERENCE,
  routingMeasuresTable,
  routingOf,
  type RunAnalysis,
  type StudyResults,
} from "../study/mod.ts";
import { type Markdown, markdown } from "./markdown.ts";
import type { StudyFigure } from "./study_figures.ts";
import { notRecordedVariant, tableOf } from "./study_tables.ts";
import type { Table } from "./table.ts";

/** What is shown where runs have no analysis. */
export function notAnalysed(variant: string): Markdown {
  return markdown(
    `*Not recorded yet: an analysis of the experts of ${variant}. \`deno task study analyse\` makes it ` +
      "of runs whose weights were kept (`--keep`), and `--export fixtures/results/analysis_….json` " +
      "records it.*",
  );
}

/** Which table of a variant's recorded routing. */
export type RoutingTableKind = "shared" | "measures" | "information" | "pairs";

/**
 * A table of the recorded routing of a variant, over seeds: the share of the `shared` experts against
 * chance, `measures` of balance with their definitions, `information` that experts and modalities have of
 * each other, or the `pairs` of experts that tokens choose.
 *
 * @param analyses Analyses of the runs, for measures of probabilities.
 */
export function routingTable(
  results: StudyResults,
  variant: string = REFERENCE,
  kind: RoutingTableKind = "shared",
  analyses: readonly RunAnalysis[] = [],
): Table | Markdown {
  const found = {
    shared: () => interModalityTable(results, variant),
    measures: () => routingMeasuresTable(results, variant, { analyses }),
    information: () => modalityInformationTable(results, variant),
    pairs: () => patternTable(results, variant, { analyses }),
  }[kind]();
  return found.rows.length > 0 ? tableOf(found) : notRecordedVariant(variant);
}

/**
 * Layer by expert: which experts image and text tokens of one run chose. Of one run, since the numbers of
 * shared experts mean nothing across seeds.
 *
 * @param seed Its seed. Default the first recorded.
 */
export function pathwayFigure(
  results: StudyResults,
  variant: string = REFERENCE,
  seed?: number,
): StudyFigure {
  const run = results.runs.find((r) =>
    r.variant === variant && r.routing.length > 0 && (seed === undefined || r.seed === seed)
  );
  if (!run) return notRecordedVariant(variant);
  const { experts, pools } = results.variants.find((v) => v.name === variant)!.config.ffn;
  const allowed: PathwaysOptions["pools"] = Object.fromEntries(
    pools.map(({ modality, experts: own }) => [modality, own.map((e) => experts[e].name)]),
  );
  return pathways(routingOf(results, run), {
    title: `Token pathways, seed ${run.seed}`,
    pools: allowed,
  });
}

/**
 * The most common ways of single tokens through the layers, in one analysed run.
 *
 * @param entry What stands for a layer: the likeliest expert (`first`), or both that were chosen.
 */
export function pathFigure(
  analyses: readonly RunAnalysis[],
  variant: string = REFERENCE,
  { seed, entry = "first" }: { readonly seed?: number; readonly entry?: "first" | "pattern" } = {},
): StudyFigure {
  const found = analyses.find((a) =>
    a.variant === variant && (seed === undefined || a.seed === seed)
  );
  if (!found) return notAnalysed(variant);
  return pathFlow(pathInputs(found, entry), {
    title: `Most common expert paths, seed ${found.seed}`,
    ...(entry === "pattern" ? { choice: "the experts that were chosen" } : {}),
  });
}

/** Which table about the experts of analysed runs. */
export type ExpertTableKind = "scores" | "paper" | "similarity" | "drift";

/**
 * A table about single experts of analysed runs: the `scores` of models that keep or miss them, those in
 * the `paper`'s way from two models, the `similarity` of their weights, or their `drift`.
 */
export function expertTable(
  analyses: readonly RunAnalysis[],
  variant: string = REFERENCE,
  kind: ExpertTableKind = "scores",
): Table | Markdown {
  const missing = kind === "paper" ? paperMissing(analyses) : undefined;
  if (missing) return notAnalysed(missing);
  const found = {
    scores: () => expertScoresTable(analyses, variant),
    paper: () => paperWayTable(analyses),
    similarity: () => expertSimilarityTable(analyses, variant),
    drift: () => expertDriftTable(analyses, variant),
  }[kind]();
  return found.rows.length > 0 ? tableOf(found) : notAnalysed(variant);
}

/** A variant that the paper's table 6 needs and that was not analysed. */
const paperMissing = (analyses: readonly RunAnalysis[]): string | undefined =>
  PAPER_ROWS.map((row) => row.variant).find((name) => analyses.every((a) => a.variant !== name));

/** Which models {@linkcode expertFigure} draws. */
export type ExpertFigureKind = "kept" | "ablated" | "paper";

/**
 * Accuracy of models that keep one expert, or go without some; or the paper's way, above the paper's
 * numbers.
 */
export function expertFigure(
  analyses: readonly RunAnalysis[],
  variant: string = REFERENCE,
  kind: ExpertFigureKind = "kept",
): StudyFigure {
  if (analyses.every((a) => a.variant !== variant)) return notAnalysed(variant);
  const benchmarks = (rows: readonly ExpertBenchmark[]) =>
    expertAnalysis(rows, { interval: "95 % t interval over seeds", ...titleOf(kind) });
  if (kind !== "paper") return benchmarks(expertScores(analyses, { variant, from: kind }));
  const missing = paperMissing(analyses);
  if (missing) return notAnalysed(missing);
  const here = expertScores(analyses, { variant, rows: PAPER_ROWS });
  return benchmarks([...here, ...paperPanels()]);
}

const titleOf = (kind: ExpertFigureKind): { title?: string } =>
  kind === "ablated" ? { title: "Models without some experts" } : {};

/** The paper's table 6 as panels. */
function paperPanels(): ExpertBenchmark[] {
  const names = { language: "textual experts", vision: "visual experts", shared: "shared experts" };
  const benchmarks = [["mmbench", "MMBench"], ["textvqa", "TextVQA"], ["mmmu", "MMMU"]] as const;
  return benchmarks.map(([key, benchmark]) => ({
    benchmark,
    source: "paper, table 6",
    rows: PAPER_TABLE_6.map(({ kept, scores }) => ({
      kept: names[kept],
      group: kept,
      mean: scores[key]!,
    })),
  }));
}
