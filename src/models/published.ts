/** Sizes of the models that the paper trained, for counting: nothing of them is loaded or run. */
import type { PoolTable } from "../moe/mod.ts";
import { unknownName } from "../tensor/mod.ts";
import { moeLayers, type Placement } from "./config.ts";
import type { CountedConfig } from "./summary.ts";

/** Names of the published models. */
export type PublishedName = "phi-3-mini" | "llama3-8b";

/** SigLIP so400m, patches of 14, 384 pixels: 27 × 27 whole patches (its published config.json). */
const SIGLIP: CountedConfig["vision"] = {
  imageSize: 384,
  patch: 14,
  width: 1152,
  layers: 27,
  heads: 16,
  hidden: 4304,
  pooling: true,
};

const LANGUAGE: Readonly<Record<PublishedName, CountedConfig["language"]>> = {
  // Phi-3-mini-4k-instruct (its published config.json).
  "phi-3-mini": { vocabulary: 32064, width: 3072, layers: 32, heads: 32, hidden: 8192 },
  // Meta-Llama-3-8B (its published config.json).
  "llama3-8b": {
    vocabulary: 128256,
    width: 4096,
    layers: 32,
    heads: 32,
    keyHeads: 8,
    hidden: 14336,
  },
};

/**
 * The configuration of a model of the paper (arXiv 2508.09779, table 2): SigLIP so400m/14-384, a
 * connector of two layers, and Phi-3-mini (MoIIE-A5B) or LLaMA3-8B (MoIIE-A11B) with experts. For
 * `summarize()` and `forwardFlops()`; with another table of experts or placement it is a variant of
 * the paper's, or one of your own.
 *
 * @param name The language model.
 * @param ffn The experts, such as `moiie()`.
 * @param placement Which layers hold them.
 * @throws {RangeError} If there is no such model or layer; the nearest name is offered.
 *
 * @example
 * ```ts
 * import { publishedModel, summarize } from "@moiie/lab/models";
 * import { moiie } from "@moiie/lab/moe";
 * const { active } = summarize(publishedModel("phi-3-mini", moiie()));
 * console.log(active); // 5470394432
 * ```
 */
export function publishedModel(
  name: PublishedName,
  ffn: PoolTable,
  placement: Placement = "interleaved",
): CountedConfig {
  if (!Object.hasOwn(LANGUAGE, name)) {
    throw unknownName("published model", name, Object.keys(LANGUAGE));
  }
  const language = LANGUAGE[name];
  moeLayers(placement, language.layers); // refuses layers that there are not
  return { preset: name, vision: SIGLIP, language, ffn, placement };
}
