/** The study's figures of made-up results. */

import {
  accuracyByFamily,
  activationProportions,
  balanceMetrics,
  dataScaleCurve,
  expertAnalysis,
  type Figure,
  loadOverTraining,
  lossCurves,
  pairedDifferences,
  parameterBars,
  pathFlow,
  pathways,
} from "../../src/plot/mod.ts";
import { exampleRouting } from "./examples.ts";
import {
  COSTS,
  DIFFERENCES,
  exampleBalance,
  exampleFamilies,
  examplePaths,
  exampleSeed,
  exampleVariants,
  FLOORS,
  HISTORIES,
  KEPT,
  PAPER,
  SCALES,
} from "./study_examples.ts";

/** Every figure by the name of its tests. */
export const FIGURES: Record<string, () => Figure> = {
  "lossCurves() of four variants": () => lossCurves(exampleVariants(60), { window: 5 }),
  "accuracyByFamily() of two splits and the paper": () =>
    accuracyByFamily(exampleFamilies(), {
      floors: FLOORS,
      paper: PAPER,
      paperName: "paper, table 1, 2M",
    }),
  "pairedDifferences() of five ablations": () =>
    pairedDifferences(DIFFERENCES, {
      reference: "MoIIE 1V+1L+2S",
      metric: "macro accuracy (percentage points)",
    }),
  "activationProportions() of four benchmarks and three seeds": () =>
    activationProportions(
      ["general", "ocr", "knowledge", "hallucination"].flatMap((benchmark, b) =>
        [0, 1, 2].map((seed) => exampleSeed(benchmark, b + 4 * seed))
      ),
    ),
  "dataScaleCurve() here and in the paper": () => dataScaleCurve(SCALES),
  "pathways() of two layers": () => pathways(exampleRouting(2)),
  "pathways() of sixteen layers": () =>
    pathways(exampleRouting(16), {
      pools: { image: ["V1", "S1", "S2"], text: ["L1", "S1", "S2"] },
    }),
  "pathFlow() of four layers": () => pathFlow(examplePaths(4)),
  "pathFlow() of six layers": () => pathFlow(examplePaths(6), { order: ["V1", "S1", "S2", "L1"] }),
  "loadOverTraining() of two layers": () => loadOverTraining(HISTORIES),
  "parameterBars() here and in the paper": () =>
    parameterBars(COSTS, { device: "a software adapter" }),
  "expertAnalysis() here and in the paper": () => expertAnalysis(KEPT),
  "balanceMetrics() of three seeds": () => balanceMetrics(exampleBalance()),
};
