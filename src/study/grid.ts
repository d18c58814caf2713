/** Studies as data: which variants are trained with which seeds, and what identifies a run. */
import { createHash } from "node:crypto";
import { RECIPE_VERSION } from "../data/emoji_vqa/build.ts";
import type { ScaleName } from "../data/mod.ts";
import type { Placement } from "../models/mod.ts";
import { dense, type PoolTable } from "../moe/mod.ts";
import { unknownName } from "../tensor/mod.ts";
import type { ThreeStageOptions } from "../train/mod.ts";
import { type RecipeName, REFERENCE, type Variant, VARIANTS, withDataShare } from "./variants.ts";

/** A comparison of variants. */
export interface Study {
  /** Name, for command lines and records. */
  readonly name: string;
  /** What is compared, and the paper's place for it. */
  readonly title: string;
  /** The variants; the one that others are compared with comes first. */
  readonly variants: readonly Variant[];
}

const named = (...names: string[]): Variant[] =>
  names.map((name) => VARIANTS.find((v) => v.name === name)!);

const MAIN = [REFERENCE, "dense", "vanilla", "modality-hard", "modality-routed"];

/** Shares of the data in the paper's figure 3: 1.3, 2 and 2.7 million samples. */
export const DATA_SHARES: readonly number[] = [0.48, 0.74, 1];

const SINGLE: readonly Study[] = [
  {
    name: "ablations",
    title: "Expert count, balance, placement and coefficient (paper, table 4)",
    variants: named(
      REFERENCE,
      "moiie-8-balanced",
      "moiie-8-unbalanced",
      "moiie-full",
      "moiie-aux-0.01",
    ),
  },
  { name: "main", title: "Architectures (paper, table 1)", variants: named(...MAIN, "blind") },
  {
    name: "scale",
    title: "Architectures by amount of data (paper, figure 3)",
    variants: DATA_SHARES.toReversed().flatMap((share) =>
      named(...MAIN).map((v) => withDataShare(v, share))
    ),
  },
  {
    name: "auxiliary",
    title: "Coefficient of the load-balancing loss (paper, table 4)",
    variants: named(
      REFERENCE,
      "moiie-aux-0",
      "moiie-aux-0.0001",
      "moiie-aux-0.01",
      "moiie-aux-0.1",
    ),
  },
  {
    name: "stages",
    title: "Two stages and three (paper, table 3)",
    variants: named(REFERENCE, "three-stage"),
  },
];

/** All studies; `paper` is all the others together. */
export const STUDIES: readonly Study[] = [...SINGLE, {
  name: "paper",
  title: "Every comparison of the paper",
  variants: [...new Map(SINGLE.flatMap((s) => s.variants).map((v) => [v.name, v])).values()],
}];

/**
 * A study by its name.
 *
 * @throws {RangeError} if there is none; the nearest name is offered.
 */
export function studyNamed(name: string): Study {
  const found = STUDIES.find((s) => s.name === name);
  if (!found) throw unknownName("study", name, STUDIES.map((s) => s.name));
  return found;
}

/**
 * Some variants of a study, in the order given: the others are compared with the first.
 *
 * @param study a study or its name @param variants short names
 * @throws {RangeError} if there is no such study, or it has no such variant; the nearest is offered.
 */
export function studyPart(study: Study | string, variants: readonly string[]): Study {
  const whole = studyOf(study), names = whole.variants.map((v) => v.name);
  const chosen = variants.map((name) => {
    const found = whole.variants.find((v) => v.name === name);
    if (!found) throw unknownName(`variant of the study ${whole.name}`, name, names);
    return found;
  });
  return { ...whole, variants: chosen };
}

/** A study, given as such or by its name. @throws {RangeError} if there is none of the name */
export function studyOf(study: Study | string): Study {
  return typeof study === "string" ? studyNamed(study) : study;
}

/** Settings of a recipe; the seed stands elsewhere. */
export type Settings =
  & Readonly<Omit<ThreeStageOptions, "seed">>
  & Readonly<Required<Pick<ThreeStageOptions, "connectorSteps" | "instructionSteps">>>;

/** Everything that a run's result depends on, besides code and device. */
export interface RunConfig {
  /** Preset of the model. */
  readonly preset: string;
  /** Scale of the data. */
  readonly scale: ScaleName;
  /** Seed of the new parameters, the batches and the routers. */
  readonly seed: number;
  /** Name of the recipe. */
  readonly recipe: RecipeName;
  /** Its settings. */
  readonly settings: Settings;
  /** The feed-forward variant. */
  readonly ffn: PoolTable;
  /** Which layers hold it. */
  readonly placement: Placement;
  /** Trained and tested on gray pictures. */
  readonly blind?: boolean;
  /** Evaluated on the first pictures of each split only; all if missing. */
  readonly limit?: number;
}

/** What a run makes: the connector that variants share, a trained model, or the blind floors. */
export type RunKind = "connector" | "model" | "floor";

/** A run to be done. */
export interface PlannedRun {
  /** Hash of what the result depends on. */
  readonly id: string;
  /** What it makes. */
  readonly kind: RunKind;
  /** Name of the variant; of connectors and floors their kind. */
  readonly variant: string;
  /** Label of the variant. */
  readonly label: string;
  /** The configuration. */
  readonly config: RunConfig;
  /** The run that must be done before: the connector that a model starts from. */
  readonly needs?: string;
}

/**
 * Preset and settings of each scale. They are written out, so that a study stays what it was when the
 * recipe's defaults change or get company.
 */
const SCALES: Readonly<Record<ScaleName, { preset: string; settings: Settings }>> = (() => {
  const tiny: Settings = {
    connectorSteps: 250,
    connectorBatch: 32,
    connectorRate: 3e-3,
    instructionSteps: 430,
    instructionBatch: 16,
    instructionRate: 2e-3,
    visionScale: 0.25,
    questionsPerImage: 3,
    ocrWeight: 4,
    auxiliary: 0.001,
    warmup: 0.03,
    clipNorm: 1,
    betas: [0.9, 0.98],
  };
  const small: Settings = {
    ...tiny,
    connectorSteps: 1000,
    connectorBatch: 64,
    connectorRate: 1e-3,
    instructionSteps: 3000,
    instructionBatch: 64,
    instructionRate: 5e-4,
  };
  return {
    tiny: { preset: "tiny", settings: tiny },
    small: { preset: "small", settings: small },
    full: { preset: "small", settings: { ...small, instructionSteps: 8000 } },
  };
})();

/** Settings that the first stage depends on. */
const CONNECTOR_SETTINGS = [
  "connectorSteps",
  "connectorBatch",
  "connectorRate",
  "ocrWeight",
  "warmup",
  "clipNorm",
  "betas",
] as const;

/** Options of {@linkcode planStudy}. */
export interface PlanOptions {
  /** Scale of data and model. Default `tiny`. */
  readonly scale?: ScaleName;
  /** The seeds. */
  readonly seeds: readonly number[];
  /** Steps of every stage instead of the scale's: a smoke run, which answers few questions too. */
  readonly steps?: number;
  /** Give each model a first stage of its own instead of one for all variants of a seed. */
  readonly ownConnectors?: boolean;
}

/** Pictures of each split that smoke runs ask about. */
const SMOKE_LIMIT = 20;

/**
 * The runs of a study, seed by seed, so that comparisons of the first seeds are complete early. A
 * run's id does not depend on the study: what two studies share is run once.
 */
export function planStudy(study: Study, options: PlanOptions): PlannedRun[] {
  const { scale = "tiny", seeds, steps } = options;
  if (!Object.hasOwn(SCALES, scale)) throw unknownName("scale", scale, Object.keys(SCALES));
  const { preset, settings: base } = SCALES[scale];
  const plans = new Map<string, PlannedRun>();
  const add = (plan: Omit<PlannedRun, "id">): string => {
    const id = runId(plan.kind, plan.config);
    plans.set(id, { id, ...plan });
    return id;
  };
  for (const seed of seeds) {
    for (const variant of study.variants) {
      const config = configOf(variant, {
        preset,
        scale,
        seed,
        settings: steps === undefined
          ? base
          : { ...base, connectorSteps: steps, instructionSteps: steps },
        limit: steps === undefined ? undefined : SMOKE_LIMIT,
      });
      if (plans.size === 0) {
        add({ kind: "floor", variant: "floor", label: "Blind floor", config });
      }
      const needs = options.ownConnectors || config.blind ? undefined : add({
        kind: "connector",
        variant: "connector",
        label: "Connector",
        config: connectorConfig(config, base),
      });
      add({ kind: "model", variant: variant.name, label: variant.label, config, needs });
    }
  }
  return [...plans.values()];
}

/** The configuration of a shared first stage: of the variants' settings only what it depends on. */
function connectorConfig(config: RunConfig, base: Settings): RunConfig {
  const own = Object.fromEntries(CONNECTOR_SETTINGS.map((name) => [name, config.settings[name]]));
  return {
    ...config,
    recipe: "two-stage",
    settings: { ...base, ...own },
    ffn: dense(),
    placement: "none",
  };
}

/** One machine's share of the runs: every `of`-th model, and the connectors these start from. */
export function shareOf(
  plans: readonly PlannedRun[],
  { number, of }: { number: number; of: number },
): PlannedRun[] {
  const models = plans.filter((p) => p.kind === "model").filter((_, i) => i % of === number - 1);
  const needed = new Set(models.map((p) => p.needs));
  return plans.filter((p) => p.kind === "floor" || needed.has(p.id) || models.includes(p));
}

/** Share of the dense stage of three in the samples of both: 2 M of 2.78 M (paper, section A.4). */
const DENSE_SHARE = 0.72;

function configOf(
  { ffn, placement = "interleaved", recipe = "two-stage", dataShare = 1, blind, ...variant }:
    Variant,
  base: Pick<RunConfig, "preset" | "scale" | "seed" | "settings" | "limit">,
): RunConfig {
  const settings = { ...base.settings, ...variant.settings };
  const steps = Math.max(1, Math.round(settings.instructionSteps * dataShare));
  const dense = Math.max(1, Math.round(steps * DENSE_SHARE));
  const stages = recipe === "two-stage" ? { instructionSteps: steps } : {
    instructionSteps: dense,
    expertSteps: Math.max(1, steps - dense),
    expertRate: settings.instructionRate,
  };
  return { ...base, recipe, settings: { ...settings, ...stages }, ffn, placement, blind };
}

/** The part of a configuration that a run of a kind depends on. */
function identityOf(kind: RunKind, config: RunConfig): Record<string, unknown> {
  const { preset, scale, seed, settings, limit } = config;
  const data = { scale, version: RECIPE_VERSION };
  switch (kind) {
    case "floor":
      return { kind, data };
    case "connector": {
      const stage = Object.fromEntries(CONNECTOR_SETTINGS.map((name) => [name, settings[name]]));
      return { kind, data, preset, seed, settings: stage };
    }
    case "model": {
      // The table's name is for people: tables that do the same are the same.
      const { variant: _, ...ffn } = config.ffn;
      const { recipe, placement, blind } = config;
      return { kind, data, preset, seed, recipe, settings, ffn, placement, blind, smoke: limit };
    }
  }
}

/** The id of the connector that a model may start from: the same for all variants of a seed. */
export function connectorId(config: RunConfig): string {
  return runId("connector", config);
}

/**
 * The comparisons of a study: variants that were trained on as much data, the one that the others are
 * compared with first.
 */
export function comparisons(study: Study): Variant[][] {
  return [...Map.groupBy(study.variants, (v) => v.dataShare ?? 1).values()];
}

/** Hash of what a run's result depends on. */
export function runId(kind: RunKind, config: RunConfig): string {
  const text = canonicalJson(identityOf(kind, config));
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/** JSON text with sorted keys and without what is undefined: equal values give equal texts. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, v) => {
    if (typeof v !== "object" || v === null || Array.isArray(v)) return v;
    return Object.fromEntries(Object.entries(v).sort(([a], [b]) => a < b ? -1 : 1));
  });
}
