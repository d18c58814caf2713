/** Made-up results of a study, for the tests of its figures: no randomness, so nothing changes. */

import type {
  BalanceRecord,
  CostPanel,
  DataScalePanel,
  ExpertBenchmark,
  FamilyEstimate,
  FamilyFloor,
  LoadHistory,
  LossRecord,
  LossVariant,
  PairedDifference,
  PaperScore,
  PathCounts,
  RoutingSummary,
} from "../../src/plot/mod.ts";

/** The variants that most figures compare. */
export const VARIANTS = ["Dense", "Vanilla MoE", "Modality MoE", "MoIIE"];

/** A number from -1 to 1 that looks like noise. */
export function wobble(seed: number): number {
  return Math.sin(12.9898 * seed + 78.233) * Math.cos(4.1414 * seed);
}

/** Mean, interval and values of some seeds around a number. */
export function estimate(
  mean: number,
  spread: number,
  seed = 1,
  n = 5,
): { mean: number; low: number; high: number; seeds: number[] } {
  const seeds = Array.from({ length: n }, (_, i) => mean + spread * wobble(seed * 7 + i));
  const average = seeds.reduce((sum, value) => sum + value, 0) / n;
  return { mean: average, low: average - spread, high: average + spread, seeds };
}

/** Two stages of training, a few seeds each. */
export function exampleVariants(steps = 700, seeds = 3): LossVariant[] {
  return VARIANTS.map((name, v) => ({
    name,
    runs: Array.from(
      { length: seeds },
      (_, seed) =>
        Array.from({ length: steps }, (_, step): LossRecord => {
          const stage = step < 0.4 * steps ? "connector" : "instruct";
          const since = stage === "connector" ? step : step - 0.4 * steps;
          const start = stage === "connector" ? 4.5 : 2.6;
          const level = 0.349 - 0.005 * v + 0.003 * wobble(seed + 10 * v);
          const end = stage === "connector" ? 1.8 : level;
          return {
            step,
            stage,
            loss: end + (start - end) * Math.exp(-since / (0.09 * steps)) +
              0.02 * wobble(step + 1000 * seed),
          };
        }),
    ),
  }));
}

const FAMILIES = ["general", "ocr", "knowledge", "hallucination"];

/** Four families on some splits, four variants, five seeds. */
export function exampleFamilies(splits: readonly string[] = ["val", "style"]): FamilyEstimate[] {
  return splits.flatMap((split, s) =>
    FAMILIES.flatMap((family, f) =>
      VARIANTS.map((variant, v) => ({
        variant,
        family,
        split,
        questions: 500,
        ...estimate([0.8, 0.67, 0.81, 0.82][f] - 0.09 * s + 0.006 * v, 0.015, s + 3 * f + 11 * v),
      }))
    )
  );
}

/** Floors of these families. */
export const FLOORS: FamilyFloor[] = FAMILIES.map((family, f) => ({
  family,
  floor: [0.213, 0.063, 0.197, 0.547][f],
  chance: [0.08, 0.01, 0.1, 0.5][f],
}));

/** Some of the paper's scores (table 1 at 2M, Phi-3-mini). */
export const PAPER: PaperScore[] = VARIANTS.flatMap((variant, v) =>
  ["MMBench", "GQA", "POPE", "MMMU", "MM-Vet", "SEED"].map((benchmark, b) => ({
    variant,
    benchmark,
    score: [74.6, 62.8, 86.2, 41.2, 41.3, 70.7][b] + 0.3 * v,
  }))
);

/** Five ablations; one has one seed only. */
export const DIFFERENCES: PairedDifference[] = [
  {
    name: "8 experts",
    change: "4 → 8 experts, top-2",
    mean: 1.4,
    low: 0.5,
    high: 2.3,
    seeds: [0.9, 1.1, 1.3, 1.7, 2.0],
    paper: 0.2,
  },
  {
    name: "unbalanced",
    change: "2V 2L 4S → 3V 3L 2S",
    mean: -0.3,
    low: -1.2,
    high: 0.6,
    seeds: [-1.1, -0.6, -0.3, 0.1, 0.4],
    paper: -0.2,
  },
  {
    name: "full placement",
    change: "every second → every layer",
    mean: 0.2,
    low: -0.7,
    high: 1.1,
    seeds: [-0.5, 0, 0.2, 0.4, 0.9],
    paper: -0.1,
  },
  {
    name: "coefficient 0.01",
    change: "0.001 → 0.01",
    mean: -1.1,
    low: -1.9,
    high: -0.3,
    seeds: [-1.7, -1.3, -1.1, -0.8, -0.6],
    paper: -0.5,
  },
  { name: "no balancing", change: "0.001 → 0", mean: 0.3, seeds: [0.3] },
];

/** Accuracy here over three amounts of data, and the paper's average of seven (figure 3). */
export const SCALES: DataScalePanel[] = [
  {
    title: "here, macro accuracy",
    floor: 25.5,
    chance: 17,
    series: VARIANTS.map((name, v) => ({
      name,
      points: [5000, 10000, 20000].map((scale, i) => ({
        scale,
        ...estimate([46, 68, 79][i] + 0.7 * v, 1.4, v + 5 * i),
      })),
    })),
  },
  {
    title: "paper, average of 7",
    scaleName: "training samples (millions)",
    scoreName: "score (%)",
    series: VARIANTS.map((name, v) => ({
      name,
      points: [1.3, 2, 2.7].map((scale, i) => ({
        scale,
        mean: [
          [57.92, 59.95, 60.7],
          [57.97, 60.05, 61.2],
          [58.42, 59.9, 60.6],
          [58.3, 60.4, 61.8],
        ][v][i],
      })),
    })),
  },
];

/** Paths of image and text tokens through some layers. */
export function examplePaths(layers = 4): PathCounts[] {
  return ["image", "text"].map((modality, m): PathCounts => {
    const own = modality === "image" ? "V1" : "L1";
    const paths = Array.from({ length: 9 }, (_, p) => ({
      experts: Array.from({ length: layers }, (_, layer) => {
        const pick = (p * 3 + layer * (p + 1) + m) % 4;
        return pick === 0 || (layer === 0 && p < 4) ? own : pick < 3 ? "S1" : "S2";
      }),
      tokens: Math.round(2000 * 0.72 ** p),
    }));
    return {
      modality,
      layers: Array.from({ length: layers }, (_, layer) => 2 * layer + 1),
      paths,
      tokens: Math.round(1.2 * paths.reduce((sum, { tokens }) => sum + tokens, 0)),
    };
  });
}

/** Loads of two layers over 300 steps. */
export const HISTORIES: LoadHistory[] = ["image", "text"].flatMap((modality, m) =>
  [1, 3].map((layer) => {
    const steps = Array.from({ length: 13 }, (_, i) => 25 * i);
    const first = steps.map((step) =>
      1 / 3 + (m === 0 ? 0.2 : -0.15) * (1 - Math.exp(-step / 80)) * (layer / 3)
    );
    const second = steps.map((step, i) => (1 - first[i]) * (0.5 + 0.05 * wobble(step + layer)));
    return {
      layer,
      modality,
      experts: [
        modality === "image" ? { name: "V1", group: "vision" } : { name: "L1", group: "language" },
        { name: "S1", group: "shared" },
        { name: "S2", group: "shared" },
      ],
      steps,
      shares: [first, second, steps.map((_, i) => 1 - first[i] - second[i])],
    };
  })
);

/** The miniature model in three variants, and the paper's two models. */
export const COSTS: CostPanel[] = [
  {
    title: "here, tiny",
    variants: [["Dense", 1, 1], ["MoIIE, 4 experts", 4, 2], ["MoIIE, 8 experts", 8, 2]].map((
      [name, experts, used],
    ) => ({
      name: String(name),
      parts: [
        { part: "vision encoder", total: 113_000, active: 113_000 },
        { part: "connector", total: 8_300, active: 8_300 },
        { part: "embeddings", total: 19_000, active: 19_000 },
        { part: "attention, norms", total: 66_000, active: 66_000 },
        { part: "dense FFN", total: 67_600, active: 67_600 },
        { part: "experts", total: Number(experts) * 67_600, active: Number(used) * 67_600 },
      ],
      msPerStep: 120 + 40 * Number(used),
      tokensPerSecond: 21_000 / Number(used),
    })),
  },
  {
    title: "paper, from the published configurations",
    variants: [
      {
        name: "MoIIE-A5B (Phi-3-mini)",
        numbers: [428_225_600, 12_982_272, 197_001_216, 1_208_159_232, 1_207_959_552],
        experts: [4_831_838_208 + 294_912, 2_415_919_104 + 147_456],
      },
      {
        name: "MoIIE-A11B (LLaMA3-8B)",
        numbers: [428_225_600, 21_504_000, 1_050_673_152, 1_342_443_520, 2_818_572_288],
        experts: [11_274_289_152 + 393_216, 5_637_144_576 + 196_608],
      },
    ].map(({ name, numbers, experts }) => ({
      name,
      parts: [
        ...["vision encoder", "connector", "embeddings", "attention, norms", "dense FFN"].map((
          part,
          i,
        ) => ({ part, total: numbers[i], active: numbers[i] })),
        { part: "experts", total: experts[0], active: experts[1] },
      ],
    })),
  },
];

/** Table 6 here and in the paper. */
export const KEPT: ExpertBenchmark[] = [
  ...["general", "ocr", "hallucination"].map((benchmark, b): ExpertBenchmark => ({
    benchmark,
    rows: ["V1", "L1", "S1", "S2", "mean of S"].map((kept, k) => ({
      kept,
      group: ["vision", "language", "shared", "shared", "shared"][k],
      ...estimate([70, 52, 71][b] - 4 * Math.abs(k - 3), 3, k + 7 * b),
    })),
    full: estimate([80, 67, 80][b], 1.2, b),
    floor: [21.3, 6.3, 54.7][b],
    chance: [8, 1, 50][b],
  })),
  ...["MMBench", "TextVQA", "MMMU"].map((benchmark, b): ExpertBenchmark => ({
    benchmark,
    source: "paper, table 6",
    rows: ["Textual experts", "Visual experts", "Shared experts"].map((kept, k) => ({
      kept,
      group: ["language", "vision", "shared"][k],
      mean: [[72.9, 63.1, 41.5], [73.6, 64, 41], [74.1, 63.1, 41.3]][k][b],
    })),
  })),
];

/** Balance of a few layers in three runs; the last layer has a pool of two experts for top-2. */
export function exampleBalance(layers = 3): BalanceRecord[] {
  return [0, 1, 2].flatMap((seed) =>
    ["image", "text"].flatMap((modality, m) =>
      Array.from({ length: layers }, (_, layer): BalanceRecord => {
        const trivial = layer === layers - 1;
        const cv = trivial ? 0 : 0.2 + 0.2 * m + 0.1 * layer / layers + 0.05 * wobble(seed + layer);
        return {
          layer: 2 * layer + 1,
          modality,
          experts: trivial ? 2 : 6,
          maxVio: 1.4 * cv,
          cv,
          entropy: Math.log(trivial ? 2 : 6) - 0.4 * cv * cv,
          dead: m === 1 && layer === 1 ? 1 / 6 : 0,
          trivial,
          seed,
        };
      })
    )
  );
}

/** The choices of one seed: the shared experts change places from seed to seed. */
export function exampleSeed(benchmark: string, seed: number): RoutingSummary {
  const split = (total: number, intra: number, place: number): number[] => {
    const own = Math.round(total * intra);
    const most = Math.round((total - own) * 0.7);
    const shared = seed % 2 === 0 ? [most, total - own - most] : [total - own - most, most];
    return [place === 0 ? own : 0, place === 1 ? own : 0, ...shared];
  };
  return {
    benchmark,
    experts: [
      { name: "V1", group: "vision" },
      { name: "L1", group: "language" },
      { name: "S1", group: "shared" },
      { name: "S2", group: "shared" },
    ],
    layers: [1, 3].map((layer) => ({
      layer,
      modalities: ["image", "text"].map((name, place) => ({
        name,
        tokens: 500,
        counts: split(1000, 0.4 - 0.06 * layer + 0.05 * wobble(seed + place), place),
        chanceShared: 2 / 3,
      })),
    })),
  };
}
