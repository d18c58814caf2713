/** Small inputs that the plot tests share: no randomness, so that specs and pictures are stable. */

import type { AccuracyRow, LossRecord, RoutingSummary } from "../../src/plot/mod.ts";

/** A two-stage run with a wave on a falling loss. */
export function exampleRun(steps = 400, rate = true): LossRecord[] {
  return Array.from({ length: steps }, (_, step) => ({
    step,
    loss: 0.4 + 4 * Math.exp(-step / (steps / 5)) + 0.25 * Math.sin(step * 1.7) ** 3,
    ...(rate ? { learningRate: 2e-3 * Math.cos((Math.PI / 2) * (step / steps)) } : {}),
    stage: step < steps * 0.4 ? "connector" : "instruct",
  }));
}

/** Four families on some splits. */
export function exampleAccuracy(splits: readonly string[] = [""]): AccuracyRow[] {
  const families = ["general", "ocr", "knowledge", "hallucination"];
  const floors = [0.213, 0.063, 0.197, 0.547];
  return splits.flatMap((split, s) =>
    families.map((family, f) => {
      const accuracy = [0.8, 0.67, 0.81, 0.8][f] - 0.08 * s;
      return {
        family,
        accuracy,
        floor: floors[f],
        low: accuracy - 0.04,
        high: accuracy + 0.035,
        n: 125,
        ...(split ? { split } : {}),
      };
    })
  );
}

/** MoIIE with one vision, one language and two shared experts. */
export function exampleRouting(layers = 2, benchmark?: string): RoutingSummary {
  return {
    experts: [
      { name: "V1", group: "vision" },
      { name: "L1", group: "language" },
      { name: "S1", group: "shared" },
      { name: "S2", group: "shared" },
    ],
    layers: Array.from({ length: layers }, (_, index) => {
      const depth = index / Math.max(1, layers - 1);
      const image = Math.round(1000 * (0.45 - 0.3 * depth));
      const text = Math.round(400 * (0.3 + 0.1 * Math.sin(4 * depth)));
      return {
        layer: 2 * index + 1,
        modalities: [
          {
            name: "image",
            tokens: 500,
            counts: [image, 0, Math.round((1000 - image) * (0.5 + 0.2 * depth)), 0],
            chanceShared: 2 / 3,
          },
          {
            name: "text",
            tokens: 200,
            counts: [0, text, 0, Math.round((400 - text) * (0.6 - 0.3 * depth))],
            chanceShared: 2 / 3,
          },
        ].map((entry) => fillLast(entry, entry.name === "image" ? 3 : 2)),
      };
    }),
    ...(benchmark ? { benchmark } : {}),
  };
}

/** Gives the remaining choices (two a token) to one expert. */
function fillLast<T extends { tokens: number; counts: number[] }>(entry: T, expert: number): T {
  const counts = [...entry.counts];
  counts[expert] = 2 * entry.tokens - counts.reduce((sum, count) => sum + count, 0);
  return { ...entry, counts };
}
