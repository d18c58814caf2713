/** A handful of pictures, a model in thimble size for them, and a short recipe. */
import { type EmojiVqa, emojiVqa } from "../../src/data/mod.ts";
import { type Lvlm, lvlmConfig, type LvlmOptions, makeLvlm } from "../../src/models/mod.ts";
import { moiie } from "../../src/moe/mod.ts";
import { Random } from "../../src/tensor/mod.ts";
import { type Recipe, twoStage, type TwoStageOptions } from "../../src/train/mod.ts";

/** Few samples, never cached. */
export const DATA: EmojiVqa = await emojiVqa({
  scale: "tiny",
  cacheDir: null,
  train: 40,
  val: 10,
  comp: 10,
  style: 10,
  text: 10,
});

/** A MoIIE of two layers, the second a mixture, that reads pictures of 32 pixels. */
export function smallest(options: LvlmOptions = {}, seed = 1): Lvlm {
  const config = lvlmConfig("tiny", {
    ffn: moiie(),
    ...options,
    vision: { width: 16, layers: 1, heads: 2, hidden: 16 },
    language: { width: 16, layers: 2, heads: 2, hidden: 16, ...options.language },
  });
  return makeLvlm(new Random(seed, "model"), config);
}

/** Four steps on captions and six on questions. */
export function shortRecipe(options: TwoStageOptions = {}): Recipe {
  return twoStage(DATA, {
    connectorSteps: 4,
    connectorBatch: 4,
    instructionSteps: 6,
    instructionBatch: 4,
    ...options,
  });
}
