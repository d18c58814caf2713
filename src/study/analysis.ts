/**
 * What the experts of a trained model do: routing records, paths, weights, and the accuracy of the model
 * with one kind of expert only (paper table 6) and without some. Plain data, for figures and tables.
 */
import type { EmojiVqa } from "../data/mod.ts";
import {
  ablateExperts,
  expertsNamed,
  extractDense,
  type Lvlm,
  lvlm,
  modelParameters,
} from "../models/mod.ts";
import {
  crossLayerCounts,
  type PathCount,
  pathCounts,
  type PoolTable,
  type RoutingRecord,
  type TokenChoices,
  tokensWhere,
  vocabularySpecialisation,
  type VocabularyUse,
} from "../moe/mod.ts";
import { lab } from "../tensor/mod.ts";
import { evaluate, type Score, type TestSplit } from "./evaluate.ts";
import { denseVectors, type ExpertWeights, expertWeights } from "./expert_weights.ts";
import type { RunConfig } from "./grid.ts";
import { recordPaths, routingRecords } from "./routing.ts";
import { keptModel } from "./run_weights.ts";

/** Accuracy of a changed model. */
export interface VariantScores {
  /** Name of the expert, or of the group: what was kept, or taken away. */
  readonly which: string;
  /** Group of the experts; `mixed` if several. */
  readonly group: string;
  /** Mean of the families' accuracies. */
  readonly macro: number;
  /** By family. */
  readonly families: Readonly<Record<string, Score>>;
}

/** Paths of the tokens of one modality, and what else is known of single tokens. */
export interface PathSummary {
  /** The modality. */
  readonly modality: string;
  /** Places of the mixture layers. */
  readonly layers: readonly number[];
  /** Tokens of all paths. */
  readonly tokens: number;
  /** The most common ways through the layers by likeliest expert. */
  readonly paths: readonly PathCount[];
  /** The same by all chosen experts. */
  readonly patterns: readonly PathCount[];
  /** Tokens by likeliest expert in a layer and in the next one, `[layers - 1][E][E]`. */
  readonly across: readonly (readonly (readonly number[])[])[];
  /** How strongly words keep to experts, by layer; of image tokens it says nothing. */
  readonly vocabulary: readonly VocabularyUse[];
}

/** What was found in one model. */
export interface ExpertAnalysis {
  /** Split that was asked. */
  readonly split: TestSplit;
  /** The first so many pictures only, if not all. */
  readonly limit?: number;
  /** The model as it is. */
  readonly full: VariantScores;
  /** Dense models of one expert, or of the mean of a group. */
  readonly kept: readonly VariantScores[];
  /** The model without one expert, or a group; what would leave a modality without experts is missing. */
  readonly ablated: readonly VariantScores[];
  /** Routing on the questions of each family. */
  readonly routing: readonly RoutingRecord[];
  /** Ways through the layers, by modality. */
  readonly paths: readonly PathSummary[];
  /** Similarity and drift of the experts. */
  readonly weights: readonly ExpertWeights[];
}

/** Options of {@linkcode analyseExperts}. */
export interface AnalysisOptions {
  /** Split that is asked. Default `val`. */
  split?: TestSplit;
  /** Ask about the first pictures only. Default all. */
  limit?: number;
  /** Pictures are gray, as the model was trained. Default false. */
  blind?: boolean;
  /** What the experts started from, by layer, see `denseVectors`. Default unknown: no drift. */
  initial?: ReadonlyMap<number, ArrayLike<number>>;
  /** Told in words what happens. */
  log?: (line: string) => void;
}

/** Paths that are kept of each modality. */
const MOST_PATHS = 24;

/**
 * Names for extraction and ablation: every expert, and every group that has several. Of more than 8
 * experts only the first of each group (those of a group start equal, so any one stands for all), and the
 * groups.
 */
export function expertChoices(table: PoolTable): string[] {
  const whole = [...new Set(table.experts.map((e) => e.name.replace(/\.\d+$/, "")))];
  const groups = [...Map.groupBy(whole, (name) => groupOf(table, name))];
  return groups.flatMap(([group, names]) => [
    ...(whole.length > 8 ? names.slice(0, 1) : names),
    ...(names.length > 1 ? [group] : []),
  ]);
}

function groupOf(table: PoolTable, which: string): string {
  const groups = new Set(expertsNamed(table, which).map((e) => table.experts[e].group));
  return groups.size === 1 ? [...groups][0] : "mixed";
}

/**
 * Looks at the experts of a model: records routing and paths, compares weights, evaluates dense models
 * of single experts and groups without further training (paper table 6), and the model without them.
 *
 * @throws {RangeError} if the model has no mixture layers.
 */
export async function analyseExperts(
  model: Lvlm,
  data: EmojiVqa,
  options: AnalysisOptions = {},
): Promise<ExpertAnalysis> {
  const { split = "val", limit, blind, log = () => {} } = options;
  const table = model.config.ffn, choices = expertChoices(table);
  const scores = async (m: Lvlm, which: string, group: string): Promise<VariantScores> => {
    const [{ macro, families }] = await evaluate(m, data, { splits: [split], limit, blind });
    return { which, group, macro, families };
  };
  const paths = await recordPaths(model, data, { split });
  const routing = await routingRecords(model, data, { split, limit: limit ?? Infinity });
  const weights = await expertWeights(model, options.initial);
  const full = await scores(model, "all", "mixed");
  const kept: VariantScores[] = [], ablated: VariantScores[] = [];
  for (const which of choices) {
    log(`  ${which} alone, and the model without ${which}`);
    if (!table.alwaysOn) {
      const one = await extractDense(model, which);
      kept.push(await scores(one, which, groupOf(table, which)));
      for (const t of modelParameters(one).values()) t.dispose();
    }
    if (leavesNobody(table, which)) continue;
    const less = await ablateExperts(model, which);
    ablated.push(await scores(less, which, groupOf(table, which)));
    // All but the routers belong to the model.
    for (const { ffn } of less.language.blocks) {
      if (ffn.table.experts.length > 1) ffn.routers.forEach((r) => r.dispose());
    }
  }
  return { split, limit, full, kept, ablated, routing, paths: pathSummaries(paths), weights };
}

/** Whether the tokens of a modality would have no expert. */
function leavesNobody(table: PoolTable, which: string): boolean {
  const gone = expertsNamed(table, which);
  return table.pools.some(({ experts }) => experts.every((e) => gone.includes(e)));
}

/** The most common paths of each modality, and what else single tokens tell. */
export function pathSummaries(choices: TokenChoices): PathSummary[] {
  return choices.pools.flatMap(({ modality }) => {
    const tokens = tokensWhere(choices, { modality });
    if (tokens.length === 0) return [];
    return [{
      modality,
      layers: choices.layers,
      tokens: tokens.length,
      paths: pathCounts(choices, tokens).slice(0, MOST_PATHS),
      patterns: pathCounts(choices, tokens, "pattern").slice(0, MOST_PATHS),
      across: choices.layers.slice(1).map((_, l) => crossLayerCounts(choices, tokens, l, l + 1)),
      vocabulary: choices.layers.map((_, l) => vocabularySpecialisation(choices, l, tokens)),
    }];
  });
}

/**
 * Analyses a finished run of a study from its kept weights, in a session of its own. Drift is from the
 * pretrained network: that of a three-stage run includes its dense stage.
 *
 * @param path the run's weights, see `keptWeights`
 * @throws {RangeError} if the run's model has no mixture layers, or the weights do not fit it.
 * @throws {Deno.errors.NotFound} if there is no such file.
 */
export async function analyseRun(
  config: RunConfig,
  path: string,
  data: EmojiVqa,
  options: Omit<AnalysisOptions, "initial" | "blind"> = {},
): Promise<ExpertAnalysis> {
  using _session = await lab({ seed: config.seed });
  const model = await keptModel(config, path);
  const start = await lvlm(config.preset, { seed: config.seed });
  const initial = await denseVectors(start);
  for (const t of modelParameters(start).values()) t.dispose();
  return await analyseExperts(model, data, { ...options, initial, blind: config.blind });
}
