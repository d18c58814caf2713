/**
 * Results of a study as plain data: a small JSON file that tables, figures and notebooks are made of,
 * so that they need neither the database nor a device.
 */
import type { StudyDatabase } from "./database.ts";
import type { RunRow, StagedRecord } from "./database_schema.ts";
import { canonicalJson, connectorId, type RunConfig } from "./grid.ts";
import type { RecordedStep } from "./routing.ts";
import type { LayerCounts, RoutingSummary } from "./routing_summary.ts";
import { type LoadCurve, loadCurves } from "./training_load.ts";

const FORMAT = "moiie-lab study 1";

/** Right answers and questions. */
export interface Count {
  /** Right answers. */
  readonly correct: number;
  /** Questions. */
  readonly n: number;
}

/** The losses of one stage, thinned: each point is the mean of the steps around it. */
export interface ThinCurve {
  /** Name of the stage. */
  readonly stage: string;
  /** Steps of the stage. */
  readonly steps: number;
  /** Middle step of each point. */
  readonly step: readonly number[];
  /** Cross-entropy, nats a token. */
  readonly loss: readonly number[];
  /** Load-balancing loss with its coefficient. */
  readonly auxiliary: readonly number[];
}

/** A variant as it was run: all of its configuration but the seed. */
export interface VariantRecord {
  /** Short name. */
  readonly name: string;
  /** Name in tables. */
  readonly label: string;
  /** Parameters, and those that a token uses. */
  readonly parameters: { readonly total: number; readonly active: number };
  /** The configuration. */
  readonly config: Omit<RunConfig, "seed">;
}

/** A run of a variant. */
export interface RunRecord {
  /** Hash of what it depends on. */
  readonly id: string;
  /** Name of the variant. */
  readonly variant: string;
  /** The seed. */
  readonly seed: number;
  /** Name of the device. */
  readonly device: string;
  /** Git commit of the code. */
  readonly code: string;
  /** Seconds of work. */
  readonly seconds: number;
  /** Answers by split and family. */
  readonly answers: Readonly<Record<string, Readonly<Record<string, Count>>>>;
  /** Losses of its own stages. */
  readonly curves: readonly ThinCurve[];
  /** Run whose first stage it shares, if it has none of its own. */
  readonly connector?: string;
  /** Chosen experts by benchmark; the experts' names stand in the variant's configuration. */
  readonly routing: readonly {
    readonly benchmark: string;
    readonly layers: readonly LayerCounts[];
  }[];
  /** Load of the experts while it trained; missing in older records. */
  readonly load?: readonly LoadCurve[];
  /** What else was measured, by name. */
  readonly extras?: Readonly<Record<string, unknown>>;
}

/** First stages that variants share. */
export interface ConnectorRecord {
  /** Hash of what it depends on. */
  readonly id: string;
  /** The seed. */
  readonly seed: number;
  /** Seconds of work. */
  readonly seconds: number;
  /** Its losses. */
  readonly curves: readonly ThinCurve[];
  /** Answers after it, by split and family; missing in older records. */
  readonly answers?: RunRecord["answers"];
}

/** Results of studies at one scale. */
export interface StudyResults {
  /** Says what the file is. */
  readonly format: "moiie-lab study 1";
  /** Scale of the data. */
  readonly scale: string;
  /** Devices that the runs were made on. */
  readonly devices: readonly string[];
  /** Versions of runtime, library and GPU layer. */
  readonly versions: Readonly<Record<string, string>>;
  /** Accuracy without looking, by split and family (`mean` for their mean). */
  readonly floors: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** The variants. */
  readonly variants: readonly VariantRecord[];
  /** Shared first stages. */
  readonly connectors: readonly ConnectorRecord[];
  /** The runs. */
  readonly runs: readonly RunRecord[];
}

/** Options of {@linkcode gatherResults}. */
export interface GatherOptions {
  /** Only these runs (and the connectors they started from). Default all but smoke runs. */
  ids?: readonly string[];
  /** Only runs of this device. */
  device?: string;
  /** Points of a curve of losses or loads. Default 60. */
  points?: number;
  /** Names of what else was measured that is to be taken along; `routing` is large. Default none. */
  extras?: readonly string[];
}

/** The configuration without the seed: equal for all runs of a variant. */
function withoutSeed({ seed: _, ...config }: RunConfig): Omit<RunConfig, "seed"> {
  return config;
}

/**
 * Gathers finished runs of a database.
 *
 * @throws {RangeError} if none is finished, or two variants of one name differ in more than the seed.
 */
export function gatherResults(database: StudyDatabase, options: GatherOptions = {}): StudyResults {
  const { ids, device, points = 60 } = options;
  const finished = database.runs().filter((r) => r.status === "done");
  const models = finished.filter((r) =>
    r.kind === "model" && (device === undefined || r.adapter === device) &&
    (ids ? ids.includes(r.id) : r.config.limit === undefined)
  );
  if (models.length === 0) {
    const smoke = finished.some((r) => r.kind === "model" && r.config.limit !== undefined);
    throw new RangeError(
      `${database.path} has no finished runs of what was asked for${
        smoke && !ids ? ", only smoke runs (--steps), which are kept apart" : ""
      }`,
    );
  }
  const connectors = finished.filter((r) =>
    r.kind === "connector" && models.some((m) => connectorId(m.config) === r.id)
  );
  const floors: Record<string, Record<string, number>> = {};
  for (const floor of finished.filter((r) => r.kind === "floor")) {
    for (const { split, family, value } of database.metrics(floor.id)) {
      (floors[split] ??= {})[family] = value;
    }
  }
  const curves = (run: RunRow) => thinCurves(database.records(run.id), points);
  return {
    format: FORMAT,
    scale: models[0].scale,
    devices: [...new Set(models.map((r) => r.adapter ?? ""))],
    versions: models[0].versions ?? {},
    floors,
    variants: [...Map.groupBy(models, (r) => r.variant).values()].map((runs) =>
      variantRecord(database, runs)
    ),
    connectors: connectors.map((r) => {
      const answers = answersOf(database, r);
      const { id, seed, seconds } = r;
      const known = Object.keys(answers).length > 0;
      return { id, seed, seconds: round(seconds), curves: curves(r), ...known && { answers } };
    }),
    runs: models.map((r) => {
      const all = database.extras(r.id);
      const extras = Object.entries(all).filter(([name]) => options.extras?.includes(name));
      const load = loadCurves((all.training ?? []) as RecordedStep[], points);
      return {
        ...runRecord(database, r, curves(r), connectors),
        ...(load.length > 0 ? { load } : {}),
        ...(extras.length > 0 ? { extras: Object.fromEntries(extras) } : {}),
      };
    }),
  };
}

function variantRecord(database: StudyDatabase, runs: readonly RunRow[]): VariantRecord {
  const [first] = runs, config = withoutSeed(first.config);
  for (const run of runs) {
    if (canonicalJson(withoutSeed(run.config)) !== canonicalJson(config)) {
      throw new RangeError(
        `runs ${first.id} and ${run.id} are both called "${first.variant}", but differ in more than ` +
          `the seed; give one of the variants another name`,
      );
    }
  }
  const parameters = new Map(
    database.metrics(first.id).filter((m) => m.name === "parameters").map((
      m,
    ) => [m.family, m.value]),
  );
  return {
    name: first.variant,
    label: first.label,
    parameters: { total: parameters.get("total") ?? 0, active: parameters.get("active") ?? 0 },
    config,
  };
}

function answersOf(
  database: StudyDatabase,
  { id }: RunRow,
): Record<string, Record<string, Count>> {
  const answers: Record<string, Record<string, Count>> = {};
  for (const { name, family, split, correct, n } of database.metrics(id)) {
    if (name !== "accuracy" || correct === undefined || n === undefined) continue;
    (answers[split] ??= {})[family] = { correct, n };
  }
  return answers;
}

function runRecord(
  database: StudyDatabase,
  run: RunRow,
  curves: ThinCurve[],
  connectors: readonly RunRow[],
): RunRecord {
  const first = connectors.find((c) => c.id === connectorId(run.config));
  const shared = first !== undefined &&
    !database.records(first.id).some((r) => curves.some((c) => c.stage === r.stage));
  return {
    id: run.id,
    variant: run.variant,
    seed: run.seed,
    device: run.adapter ?? "",
    code: run.code ?? "",
    seconds: round(run.seconds),
    answers: answersOf(database, run),
    curves,
    ...(shared ? { connector: first.id } : {}),
    routing: database.routing(run.id).map(({ benchmark = "", layers }) => ({ benchmark, layers })),
  };
}

const round = (x: number): number => Number(x.toPrecision(5));

const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length;

/** At most so many points a stage, each the mean of as many steps. */
export function thinCurves(records: readonly StagedRecord[], points: number): ThinCurve[] {
  return [...Map.groupBy(records, (r) => r.stage)].map(([stage, all]) => {
    const size = Math.ceil(all.length / points);
    const bins = Array.from(
      { length: Math.ceil(all.length / size) },
      (_, i) => all.slice(i * size, (i + 1) * size),
    );
    return {
      stage,
      steps: all.length,
      step: bins.map((bin) => bin[Math.floor(bin.length / 2)].step),
      loss: bins.map((bin) => round(mean(bin.map((r) => r.loss)))),
      auxiliary: bins.map((bin) => round(mean(bin.map((r) => r.auxiliary)))),
    };
  });
}

/** The losses of a run from its first stage on, be it its own or the shared one. */
export function allCurves(results: StudyResults, run: RunRecord): readonly ThinCurve[] {
  const shared = results.connectors.find((c) => c.id === run.connector);
  return [...shared?.curves ?? [], ...run.curves];
}

/** The losses of a run as figures take them: the steps of all stages in a row. */
export function lossRecords(
  results: StudyResults,
  run: RunRecord,
): { step: number; loss: number; stage: string }[] {
  let before = 0;
  return allCurves(results, run).flatMap(({ stage, steps, step, loss }) => {
    const first = before;
    before += steps;
    return step.map((s, i) => ({ step: first + s, loss: loss[i], stage }));
  });
}

/** The routing of a run as figures take it. */
export function routingOf(results: StudyResults, run: RunRecord): RoutingSummary[] {
  const experts = results.variants.find((v) => v.name === run.variant)!.config.ffn.experts;
  return run.routing.map((r) => ({ ...r, experts }));
}

/** Accuracy of each seed on a family of a split, or the mean of its families' accuracies. */
export function accuracies(
  results: StudyResults,
  variant: string,
  { split = "val", family = "mean" }: { split?: string; family?: string } = {},
): Map<number, number> {
  const bySeed = new Map<number, number>();
  for (const run of results.runs) {
    const answers = run.answers[split];
    if (run.variant !== variant || !answers) continue;
    const scores = Object.entries(answers)
      .filter(([name]) => family === "mean" || name === family)
      .map(([, { correct, n }]) => correct / n);
    if (scores.length > 0) bySeed.set(run.seed, mean(scores));
  }
  return bySeed;
}
