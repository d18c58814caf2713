/** Training a model by a recipe: stages, checkpoints, resuming, stopping. */
import { type Lvlm, modelParameters, upcycle } from "../models/mod.ts";
import { Random, type Tensor } from "../tensor/mod.ts";
import { openCheckpoint, type Position, restoreCheckpoint, saveCheckpoint } from "./checkpoint.ts";
import { runSteps, type StepRecord } from "./loop.ts";
import type { ParameterGroup } from "./flat_parameters.ts";
import { LossScaler } from "./loss_scale.ts";
import { AdamW } from "./optimizer.ts";
import type { Recipe, Stage } from "./recipe.ts";
import { routingReader } from "./routing_reader.ts";
import { type Precision, trainingStep } from "./step.ts";

/** What is told about a finished step. */
export interface Progress {
  /** The step's numbers. */
  record: StepRecord;
  /** Its stage. */
  stage: Stage;
  /** Finished steps of all stages, and their total. */
  done: number;
  /** Steps of all stages. */
  total: number;
  /** Tokens a second since this training (or its resumption) began, image slots included. */
  tokensPerSecond: number;
}

/** Options of {@linkcode fit}. */
export interface FitOptions {
  /** Called after every step, in order; awaited. */
  onStep?: (progress: Progress) => void | Promise<void>;
  /** Ends the training after the step at hand; with a checkpoint path the state is saved. */
  signal?: AbortSignal;
  /** File to save to; if it exists and belongs to this run, training resumes from it. */
  checkpoint?: string;
  /** Steps between saves. Default 100. */
  saveEvery?: number;
  /**
   * Steps between records of the routing: which experts the tokens of the batch chose, in the `routing`
   * of a step's record. Read together with the loss, nothing waits for it. Default never.
   */
  recordEvery?: number;
  /** Type of the activations; with `f16` the loss is scaled. Default `f32`. */
  precision?: Precision;
  /** Compute blocks again for the gradient instead of keeping their results: slower, less memory. */
  recompute?: boolean;
}

/** A finished (or stopped) training. */
export interface Run {
  /** The trained model. */
  model: Lvlm;
  /** The recipe. */
  recipe: Recipe;
  /** What happened, step by step, with the stage's name. */
  records: (StepRecord & { stage: string })[];
  /** True if every step was done. */
  complete: boolean;
  /** Seconds that this call took, compiling included. */
  seconds: number;
}

/** What identifies a run: recipe, and the model's configuration; the precision unless it is f32. */
export function fingerprint(model: Lvlm, recipe: Recipe, precision: Precision = "f32"): string {
  const { name, settings } = recipe;
  const other = precision === "f32" ? {} : { precision };
  return JSON.stringify({ recipe: name, settings, ...other, config: model.config });
}

/** True if a path begins like a pattern, in which `*` stands for one name. */
function fits(path: string, pattern: string): boolean {
  const names = path.split("."), wanted = pattern.split(".");
  const last = wanted.pop()!;
  return wanted.every((w, i) => w === "*" || w === names[i]) &&
    (names[wanted.length] ?? "").startsWith(last === "*" ? "" : last);
}

/**
 * Parameters of a stage by group, each in the group whose path fits first.
 *
 * @throws {RangeError} if the stage trains nothing that the model has.
 */
function groupsOf(model: Lvlm, stage: Stage): ParameterGroup[] {
  const left = modelParameters(model);
  const mixtures = model.language.blocks.flatMap((b, i) =>
    b.ffn.table.experts.length > 1 ? [`language.blocks.${i}.ffn.`] : []
  );
  const groups = stage.trained.map(({ name, paths, rateScale, onlyMixtures }) => {
    const parameters = new Map<string, Tensor>();
    for (const [path, t] of left) {
      if (!paths.some((p) => fits(path, p))) continue;
      if (onlyMixtures && !mixtures.some((m) => path.startsWith(m))) continue;
      parameters.set(path, t);
      left.delete(path);
    }
    return { name, parameters, rateScale };
  });
  if (groups.every((g) => g.parameters.size === 0)) {
    const paths = stage.trained.flatMap((g) => g.paths).join(", ");
    const experts = stage.trained.some((g) => g.onlyMixtures);
    throw new RangeError(
      `fit: stage "${stage.name}" has no parameters to train under ${paths}; ` +
        (experts
          ? `the model has no experts (its ffn is "${model.config.ffn.variant}"): give it some, or ` +
            `use a recipe without this stage`
          : `they must begin paths such as language.blocks.0.ffn.down`),
    );
  }
  return groups;
}

/**
 * Trains a model. The model's parameters change in place. With a checkpoint path, a run that was
 * killed and is started again ends with the same bits as one that was not.
 *
 * @throws {Error} if the loss is no longer finite. @throws {RangeError} if the checkpoint belongs to
 * another run or is cut. @throws {SyntaxError} if the file is no checkpoint.
 */
export async function fit(model: Lvlm, recipe: Recipe, options: FitOptions = {}): Promise<Run> {
  const { onStep, signal, checkpoint, saveEvery = 100, recordEvery, precision = "f32", recompute } =
    options;
  if (!Number.isInteger(saveEvery) || saveEvery < 1) {
    throw new RangeError(`fit: saveEvery = ${saveEvery} must be a whole number of at least 1`);
  }
  if (recordEvery !== undefined && (!Number.isInteger(recordEvery) || recordEvery < 1)) {
    throw new RangeError(`fit: recordEvery = ${recordEvery} must be a whole number of at least 1`);
  }
  const started = performance.now();
  const mark = fingerprint(model, recipe, precision);
  const saved = checkpoint === undefined ? undefined : openCheckpoint(checkpoint, mark);
  const position: Position = saved?.position ??
    { stage: 0, step: 0, records: [], fingerprint: mark };
  const total = recipe.stages.reduce((n, s) => n + s.steps, 0);
  let done = 0, tokens = 0;
  let clock: number | undefined; // from the first finished step on: compiling is no speed
  let resuming = saved?.file;
  const lossScaler = precision === "f16" ? new LossScaler() : undefined;
  try {
    for (const [number, stage] of recipe.stages.entries()) {
      if (stage.upcycle && model.language.blocks.every((b) => b.ffn.table.experts.length === 1)) {
        await upcycle(model, new Random(recipe.seed, "upcycle"), stage.upcycling);
      }
      if (number < position.stage) {
        done += stage.steps;
        continue;
      }
      using memory = new DisposableStack();
      const optimizer = new AdamW(groupsOf(model, stage), recipe.optimizer);
      memory.defer(() => optimizer.dispose());
      if (resuming) {
        // A checkpoint at the very start of a stage has no optimizer state yet.
        restoreCheckpoint(resuming, model, position.step > 0 ? optimizer : undefined, lossScaler);
        resuming.close();
        resuming = undefined;
      }
      const run = trainingStep(model, optimizer, {
        auxiliary: stage.auxiliary,
        ...stage.balance,
        records: recordEvery !== undefined,
        zLoss: stage.zLoss,
        precision,
        recompute,
        lossScaler,
      });
      memory.defer(() => run.dispose());
      const rate = (step: number) => stage.learningRate * stage.schedule(step);
      const records = position.records[number] ??= [];
      const first = done;
      let from = position.step;
      while (from < stage.steps && !signal?.aborted) {
        const to = Math.min(stage.steps, from + saveEvery);
        from = await runSteps({
          from,
          steps: to,
          run,
          learningRate: rate,
          routing: recordEvery === undefined ? undefined : routingReader(model, recordEvery),
          inputs: (step) => ({
            ...stage.inputs(model, step),
            hyper: { data: optimizer.hyper(rate(step), step + 1), shape: optimizer.hyperShape },
          }),
          signal,
          onStep: async (record) => {
            records.push(record);
            if (clock === undefined) clock = performance.now();
            else tokens += stage.tokens;
            const seconds = (performance.now() - clock) / 1000;
            await onStep?.({
              record,
              stage,
              done: first + record.step + 1,
              total,
              tokensPerSecond: seconds > 0 ? tokens / seconds : 0,
            });
          },
        });
        position.step = from;
        if (checkpoint !== undefined) {
          await Deno.mkdir(directoryOf(checkpoint), { recursive: true });
          await saveCheckpoint(checkpoint, model, optimizer, position, lossScaler);
        }
      }
      if (position.step < stage.steps) break;
      done += stage.steps;
      position.stage = number + 1;
      position.step = 0;
    }
  } finally {
    resuming?.close();
    lossScaler?.dispose();
  }
  return {
    model,
    recipe,
    records: position.records.flatMap((list, i) =>
      list.map((r) => ({ ...r, stage: recipe.stages[i].name }))
    ),
    complete: position.stage === recipe.stages.length,
    seconds: (performance.now() - started) / 1000,
  };
}

function directoryOf(path: string): string {
  const at = Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\"));
  return at > 0 ? path.slice(0, at) : ".";
}
