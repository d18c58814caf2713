/** Doing the runs of a study: claims, training, evaluation, records. */
import type { EmojiVqa } from "../data/mod.ts";
import { type Lvlm, lvlm, summarize } from "../models/mod.ts";
import { lab } from "../tensor/mod.ts";
import {
  fit,
  type Progress,
  type Recipe,
  type Run,
  type Stage,
  threeStage,
  twoStage,
} from "../train/mod.ts";
import type { StudyDatabase } from "./database.ts";
import type { Claim, Metric, Origin, RunResult } from "./database_schema.ts";
import { evaluate, type Evaluation, type TestSplit } from "./evaluate.ts";
import type { PlannedRun, RunConfig } from "./grid.ts";
import { recordedSteps, routingRecords, summaryOf } from "./routing.ts";
import { connectorFile, setConnector } from "./run_weights.ts";

/** How far a study is. */
export interface StudyProgress {
  /** The run at hand. */
  plan: PlannedRun;
  /** Steps done by this process, of all runs. */
  done: number;
  /** Steps that this process had to do, of all runs. */
  total: number;
  /** The training step that was just done, if it was one. */
  step?: Progress;
}

/** Options of {@linkcode runStudy}. */
export interface RunStudyOptions {
  /** Where results go. */
  database: StudyDatabase;
  /** The data set of the plans' scale. */
  data: EmojiVqa;
  /** Folder of checkpoints. */
  folder: string;
  /** Keep the checkpoints of finished runs: their weights. Default false. */
  keep?: boolean;
  /** Stops after the step at hand; what was learned is saved. */
  signal?: AbortSignal;
  /** What to record beside the device: git commit, versions. */
  origin?: Omit<Origin, "adapter">;
  /** Told about progress. */
  onProgress?: (progress: StudyProgress) => void;
  /** Told in words what happens. */
  log?: (line: string) => void;
}

/** What became of the runs. */
export interface StudyOutcome {
  /** True if every run is done, be it by this process or another. */
  complete: boolean;
  /** Runs that failed, with the reasons. */
  failed: { plan: PlannedRun; error: string }[];
}

/** Seconds between signs of life, and between looks at runs that others do. */
const BEAT_SECONDS = 10;

/** Steps between checkpoints. */
const SAVE_EVERY = 100;

/** Steps between records of the routing of training batches. */
const RECORD_EVERY = 50;

/** All steps of a run. */
export function stepsOf({ kind, needs, config }: PlannedRun): number {
  const { connectorSteps, instructionSteps, expertSteps = 0 } = config.settings;
  switch (kind) {
    case "floor":
      return 0;
    case "connector":
      return connectorSteps;
    case "model":
      return instructionSteps + expertSteps + (needs === undefined ? connectorSteps : 0);
  }
}

/** The recipe of a run, with all of its stages. */
export function recipeOf(config: RunConfig, data: EmojiVqa): Recipe {
  const settings = { ...config.settings, seed: config.seed };
  const recipe = config.recipe === "two-stage"
    ? twoStage(data, settings)
    : threeStage(data, settings);
  return config.blind ? { ...recipe, stages: recipe.stages.map(onGrayPictures) } : recipe;
}

function onGrayPictures(stage: Stage): Stage {
  return {
    ...stage,
    inputs: (model, step) => {
      const inputs = stage.inputs(model, step);
      inputs.pixels.data.fill(0);
      return inputs;
    },
  };
}

/**
 * Does what is left of a study's runs, one after the other. Finished runs are skipped, those that
 * were stopped or killed go on from their checkpoints, those of other processes are waited for.
 * A run that fails is recorded, and the others go on.
 */
export async function runStudy(
  plans: readonly PlannedRun[],
  options: RunStudyOptions,
): Promise<StudyOutcome> {
  const { database, signal, log = () => {}, onProgress } = options;
  const isDone = (id: string) => database.run(id)?.status === "done";
  let left = plans.filter((plan) => !isDone(plan.id));
  const total = left.reduce((n, plan) => n + stepsOf(plan), 0);
  let before = 0;
  const failed: StudyOutcome["failed"] = [];
  let waiting = false;
  await Deno.mkdir(options.folder, { recursive: true });
  while (left.length > 0 && !signal?.aborted) {
    let progressed = false;
    for (const plan of left) {
      if (signal?.aborted) break;
      if (plan.needs !== undefined && !isDone(plan.needs)) {
        const cause = failed.find((f) => f.plan.id === plan.needs);
        if (cause) failed.push({ plan, error: `its connector failed: ${cause.error}` });
        continue;
      }
      const claim = database.claim(plan.id);
      if (!claim) continue;
      const error = await doRun(plan, claim, {
        ...options,
        onStep: (step) => {
          const done = before + (step?.done ?? stepsOf(plan));
          onProgress?.({ plan, done, total, step });
        },
      });
      if (error !== undefined) failed.push({ plan, error });
      before += stepsOf(plan);
      progressed = true;
    }
    left = left.filter((plan) => !isDone(plan.id) && !failed.some((f) => f.plan === plan));
    if (!progressed && left.length > 0 && !signal?.aborted) {
      if (!waiting) log(`waiting for ${left.length} runs that other processes do`);
      waiting = true;
      await pause(BEAT_SECONDS, signal);
    }
  }
  return { complete: left.length === 0 && failed.length === 0, failed };
}

interface DoOptions extends RunStudyOptions {
  onStep: (step?: Progress) => void;
}

/** Does a claimed run. @returns why it failed, if it did */
async function doRun(
  plan: PlannedRun,
  claim: Claim,
  options: DoOptions,
): Promise<string | undefined> {
  const { database, log = () => {} } = options;
  const began = performance.now();
  const seconds = () => (performance.now() - began) / 1000;
  const beat = setInterval(() => {
    try {
      database.beat(claim);
    } catch {
      // finish() tells it, when there is something to lose
    }
  }, 1000 * BEAT_SECONDS);
  const name = `${plan.label}, seed ${plan.config.seed}`;
  try {
    log(`${name} (run ${plan.id})`);
    const result = await work(plan, options);
    if (!result) {
      database.release(claim, seconds());
      return undefined;
    }
    database.finish(claim, { ...options.origin, ...result, seconds: seconds() });
    if (!options.keep) await removeFile(checkpointOf(plan, options.folder));
    log(`${name}: done in ${Math.round(seconds())} s${accuracyNote(result.metrics)}`);
    return undefined;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    database.release(claim, seconds(), text);
    log(`${name}: failed: ${text}`);
    return text;
  } finally {
    clearInterval(beat);
  }
}

/** The result of a run; undefined if it was stopped. */
async function work(
  plan: PlannedRun,
  options: DoOptions,
): Promise<Omit<RunResult, "seconds"> | undefined> {
  const { data, database } = options;
  const { config } = plan;
  if (plan.kind === "floor") return { metrics: floorMetrics(data) };
  using session = await lab({ seed: config.seed });
  const adapter = session.gpu.adapter.name;
  const { preset, seed, ffn, placement } = config;
  const model = await lvlm(preset, { ffn, placement, seed });
  const recipe = recipeOf(config, data);
  if (plan.needs !== undefined) setConnector(model, database.weights(plan.needs), plan.needs);
  const stages = plan.kind === "connector"
    ? recipe.stages.slice(0, 1)
    : recipe.stages.slice(plan.needs === undefined ? 0 : 1);
  const run = await fitAnew(model, { ...recipe, stages }, plan, options);
  if (!run.complete) return undefined;
  const { records } = run;
  options.onStep();
  const evaluations = await evaluate(model, data, { limit: config.limit, blind: config.blind });
  if (plan.kind === "connector") {
    const metrics = evaluations.flatMap(accuracyMetrics);
    return { adapter, metrics, records, weights: await connectorFile(model) };
  }
  const routing = config.blind ? [] : await routingRecords(model, data, { limit: config.limit });
  const { total, active } = summarize(model.config);
  const metrics = [
    ...evaluations.flatMap(accuracyMetrics),
    { name: "parameters", family: "total", split: "", value: total },
    { name: "parameters", family: "active", split: "", value: active },
  ];
  return {
    adapter,
    metrics,
    records,
    routing: routing.map(summaryOf),
    extras: { routing, training: recordedSteps(records) },
  };
}

const checkpointOf = (plan: PlannedRun, folder: string): string =>
  `${folder}/${plan.id}.safetensors`;

/**
 * Trains from the checkpoint, if there is one that fits. One that was written by other code, or is no
 * whole file, is dropped: the run begins anew.
 */
async function fitAnew(
  model: Lvlm,
  recipe: Recipe,
  plan: PlannedRun,
  { folder, signal, onStep, log = () => {} }: DoOptions,
): Promise<Run> {
  const checkpoint = checkpointOf(plan, folder);
  const options = { checkpoint, saveEvery: SAVE_EVERY, recordEvery: RECORD_EVERY, signal };
  const train = () => fit(model, recipe, { ...options, onStep });
  let began = false;
  try {
    return await fit(model, recipe, {
      ...options,
      onStep: (step) => {
        began = true;
        onStep(step);
      },
    });
  } catch (error) {
    const unusable = error instanceof RangeError || error instanceof SyntaxError;
    if (began || !unusable || !await exists(checkpoint)) throw error;
    log(`  its checkpoint cannot be used, it begins anew: ${error.message}`);
    await removeFile(checkpoint);
    return await train();
  }
}

function accuracyMetrics({ split, macro, families, tasks }: Evaluation): Metric[] {
  const entries = (name: string, scores: Evaluation["families"]): Metric[] =>
    Object.entries(scores).map(([family, { accuracy, n, correct }]) => (
      { name, family, split, value: accuracy, n, correct }
    ));
  return [
    { name: "accuracy", family: "mean", split, value: macro },
    ...entries("accuracy", families),
    ...entries("task", tasks),
  ];
}

function floorMetrics(data: EmojiVqa): Metric[] {
  return (["val", "comp", "style"] satisfies TestSplit[]).flatMap((split) => {
    const { macro, families } = data.blindFloors(split);
    return [
      { name: "floor", family: "mean", split, value: macro },
      ...Object.entries(families).map(([family, value]) => (
        { name: "floor", family, split, value }
      )),
    ];
  }).filter(({ value }) => Number.isFinite(value)); // a family without questions has no floor
}

function accuracyNote(metrics: readonly Metric[]): string {
  const parts = metrics.filter((m) => m.name === "accuracy" && m.family === "mean")
    .map(({ split, value }) => `${split} ${(100 * value).toFixed(1)} %`);
  return parts.length > 0 ? `, accuracy ${parts.join(", ")}` : "";
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

async function removeFile(path: string): Promise<void> {
  await Deno.remove(path).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

/** Waits, but not longer than until the signal. */
async function pause(seconds: number, signal?: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const stop = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
      resolve();
    };
    const timer = setTimeout(stop, 1000 * seconds);
    signal?.addEventListener("abort", stop);
  });
}
