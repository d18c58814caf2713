import { assert, assertEquals, assertGreater, assertThrows } from "@std/assert";
import {
  applyPublishedLanguage,
  languageConfig,
  type PublishedConfig,
  type PublishedInputs,
  publishedLanguage,
  type Weights,
} from "../../src/models/mod.ts";
import { cat, repeatInterleave, reshape, type Tensor } from "../../src/tensor/mod.ts";
import { assertClose, read } from "../nn/shared.ts";
import { ids, LLAMA, llamaShapes, randomWeights } from "./published_shared.ts";

const WEIGHTS = randomWeights(llamaShapes());
const TOKENS = [5, 9, 2, 20, 7, 1, 13, 4];

/** Logits `[B × T, 23]`. */
async function logits(
  inputs: PublishedInputs,
  config: PublishedConfig = LLAMA,
  weights: Weights = WEIGHTS,
): Promise<number[]> {
  const [values] = await read(
    applyPublishedLanguage(publishedLanguage(config, weights), inputs).logits,
  );
  return values;
}

const rows = (values: number[], from: number, to: number) => values.slice(from * 23, to * 23);

Deno.test("publishedLanguage() gives the same logits when projections are fused as in Phi-3", async () => {
  const fused = new Map<string, Tensor>();
  for (const [name, t] of WEIGHTS) {
    if (!/q_proj|k_proj|v_proj|gate_proj|up_proj/.test(name)) fused.set(name, t);
  }
  for (const i of [0, 1]) {
    const get = (name: string) => WEIGHTS.get(`model.layers.${i}.${name}_proj.weight`)!;
    const attention = ["q", "k", "v"].map((part) => get(`self_attn.${part}`));
    fused.set(`model.layers.${i}.self_attn.qkv_proj.weight`, cat(attention));
    fused.set(
      `model.layers.${i}.mlp.gate_up_proj.weight`,
      cat([get("mlp.gate"), get("mlp.up")]),
    );
  }
  const phi = { ...LLAMA, model_type: "phi3", rms_norm_eps: 1e-6 }, tokens = ids(TOKENS, 2, 4);
  assertClose(await logits({ tokens }, phi, fused), await logits({ tokens }), 1e-5);
});

Deno.test("publishedLanguage() shares key heads: the same as repeating each for its queries", async () => {
  const repeated = new Map(WEIGHTS);
  for (const [name, t] of WEIGHTS) {
    if (!/[kv]_proj/.test(name)) continue;
    repeated.set(name, reshape(repeatInterleave(reshape(t, [2, 4, 16]), 2, 0), [16, 16]));
  }
  const whole = { ...LLAMA, num_key_value_heads: 4 }, tokens = ids(TOKENS, 2, 4);
  assertClose(await logits({ tokens }, whole, repeated), await logits({ tokens }), 1e-5);
});

Deno.test("applyPublishedLanguage() ignores padding on either side", async () => {
  const alone = await logits({ tokens: ids(TOKENS.slice(0, 5), 1, 5) });
  const right = await logits({
    tokens: ids([...TOKENS.slice(0, 5), 0, 0, 0, ...TOKENS], 2, 8),
    mask: ids([1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1], 2, 8),
  });
  assertClose(rows(right, 0, 5), alone, 1e-5, "right");
  const left = await logits({
    tokens: ids([0, 0, 0, ...TOKENS.slice(0, 5), ...TOKENS], 2, 8),
    mask: ids([0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], 2, 8),
    positions: ids([0, 0, 0, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6, 7], 2, 8),
  });
  assertClose(rows(left, 3, 8), alone, 1e-5, "left");
});

Deno.test("applyPublishedLanguage() gives hidden states and attention when asked to", async () => {
  const model = publishedLanguage(LLAMA, WEIGHTS), tokens = ids(TOKENS, 2, 4);
  assertEquals(applyPublishedLanguage(model, { tokens }).hiddenStates, undefined);
  const { logits, hiddenStates, attentions } = applyPublishedLanguage(model, { tokens }, {
    hidden: true,
  });
  assertEquals(hiddenStates?.map((t) => t.shape), new Array(3).fill([2, 4, 16]));
  assertEquals(attentions?.map((t) => t.shape), new Array(2).fill([2, 4, 4, 4]));
  const [first, last, looks, out, embedding, head] = await read(
    hiddenStates![0],
    hiddenStates![2],
    attentions![1],
    logits,
    model.language.embedding,
    model.language.head.weight,
  );
  assertClose(first, TOKENS.flatMap((t) => embedding.slice(16 * t, 16 * t + 16)), 1e-7);
  const product = (row: number, c: number) =>
    Array.from({ length: 16 }, (_, i) => last[16 * row + i] * head[16 * c + i])
      .reduce((a, b) => a + b);
  assertClose(out, out.map((_, i) => product(Math.floor(i / 23), i % 23)), 1e-5);
  looks.forEach((p, i) => {
    if (i % 4 > Math.floor(i / 4) % 4) assertEquals(p, 0, "nobody looks ahead");
  });
});

Deno.test("applyPublishedLanguage() sees no further back than the sliding window", async () => {
  const config = { ...LLAMA, num_hidden_layers: 1, sliding_window: 3 };
  const changed = [22, ...TOKENS.slice(1)];
  const [a, b] = [
    await logits({ tokens: ids(TOKENS, 1, 8) }, config),
    await logits({ tokens: ids(changed, 1, 8) }, config),
  ];
  const differs = (row: number) =>
    Math.max(...rows(a, row, row + 1).map((v, i) => Math.abs(v - rows(b, row, row + 1)[i])));
  for (const row of [0, 1, 2]) assertGreater(differs(row), 1e-3);
  for (const row of [3, 4, 7]) assert(differs(row) < 1e-6, `row ${row} differs`);
});

Deno.test("publishedLanguage() uses the embedding as head when they are tied", async () => {
  const weights = new Map(WEIGHTS), embedding = weights.get("model.embed_tokens.weight")!;
  weights.delete("lm_head.weight");
  const tokens = ids(TOKENS, 2, 4), tied = await logits({ tokens }, LLAMA, weights);
  weights.set("lm_head.weight", embedding);
  assertEquals(tied, await logits({ tokens }, LLAMA, weights));
});

Deno.test("languageConfig() takes what a file leaves out from the model type", () => {
  const llama = languageConfig({ model_type: "llama" });
  assertEquals([llama.width, llama.headSize, llama.epsilon], [4096, 128, 1e-6]);
  const wide = languageConfig({ ...LLAMA, head_dim: 6 });
  assertEquals([wide.width, wide.headSize, wide.keyHeads], [16, 6, 2]);
  assertEquals(languageConfig({ model_type: "phi3", sliding_window: 2047 }).slidingWindow, 2047);
  assertEquals(languageConfig({ model_type: "mixtral" }).keyHeads, 8);
});

Deno.test("published language models refuse what does not fit", () => {
  const config = (change: PublishedConfig) => () => languageConfig({ ...LLAMA, ...change });
  assertThrows(config({ model_type: "lama" }), RangeError, `"llama"`);
  assertThrows(config({ hidden_act: "gelu" }), RangeError, `hidden_act = "gelu" is not supported`);
  assertThrows(config({ mlp_bias: true }), RangeError, "mlp_bias is not supported");
  assertThrows(config({ num_key_value_heads: 3 }), RangeError, "3 key heads must divide");
  assertThrows(config({ hidden_size: "16" }), SyntaxError, "hidden_size should be a number");
  assertThrows(config({ num_hidden_layers: 0 }), SyntaxError, "should be a positive whole number");
  const without = new Map(WEIGHTS);
  without.delete("model.layers.1.mlp.up_proj.weight");
  assertThrows(() => publishedLanguage(LLAMA, without), RangeError, "layers.1.mlp.up_proj.weight");
  assertThrows(
    () => publishedLanguage({ ...LLAMA, vocab_size: 24 }, WEIGHTS),
    RangeError,
    "config.json says [24, 16]",
  );
  const model = publishedLanguage(LLAMA, WEIGHTS);
  assertThrows(() => applyPublishedLanguage(model, {}), RangeError, "give tokens or embeddings");
  assertThrows(
    () => applyPublishedLanguage(model, { tokens: ids(TOKENS, 2, 4), mask: ids(TOKENS, 1, 8) }),
    RangeError,
    "must begin with [2,4]",
  );
});
