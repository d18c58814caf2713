/** What was found of experts, in the forms that the figures draw. */
import { loadMetrics, type PathCount, type RoutingRecord } from "../moe/mod.ts";
import type { VariantScores } from "./analysis.ts";
import type { RunAnalysis } from "./analysis_store.ts";
import type { LayerBalance } from "./expert_load.ts";
import { type Estimate, estimate } from "./statistics.ts";

/** Balance of every layer and modality of a record, for `balanceMetrics`. */
export function balanceInputs(record: RoutingRecord, seed?: number): LayerBalance[] {
  return loadMetrics(record).filter((m) => m.modality !== "all").map((m) => ({
    layer: m.layer,
    modality: m.modality,
    experts: m.experts.length,
    maxVio: m.maxVio,
    cv: m.cv,
    entropy: m.entropy,
    dead: m.dead,
    trivial: m.trivial,
    seed,
  }));
}

/** Paths of one modality: what `pathFlow` draws. */
export interface PathInput {
  /** The modality. */
  readonly modality: string;
  /** Places of the mixture layers. */
  readonly layers: readonly number[];
  /** The most common paths. */
  readonly paths: readonly PathCount[];
  /** Tokens of all paths, those that are not listed too. */
  readonly tokens: number;
}

/**
 * The most common paths of each modality, for `pathFlow`.
 *
 * @param entry what stands for a layer: the likeliest expert, or all that were chosen. Default `first`.
 */
export function pathInputs(
  { paths }: Pick<RunAnalysis, "paths">,
  entry: "first" | "pattern" = "first",
): PathInput[] {
  return paths.map(({ modality, layers, tokens, ...found }) => ({
    modality,
    layers,
    tokens,
    paths: entry === "first" ? found.paths : found.patterns,
  }));
}

/** Scores of changed models on one family: what `expertAnalysis` draws, in percent. */
export interface ExpertScores {
  /** The family, or `mean`. */
  readonly benchmark: string;
  /** The models, one row each. */
  readonly rows: readonly (Estimate & { readonly kept: string; readonly group: string })[];
  /** The model that they were taken from. */
  readonly full?: Estimate;
}

/** One row of {@linkcode expertScores}: which model of which variant. */
export interface ScoreRow {
  /** Name of the row. Default what is kept. */
  readonly name?: string;
  /** Name of the variant. */
  readonly variant: string;
  /** What is kept, or taken away. */
  readonly which: string;
}

/** Rows of the paper's table 6: experts of a trained modality MoE, and the first shared one of MoIIE. */
export const PAPER_ROWS: readonly ScoreRow[] = [
  { name: "textual experts", variant: "modality-hard", which: "L1" },
  { name: "visual experts", variant: "modality-hard", which: "V1" },
  { name: "shared experts", variant: "moiie", which: "S1" },
];

/**
 * Accuracies in percent of models that keep one kind of expert (paper table 6) or go without it, with
 * intervals over the seeds, family by family and for their mean.
 *
 * @param rows which models. Default everything that was kept of `variant`; for the paper's way, from two
 * models, {@linkcode PAPER_ROWS}
 * @throws {RangeError} if there is no analysis of a row.
 */
export function expertScores(
  analyses: readonly RunAnalysis[],
  options: { variant: string; from?: "kept" | "ablated"; rows?: readonly ScoreRow[] },
): ExpertScores[] {
  const { variant, from = "kept" } = options;
  const of = (name: string) => {
    const mine = analyses.filter((a) => a.variant === name);
    if (mine.length > 0) return mine;
    throw new RangeError(
      `expertScores: there is no analysis of "${name}" among ${
        [...new Set(analyses.map((a) => a.variant))].join(", ") || "none at all"
      }; make it with: deno task study analyse`,
    );
  };
  const rows = options.rows ??
    of(variant)[0][from].map(({ which }): ScoreRow => ({ variant, which }));
  const families = ["mean", ...Object.keys(of(variant)[0].full.families)];
  const percent = (all: readonly VariantScores[], family: string): Estimate =>
    estimate(
      all.map((s) => 100 * (family === "mean" ? s.macro : s.families[family].accuracy)),
    );
  return families.map((benchmark) => ({
    benchmark,
    rows: rows.map(({ name, variant, which }) => {
      const found = of(variant).flatMap((a) => a[from].filter((s) => s.which === which));
      if (found.length === 0) {
        throw new RangeError(`expertScores: no analysis of "${variant}" has ${from} ${which}`);
      }
      const kept = name ?? nameOf(found[0], from);
      return { kept, group: found[0].group, ...percent(found, benchmark) };
    }),
    full: percent(of(variant).map((a) => a.full), benchmark),
  }));
}

/** Name of a row: groups are means of their experts. */
function nameOf({ which, group }: VariantScores, from: "kept" | "ablated"): string {
  if (from === "ablated") return `without ${which}`;
  return which === group ? `mean of ${which}` : which;
}
