/** The routing of recorded runs in the form that the measures of routing take. */
import {
  addRecords,
  cellOf,
  poolOf,
  type PoolTable,
  type RoutingCell,
  type RoutingRecord,
  sharedExperts,
} from "../moe/mod.ts";

import { lvlmConfig } from "../models/mod.ts";
import type { RunAnalysis } from "./analysis_store.ts";
import type { RunRecord, StudyResults } from "./results.ts";

/** Routing of one run. */
export interface SeedRouting {
  /** The seed. */
  readonly seed: number;
  /** Its records, all families together or one. */
  readonly record: RoutingRecord;
}

/** Options of {@linkcode routingBySeed}. */
export interface RoutingBySeedOptions {
  /** One family of questions. Default all of them together. */
  readonly family?: string;
  /** Analyses of the same runs, for what counts do not tell: they know probabilities and pairs. */
  readonly analyses?: readonly RunAnalysis[];
}

/**
 * Routing of the recorded runs of a variant. Results hold counts: what needs probabilities is NaN, unless
 * there is an analysis of the run.
 */
export function routingBySeed(
  results: StudyResults,
  variant: string,
  { family, analyses = [] }: RoutingBySeedOptions = {},
): SeedRouting[] {
  return results.runs.filter((run) => run.variant === variant).flatMap((run) => {
    const known = analyses.find((a) => a.run === run.id)?.routing ?? countRecords(results, run);
    const wanted = known.filter((r) => family === undefined || r.benchmark === family);
    return wanted.length === 0 ? [] : [{ seed: run.seed, record: addRecords(wanted, family) }];
  });
}

/**
 * The counts of a run as routing records, one for each family. Sums of probabilities were not kept and are
 * NaN. Pairs of experts follow from the counts where tokens choose two of two or of three experts: each
 * leaves out one of three.
 */
export function countRecords(results: StudyResults, run: RunRecord): RoutingRecord[] {
  const { ffn } = results.variants.find((v) => v.name === run.variant)!.config;
  const { experts, pools, topK } = ffn;
  return run.routing.map(({ benchmark, layers }) => ({
    benchmark,
    experts,
    pools: pools.map(({ modality, experts }) => ({ modality, experts })),
    topK,
    layers: layers.map(({ layer, modalities }) => ({
      layer,
      cells: modalities.map(({ name, tokens, counts }) => countCell(ffn, name, tokens, counts)),
    })),
  }));
}

function countCell(
  table: PoolTable,
  modality: string,
  tokens: number,
  counts: readonly number[],
): RoutingCell {
  const unknown = counts.map(() => NaN);
  return {
    modality,
    tokenClass: "all",
    tokens,
    choices: counts,
    first: unknown,
    probability: unknown,
    entropy: NaN,
    margin: NaN,
    largest: NaN,
    dropped: 0,
    pairs: pairsOf(table, modality, tokens, counts),
  };
}

function pairsOf(
  table: PoolTable,
  modality: string,
  tokens: number,
  counts: readonly number[],
): number[] {
  const pool = poolOf(table, modality), n = counts.length;
  if (table.topK !== 2 || pool.length < 2 || pool.length > 3) return [];
  const pairs = new Array<number>(n * n).fill(0);
  for (const a of pool) {
    for (const b of pool) {
      // Tokens without the third expert chose these two.
      const third = pool.find((e) => e !== a && e !== b);
      pairs[a * n + b] = a === b ? counts[a] : tokens - (third === undefined ? 0 : counts[third]);
    }
  }
  return pairs;
}

/**
 * Whether nothing that experts do with the tokens of a modality in a layer can reach an answer: in the last
 * layer of the network nothing reads the tokens of a picture any more, and no label stands at their place.
 * Of their experts and router there only the balancing loss trains the router.
 *
 * @param at a layer and a modality
 */
export function isIdle(
  results: StudyResults,
  variant: string,
  at: { readonly layer: number; readonly modality: string },
): boolean {
  const record = results.variants.find((v) => v.name === variant);
  if (!record || at.modality === "text") return false;
  return at.layer === lvlmConfig(record.config.preset).language.layers - 1;
}

/** Says so, if a variant has such a layer. */
export function idleFact(results: StudyResults, variant: string): string {
  const runs = results.runs.filter((r) => r.variant === variant);
  const layers = [...new Set(runs.flatMap((r) => r.routing.flatMap((f) => f.layers)))];
  const idle = layers.find(({ layer, modalities }) =>
    modalities.some(({ name }) => isIdle(results, variant, { layer, modality: name }))
  );
  if (!idle) return "";
  return `Idle: layer ${idle.layer} is the last of the network, where nothing reads the image tokens any ` +
    "more and no label stands at their place; what their experts do there reaches no answer, and of " +
    "their router only the balancing loss is left.";
}

/** Shared experts of a layer, the most used one first: their numbers mean nothing across seeds. */
export function sharedByUse(record: RoutingRecord, layer: number): number[] {
  const { choices } = cellOf(record, { layer });
  return sharedExperts(record).toSorted((a, b) => choices[b] - choices[a]);
}
