/** How evenly the experts of recorded runs were used, and whether variants differ in it. */
import { deadFraction, loadCv, loadEntropy, maxVio } from "../moe/mod.ts";
import { type Finding, findingOfSeeds } from "./findings.ts";
import { comparisons, type Study, studyOf } from "./grid.ts";
import type { RunRecord, StudyResults } from "./results.ts";
import { estimate } from "./statistics.ts";
import { intervalText, type StudyTable } from "./tables.ts";

/** Use of the experts of one layer by the tokens of one modality: what `balanceMetrics` draws. */
export interface LayerBalance {
  /** The layer. */
  readonly layer: number;
  /** Modality of the tokens. */
  readonly modality: string;
  /** Experts that they may use. */
  readonly experts: number;
  /** Largest load above the mean, relative to the mean. */
  readonly maxVio: number;
  /** Coefficient of variation of the load. */
  readonly cv: number;
  /** Entropy of the load, nats. */
  readonly entropy: number;
  /** Share of the experts without a token. */
  readonly dead: number;
  /** Whether every token uses every expert, so that nothing can be out of balance. */
  readonly trivial: boolean;
  /** Seed of the run. */
  readonly seed?: number;
}

/** The same in a recorded run. */
export interface LoadRow extends LayerBalance {
  /** Seed of the run. */
  readonly seed: number;
}

/** A measure of balance. */
export type LoadMeasure = "maxVio" | "cv" | "entropy" | "dead";

/**
 * How evenly the experts of a variant were used, by run, layer and modality, over the questions of all
 * families; empty without experts or without results. Each modality is measured over its own pool.
 */
export function loadRows(results: StudyResults, variant: string): LoadRow[] {
  const record = results.variants.find((v) => v.name === variant);
  if (!record) return [];
  const { pools, topK } = record.config.ffn;
  return results.runs.filter((run) => run.variant === variant).flatMap((run) =>
    [...layersOf(run)].flatMap(([layer, modalities]) =>
      pools.flatMap(({ modality, experts }) => {
        const all = modalities.get(modality);
        if (!all) return [];
        const counts = experts.map((e) => all[e]);
        return [{
          layer,
          modality,
          experts: experts.length,
          maxVio: maxVio(counts),
          cv: loadCv(counts),
          entropy: loadEntropy(counts),
          dead: deadFraction(counts),
          trivial: experts.length <= topK,
          seed: run.seed,
        }];
      })
    )
  );
}

/** Choices by layer and modality, the families added up. */
function layersOf({ routing }: RunRecord): Map<number, Map<string, number[]>> {
  const layers = new Map<number, Map<string, number[]>>();
  for (const { layer, modalities } of routing.flatMap((r) => r.layers)) {
    const own = layers.get(layer) ?? new Map<string, number[]>();
    layers.set(layer, own);
    for (const { name, counts } of modalities) {
      const sums = own.get(name) ?? counts.map(() => 0);
      own.set(name, sums.map((sum, e) => sum + counts[e]));
    }
  }
  return layers;
}

/** A measure of balance by seed: the mean over the layers, of one modality. */
export function loads(
  results: StudyResults,
  variant: string,
  { measure = "maxVio", modality }: { measure?: LoadMeasure; modality: string },
): Map<number, number> {
  const rows = loadRows(results, variant).filter((r) => r.modality === modality && !r.trivial);
  return new Map(
    [...Map.groupBy(rows, (r) => r.seed)]
      .map(([seed, own]) => [seed, own.reduce((sum, r) => sum + r[measure], 0) / own.length]),
  );
}

const MODALITIES = ["image", "text"];
const decimal = (x: number): string => x.toFixed(2);
const signed = (x: number): string =>
  `${x > 0 && Number(decimal(x)) !== 0 ? "+" : ""}${decimal(x)}`
    .replace(/^-0\.00$/, "0.00");

/** MaxVio and dead experts of a study's variants, for each modality; those without are left out. */
export function loadTable(results: StudyResults, study: Study | string): StudyTable {
  const { name, title, variants } = studyOf(study);
  const cell = (variant: string, measure: LoadMeasure, modality: string): string => {
    const values = [...loads(results, variant, { measure, modality }).values()];
    return values.length === 0 ? "" : intervalText(estimate(values), decimal);
  };
  return {
    name: `${name}-load`,
    title: `${title}: balance of the experts`,
    head: [
      "variant",
      "seeds",
      ...MODALITIES.map((m) => `MaxVio, ${m}`),
      ...MODALITIES.map((m) => `dead share, ${m}`),
    ],
    rows: variants.flatMap(({ name, label }) => {
      const seeds = new Set(loadRows(results, name).map((r) => r.seed)).size;
      if (seeds === 0) return [];
      return [[
        label,
        String(seeds),
        ...MODALITIES.map((m) => cell(name, "maxVio", m)),
        ...MODALITIES.map((m) => cell(name, "dead", m)),
      ]];
    }),
    caption: "MaxVio: load of the fullest expert of a modality's pool above the mean load, as a " +
      "share of it; 0 is perfect balance. Dead share: experts that no token chose. Mean over the " +
      "layers with experts, on held-out questions (val); mean over seeds with its 95 % t interval.",
  };
}

/** What a study shows about the balance of the experts: MaxVio, by variant and modality. */
export function loadFindings(results: StudyResults, study: Study | string): Finding[] {
  return comparisons(studyOf(study)).flatMap(([first, ...others]) =>
    others.flatMap(({ name, label }) =>
      MODALITIES.map((modality) =>
        findingOfSeeds(
          {
            label,
            reference: first.label,
            what: `MaxVio of ${modality} tokens`,
            number: signed,
          },
          loads(results, name, { modality }),
          loads(results, first.name, { modality }),
        )
      )
    )
  );
}
