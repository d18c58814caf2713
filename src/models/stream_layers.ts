/**
 * Language models that are larger than the device's memory: one decoder layer at a time is loaded,
 * run and given back. The embeddings of the tokens at hand are read row by row, the head in slices.
 *
 * @module
 */
import { formatBytes } from "../gpu/mod.ts";
import { applyLinear, applyNorm } from "../nn/mod.ts";
import type { Routing } from "../moe/mod.ts";
import {
  cat,
  currentSession,
  evaluate,
  reshape,
  type Shape,
  sizeOf,
  type Tensor,
} from "../tensor/mod.ts";
import { type Checkpoint, openCheckpoint } from "./checkpoint_folder.ts";
import { limitsOf } from "./device_limits.ts";
import { joinedTensors } from "./joined_weights.ts";
import { checkpointPath, type LoadOptions } from "./load_published.ts";
import { checkTensors, TensorLoader } from "./load_weights.ts";
import { applyBlock, type BlockUse, blockUse, type LvlmOutputs } from "./lvlm.ts";
import { tensorsIn } from "./model_tree.ts";
import {
  LANGUAGE_TYPES,
  languageConfig,
  partOf,
  type PublishedConfig,
  withDefaults,
} from "./published_config.ts";
import {
  completeInputs,
  publishedBlock,
  type PublishedInputs,
  type PublishedLanguage,
} from "./published_language.ts";
import { publishedShapes } from "./published_shapes.ts";

/** Options of {@linkcode StreamedLanguage.apply}. */
export interface StreamedOptions {
  /** Give the hidden states too. Default false. */
  readonly hidden?: boolean;
  /** Told before each layer, 0-based, and before the head. */
  readonly onLayer?: (layer: number, layers: number) => void;
}

/** Bytes of a slice of the head: small beside a layer. */
const HEAD_SLICE = 64 * 2 ** 20;

/** @throws {RangeError} with the numbers, if a tensor of a layer is larger than one binding. */
function refuseTooLarge(
  path: string,
  expected: ReadonlyMap<string, Shape>,
  { dtype = "f32", device = limitsOf(currentSession()) }: LoadOptions,
): void {
  // Embeddings and head are not read whole.
  const layers = new Map([...expected].filter(([name]) => name.includes(".layers.")));
  for (const { name, shape } of joinedTensors(layers)) {
    const bytes = sizeOf(shape) * (dtype === "f16" ? 2 : 4);
    if (bytes <= device.binding) continue;
    throw new RangeError(
      `${path} cannot run on ${device.name} even layer by layer: ${name} has ${bytes} bytes ` +
        `(${formatBytes(bytes)}) as ${dtype}, and one binding at most ${device.binding} ` +
        `(${formatBytes(device.binding)})${dtype === "f32" ? '; try dtype "f16"' : ""}`,
    );
  }
}

/** A language model in its files. Made by {@linkcode streamLayers}. */
export class StreamedLanguage implements Disposable {
  /** Sizes, and how tokens are typed. */
  readonly config: PublishedLanguage["config"];
  readonly #checkpoint: Checkpoint;
  readonly #loader: TensorLoader;
  readonly #fields: PublishedConfig;
  readonly #prefix: string;
  /** The needed tensors of each layer. */
  readonly #layers: readonly (readonly string[])[];
  readonly #width: number;

  /** Use {@linkcode streamLayers}. */
  constructor(
    checkpoint: Checkpoint,
    fields: PublishedConfig,
    prefix: string,
    options: LoadOptions,
  ) {
    const shapeOf = (name: string): Shape | undefined =>
      checkpoint.has(name) ? checkpoint.entry(name).shape : undefined;
    const whole = publishedShapes(checkpoint.config(), shapeOf);
    const expected = new Map([...whole].filter(([name]) => name.startsWith(prefix)));
    checkTensors(checkpoint, expected);
    refuseTooLarge(checkpoint.path, expected, options);
    this.config = { language: languageConfig(fields), visionBoundary: "shifted" };
    this.#checkpoint = checkpoint;
    this.#loader = new TensorLoader(checkpoint, { ...options, join: true });
    this.#fields = withDefaults(fields, LANGUAGE_TYPES);
    this.#prefix = prefix;
    this.#width = options.dtype === "f16" ? 2 : 4;
    const { layers } = this.config.language;
    this.#layers = Array.from({ length: layers }, (_, i) => {
      const layer = `${prefix}model.layers.${i}.`;
      return [...expected.keys()].filter((name) => name.startsWith(layer));
    });
  }

  /** Number of layers. */
  get layers(): number {
    return this.#layers.length;
  }

  /**
   * Runs the model.
   *
   * @param inputs as of `applyPublishedLanguage()`
   * @returns computed results; `dispose()` them when they are not needed any more
   * @throws {RangeError} if there are neither tokens nor embeddings, shapes do not fit, or a tensor is
   * larger than the device can bind. @throws {Error} if the device has not the memory for a layer.
   */
  async apply(
    inputs: PublishedInputs,
    { hidden = false, onLayer }: StreamedOptions = {},
  ): Promise<Pick<LvlmOutputs, "logits" | "routings" | "hiddenStates">> {
    let x = await this.#embeddings(inputs);
    const use = await this.#shared(x, inputs);
    const hiddenStates: Tensor[] = [], routings: Routing[] = [];
    for (const [i, names] of this.#layers.entries()) {
      onLayer?.(i, this.layers);
      const weights = await this.#loader.load(names);
      const block = publishedBlock(this.#fields, weights, `${this.#prefix}model.layers.${i}`);
      const { output, routing } = applyBlock(block, x, use);
      await evaluate(output, ...tensorsIn(routing).values());
      for (const t of weights.values()) t.dispose();
      if (hidden) hiddenStates.push(x);
      else if (x !== inputs.embeddings) x.dispose();
      if (routing) routings.push(routing);
      x = output;
    }
    const needed = new Set<unknown>([...Object.values(inputs), ...tensorsIn(routings).values()]);
    for (const t of tensorsIn(use).values()) if (!needed.has(t)) t.dispose();
    onLayer?.(this.layers, this.layers);
    const norm = await this.#loader.load([`${this.#prefix}model.norm.weight`]);
    const [weight] = norm.values();
    const normalised = applyNorm({ weight }, x, this.config.language.epsilon);
    await evaluate(normalised);
    weight.dispose();
    x.dispose();
    const logits = await this.#logits(normalised);
    if (hidden) return { logits, routings, hiddenStates: [...hiddenStates, normalised] };
    normalised.dispose();
    return { logits, routings };
  }

  /** The embeddings of the tokens, read row by row. */
  async #embeddings({ tokens, embeddings }: PublishedInputs): Promise<Tensor> {
    if (embeddings) return embeddings;
    if (!tokens) throw new RangeError("StreamedLanguage.apply: give tokens or embeddings");
    const { vocabulary, width } = this.config.language;
    const ids = await tokens.data();
    const wrong = ids.find((id) => !(id >= 0 && id < vocabulary));
    if (wrong !== undefined) {
      throw new RangeError(
        `StreamedLanguage.apply: token ${wrong} of a vocabulary of ${vocabulary}`,
      );
    }
    const ranges = Array.from(ids, (from) => ({ from, count: 1 }));
    const rows = await this.#loader.rows(`${this.#prefix}model.embed_tokens.weight`, ranges);
    const x = reshape(rows, [...tokens.shape, width]);
    await evaluate(x);
    if (x !== rows) rows.dispose();
    return x;
  }

  /** What the layers share, computed once. */
  async #shared(x: Tensor, inputs: PublishedInputs): Promise<BlockUse> {
    const use = blockUse(this.config, x, completeInputs(x, inputs));
    await evaluate(...tensorsIn(use).values());
    return use;
  }

  /** Logits `[B × T, vocabulary]` by slices of the head. */
  async #logits(x: Tensor): Promise<Tensor> {
    const [b, t, width] = x.shape, flat = reshape(x, [b * t, width]);
    const own = `${this.#prefix}lm_head.weight`;
    const isTied = this.#fields.tie_word_embeddings === true || !this.#checkpoint.has(own);
    const name = isTied ? `${this.#prefix}model.embed_tokens.weight` : own;
    const { vocabulary } = this.config.language;
    const most = Math.min(HEAD_SLICE, limitsOf(currentSession()).binding);
    const step = Math.max(1, Math.floor(most / (width * this.#width)));
    const slices: Tensor[] = [];
    for (let from = 0; from < vocabulary; from += step) {
      const count = Math.min(step, vocabulary - from);
      const weight = await this.#loader.rows(name, [{ from, count }]);
      const slice = applyLinear({ weight }, flat);
      await evaluate(slice);
      weight.dispose();
      slices.push(slice);
    }
    const logits = cat(slices, 1);
    await evaluate(logits);
    for (const slice of slices) if (slice !== logits) slice.dispose();
    return logits;
  }

  /** Closes the files. */
  close(): void {
    this.#checkpoint.close();
  }

  /** `using model = await streamLayers(…)` closes the files at the end of the block. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Opens a language model to run it layer by layer: Llama, Phi-3, Mixtral, the paper authors' mixture,
 * or the language model of a LLaVA, which is then given embeddings. Every pass reads all of its weights
 * from the disk, so it is for models that the device cannot hold: the memory needed is that of one layer.
 *
 * @param source as of `loadPublished()`
 * @throws {Deno.errors.NotFound} if there is no checkpoint. @throws {RangeError} if it is no language
 * model, a tensor is missing or misshapen, or one layer's is larger than the device can bind.
 *
 * @example
 * ```ts ignore
 * import { lab, tensors } from "@moiie/lab";
 * import { streamLayers } from "@moiie/lab/models";
 * await lab();
 * using model = await streamLayers("Phi-3-mini-4k-instruct", { dtype: "f16" });
 * const { logits } = await model.apply({ tokens: tensors.tensor([[1, 450, 4996]], { dtype: "i32" }) });
 * ```
 */
export async function streamLayers(
  source: string,
  options: LoadOptions = {},
): Promise<StreamedLanguage> {
  const checkpoint = openCheckpoint(await checkpointPath(source, options));
  try {
    const config = checkpoint.config(), isLlava = config.model_type === "llava";
    const fields = isLlava ? partOf(config, "text_config") : config;
    const prefix = isLlava ? "language_model." : "";
    return new StreamedLanguage(checkpoint, fields, prefix, options);
  } catch (error) {
    checkpoint.close();
    throw error;
  }
}
