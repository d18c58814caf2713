import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  applyLlava,
  type Llava,
  loadPublished,
  openCheckpoint,
  plan,
  type PublishedLanguage,
  type PublishedVision,
  writePublished,
} from "../../src/models/mod.ts";
import { llavaConfig } from "../../src/models/bunny_layout.ts";
import { tensor } from "../../src/tensor/mod.ts";
import "../nn/shared.ts"; // opens the session
import { CONNECTOR, LANGUAGE, normals, TOWER, vocabulary, writeWhole } from "./bunny_shared.ts";
import { inFolder } from "./checkpoint_shared.ts";

Deno.test("loadPublished() reads the authors' whole model: tower, connector and mixture", async () => {
  await inFolder(async (folder) => {
    writeWhole(folder);
    const whole = await loadPublished(folder);
    assertEquals([whole.kind, whole.unused], ["llava", []]);
    const model = whole.model as Llava;
    const of = (name: string) => {
      const { shape, data } = CONNECTOR[name];
      return tensor(data as Float32Array, { shape });
    };
    const apart: Llava = {
      vision: (await loadPublished(TOWER)).model as PublishedVision,
      projector: {
        up: { weight: of("0.weight"), bias: of("0.bias") },
        down: { weight: of("2.weight"), bias: of("2.bias") },
      },
      activation: "gelu",
      features: { layer: -2, skip: 0 },
      text: (await loadPublished(LANGUAGE)).model as PublishedLanguage,
      imageToken: vocabulary - 1,
    };
    assertEquals([model.imageToken, model.features], [apart.imageToken, apart.features]);
    const { imageSize, patch } = apart.vision.config, features = Math.floor(imageSize / patch) ** 2;
    const ids = [1, ...new Array(features).fill(vocabulary - 1), 5, 17, 8];
    const tokens = tensor(Int32Array.from(ids), { shape: [1, ids.length] });
    const pixels = tensor(normals("pixels", 3 * imageSize ** 2), {
      shape: [1, 3, imageSize, imageSize],
    });
    const mask = tensor(new Int32Array(ids.length).fill(1), { shape: [1, ids.length] });
    const logits = async (model: Llava) =>
      await applyLlava(model, { tokens, mask, pixels }).logits.data();
    const want = await logits(apart);
    assertEquals(await logits(model), want);

    // Written, it is a LLaVA.
    const written = await writePublished(`${folder}/again`, whole);
    assertEquals(written.leftOut, []);
    const again = await loadPublished(`${folder}/again`);
    assertEquals(again.config.model_type, "llava");
    assertEquals(await logits(again.model as Llava), want);
  });
});

Deno.test("openCheckpoint() names what a whole model lacks as a LLaVA's", async () => {
  await inFolder((folder) => {
    writeWhole(folder);
    using checkpoint = openCheckpoint(folder);
    const name = "multi_modal_projector.linear_2.bias";
    assertEquals(checkpoint.float32(name), CONNECTOR["2.bias"].data as Float32Array);
    assertEquals(checkpoint.has("model.mm_projector.2.bias"), false);
    const expected = new Map(checkpoint.names.map((one) => [one, checkpoint.entry(one).shape]));
    expected.set("vision_tower.x", [1]).set("language_model.lm_head.weight", [2]).delete(name);
    const { missing, extra, misshapen } = checkpoint.compare(expected);
    assertEquals([missing, extra], [["vision_tower.x"], [name]]);
    assertEquals(misshapen.map((one) => one.name), ["language_model.lm_head.weight"]);
  });
});

Deno.test("llavaConfig() knows the paper's tower, and refuses what it does not know", async () => {
  const paper = { model_type: "bunny-phi3", mm_vision_tower: "google/siglip-so400m-patch14-384" };
  // The paper's backbone, its tower and its connector, counted apart.
  const parameters = 3_821_079_552 + 428_225_600 + 12_982_272;
  assertEquals(plan(llavaConfig(paper)).rows[0].bytes, 4 * parameters);
  const clip = llavaConfig({ ...paper, mm_vision_tower: "/x/clip-vit-large-patch14-336/" });
  assertEquals(clip.vision_feature_select_strategy, "default");
  for (
    const [more, text] of [
      [{ mm_vision_tower: "eva" }, 'mm_vision_tower "eva"'],
      [{ mm_projector_type: "spp" }, "mm_projector_type"],
      [{ use_s2: true }, "use_s2"],
      [{ model_type: "bunny-qwen2" }, "language model"],
    ] as const
  ) assertThrows(() => llavaConfig({ ...paper, ...more }), RangeError, text);
  await inFolder(async (folder) => {
    writeWhole(folder, { use_s2: true });
    await assertRejects(() => loadPublished(folder), RangeError, "use_s2");
  });
});
