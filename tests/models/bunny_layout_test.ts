import {
  assertEquals,
  assertGreater,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  applyLlava,
  extractDense,
  imageFeatures,
  type Llava,
  loadPublished,
  multiscaleFeatures,
  openCheckpoint,
  plan,
  type PublishedLanguage,
  type PublishedVision,
  summarizePublished,
  upcyclePublished,
  visionFeatures,
  writePublished,
} from "../../src/models/mod.ts";
import { llavaConfig } from "../../src/models/bunny_layout.ts";
import { moiie } from "../../src/moe/mod.ts";
import { applyMlp } from "../../src/nn/mod.ts";
import { narrow, readAll, tensor } from "../../src/tensor/mod.ts";
import "../nn/shared.ts"; // opens the session
import {
  CONNECTOR,
  LANGUAGE,
  normals,
  TOWER,
  vocabulary,
  WIDE_CONNECTOR,
  writeWhole,
} from "./bunny_shared.ts";
import { contents, inFolder, writeJson, writeWeights } from "./checkpoint_shared.ts";
import { configOf, tensorsOf } from "./fixture_models.ts";

const configText = (folder: string) => Deno.readTextFileSync(`${folder}/config.json`);

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

    // Written back it is what it was, or a LLaVA.
    const { notes, leftOut, tensors } = await writePublished(`${folder}/same`, whole);
    assertEquals([notes, leftOut], [[], []]);
    assertEquals(contents(`${folder}/same`), contents(folder));
    assertEquals(tensors.toSorted(), contents(folder).map(([name]) => name));
    assertEquals(configText(`${folder}/same`), configText(folder));
    const written = await writePublished(`${folder}/again`, whole, { layout: "llava" });
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
      [{ use_s2: true, mm_vision_tower: "clip-vit-large-patch14-336" }, "use_s2 with a CLIP"],
      [{ model_type: "bunny-qwen2" }, "language model"],
      [{ model_type: "bunny-phi" }, "language model"],
      [{ model_type: "bunny-phi3-moe", num_experts: 4 }, "one router for"],
    ] as const
  ) assertThrows(() => llavaConfig({ ...paper, ...more }), RangeError, text);
  const typeOf = (model_type: string) =>
    (llavaConfig({ ...paper, model_type }).text_config as { model_type: string }).model_type;
  assertEquals(
    ["bunny-llama", "bunny-mm-llama3-moe-s", "bunny-mm-phi3-moe-s", "llava_llama"].map(typeOf),
    ["llama", "llama", "phi3", "llama"],
  );
  const odd = { ...paper, use_s2: true, s2_scales: "384,x" };
  assertThrows(() => llavaConfig(odd), SyntaxError, "s2_scales");
  // Scales that do not begin with the tower's size.
  await inFolder(async (folder) => {
    writeWhole(folder, { use_s2: true });
    await assertRejects(() => loadPublished(folder), SyntaxError, "[384,768,1152]");
  });
});

Deno.test("openCheckpoint() knows how the paper's towers want their pictures, and the size of use_s2", async () => {
  await inFolder((folder) => {
    const preprocessor = (more: Record<string, unknown>) => {
      writeWhole(folder, more);
      using checkpoint = openCheckpoint(folder);
      return checkpoint.preprocessor();
    };
    assertEquals(preprocessor({}), undefined);
    const siglip = { mm_vision_tower: "google/siglip-so400m-patch14-384" };
    assertEquals(preprocessor(siglip)!.size, { height: 384, width: 384 });
    assertEquals(preprocessor({ ...siglip, use_s2: true })!.size, { height: 1152, width: 1152 });
    const clip = preprocessor({ mm_vision_tower: "openai/clip-vit-large-patch14-336" })!;
    assertEquals(clip.crop_size, { height: 336, width: 336 });
    writeJson(folder, "preprocessor_config.json", { image_processor_type: "SiglipImageProcessor" });
    assertEquals(preprocessor(siglip)!.size, undefined, "the file beside the weights goes first");
  });
});

/** A small tower looks at 22 pixels, so these are one, four and nine pieces. */
const S2 = { use_s2: true, s2_scales: "44,22,66" };

Deno.test("a whole model with use_s2 sees features of several scales, as multiscaleFeatures() gives them", async () => {
  await inFolder(async (folder) => {
    writeWhole(folder, S2);
    const whole = await loadPublished(folder), model = whole.model as Llava;
    assertEquals([whole.unused, model.scales], [[], [22, 44, 66]]);
    assertEquals(model.projector.up.weight.shape, WIDE_CONNECTOR["0.weight"].shape);
    const { tower, config } = (await loadPublished(TOWER)).model as PublishedVision;
    const pixels = tensor(normals("pixels", 2 * 3 * 66 ** 2), { shape: [2, 3, 66, 66] });
    const joined = multiscaleFeatures(
      pixels,
      { sizes: [22, 44, 66], split: 22 },
      (pieces) => visionFeatures(tower, config, pieces, { layer: -2, skip: 0 }),
    );
    assertEquals(joined.shape, [2, 25, 3 * config.width]);
    const of = (name: string) => {
      const { shape, data } = WIDE_CONNECTOR[name];
      return tensor(data as Float32Array, { shape });
    };
    const want = applyMlp({
      up: { weight: of("0.weight"), bias: of("0.bias") },
      down: { weight: of("2.weight"), bias: of("2.bias") },
    }, joined);
    const features = imageFeatures(model, pixels);
    const [got, wanted] = await readAll(features, want);
    assertEquals(got, wanted);
    // Larger scales are no copies of the first.
    const [one] = await readAll(narrow(joined, 2, 0, config.width));
    const [two] = await readAll(narrow(joined, 2, config.width, config.width));
    assertNotEquals(one, two);
  });
});

Deno.test("plan() and summarizePublished() count the wider connector of use_s2, plan() the pieces", async () => {
  const paper = { model_type: "bunny-phi3", mm_vision_tower: "google/siglip-so400m-patch14-384" };
  const bytes = (more: Record<string, unknown>, part: string, training = false) =>
    plan(llavaConfig({ ...paper, ...more }), { training }).rows.find((r) => r.part === part)!.bytes;
  const wider = bytes({ use_s2: true }, "parameters") - bytes({}, "parameters");
  assertEquals(wider, 4 * 2 * 1152 * 3072);
  assertGreater(bytes({ use_s2: true }, "activations"), 5 * bytes({}, "activations"));
  const training = (more: Record<string, unknown>) => bytes(more, "activations", true);
  assertGreater(training({ use_s2: true }), 10 * training({}));
  await inFolder(async (folder) => {
    writeWhole(folder, S2);
    const whole = await loadPublished(folder);
    const { rows, total } = summarizePublished(whole);
    assertEquals(rows.find((r) => r.part === "connector")!.shape, "96 → 32 → 32");
    assertEquals(4 * total, plan(whole.config).rows[0].bytes);
  });
});

Deno.test("writePublished() gives a whole model with use_s2 back bit for bit, and reads what it wrote", async () => {
  await inFolder(async (folder) => {
    writeWhole(folder, S2);
    const whole = await loadPublished(folder);
    await writePublished(`${folder}/same`, whole);
    assertEquals(contents(`${folder}/same`), contents(folder));
    assertEquals(configText(`${folder}/same`), configText(folder));
    // As a LLaVA it keeps its scales, which only this library reads.
    const { notes } = await writePublished(`${folder}/llava`, whole, { layout: "llava" });
    assertStringIncludes(notes.join(), "several scales");
    assertEquals(((await loadPublished(`${folder}/llava`)).model as Llava).scales, [22, 44, 66]);
  });
});

Deno.test("a dense model of the layout, upcycled, is written with the authors' fields and names in the layout", async () => {
  await inFolder(async (folder) => {
    writeWhole(folder);
    const dense = await extractDense(await loadPublished(folder), "S1");
    await writePublished(`${folder}/dense`, dense);
    const fields = configOf(`${folder}/dense`);
    assertEquals([fields.model_type, fields.num_experts], ["bunny-phi3", undefined]);
    assertEquals(fields.architectures, ["BunnyPhi3ForCausalLM"]);
    assertEquals(fields.mm_vision_tower, "tiny-siglip");
    const read = await loadPublished(`${folder}/dense`);
    const mixture = await upcyclePublished(read, moiie(), { seed: 1 });
    const { notes } = await writePublished(`${folder}/moiie`, mixture);
    assertEquals(notes, []);
    assertEquals(
      contents(`${folder}/moiie`).map(([name, , shape]) => [name, shape]),
      contents(folder).map(([name, , shape]) => [name, shape]),
    );
    const { model_type, architectures, num_experts } = configOf(`${folder}/moiie`);
    assertEquals([model_type, num_experts], ["bunny-mm-phi3-moe-s", 4]);
    assertEquals(architectures, ["BunnyMMSPhi3MoEForCausalLM"]);
    assertEquals((await loadPublished(`${folder}/moiie`)).unused, []);
    const again = await writePublished(`${folder}/llava`, mixture, { layout: "llava" });
    assertStringIncludes(again.notes.join(), "model type of its own");
  });
});

Deno.test("loadPublished() reads the authors' mixture alone, under the type that it has in their code", async () => {
  await inFolder(async (folder) => {
    writeWeights(folder, "model.safetensors", Object.fromEntries(tensorsOf(LANGUAGE)));
    const fields = { ...configOf(LANGUAGE), model_type: "bunny-mm-phi3-moe-s" };
    writeJson(folder, "config.json", fields);
    const alone = await loadPublished(folder);
    assertEquals([alone.kind, alone.config.model_type, alone.unused], ["language", "phi3", []]);
    await writePublished(`${folder}/same`, alone);
    assertEquals(contents(`${folder}/same`), contents(folder));
    assertEquals(configText(`${folder}/same`), configText(folder));
    await writePublished(`${folder}/dense`, await extractDense(alone, "V1"));
    assertEquals(configOf(`${folder}/dense`).model_type, "bunny-phi3");
    for (
      const more of [{ vis_router_aux_loss_coef: undefined }, { num_vis_experts: 2 }]
    ) {
      writeJson(folder, "config.json", { ...fields, ...more });
      await assertRejects(
        () => loadPublished(folder),
        RangeError,
        "of the authors' mixtures MoIIE",
      );
    }
  });
});
