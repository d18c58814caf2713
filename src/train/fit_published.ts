/**
 * Training of published models, dense or upcycled, with the library's optimizer: the loss of Hugging Face
 * transformers (labels shifted by one token, balancing losses added), batches from any stream.
 */
import {
  type AnyPublished,
  applyPublished,
  type PaddedRows,
  type PublishedLvlm,
  type PublishedModelInputs,
} from "../models/mod.ts";
import { ownerOf, publishedPart, tensorsIn } from "../models/model_tree.ts";
import { balanceLoss, type Coefficient, TEXT } from "../moe/mod.ts";
import {
  add,
  cat,
  compile,
  type Compiled,
  crossEntropy,
  equal,
  evaluate,
  full,
  gradients,
  greaterEqual,
  type HostInputs,
  type HostTensor,
  type Inputs,
  narrow,
  notEqual,
  reshape,
  type Tensor,
  tensor,
  where,
} from "../tensor/mod.ts";
import type { ParameterGroup } from "./flat_parameters.ts";
import { runSteps, type StepRecord } from "./loop.ts";
import { AdamW, type AdamWOptions } from "./optimizer.ts";
import { routingExtras } from "./routing_extras.ts";
import { routedTokens, routingReader } from "./routing_reader.ts";
import { cosineWithWarmup, type Schedule } from "./schedule.ts";
import type { StepOutputs } from "./step.ts";
import { TOKEN_CLASSES } from "./token_classes.ts";

/** A batch for a published model: rows as `expandImageTokens()` makes them, and their pictures. */
export interface PublishedBatch extends PaddedRows {
  /** Pictures of all rows, `[N, 3, H, W]`, in the order of their tokens. */
  readonly pixels?: HostTensor;
  /** 1 image, 0 text, for a language model without pictures. Default text; a LLaVA tells by itself. */
  readonly modality?: Int32Array<ArrayBuffer>;
}

/** Options of {@linkcode fitPublished}. */
export interface FitPublishedOptions {
  /** Most optimizer steps. */
  readonly steps: number;
  /** The batches, one for each step; training ends with them. */
  readonly batches: Iterable<PublishedBatch> | AsyncIterable<PublishedBatch>;
  /** Highest learning rate. Default 2e-5, as the paper's second stage. */
  readonly learningRate?: number;
  /** Factor on it by step. Default a cosine after a warm-up of 3 % of the steps. */
  readonly schedule?: Schedule;
  /**
   * Factor on the learning rate for the parameter of a path, such as
   * `text.language.blocks.1.ffn.gateUp` or `projector.up.weight`; 0 keeps it as it is. Default 1.
   */
  readonly rate?: (path: string) => number;
  /** Moments, weight decay, clipping. Default as {@linkcode AdamW}'s. */
  readonly optimizer?: AdamWOptions;
  /** Coefficient of the balancing losses. Default the model's, for each router. */
  readonly balance?: Coefficient;
  /** Steps between records of the routing, in the records of the steps. Default never. */
  readonly recordEvery?: number;
  /** Compute blocks again for the gradient instead of keeping their results. Default false. */
  readonly recompute?: boolean;
  /** Called after every step, in order; awaited. */
  readonly onStep?: (record: StepRecord) => void | Promise<void>;
  /** Ends the training after the step at hand. */
  readonly signal?: AbortSignal;
}

/** A finished (or stopped) training of a published model. */
export interface PublishedRun {
  /** What happened, step by step. */
  readonly records: readonly StepRecord[];
  /** True if every step was done. */
  readonly complete: boolean;
  /** Seconds that this call took, compiling included. */
  readonly seconds: number;
}

/** Nothing is to be predicted. */
const IGNORE = -100;

/** The next token in the place of every token: none behind a row's last. */
function nextOf(x: Tensor, none: number): Tensor {
  const [rows, length] = x.shape;
  return cat([narrow(x, 1, 1, length - 1), full([rows, 1], none, "i32")], 1);
}

/** Classes of tokens for routing records, as {@linkcode TOKEN_CLASSES} names them. */
function classesOf(modality: Tensor, labels: Tensor, mask: Tensor): Tensor {
  const [patch, question, answer] = ["patch", "question", "answer"].map((name) =>
    full([], TOKEN_CLASSES.indexOf(name), "i32")
  );
  const text = where(greaterEqual(labels, 0), answer, question);
  const all = where(notEqual(modality, TEXT), patch, text);
  return reshape(where(equal(mask, 0), -1, all), [labels.size]);
}

/** The compiled step. */
function stepOf(
  model: PublishedLvlm,
  optimizer: AdamW,
  { balance, recompute, recordEvery }: FitPublishedOptions,
): Compiled<Inputs, StepOutputs> {
  const part = publishedPart(model);
  return compile<Inputs, StepOutputs>(({ labels: given, mask, hyper, ...inputs }) => {
    const outputs = applyPublished(model, { ...inputs, mask } as PublishedModelInputs, {
      recompute,
    });
    const { logits, routings } = outputs;
    const labels = where(equal(mask, 0), IGNORE, given);
    const loss = crossEntropy(logits, reshape(nextOf(labels, IGNORE), [labels.size]));
    const auxiliary = balanceLoss(routings, balance ?? part.coefficients);
    const grads = gradients(add(loss, auxiliary), [...optimizer.parameters.values()]);
    const { effect, gradientNorm } = optimizer.update(grads, hyper);
    const records = recordEvery !== undefined && routings.length > 0;
    const modality = records ? reshape(routings[0].modality, labels.shape) : undefined;
    return {
      ...routingExtras(part, outputs, 0),
      loss,
      auxiliary,
      gradientNorm,
      choices: [],
      ...(modality && routedTokens(routings, classesOf(modality, labels, mask))),
      effect,
    };
  });
}

/** Groups of parameters that learn equally fast. @throws {RangeError} on a rate that is none. */
function groupsOf(model: PublishedLvlm, rate: (path: string) => number): ParameterGroup[] {
  const groups = new Map<number, Map<string, Tensor>>();
  for (const [path, t] of tensorsIn(model)) {
    if (path.split(".").includes("buffers")) continue;
    const factor = rate(path);
    if (!(factor >= 0 && factor < Infinity)) {
      throw new RangeError(`fitPublished: rate("${path}") = ${factor} must be at least 0`);
    }
    if (factor === 0) continue;
    if (t.dtype !== "f32") {
      throw new TypeError(`fitPublished: ${path} is ${t.dtype}; only f32 weights are trained`);
    }
    if (!groups.has(factor)) groups.set(factor, new Map());
    groups.get(factor)!.set(path, t);
  }
  return [...groups].map(([rateScale, parameters]) => ({
    name: `rate ${rateScale}`,
    parameters,
    rateScale,
  }));
}

/** A batch as inputs of the compiled step. */
function inputsOf(model: PublishedLvlm, batch: PublishedBatch): Record<string, HostTensor> {
  const { shape, tokens, mask, labels, positions, modality, pixels } = batch;
  const given = {
    tokens,
    mask,
    labels,
    positions,
    ...(!("text" in model) && modality && { modality }),
  };
  return {
    ...Object.fromEntries(Object.entries(given).map(([name, data]) => [name, { data, shape }])),
    ...(pixels && pixels.data.length > 0 && { pixels }),
  };
}

/** A batch as inputs of `applyPublished()` and `upcycleReceipt()`. */
export function publishedInputs(
  published: PublishedLvlm | AnyPublished,
  batch: PublishedBatch,
): PublishedModelInputs {
  const { labels: _, ...given } = inputsOf(ownerOf(published), batch);
  return Object.fromEntries(
    Object.entries(given).map(([name, { data, shape }]) => [name, tensor(data, { shape })]),
  );
}

/** The next item of either kind of stream. */
function iteratorOf<T>(stream: Iterable<T> | AsyncIterable<T>): AsyncIterator<T> | Iterator<T> {
  return Symbol.asyncIterator in stream
    ? stream[Symbol.asyncIterator]()
    : stream[Symbol.iterator]();
}

/**
 * Trains a published model: a language model or a LLaVA, dense or upcycled. Its parameters change in
 * place. Routers may be recorded on the way, for the routing figures.
 *
 * @param published the model, or a loaded checkpoint
 * @throws {Error} if the loss is no longer finite. @throws {RangeError} if the routing asks for noise,
 * which is for the library's own recipes, or an option is out of range. @throws {TypeError} if a weight
 * that learns is not f32.
 */
export async function fitPublished(
  published: PublishedLvlm | AnyPublished,
  options: FitPublishedOptions,
): Promise<PublishedRun> {
  const started = performance.now(), model = ownerOf(published), part = publishedPart(model);
  const { steps, batches, learningRate = 2e-5, rate = () => 1, recordEvery, onStep, signal } =
    options;
  if (!(Number.isInteger(steps) && steps >= 1)) {
    throw new RangeError(`fitPublished: steps = ${steps} must be a whole number of at least 1`);
  }
  if (recordEvery !== undefined && !(Number.isInteger(recordEvery) && recordEvery >= 1)) {
    throw new RangeError(
      `fitPublished: recordEvery = ${recordEvery} must be a whole number from 1`,
    );
  }
  if (part.language.blocks.some(({ ffn: { routing } }) => routing?.jitter || routing?.noise)) {
    throw new RangeError(
      "fitPublished: routing noise and jitter are not drawn here; leave them out",
    );
  }
  const schedule = options.schedule ?? cosineWithWarmup(Math.ceil(0.03 * steps), steps);
  const rateAt = (step: number) => learningRate * schedule(step);
  // Matrices that are published in parts are expressions until now.
  for (const t of tensorsIn(model).values()) await evaluate(t);
  using memory = new DisposableStack();
  const optimizer = new AdamW(groupsOf(model, rate), options.optimizer);
  memory.defer(() => optimizer.dispose());
  const run = stepOf(model, optimizer, options);
  memory.defer(() => run.dispose());
  const stream = iteratorOf(batches), records: StepRecord[] = [];
  let done: number;
  try {
    done = await runSteps({
      steps,
      run,
      learningRate: rateAt,
      routing: recordEvery === undefined ? undefined : routingReader(part, recordEvery),
      inputs: async (step): Promise<HostInputs<Inputs> | undefined> => {
        const next = await stream.next();
        if (next.done) return undefined;
        const hyper = {
          data: optimizer.hyper(rateAt(step), step + 1),
          shape: optimizer.hyperShape,
        };
        return { ...inputsOf(model, next.value), hyper };
      },
      signal,
      onStep: async (record) => {
        records.push(record);
        await onStep?.(record);
      },
    });
  } finally {
    await stream.return?.();
  }
  return { records, complete: done === steps, seconds: (performance.now() - started) / 1000 };
}
