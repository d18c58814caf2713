import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import {
  applyVisionTower,
  publishedVision,
  towerConfig,
  visionFeatures,
} from "../../src/models/mod.ts";
import { narrow, tensor } from "../../src/tensor/mod.ts";
import { assertClose, read } from "../nn/shared.ts";
import { CLIP, pictures, SIGLIP, towerWeights } from "./published_shared.ts";

const clip = publishedVision(CLIP, towerWeights(CLIP));
const siglip = publishedVision(SIGLIP, towerWeights(SIGLIP));

Deno.test("applyVisionTower() gives every layer's tokens, a class token more with CLIP", () => {
  for (const [{ tower, config }, tokens] of [[clip, 5], [siglip, 4]] as const) {
    const { hiddenStates, attentions, last, pooled } = applyVisionTower(
      tower,
      config,
      pictures(2, 10),
    );
    assertEquals(hiddenStates.map((t) => t.shape), new Array(4).fill([2, tokens, 12]));
    assertEquals(attentions.map((t) => t.shape), new Array(3).fill([2, 3, tokens, tokens]));
    assertEquals(last.shape, [2, tokens, 12]);
    assertEquals(pooled?.shape, [2, 12]);
  }
});

Deno.test("applyVisionTower() treats pictures of a batch alone, and spreads attention of 1", async () => {
  for (const { tower, config } of [clip, siglip]) {
    const pixels = pictures(3, 10);
    const all = applyVisionTower(tower, config, pixels);
    const one = applyVisionTower(tower, config, narrow(pixels, 0, 1, 1));
    const [pooled, alone, looks] = await read(all.pooled!, one.pooled!, all.attentions[2]);
    assertClose(pooled.slice(12, 24), alone, 1e-5);
    const tokens = all.last.shape[1];
    for (let i = 0; i < looks.length; i += tokens) {
      assertClose([looks.slice(i, i + tokens).reduce((a, b) => a + b)], [1], 1e-5);
    }
  }
});

Deno.test("applyVisionTower() looks at whole patches only", async () => {
  const { tower, config } = siglip;
  const values = Float32Array.from((await read(pictures(1, 10)))[0]);
  const last = (data: Float32Array<ArrayBuffer>) =>
    applyVisionTower(tower, config, tensor(data, { shape: [1, 3, 10, 10] })).last;
  const edge = values.map((v, i) => i % 10 >= 8 || Math.floor(i / 10) % 10 >= 8 ? 9 : v);
  const inside = values.map((v, i) => i === 77 ? 9 : v);
  const [a, b, c] = await read(last(values), last(edge), last(inside));
  assertEquals(a, b);
  assertNotEquals(a, c);
});

Deno.test("CLIP's last state is not normalised, SigLIP's is", async () => {
  const [a, b] = [clip, siglip].map(({ tower, config }) =>
    applyVisionTower(tower, config, pictures(1, 10))
  );
  const [last, state, normalised, raw] = await read(
    a.last,
    a.hiddenStates[3],
    b.last,
    b.hiddenStates[3],
  );
  assertEquals(last, state);
  assertNotEquals(normalised, raw);
});

Deno.test("visionFeatures() are one hidden state, with or without class token", async () => {
  const { tower, config } = clip, pixels = pictures(2, 10);
  const states = applyVisionTower(tower, config, pixels).hiddenStates;
  const features = (layer: number, skip: number) =>
    visionFeatures(tower, config, pixels, { layer, skip });
  const pairs = [
    [features(-2, 0), states[2]],
    [features(2, 1), narrow(states[2], 1, 1, 4)],
    [features(0, 1), narrow(states[0], 1, 1, 4)],
    [features(-1, 0), states[3]],
  ];
  for (const [got, want] of pairs) {
    assertEquals(got.shape, want.shape);
    const [a, b] = await read(got, want);
    assertEquals(a, b);
  }
  for (const layer of [4, -5, 0.5]) {
    assertThrows(() => features(layer, 1), RangeError, "of 4 hidden states");
  }
});

Deno.test("published vision towers refuse what does not fit", () => {
  const { tower, config } = clip;
  assertThrows(
    () => applyVisionTower(tower, config, pictures(1, 12)),
    RangeError,
    "must be [B, 3, 10, 10]",
  );
  assertThrows(
    () => applyVisionTower(tower, { ...config, imageSize: 12 }, pictures(1, 12)),
    RangeError,
    "10 tokens of the picture, but positions",
  );
  assertThrows(
    () => applyVisionTower(tower, { ...config, activation: "quick_gelo" }, pictures(1, 10)),
    RangeError,
    `"quick_gelu"`,
  );
  const weights = new Map(towerWeights(CLIP));
  weights.delete("vision_model.encoder.layers.1.mlp.fc2.weight");
  assertThrows(() => publishedVision(CLIP, weights), RangeError, "layers.1.mlp.fc2.weight");
  const uneven = towerWeights(SIGLIP) as Map<string, never>;
  uneven.delete("vision_model.encoder.layers.0.self_attn.k_proj.bias");
  assertThrows(() => publishedVision(SIGLIP, uneven), RangeError, "only 2 have a bias");
  assertThrows(() => towerConfig({ ...CLIP, num_attention_heads: 5 }), RangeError, "do not divide");
  assertThrows(() => towerConfig({ model_type: "clip_vision" }), RangeError, "clip_vision_model");
  assertEquals(towerConfig({ model_type: "siglip_vision_model" }).patch, 16, "published default");
});
