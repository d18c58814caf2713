/** Presets with their pretrained backbones. */
import { currentSession, Random, unknownName } from "../tensor/mod.ts";
import { lvlmConfig, type LvlmOptions } from "./config.ts";
import { type Lvlm, makeLvlm } from "./lvlm.ts";
import { checkNames, MODEL_OPTIONS } from "./names.ts";
import { parseSafetensors, readSafetensors, type Safetensors } from "./safetensors.ts";
import { loadWeights } from "./weights.ts";

/** Files of the presets that have pretrained backbones: vision encoder and language model. */
const BACKBONES: Readonly<Record<string, string>> = {
  tiny: "../../fixtures/backbones/tiny.safetensors",
};

/** The parts of a model that may start from weights of their own. */
const PARTS = ["vision", "language"] as const;

/** Where the weights of a part come from. */
export interface Backbones {
  /** Vision encoder: `tiny`, `fresh` (random weights), or a safetensors file or checkpoint. */
  vision?: string;
  /** Language model, likewise. */
  language?: string;
}

/** Options of {@linkcode lvlm}. */
export interface ModelOptions extends LvlmOptions {
  /** Seed of the new parameters (connector, routers). Default the session's. */
  seed?: number;
  /** Start from the preset's pretrained backbones. Default true where there are any. */
  pretrained?: boolean;
  /**
   * Backbones by name: a preset's pretrained one (`tiny`), `fresh` for random weights, or the path of a
   * safetensors file with tensors `model.vision.…` or `model.language.…` of the same sizes, such as a
   * checkpoint of this library. Default as `pretrained` says.
   */
  backbones?: Backbones;
}

/** Opens the weights of a backbone, wherever the library is loaded from. */
async function openBackbone(part: string, name: string): Promise<Safetensors> {
  if (name.endsWith(".safetensors")) return readSafetensors(name);
  if (!Object.hasOwn(BACKBONES, name)) {
    const known = [...Object.keys(BACKBONES), "fresh", "path/to/file.safetensors"];
    throw unknownName(`${part} backbone`, name, known);
  }
  const url = new URL(BACKBONES[name], import.meta.url);
  if (url.protocol === "file:") return readSafetensors(url);
  const response = await fetch(url);
  if (!response.ok) throw new Error(`fetching ${url} gave ${response.status}`);
  return parseSafetensors(new Uint8Array(await response.arrayBuffer()), url.href);
}

/**
 * A vision-language model from a preset: pretrained vision encoder and dense language model, and a
 * new connector between them. Training gives it the experts of `ffn` when its recipe says so.
 *
 * @param preset `tiny` or `small`
 * @throws {RangeError} on unknown names (the nearest is offered), sizes that do not fit, or weights of
 * other sizes. @throws {Deno.errors.NotFound} if a backbone's file is missing.
 *
 * @example
 * ```ts ignore
 * import { lab, lvlm, moiie } from "@moiie/lab";
 * await lab({ seed: 7 });
 * const model = await lvlm("tiny", { ffn: moiie({ vision: 1, language: 1, shared: 2, topK: 2 }) });
 * ```
 */
export async function lvlm(preset: string, options: ModelOptions = {}): Promise<Lvlm> {
  checkNames("model option", options, [...MODEL_OPTIONS, "seed", "pretrained", "backbones"]);
  const { seed, pretrained, backbones = {}, ...rest } = options;
  checkNames("backbone of", backbones, PARTS);
  const config = lvlmConfig(preset, rest);
  if (pretrained && !Object.hasOwn(BACKBONES, preset)) {
    throw new RangeError(
      `preset "${preset}" has no pretrained backbones; pass pretrained: false to start from random ` +
        `weights (${Object.keys(BACKBONES).join(", ")} has some)`,
    );
  }
  const session = currentSession();
  const resized = rest.vision !== undefined || rest.language !== undefined;
  const model = makeLvlm(new Random(seed ?? session.seed, "model"), config);
  const usual = pretrained ?? (preset in BACKBONES && !resized) ? preset : "fresh";
  for (const part of PARTS) {
    const name = backbones[part] ?? usual;
    if (name === "fresh") continue;
    const file = await openBackbone(part, name);
    try {
      loadWeights(file, model, (path) => path.startsWith(`${part}.`));
    } finally {
      file.close();
    }
  }
  return model;
}
