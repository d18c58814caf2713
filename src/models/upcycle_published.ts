/** Published dense models to mixtures of experts, and the receipt that nothing else changed. */
import {
  checkRouting,
  checkTable,
  type PoolTable,
  routersOf,
  type RoutingOptions,
} from "../moe/mod.ts";
import { parameters } from "../nn/mod.ts";
import { full, Random, readAll, reshape, sessionSeed, type Tensor } from "../tensor/mod.ts";
import { type LvlmConfig, moeLayers, type Placement } from "./config.ts";
import { applyLlava, type LlavaInputs } from "./llava.ts";
import type { ApplyOptions, LvlmOutputs } from "./lvlm.ts";
import type { AnyPublished } from "./load_published.ts";
import {
  copyTree,
  languageOf,
  ownerOf,
  type PublishedLvlm,
  publishedPart,
  type Remade,
  remade,
  withLayers,
} from "./model_tree.ts";
import { applyPublishedLanguage, type PublishedInputs } from "./published_language.ts";
import { checkNames } from "./names.ts";
import { upcycleLayer, type UpcycleOptions } from "./upcycle.ts";

/** How a published model is upcycled. */
export interface UpcyclePublishedOptions extends UpcycleOptions {
  /** Layers that get experts. Default `interleaved`, as in the paper. */
  placement?: Placement;
  /** Seed of the routers, the noise and the dropped units. Default the session's. */
  seed?: number;
  /** How the new layers spread tokens. Default as published. */
  routing?: RoutingOptions;
  /** Coefficient of the balancing loss, one for each router. Default 0.001 (paper section 2.2.3). */
  balance?: number;
  /** Token typing at the end of an image. Default the model's: `shifted`, as published. */
  visionBoundary?: LvlmConfig["visionBoundary"];
  /**
   * Take the weights outside of the new layers themselves in place of copies. Saves their memory, but
   * training one model then changes both. Default false.
   */
  share?: boolean;
}

const OPTIONS = [
  "noise",
  "drop",
  "placement",
  "seed",
  "routing",
  "balance",
  "visionBoundary",
  "share",
] as const;

/**
 * A mixture of experts made of a published dense model (Llama, Phi-3, or the language model of a
 * LLaVA): each chosen layer's feed-forward network becomes all experts of the table, with new routers
 * (paper section 2.3 and the authors' converter). Without noise or dropped units it gives the dense
 * model's logits: see {@linkcode upcycleReceipt}. The dense model stays as it is.
 *
 * @param dense the model, or a loaded checkpoint
 * @param table such as `moiie()`; its first modalities are text and image
 * @throws {RangeError} if the model has experts already, a layer or option is unknown or out of range,
 * or the table makes no sense.
 */
export async function upcyclePublished<M extends PublishedLvlm | AnyPublished>(
  dense: M,
  table: PoolTable,
  options: UpcyclePublishedOptions = {},
): Promise<Remade<M>> {
  checkNames("upcycle option", options, OPTIONS);
  const { placement = "interleaved", seed = sessionSeed(), noise, drop, share } = options;
  const { balance = 0.001, visionBoundary } = options;
  const routing = checkRouting(options.routing ?? {});
  checkTable(table);
  if (!(balance >= 0 && balance < Infinity)) {
    throw new RangeError(`upcyclePublished: balance = ${balance} must be a number of at least 0`);
  }
  const owner: PublishedLvlm = ownerOf(dense), { blocks } = languageOf(owner);
  const chosen = moeLayers(placement, blocks.length);
  const random = new Random(seed, "upcycle");
  const made = await withLayers(
    owner,
    async (layer, i) =>
      chosen.includes(i)
        ? await upcycleLayer(layer, table, random.fork(`router ${i}`), { noise, drop, routing })
        : share
        ? layer
        : await copyTree(layer),
    share,
  );
  const part = publishedPart(made);
  const text = {
    ...part,
    coefficients: routersOf(table).map(() => balance),
    config: { ...part.config, visionBoundary: visionBoundary ?? part.config.visionBoundary },
  };
  const model = "text" in made ? { ...made, text } : text;
  parameters(model); // names the new ones by path, for error messages
  return remade(dense, model);
}

/** Inputs of a published model: of a LLaVA with pictures, of a language model without. */
export type PublishedModelInputs = PublishedInputs & Pick<LlavaInputs, "pixels">;

/**
 * Applies a published model of either kind, or that of a loaded checkpoint.
 *
 * @throws {RangeError} if a language model is given pixels, a LLaVA no tokens, or shapes do not fit.
 */
export function applyPublished(
  published: PublishedLvlm | AnyPublished,
  { pixels, ...inputs }: PublishedModelInputs,
  options: ApplyOptions = {},
): LvlmOutputs {
  const model: PublishedLvlm = ownerOf(published);
  if ("text" in model) {
    const { tokens, mask, positions } = inputs;
    if (!tokens) throw new RangeError("applyPublished: a LLaVA needs tokens");
    return applyLlava(model, { tokens, mask, positions, pixels }, options);
  }
  if (pixels) throw new RangeError("applyPublished: a language model takes no pixels");
  return applyPublishedLanguage(model, inputs, options);
}

/** How far the logits of two models are apart. */
export interface UpcycleReceipt {
  /** ‖y - y₀‖ / ‖y₀‖ over the logits of all tokens but padding. */
  readonly relative: number;
  /** Largest difference of two logits. */
  readonly largest: number;
  /** Tokens compared. */
  readonly tokens: number;
}

/**
 * Compares the logits of an upcycled model with the dense one's at step 0, near 1e-7 when nothing but
 * the order of additions differs: copies are equal and their weights sum to 1. Of tables that do not
 * renormalise, of noise and of dropped units it tells how much they change. Padding is left out:
 * mixtures compute nothing for it.
 */
export async function upcycleReceipt(
  upcycled: PublishedLvlm | AnyPublished,
  dense: PublishedLvlm | AnyPublished,
  inputs: PublishedModelInputs,
): Promise<UpcycleReceipt> {
  const logits = [upcycled, dense].map((m) => applyPublished(m, inputs).logits);
  const [rows, classes] = logits[0].shape;
  const counted: Tensor = inputs.mask ? reshape(inputs.mask, [rows]) : full([rows], 1, "i32");
  const [got, want, counts] = await readAll(logits[0], logits[1], counted);
  let difference = 0, size = 0, largest = 0, tokens = 0;
  for (let row = 0; row < rows; row++) {
    if (counts[row] === 0) continue;
    tokens++;
    for (let i = row * classes; i < (row + 1) * classes; i++) {
      const off = got[i] - want[i];
      difference += off ** 2;
      size += want[i] ** 2;
      largest = Math.max(largest, Math.abs(off));
    }
  }
  return { relative: Math.sqrt(difference / size), largest, tokens };
}
