/** A tokenizer.json in the manner of Llama's and Phi-3's, with hardly any words. */
import type { PublishedConfig, TokenizerFiles } from "../../src/models/mod.ts";

const PIECES = [
  "▁",
  "a",
  "b",
  "c",
  "h",
  "i",
  "ab",
  "▁ab",
  "▁c",
  "hi",
  "▁hi",
  "<0x0A>",
  "<0xC3>",
  "<0xA9>",
];
const SPECIAL = ["<unk>", "<s>", "</s>"];

/** Ids: `<unk>` 0, `<s>` 1, `</s>` 2, `▁` 3, `a` 4 … `<0xA9>` 16, `<|user|>` 17, `<|end|>` 18. */
export const TOKENIZER_JSON: PublishedConfig = {
  version: "1.0",
  added_tokens: [...SPECIAL, "<|user|>", "<|end|>"].map((content, i) => ({
    id: i < 3 ? i : PIECES.length + i,
    content,
    single_word: false,
    lstrip: false,
    rstrip: content === "<|end|>",
    normalized: false,
    special: true,
  })),
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "Prepend", prepend: "▁" },
      { type: "Replace", pattern: { String: " " }, content: "▁" },
    ],
  },
  pre_tokenizer: null,
  post_processor: {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
  },
  decoder: {
    type: "Sequence",
    decoders: [
      { type: "Replace", pattern: { String: "▁" }, content: " " },
      { type: "ByteFallback" },
      { type: "Fuse" },
      { type: "Strip", content: " ", start: 1, stop: 0 },
    ],
  },
  model: {
    type: "BPE",
    dropout: null,
    unk_token: "<unk>",
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: true,
    byte_fallback: true,
    vocab: Object.fromEntries([...SPECIAL, ...PIECES].map((piece, i) => [piece, i])),
    merges: ["a b", "▁ ab", "▁ c", "h i", "▁ hi"],
  },
};

/** The two files of the tokenizer. */
export const TOKENIZER_FILES: TokenizerFiles = {
  tokenizer: TOKENIZER_JSON,
  config: {
    bos_token: "<s>",
    eos_token: { content: "</s>", lstrip: false },
    unk_token: "<unk>",
    pad_token: null,
    chat_template: "{% for m in messages %}<|user|>\n{{ m.content }}<|end|>\n{% endfor %}",
    tokenizer_class: "LlamaTokenizer",
  },
};
