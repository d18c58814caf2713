/** The inner loop of every training: issue steps, read losses a little later, stop safely. */
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
  /** Norm of the gradients before clipping. */
  gradientNorm: number;
  /** Learning rate used. */
  learningRate: number;
}

/** Options of {@linkcode runSteps}. */
export interface LoopOptions<O extends Outputs> {
  /** First step, more than 0 when resuming. Default 0. */
  from?: number;
  /** One after the last step. */
  steps: number;
  /** The compiled step. */
  run: Compiled<Inputs, O>;
  /** Inputs of a step: a pure function of its number, so that a resumed run sees the same. */
  inputs: (step: number) => HostInputs<Inputs>;
  /** Learning rate of a step, for the record. */
  learningRate: (step: number) => number;
  /** Called for every finished step, in order; awaited. */
  onStep?: (record: StepRecord) => void | Promise<void>;
  /** Ends the loop after the step at hand. */
  signal?: AbortSignal;
}

/** Steps that may be under way before their loss is read: hides the wait, bounds the queue. */
const IN_FLIGHT = 2;

/**
 * Runs training steps. Losses are read while the next step is running.
 *
 * @returns the number of finished steps (less than `steps` if stopped)
 * @throws {Error} if a loss is not a finite number, with the step and what to try.
 */
export async function runSteps<O extends Outputs>(options: LoopOptions<O>): Promise<number> {
  const { from = 0, steps, run, inputs, learningRate, onStep, signal } = options;
  const waiting: Promise<StepRecord>[] = [];
  const finish = async () => {
    const done = await waiting.shift()!;
    if (!Number.isFinite(done.loss) || !Number.isFinite(done.gradientNorm)) {
      throw new Error(
        `training diverged: loss ${done.loss}, gradient norm ${done.gradientNorm} at step ` +
          `${done.step}; lower the learning rate or clip gradients`,
      );
    }
    await onStep?.(done);
  };
  let step = from;
  try {
    for (; step < steps && !signal?.aborted; step++) {
      const outputs = await run(inputs(step));
      const record = readRecord(step, learningRate(step), outputs);
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

/** Results of a step that are recorded; what it does not give counts as 0. */
const SCALARS = ["loss", "auxiliary", "gradientNorm"];

async function readRecord(
  step: number,
  learningRate: number,
  outputs: Outputs,
): Promise<StepRecord> {
  const names = SCALARS.filter((name) => name in outputs);
  const values = await readAll(...names.map((name) => outputs[name] as Tensor));
  const value = (name: string) => values[names.indexOf(name)]?.[0] ?? 0;
  const [loss, auxiliary, gradientNorm] = SCALARS.map(value);
  return { step, loss, auxiliary, gradientNorm, learningRate };
}
