/** What recorded routing says about the use of the experts, as tables over seeds. */
import {
  cellOf,
  expertInformation,
  interModalityRatios,
  type LoadMetrics,
  loadMetrics,
  mutualInformation,
  patternShares,
  poolOf,
  type RoutingRecord,
  sharedAgreement,
  sharedExperts,
} from "../moe/mod.ts";
import {
  idleFact,
  isIdle,
  routingBySeed,
  type RoutingBySeedOptions,
  type SeedRouting,
  sharedByUse,
} from "./recorded_routing.ts";
import type { StudyResults } from "./results.ts";
import { type Estimate, estimate } from "./statistics.ts";
import { differenceText, intervalText, type StudyTable } from "./tables.ts";

/** Tokens of one modality in one layer. */
export interface RoutedCell {
  /** The layer. */
  readonly layer: number;
  /** The modality. */
  readonly modality: string;
}

/** Name of a modality's tokens; those that can reach no answer are named as such. */
const tokensOf = (results: StudyResults, variant: string, at: RoutedCell): string =>
  isIdle(results, variant, at) ? `${at.modality} (idle)` : at.modality;

/** A sentence behind a caption, if there is one. */
const also = (sentence: string): string => sentence === "" ? "" : ` ${sentence}`;

const SEEDS = "Mean over seeds with its 95 % t interval";
const decimal = (x: number): string => x.toFixed(2);
const percent = (share: number): string => (100 * share).toFixed(1);

/** A measure of every seed: its mean and interval. */
const over = (seeds: readonly SeedRouting[], of: (record: RoutingRecord) => number): Estimate =>
  estimate(seeds.map(({ record }) => of(record)));

/** Layers and modalities of recorded routing that have tokens, shallow ones first. */
export function routedCells(
  [first]: readonly SeedRouting[],
): { layer: number; modality: string }[] {
  if (!first) return [];
  const { layers, pools } = first.record;
  return layers.flatMap(({ layer }) =>
    pools.map(({ modality }) => ({ layer, modality }))
      .filter((at) => cellOf(first.record, at).tokens > 0)
  );
}

/** The share of the choices that goes to shared experts, by seed, in one layer and modality. */
export function sharedShares(
  seeds: readonly SeedRouting[],
  { layer, modality }: RoutedCell,
): { shares: Map<number, number>; chance: number } {
  const found = seeds.map(({ seed, record }) => ({
    seed,
    ...interModalityRatios(record).find((r) => r.layer === layer && r.modality === modality)!,
  }));
  return {
    shares: new Map(found.map(({ seed, ratio }) => [seed, ratio])),
    chance: found[0]?.chance ?? NaN,
  };
}

/** Families of the recorded questions. */
export const routedFamilies = (results: StudyResults, variant: string): string[] => [
  ...new Set(
    results.runs.filter((r) => r.variant === variant).flatMap((r) =>
      r.routing.map((of) => of.benchmark)
    ),
  ),
];

/**
 * Share of the choices that goes to shared experts (the inter-modality ratio), by layer and modality and
 * for each family, against that of a router that chooses at random. No rows without recorded routing.
 */
export function interModalityTable(results: StudyResults, variant: string): StudyTable {
  const seeds = routingBySeed(results, variant), families = routedFamilies(results, variant);
  return {
    name: `${variant}-inter-modality`,
    title: "Share of the shared experts",
    head: ["layer", "tokens", "at random %", "all families %", "less random", ...families],
    rows: routedCells(seeds).map((at) => {
      const { shares, chance } = sharedShares(seeds, at);
      const values = [...shares.values()];
      return [
        String(at.layer),
        tokensOf(results, variant, at),
        percent(chance),
        intervalText(estimate(values)),
        differenceText(estimate(values.map((share) => share - chance))),
        ...families.map((family) => {
          const own = sharedShares(routingBySeed(results, variant, { family }), at).shares;
          return intervalText(estimate([...own.values()]));
        }),
      ];
    }),
    caption: `Choices that go to shared experts, of all top-k choices of a modality's tokens, by ` +
      `family in percent. ${SEEDS}. At random: shared experts of the modality's pool.` +
      also(idleFact(results, variant)),
  };
}

/** Measures of use, with what they mean. */
const MEASURES: readonly {
  readonly name: string;
  readonly definition: string;
  readonly fair: string;
  readonly of: (m: LoadMetrics) => number;
}[] = [
  { name: "MaxVio", definition: "(max c − c̄) / c̄", fair: "0", of: (m) => m.maxVio },
  { name: "load CV", definition: "standard deviation of c over c̄", fair: "0", of: (m) => m.cv },
  {
    name: "load entropy",
    definition: "−Σ q ln q over ln n",
    fair: "1",
    of: (m) => m.experts.length > 1 ? m.entropy / Math.log(m.experts.length) : 1,
  },
  {
    name: "effective experts",
    definition: "exp of the load's entropy",
    fair: "n",
    of: (m) => m.effective,
  },
  { name: "Gini", definition: "Σ |qᵢ − qⱼ| / 2n", fair: "0", of: (m) => m.gini },
  { name: "dead experts", definition: "share of the n with c = 0", fair: "0", of: (m) => m.dead },
  {
    name: "token entropy",
    definition: "mean of H(p) of a token, over ln n; 1 undecided, 0 sure",
    fair: "",
    of: (m) => m.tokenEntropy,
  },
  {
    name: "routing information",
    definition: "H(mean p) − mean H(p), nats; high if balanced and decisive",
    fair: "",
    of: (m) => m.mutualInformation,
  },
  {
    name: "margin",
    definition: "largest p less the second, mean; 0 undecided, 1 sure",
    fair: "",
    of: (m) => m.margin,
  },
];

/**
 * Measures of balance and of decision with their definitions, by layer and modality. What needs
 * probabilities is there if the analyses of the runs are given.
 */
export function routingMeasuresTable(
  results: StudyResults,
  variant: string,
  options: RoutingBySeedOptions = {},
): StudyTable {
  const seeds = routingBySeed(results, variant, options), cells = routedCells(seeds);
  const metrics = seeds.map(({ record }) => loadMetrics(record));
  const rows = MEASURES.flatMap(({ name, definition, fair, of }) => {
    const found = cells.map((at) =>
      estimate(
        metrics.map((all) =>
          of(all.find((m) => m.layer === at.layer && m.modality === at.modality)!)
        ),
      )
    );
    const isKnown = found.length > 0 && found.every(({ mean }) => Number.isFinite(mean));
    return isKnown ? [[name, definition, fair, ...found.map((e) => intervalText(e, decimal))]] : [];
  });
  const left = rows.length > 0 && rows.length < MEASURES.length
    ? " Measures of probabilities need an analysis of the runs."
    : "";
  return {
    name: `${variant}-measures`,
    title: "Measures of routing",
    head: [
      "measure",
      "definition",
      "fair",
      ...cells.map((at) => `layer ${at.layer}, ${tokensOf(results, variant, at)}`),
    ],
    rows,
    caption:
      `c: load of an expert, c̄ its mean, q = c / Σc, p: probabilities of a token, n: experts ` +
      `that its modality may use. ${SEEDS}, held-out questions.${left}` +
      also(idleFact(results, variant)),
  };
}

/** The counts that a router without preference would have made. */
function atRandom(record: RoutingRecord, layer: number): number[][] {
  return record.pools.map(({ modality }) => {
    const { choices } = cellOf(record, { layer, modality }), pool = poolOf(record, modality);
    const sum = choices.reduce((a, b) => a + b, 0);
    return choices.map((_, e) => pool.includes(e) ? sum / pool.length : 0);
  });
}

const transposed = (rows: readonly (readonly number[])[]): number[][] =>
  rows[0].map((_, e) => rows.map((row) => row[e]));

/**
 * How much experts and modalities tell of each other, by layer: mutual information of all experts, at
 * random, and of the shared ones alone, and how differently both modalities use the shared experts.
 */
export function modalityInformationTable(results: StudyResults, variant: string): StudyTable {
  const seeds = routingBySeed(results, variant);
  const layers = [...new Set(routedCells(seeds).map(({ layer }) => layer))];
  const hasShared = seeds.some(({ record }) => sharedExperts(record).length > 0);
  return {
    name: `${variant}-information`,
    title: "Experts and modalities",
    head: [
      "layer",
      "I(expert; modality), nats",
      "normalised",
      "at random",
      "within the shared",
      "image-text divergence",
    ],
    rows: layers.map((layer) => {
      const cell = (of: (record: RoutingRecord) => number) =>
        intervalText(over(seeds, of), decimal);
      return [
        String(layer),
        cell((r) => expertInformation(r, layer, "modality").nats),
        cell((r) => expertInformation(r, layer, "modality").normalised),
        cell((r) => mutualInformation(transposed(atRandom(r, layer))).normalised),
        hasShared
          ? cell((r) => expertInformation(r, layer, "modality", sharedExperts(r)).normalised)
          : "",
        hasShared ? cell((r) => sharedAgreement(r, layer)) : "",
      ];
    }),
    caption:
      "I = Σ p(e, m) ln p(e, m) / p(e)p(m) over choices, normalised by the smaller entropy: 1 " +
      "if an expert tells the modality. At random: a router without preference, experts of one " +
      "modality alone make it more than 0. Divergence: Jensen-Shannon, bits, of the two modalities' " +
      `use of the shared experts: 0 alike, 1 nothing in common. ${SEEDS}.` +
      also(idleFact(results, variant)),
  };
}

/** How often a modality's tokens chose a pair of experts in one layer. */
export interface PatternUse {
  /** The layer. */
  readonly layer: number;
  /** The modality. */
  readonly modality: string;
  /** `own + 1st shared`, …: shared experts by their use in the layer, since seeds number them anew. */
  readonly pattern: string;
  /** Share of the tokens, over seeds. */
  readonly share: Estimate;
  /** Share if all pairs of the pool were as likely. */
  readonly chance: number;
}

/** Shares of the pairs of experts that tokens choose, by layer and modality; empty if not recorded. */
export function patternUse(seeds: readonly SeedRouting[]): PatternUse[] {
  return routedCells(seeds).flatMap(({ layer, modality }) => {
    const known = seeds.filter(({ record }) =>
      cellOf(record, { layer, modality }).pairs.length > 0
    );
    if (known.length === 0 || known[0].record.topK !== 2) return [];
    const bySeed = known.map(({ record }) => kindsOf(record, layer, modality));
    const kinds = [...new Set(bySeed.flatMap((m) => [...m.keys()]))].sort();
    return kinds.map((pattern): PatternUse => ({
      layer,
      modality,
      pattern,
      share: estimate(bySeed.map((m) => m.get(pattern)?.share ?? 0)),
      chance: bySeed[0].get(pattern)?.chance ?? 0,
    }));
  });
}

function kindsOf(
  record: RoutingRecord,
  layer: number,
  modality: string,
): Map<string, { share: number; chance: number }> {
  const ranked = sharedByUse(record, layer).map((e) => record.experts[e].name);
  const nameOf = (expert: string): string => {
    const rank = ranked.indexOf(expert);
    if (rank < 0) return "own";
    return ranked.length === 2 ? ["1st shared", "2nd shared"][rank] : "shared";
  };
  const patterns = patternShares(record, layer, modality);
  const kinds = new Map<string, { share: number; chance: number }>();
  for (const { pattern, share } of patterns) {
    const kind = pattern.split("+").map(nameOf)
      .sort((a, b) => a === b ? 0 : a === "own" ? -1 : b === "own" ? 1 : a < b ? -1 : 1).join(
        " + ",
      );
    const sum = kinds.get(kind) ?? { share: 0, chance: 0 };
    kinds.set(kind, { share: sum.share + share, chance: sum.chance + 1 / patterns.length });
  }
  return kinds;
}

/** Shares of the pairs of experts that tokens choose, as a table; no rows if not recorded. */
export function patternTable(
  results: StudyResults,
  variant: string,
  options: RoutingBySeedOptions = {},
): StudyTable {
  return {
    name: `${variant}-patterns`,
    title: "Pairs of experts",
    head: ["layer", "tokens", "pair", "share %", "at random %", "less random"],
    rows: patternUse(routingBySeed(results, variant, options)).map(
      ({ layer, modality, pattern, share, chance }) => [
        String(layer),
        tokensOf(results, variant, { layer, modality }),
        pattern,
        intervalText(share),
        percent(chance),
        differenceText(estimate(share.seeds.map((s) => s - chance))),
      ],
    ),
    caption:
      "Tokens by the two experts that they chose. Own: an expert of the modality alone. The 1st " +
      `shared expert is the one that a layer's tokens use more; seeds number them anew. ${SEEDS}. By ` +
      "its definition the 1st is above chance, whatever the router does." +
      also(idleFact(results, variant)),
  };
}
