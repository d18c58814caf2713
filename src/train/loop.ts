/** The inner loop of every training: issue steps, read losses a little later, stop safely. */
import type { RoutingRecord } from "../moe/mod.ts";
import {
  type Compiled,
  type HostInputs,
  type Inputs,
  type Outputs,
  readAll,
  type Tensor,
} from "../tensor/mod.ts";

/** What is known of one finished step. */
export interface StepRecord {
  /** Number of the step, from 0. */
  step: number;
  /** Loss of the step's batch before the update. */
  loss: number;
  /** Auxiliary loss with its coefficient. */
  auxiliary: number;
  /** Router z-loss with its coefficient, where there is one. */
  zLoss?: number;
  /** Shares of the choices that full experts left out, by modality, where there is a capacity. */
  dropRates?: number[];
  /** Norm of the gradients before clipping; 0 of a skipped step. */
  gradientNorm: number;
  /** Learning rate used. */
  learningRate: number;
  /** Which experts the tokens of the batch chose, of the steps that are to be recorded. */
  routing?: RoutingRecord;
  /** Scale of the loss, where it is scaled. */
  lossScale?: number;
  /** The step changed nothing but the scale, since a gradient was infinite or NaN. */
  skipped?: true;
}

/** Options of {@linkcode runSteps}. */
export interface LoopOptions<O extends Outputs> {
  /** First step, more than 0 when resuming. Default 0. */
  from?: number;
  /** One after the last step. */
  steps: number;
  /** The compiled step. */
  run: Compiled<Inputs, O>;
  /**
   * Inputs of a step: a pure function of its number, so that a resumed run sees the same; or the next
   * ones of a stream, undefined at its end, which ends the loop.
   */
  inputs: (
    step: number,
  ) => HostInputs<Inputs> | Promise<HostInputs<Inputs> | undefined>;
  /** Learning rate of a step, for the record. */
  learningRate: (step: number) => number;
  /** Called for every finished step, in order; awaited. */
  onStep?: (record: StepRecord) => void | Promise<void>;
  /** Records the routing of every so many steps; it is read together with their losses. */
  routing?: RoutingReader;
  /** Ends the loop after the step at hand. */
  signal?: AbortSignal;
}

/** How the routing of training steps is read. */
export interface RoutingReader {
  /** Steps from one reading to the next; the first is step 0. */
  every: number;
  /** Sums up the routing of a step on the device, if it has any; does not wait for the sums. */
  sum: (outputs: Outputs) => Promise<Tensor | undefined>;
  /** Makes a record of the sums. */
  read: (values: ArrayLike<number>) => RoutingRecord;
}

/** Steps that may be under way before their loss is read: hides the wait, bounds the queue. */
const IN_FLIGHT = 2;

/**
 * Runs training steps. Losses are read while the next step is running.
 *
 * @returns the number of finished steps (less than `steps` if stopped or out of inputs)
 * @throws {Error} if a loss is not a finite number, with the step and what to try.
 */
export async function runSteps<O extends Outputs>(options: LoopOptions<O>): Promise<number> {
  const { from = 0, steps, run, inputs, learningRate, onStep, routing, signal } = options;
  const waiting: Promise<StepRecord>[] = [];
  const finish = async () => {
    const done = await waiting.shift()!;
    const hopeless = done.skipped && done.lossScale! < 1;
    if (!Number.isFinite(done.loss) || !Number.isFinite(done.gradientNorm) || hopeless) {
      const { step, loss, gradientNorm, lossScale } = done;
      const scaled = lossScale === undefined ? "" : `, loss scale ${lossScale}`;
      throw new Error(
        `training diverged: loss ${loss}, gradient norm ${gradientNorm}${scaled} at step ${step}; ` +
          `lower the learning rate${scaled ? ', use precision "f32"' : ""} or clip gradients`,
      );
    }
    await onStep?.(done);
  };
  let step = from;
  try {
    for (; step < steps && !signal?.aborted; step++) {
      const given = await inputs(step);
      if (!given) break;
      const outputs = await run(given);
      // Begun before the next step, which overwrites what this one gives.
      const sums = routing && step % routing.every === 0 ? await routing.sum(outputs) : undefined;
      const record = readRecord(step, learningRate(step), { outputs, sums, routing });
      record.catch(() => {}); // it is reported when its turn comes, maybe after a slow onStep
      waiting.push(record);
      if (waiting.length >= IN_FLIGHT) await finish();
    }
    while (waiting.length > 0) await finish();
  } catch (error) {
    await Promise.allSettled(waiting);
    throw error;
  }
  return step;
}

/** Results of a step that are recorded where the step gives them. */
const RECORDED = ["loss", "auxiliary", "gradientNorm", "lossScale", "zLoss", "dropRates"];

async function readRecord(
  step: number,
  learningRate: number,
  { outputs, sums, routing }: { outputs: Outputs; sums?: Tensor; routing?: RoutingReader },
): Promise<StepRecord> {
  const names = RECORDED.filter((name) => name in outputs);
  const scalars = names.map((name) => outputs[name] as Tensor);
  const values = await readAll(...scalars, ...(sums ? [sums] : []));
  sums?.dispose();
  const given = (name: string) => values[names.indexOf(name)];
  const scalar = (name: string) => given(name)?.[0] ?? 0;
  const [loss, auxiliary, gradientNorm, lossScale, zLoss] = RECORDED.map(scalar);
  const record: StepRecord = { step, loss, auxiliary, gradientNorm, learningRate };
  if (sums) record.routing = routing!.read(values[names.length]);
  if (given("zLoss")) record.zLoss = zLoss;
  if (given("dropRates")) record.dropRates = Array.from(given("dropRates"));
  if (!given("lossScale")) return record;
  // Without the norm: it is no number that JSON could hold.
  return Number.isFinite(gradientNorm)
    ? { ...record, lossScale }
    : { ...record, gradientNorm: 0, lossScale, skipped: true };
}
