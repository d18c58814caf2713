import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { lvlm, type ModelOptions, modelParameters } from "../../src/models/mod.ts";
import "../nn/shared.ts";

const FILE = new URL("../../fixtures/backbones/tiny.safetensors", import.meta.url).pathname;

/** First values of three parts of a model. */
async function parts(options: ModelOptions): Promise<Record<string, number[]>> {
  const model = await lvlm("tiny", { seed: 3, ...options });
  const all = modelParameters(model);
  const values: Record<string, number[]> = {};
  for (const part of ["vision", "connector", "language"]) {
    const [, t] = [...all].find(([path]) => path.startsWith(`${part}.`))!;
    values[part] = [...(await t.data()).slice(0, 8)];
  }
  return values;
}

Deno.test("lvlm() starts each part from the backbone that is named", async () => {
  const usual = await parts({}), fresh = await parts({ pretrained: false });
  assert(usual.vision.join() !== fresh.vision.join());
  assert(usual.language.join() !== fresh.language.join());
  assertEquals(usual.connector, fresh.connector);
  assertEquals(await parts({ backbones: { vision: "fresh" } }), {
    ...usual,
    vision: fresh.vision,
  });
  assertEquals(await parts({ backbones: { language: "fresh" } }), {
    ...usual,
    language: fresh.language,
  });
  assertEquals(
    await parts({ pretrained: false, backbones: { vision: "tiny", language: FILE } }),
    usual,
  );
});

Deno.test("lvlm() throws when a backbone is unknown, of other sizes or missing", async () => {
  const says = async (preset: string, options: object, part: string, kind = RangeError) => {
    const error = await assertRejects(() => lvlm(preset, options as ModelOptions), kind);
    assertStringIncludes(error.message, part);
  };
  await says(
    "tiny",
    { backbones: { vision: "tinny" } },
    'vision backbone "tinny"; did you mean "tiny"',
  );
  await says("tiny", { backbones: { sight: "tiny" } }, 'backbone of "sight"');
  await says("small", { backbones: { language: "tiny" } }, "the model [");
  await says("small", { pretrained: true }, 'preset "small" has no pretrained backbones');
  await assertRejects(
    () => lvlm("tiny", { backbones: { vision: "/nowhere/a.safetensors" } }),
    Deno.errors.NotFound,
  );
});
