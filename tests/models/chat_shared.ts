/** A checkpoint that one can talk with: the LLaVA of the fixtures with a tokenizer of characters. */
import { join } from "node:path";
import { writeJson } from "./checkpoint_shared.ts";

const LLAVA = new URL("../../fixtures/torch/models/llava/", import.meta.url).pathname;

/** Ids 3 to 95: all characters that can be printed but two; 96 is `<image>`. */
const CHARACTERS = Array.from({ length: 93 }, (_, i) => String.fromCharCode(32 + i));

/** A tokenizer.json: every character is a token. `<unk>` 0, `<s>` 1, `</s>` 2, `<image>` 96. */
export const CHARACTER_TOKENIZER = {
  version: "1.0",
  added_tokens: ["<unk>", "<s>", "</s>", "<image>"].map((content, i) => ({
    id: i < 3 ? i : 96,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  })),
  normalizer: null,
  pre_tokenizer: null,
  post_processor: {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
  },
  decoder: { type: "Fuse" },
  model: {
    type: "BPE",
    dropout: null,
    unk_token: "<unk>",
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    vocab: Object.fromEntries(["<unk>", "<s>", "</s>", ...CHARACTERS].map((c, i) => [c, i])),
    merges: [],
  },
};

/** Writes the checkpoint into a folder. */
export async function writeTalkingLlava(folder: string): Promise<void> {
  await Deno.copyFile(join(LLAVA, "model.safetensors"), join(folder, "model.safetensors"));
  const config = JSON.parse(await Deno.readTextFile(join(LLAVA, "config.json")));
  config.text_config.max_position_embeddings = 256; // a conversation in characters is long
  writeJson(folder, "config.json", config);
  writeJson(folder, "generation_config.json", { bos_token_id: 1, eos_token_id: [2] });
  writeJson(folder, "tokenizer.json", CHARACTER_TOKENIZER);
  writeJson(folder, "tokenizer_config.json", { bos_token: "<s>", eos_token: "</s>" });
  writeJson(folder, "preprocessor_config.json", {
    image_processor_type: "CLIPImageProcessor",
    size: { shortest_edge: 12 },
    crop_size: { height: 12, width: 12 },
    image_mean: [0.5, 0.5, 0.5],
    image_std: [0.25, 0.25, 0.25],
  });
}
