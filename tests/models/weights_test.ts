import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  encodeSafetensors,
  loadWeights,
  type Lvlm,
  lvlm,
  makeLvlm,
  modelParameters,
  parseSafetensors,
  type SafetensorsTensor,
} from "../../src/models/mod.ts";
import { moiie } from "../../src/moe/mod.ts";
import { Random } from "../../src/tensor/mod.ts";
import { read } from "../nn/shared.ts";
import { mixture, thimble } from "./shared.ts";

const weights = async (model: Lvlm): Promise<number[][]> =>
  await read(...modelParameters(model).values());

/** A model's parameters as the tensors of a file. */
async function fileOf(
  model: Lvlm,
  change: (tensors: Record<string, SafetensorsTensor>) => void = () => {},
) {
  const tensors: Record<string, SafetensorsTensor> = {};
  for (const [path, t] of modelParameters(model)) {
    const data = await t.data() as Float32Array;
    tensors[`model.${path}`] = { dtype: "F32", shape: [...t.shape], data };
  }
  change(tensors);
  return parseSafetensors(encodeSafetensors(tensors));
}

Deno.test("modelParameters() names the parameters by their place in the model", async () => {
  const paths = [...modelParameters(await mixture(thimble({ ffn: moiie() }))).keys()];
  for (
    const path of [
      "vision.patches.weight",
      "vision.position",
      "vision.blocks.0.attention.qkv.bias",
      "connector.down.weight",
      "language.embedding",
      "language.blocks.0.ffn.gateUp",
      "language.blocks.1.ffn.routers.1",
      "language.head.weight",
    ]
  ) assert(paths.includes(path), `${path} is missing among ${paths.join(" ")}`);
});

Deno.test("loadWeights() sets every parameter from a file", async () => {
  const from = await mixture(thimble({ ffn: moiie() }), 1);
  const to = await mixture(thimble({ ffn: moiie() }), 2);
  loadWeights(await fileOf(from), to);
  assertEquals(await weights(to), await weights(from));
});

Deno.test("loadWeights() sets only the paths asked for", async () => {
  const from = makeLvlm(new Random(1), thimble()), to = makeLvlm(new Random(2), thimble());
  const [connector] = await read(to.connector.up.weight);
  loadWeights(await fileOf(from), to, (path) => !path.startsWith("connector."));
  assertEquals(await read(to.connector.up.weight), [connector]);
  assertEquals(await read(to.language.embedding), await read(from.language.embedding));
});

Deno.test("loadWeights() changes nothing when a tensor is missing, or has another shape or type", async () => {
  const from = makeLvlm(new Random(1), thimble()), to = makeLvlm(new Random(2), thimble());
  const before = await weights(to);
  const last = "model.language.head.weight";
  const wrong: [string, (t: Record<string, SafetensorsTensor>) => void][] = [
    ["the file has nothing for language.head.weight, the model [25,16]", (t) => delete t[last]],
    [
      "the file has [16,25] for language.head.weight, the model [25,16]",
      (t) => t[last] = { ...t[last], shape: [16, 25] },
    ],
    [
      "I32",
      (t) => t[last] = { dtype: "I32", shape: [25, 16], data: new Int32Array(400) },
    ],
  ];
  for (const [says, change] of wrong) {
    const file = await fileOf(from, change);
    const { message } = assertThrows(() => loadWeights(file, to), Error);
    assertStringIncludes(message, says);
    assertEquals(await weights(to), before, says);
  }
});

Deno.test("lvlm() makes a model of new weights from its seed when no pretrained ones are wanted", async () => {
  const small = { vision: { width: 8, heads: 2, layers: 1 }, pretrained: false };
  const [a, b, c] = await Promise.all([7, 7, 8].map((seed) => lvlm("tiny", { ...small, seed })));
  assertEquals(await weights(a), await weights(b));
  assert(String(await weights(a)) !== String(await weights(c)));
  const bySession = await lvlm("tiny", small); // the tests' session has seed 7
  assertEquals(await weights(bySession), await weights(a));
});

Deno.test("lvlm() starts from new weights when sizes are changed", async () => {
  const model = await lvlm("tiny", { language: { layers: 2 } });
  assertEquals(model.language.blocks.length, 2);
});

Deno.test("lvlm() says what there is when a preset has no pretrained backbones, or does not exist", async () => {
  const small = await assertRejects(() => lvlm("small", { pretrained: true }), RangeError);
  assertStringIncludes(small.message, "pretrained: false");
  const none = await assertRejects(() => lvlm("tyni"), RangeError);
  assertStringIncludes(none.message, 'did you mean "tiny"');
  const option = await assertRejects(() => lvlm("tiny", { pretraned: true } as object), RangeError);
  assertStringIncludes(option.message, 'did you mean "pretrained"');
});
