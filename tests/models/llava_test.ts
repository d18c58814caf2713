import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import {
  applyLlava,
  applyPublishedLanguage,
  expandImageTokens,
  imageFeatures,
  type Llava,
  type PaddedRows,
  placeImages,
  type PublishedConfig,
  publishedLlava,
} from "../../src/models/mod.ts";
import { equal, narrow, type Tensor, tensor } from "../../src/tensor/mod.ts";
import { assertClose, read } from "../nn/shared.ts";
import {
  CLIP,
  ids,
  LLAMA,
  llamaShapes,
  pictures,
  randomWeights,
  towerWeights,
} from "./published_shared.ts";

const IMAGE_TOKEN = 21;
const CONFIG: PublishedConfig = {
  model_type: "llava",
  image_token_index: IMAGE_TOKEN,
  vision_config: CLIP,
  text_config: LLAMA,
};
const WEIGHTS = new Map<string, Tensor>([
  ...towerWeights(CLIP, "vision_tower."),
  ...randomWeights(llamaShapes("language_model.")),
  ...randomWeights({
    "multi_modal_projector.linear_1.weight": [16, 12],
    "multi_modal_projector.linear_1.bias": [16],
    "multi_modal_projector.linear_2.weight": [16, 16],
    "multi_modal_projector.linear_2.bias": [16],
  }),
]);
const model = publishedLlava(CONFIG, WEIGHTS);

const inputsOf = ({ shape, tokens, mask, positions }: PaddedRows) => {
  const t = (values: Int32Array) => ids(values, ...shape);
  return { tokens: t(tokens), mask: t(mask), positions: t(positions) };
};

async function logits(it: Llava, rows: PaddedRows, pixels?: Tensor): Promise<number[]> {
  const [values] = await read(applyLlava(it, { ...inputsOf(rows), pixels }).logits);
  return values;
}

Deno.test("expandImageTokens() repeats image tokens and pads on either side", () => {
  const rows = [
    { tokens: [1, 9, 5], labels: [-100, -100, 5] },
    { tokens: [7, 8], labels: [7, 8] },
  ];
  const options = { imageToken: 9, features: 3, padToken: 4 };
  const right = expandImageTokens(rows, options);
  assertEquals(right.shape, [2, 5]);
  assertEquals([...right.tokens], [1, 9, 9, 9, 5, 7, 8, 4, 4, 4]);
  assertEquals([...right.mask], [1, 1, 1, 1, 1, 1, 1, 0, 0, 0]);
  assertEquals([...right.labels], [-100, -100, -100, -100, 5, 7, 8, -100, -100, -100]);
  assertEquals([...right.positions], [0, 1, 2, 3, 4, 0, 1, 0, 0, 0]);
  const left = expandImageTokens(rows, { ...options, side: "left" });
  assertEquals([...left.tokens].slice(5), [4, 4, 4, 7, 8]);
  assertEquals([...left.mask].slice(5), [0, 0, 0, 1, 1]);
  assertEquals([...left.positions].slice(5), [0, 0, 0, 0, 1]);
  assertThrows(() => expandImageTokens([], options), RangeError, "no rows");
  assertThrows(
    () => expandImageTokens([{ tokens: [1, 2], labels: [1] }], options),
    RangeError,
    "row 0 has 2 tokens but 1 labels",
  );
});

Deno.test("placeImages() puts features in the order of the image tokens", async () => {
  const x = tensor(Float32Array.from({ length: 12 }, (_, i) => i), { shape: [2, 3, 2] });
  const features = tensor(Float32Array.from([50, 51, 60, 61, 70, 71]), { shape: [3, 1, 2] });
  const isImage = equal(ids([9, 1, 9, 1, 9, 1], 2, 3), 9);
  const [got] = await read(placeImages(x, isImage, features));
  assertEquals(got, [50, 51, 2, 3, 60, 61, 6, 7, 70, 71, 10, 11]);
  const narrowFeatures = tensor(new Float32Array(3), { shape: [3, 1, 1] });
  assertThrows(() => placeImages(x, isImage, narrowFeatures), RangeError, "do not fit");
});

Deno.test("applyLlava() gives a row the same logits alone, padded left and padded right", async () => {
  const rows = [{ tokens: [3, IMAGE_TOKEN, 8] }, { tokens: [IMAGE_TOKEN, 2, IMAGE_TOKEN, 5, 6] }];
  const options = { imageToken: IMAGE_TOKEN, features: 4 }, pixels = pictures(3, 10);
  const [alone, right, left] = [
    await logits(model, expandImageTokens(rows.slice(0, 1), options), narrow(pixels, 0, 0, 1)),
    await logits(model, expandImageTokens(rows, options), pixels),
    await logits(model, expandImageTokens(rows, { ...options, side: "left" }), pixels),
  ];
  assertClose(right.slice(0, 6 * 23), alone, 1e-5);
  assertClose(left.slice(5 * 23, 11 * 23), alone, 1e-5);
  assertClose(left.slice(11 * 23), right.slice(11 * 23), 1e-5);
});

Deno.test("applyLlava() is the language model when there is no picture", async () => {
  const rows = expandImageTokens([{ tokens: [3, 1, 8] }], { imageToken: IMAGE_TOKEN, features: 4 });
  const [want] = await read(applyPublishedLanguage(model.text, inputsOf(rows)).logits);
  assertEquals(await logits(model, rows), want);
});

Deno.test("publishedLlava() reads layer and strategy, and refuses unknown ones", async () => {
  const change = (more: PublishedConfig) => publishedLlava({ ...CONFIG, ...more }, WEIGHTS);
  assertEquals(model.features, { layer: -2, skip: 1 });
  const pixels = pictures(2, 10);
  const full = imageFeatures(change({ vision_feature_select_strategy: "full" }), pixels);
  assertEquals(full.shape, [2, 5, 16]);
  const [usual, last] = await read(
    imageFeatures(model, pixels),
    imageFeatures(change({ vision_feature_layer: -1 }), pixels),
  );
  assertNotEquals(usual, last);
  assertThrows(
    () => change({ vision_feature_select_strategy: "cls" }),
    RangeError,
    "vision_feature_select_strategy",
  );
  assertThrows(
    () => change({ vision_config: 3 }),
    SyntaxError,
    "vision_config should be an object",
  );
  const without = new Map(WEIGHTS);
  without.delete("multi_modal_projector.linear_2.bias");
  without.delete("multi_modal_projector.linear_2.weight");
  assertThrows(() => publishedLlava(CONFIG, without), RangeError, "linear_2.weight");
});
