/** Presets with their pretrained backbones. */
import { currentSession, Random } from "../tensor/mod.ts";
import { lvlmConfig, type LvlmOptions } from "./config.ts";
import { type Lvlm, makeLvlm } from "./lvlm.ts";
import { checkNames, MODEL_OPTIONS } from "./names.ts";
import { parseSafetensors, readSafetensors, type Safetensors } from "./safetensors.ts";
import { loadWeights } from "./weights.ts";

/** Files of the presets that have pretrained backbones: vision encoder and language model. */
const BACKBONES: Readonly<Record<string, string>> = {
  tiny: "../../fixtures/backbones/tiny.safetensors",
};

/** Options of {@linkcode lvlm}. */
export interface ModelOptions extends LvlmOptions {
  /** Seed of the new parameters (connector, routers). Default the session's. */
  seed?: number;
  /** Start from the preset's pretrained backbones. Default true where there are any. */
  pretrained?: boolean;
}

/** Opens the file of a preset's pretrained backbones, wherever the library is loaded from. */
async function openBackbones(preset: string): Promise<Safetensors> {
  const file = BACKBONES[preset];
  if (!file) {
    throw new RangeError(
      `preset "${preset}" has no pretrained backbones; pass pretrained: false to start from random ` +
        `weights (${Object.keys(BACKBONES).join(", ")} has some)`,
    );
  }
  const url = new URL(file, import.meta.url);
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
 * @throws {RangeError} on unknown names (the nearest is offered) or sizes that do not fit.
 *
 * @example
 * ```ts ignore
 * import { lab, lvlm, moiie } from "@moiie/lab";
 * await lab({ seed: 7 });
 * const model = await lvlm("tiny", { ffn: moiie({ vision: 1, language: 1, shared: 2, topK: 2 }) });
 * ```
 */
export async function lvlm(preset: string, options: ModelOptions = {}): Promise<Lvlm> {
  checkNames("model option", options, [...MODEL_OPTIONS, "seed", "pretrained"]);
  const { seed, pretrained, ...rest } = options;
  const config = lvlmConfig(preset, rest);
  const session = currentSession();
  const resized = rest.vision !== undefined || rest.language !== undefined;
  const model = makeLvlm(new Random(seed ?? session.seed, "model"), config);
  if (pretrained ?? (preset in BACKBONES && !resized)) {
    const file = await openBackbones(preset);
    try {
      loadWeights(file, model, (path) => !path.startsWith("connector."));
    } finally {
      file.close();
    }
  }
  return model;
}
