/** Sentences about recorded routing: against chance, from layer to layer, and on shared experts. */
import { cellOf } from "../moe/mod.ts";
import { type Finding, findingOf, findingOfSeeds } from "./findings.ts";
import {
  idleFact,
  isIdle,
  routingBySeed,
  type RoutingBySeedOptions,
  type SeedRouting,
  sharedByUse,
} from "./recorded_routing.ts";
import type { StudyResults } from "./results.ts";
import { patternUse, routedCells, routedFamilies, sharedShares } from "./routing_tables.ts";
import { estimate } from "./statistics.ts";

/**
 * What recorded routing says about the share of the shared experts: against a router that chooses at
 * random, and, as the paper's figures 4 and 6 have it rise, in the deepest layer against the shallowest.
 * Idle layers, which reach no answer, are left out.
 *
 * @param families also each family of questions by itself. Default false.
 */
export function interModalityFindings(
  results: StudyResults,
  variant: string,
  { families = false }: { readonly families?: boolean } = {},
): Finding[] {
  const seeds = routingBySeed(results, variant);
  const cells = routedCells(seeds).filter((at) => !isIdle(results, variant, at));
  const chance = cells.map((at): Finding => {
    const { shares, chance } = sharedShares(seeds, at);
    return findingOf({
      label: "share of the shared experts",
      reference: "at random",
      what: `${at.modality} tokens, layer ${at.layer}`,
      difference: estimate([...shares.values()].map((share) => share - chance)),
    });
  });
  const groups = [
    { seeds, name: "" },
    ...(families ? routedFamilies(results, variant) : []).map((family) => ({
      seeds: routingBySeed(results, variant, { family }),
      name: `, ${family}`,
    })),
  ];
  const { label = variant } = results.variants.find((v) => v.name === variant) ?? {};
  return [...chance, ...groups.flatMap(({ seeds, name }) => depthFindings(seeds, cells, name))]
    .map((finding) => ({ ...finding, text: `${label}: ${finding.text}` }));
}

/** The deepest layer against the shallowest, of the modalities that have two. */
function depthFindings(
  seeds: readonly SeedRouting[],
  cells: ReturnType<typeof routedCells>,
  name: string,
): Finding[] {
  return [...Map.groupBy(cells, ({ modality }) => modality)].flatMap(([modality, own]) => {
    const first = own[0], last = own.at(-1)!;
    if (first === last) return [];
    const finding = findingOfSeeds(
      {
        label: `layer ${last.layer}`,
        reference: `layer ${first.layer}`,
        what: `share of the shared experts, ${modality} tokens${name}`,
      },
      sharedShares(seeds, last).shares,
      sharedShares(seeds, first).shares,
    );
    return [name === "" ? { ...finding, text: `${finding.text} The paper: higher.` } : finding];
  });
}

/**
 * What recorded choices say about pairs of experts and about common shared experts, in sentences of counts
 * and shares: how many tokens used no shared expert, and in how many seeds both modalities prefer the
 * same shared expert. Empty without recorded routing.
 */
export function pathwayFacts(
  results: StudyResults,
  variant: string,
  options: RoutingBySeedOptions = {},
): string[] {
  const seeds = routingBySeed(results, variant, options);
  const patterns = patternUse(seeds);
  if (patterns.length === 0) return [];
  const without = patterns.filter(({ pattern }) => !pattern.includes("shared"));
  const most = Math.max(0, ...without.map(({ share }) => Math.max(...share.seeds)));
  const cells = routedCells(seeds), idle = idleFact(results, variant);
  const layers = [...new Set(cells.map(({ layer }) => layer))].filter((layer) =>
    cells.every((at) => at.layer !== layer || !isIdle(results, variant, at))
  );
  const n = seeds.length;
  return [
    without.length === 0
      ? "Every token used at least one shared expert, in every layer: two choices and one expert of its " +
        "own leave no other way. That no token stays within its modality is arithmetic, not learned."
      : `Tokens that used no shared expert: at most ${
        (100 * most).toFixed(1)
      } % in a layer and seed.`,
    ...layers.flatMap((layer) => {
      const favourites = seeds.map(({ record }) =>
        record.pools.map(({ modality }) => {
          const { choices } = cellOf(record, { layer, modality });
          return sharedByUse(record, layer).toSorted((a, b) => choices[b] - choices[a])[0];
        })
      );
      const shared = sharedByUse(seeds[0].record, layer).length;
      if (shared < 2) return [];
      const same = favourites.filter((f) => new Set(f).size === 1).length;
      return [
        `Layer ${layer}: image and text tokens use the same shared expert most in ${same} of ${n} ` +
        `seeds; one in ${shared} would by chance.`,
      ];
    }),
    ...idle ? [idle] : [],
  ];
}
