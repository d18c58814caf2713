import {
  assert,
  assertEquals,
  assertGreater,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  applyLanguage,
  applyLvlm,
  applyVision,
  embed,
  embedWordScenes,
  imageTokens,
  type Lvlm,
  makeLvlm,
  modelParameters,
  packedMask,
  tokenTypes,
} from "../../src/models/mod.ts";
import {
  balanceLoss,
  IMAGE,
  modalityMoe,
  moiie,
  moiieOf,
  TEXT,
  tokenCounts,
  vanillaMoe,
} from "../../src/moe/mod.ts";
import { makeLinear, normal } from "../../src/nn/mod.ts";
import { add, crossEntropy, gradients, Random, reshape, tensor } from "../../src/tensor/mod.ts";
import { assertClose, read } from "../nn/shared.ts";
import {
  referenceBalance,
  referenceCrossEntropy,
  referenceLvlm,
  type ReferenceParameters,
} from "./reference.ts";
import {
  inputsOf,
  mixture,
  type Packed,
  packed,
  referenceParameters,
  segment,
  SLOTS,
  thimble,
  twoRows,
} from "./shared.ts";

/** Four layers deep, rounding grows to some ten units of f32. */
const TOLERANCE = 5e-6;

/** Positions that are not padding. */
const real = (batch: Packed) => [...batch.arrays.valid.keys()].filter((t) => batch.arrays.valid[t]);

const CONFIGS = {
  dense: thimble(),
  vanilla: thimble({ ffn: vanillaMoe() }),
  modality: thimble({ ffn: modalityMoe() }),
  MoIIE: thimble({ ffn: moiie() }),
  "MoIIE with 8 experts in all layers": thimble({
    ffn: moiie({ vision: 2, language: 2, shared: 4 }),
    placement: "full",
  }),
  "MoIIE with the shifted boundary in layer 2": thimble({
    ffn: moiie(),
    placement: [2],
    visionBoundary: "shifted",
  }),
};

for (const [name, config] of Object.entries(CONFIGS)) {
  Deno.test(`applyLvlm() equals a float64 forward pass when the model is ${name}`, async () => {
    const model = await mixture(config), batch = twoRows();
    const { logits, routings } = applyLvlm(model, inputsOf(batch));
    const [got, ...chosen] = await read(logits, ...routings.map((r) => r.chosen));
    const want = referenceLvlm(await referenceParameters(model), config, batch);
    const v = config.language.vocabulary, k = config.ffn.topK;
    for (const t of real(batch)) {
      assertClose(got.slice(t * v, (t + 1) * v), want.logits[t], TOLERANCE, `position ${t}`);
      want.routed.forEach((layer, l) => {
        assertEquals(chosen[l].slice(t * k, (t + 1) * k), layer[t].chosen, `token ${t}`);
      });
    }
    assertEquals(chosen.length, want.routed.length);
  });
}

Deno.test("applyLvlm() equals a float64 forward pass when tokens are of three modalities", async () => {
  const ffn = moiieOf({
    modalities: ["text", "image", "audio"],
    own: { text: 1, image: 1, audio: 1 },
    shared: 2,
  });
  const model = await mixture(thimble({ ffn, placement: "full" })), batch = twoRows();
  const { modality } = batch.arrays;
  modality.forEach((m, t) => m === TEXT && t % 3 === 0 && (modality[t] = 2));
  const { logits, routings } = applyLvlm(model, inputsOf(batch));
  const [got, counts] = await read(logits, tokenCounts(routings[0]));
  const want = referenceLvlm(await referenceParameters(model), model.config, batch);
  const v = model.config.language.vocabulary;
  for (const t of real(batch)) {
    assertClose(got.slice(t * v, (t + 1) * v), want.logits[t], TOLERANCE, `position ${t}`);
  }
  assertEquals(counts, [0, 1, 2].map((m) => real(batch).filter((t) => modality[t] === m).length));
  assert(counts.every((n) => n > 0));
});

Deno.test("tokenTypes() leaves other modalities alone when the boundary is shifted", async () => {
  const row = tensor(Int32Array.from([1, 1, 1, 2, 2, 0, 1, 1]), { shape: [1, 8] });
  const [shifted] = await read(tokenTypes(row, "shifted"));
  assertEquals(shifted, [1, 1, 0, 2, 2, 0, 1, 0]);
});

/** Cross-entropy and auxiliary loss together. */
function referenceLoss(p: ReferenceParameters, { config }: Lvlm, batch: Packed): number {
  const { logits, routed } = referenceLvlm(p, config, batch);
  return referenceCrossEntropy(logits, batch.labels) +
    0.1 * referenceBalance(config, routed, batch);
}

Deno.test("gradients() of the loss by every parameter equal finite differences in float64", async () => {
  const model = await mixture(thimble({ ffn: moiie(), language: { layers: 2 } }));
  const batch = twoRows(), inputs = inputsOf(batch);
  const { logits, routings } = applyLvlm(model, inputs);
  const ce = crossEntropy(logits, reshape(inputs.labels, [inputs.labels.size]));
  const loss = add(ce, balanceLoss(routings, 0.1));
  const list = [...modelParameters(model)];
  const [[got], ...grads] = await read(loss, ...gradients(loss, list.map(([, t]) => t)));
  const at = await referenceParameters(model);
  assertClose([got], [referenceLoss(at, model, batch)], TOLERANCE, "loss");
  const step = 1e-6;
  let largest = 0;
  for (const [i, [path, t]] of list.entries()) {
    // Along the computed gradient (does its size fit?) and across (is anything missing?).
    const across = new Random(3, path).normals(t.size);
    const norm = Math.hypot(...grads[i]);
    for (const direction of [grads[i].map((g) => g / (norm || 1)), [...across]]) {
      const moved = (sign: number) => {
        const p = new Map(at);
        p.set(path, at.get(path)!.map((v, j) => v + sign * step * direction[j]));
        return referenceLoss(p, model, batch);
      };
      const slope = (moved(1) - moved(-1)) / (2 * step);
      const along = grads[i].reduce((s, g, j) => s + g * direction[j], 0);
      assert(
        Math.abs(along - slope) < 1e-5 * Math.max(0.1, Math.abs(slope)) + 1e-6,
        `${path}: ${along}, finite differences give ${slope}`,
      );
      largest = Math.max(largest, Math.abs(slope));
    }
    assertGreater(norm, 1e-4, `${path} has hardly any gradient`);
  }
  assertGreater(largest, 0.1);
});

Deno.test("packedMask() equals a loop", async () => {
  const segments = [0, 0, 1, 1, 2, 2, 3, -1, 0, 0, 0, 1, 1, -1, -1, -1];
  const [mask] = await read(packedMask(tensor(Int32Array.from(segments), { shape: [2, 8] })));
  const want: number[] = [];
  for (let b = 0; b < 2; b++) {
    for (let i = 0; i < 8; i++) {
      for (let j = 0; j < 8; j++) {
        const query = segments[b * 8 + i], key = segments[b * 8 + j];
        const seen = key === 0 || (key > 0 && key === query);
        want.push(j <= i && seen ? 1 : 0);
      }
    }
  }
  assertEquals(mask.map(Number), want);
});

Deno.test("applyLvlm() gives a question the same logits alone and packed with others", async () => {
  const model = await mixture(thimble({ ffn: moiie() }));
  const random = new Random(4, "questions");
  const questions = [segment(random, 2, 1), segment(random, 3, 2), segment(random, 1, 3)];
  const v = model.config.language.vocabulary;
  const logits = async (batch: Packed) => {
    const [all] = await read(applyLvlm(model, inputsOf(batch)).logits);
    return (row: number, from: number, count: number) =>
      all.slice((row * batch.length + from) * v, (row * batch.length + from + count) * v);
  };
  const together = await logits(packed([questions, questions], 16, [0, 9]));
  let from = SLOTS;
  for (const question of questions) {
    const alone = await logits(packed([[question], [question]], 16, [0, 9]));
    const size = question.prompt.length + question.answer.length;
    for (const row of [0, 1]) {
      assertClose(together(row, from, size), alone(row, SLOTS, size), 1e-6, `row ${row}`);
      assertClose(together(row, 0, SLOTS), alone(row, 0, SLOTS), 1e-6, "image");
    }
    from += size;
  }
  assertEquals(from, 16);
  const off = together(0, SLOTS, 3).map((z, i) => Math.abs(z - together(1, SLOTS, 3)[i]));
  assertGreater(Math.max(...off), 1e-3, "the picture must matter");
});

Deno.test("neither logits of real tokens nor the auxiliary loss change when padding is added", async () => {
  const model = await mixture(thimble({ ffn: moiie() }));
  const row = [[segment(new Random(4), 3, 2)]];
  const run = async (length: number) => {
    const { logits, routings } = applyLvlm(model, inputsOf(packed(row, length)));
    return await read(logits, balanceLoss(routings, 1));
  };
  const [short, shortLoss] = await run(16), [long, longLoss] = await run(24);
  const count = (SLOTS + 5) * model.config.language.vocabulary;
  assertClose(long.slice(0, count), short.slice(0, count), 1e-6);
  assertClose(longLoss, shortLoss, 1e-6);
});

Deno.test("tokenTypes() types one token fewer of each image when the boundary is shifted", async () => {
  const modality = tensor([[1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 1, 1]], { dtype: "i32" });
  const [exact, shifted] = await read(
    tokenTypes(modality, "exact"),
    tokenTypes(modality, "shifted"),
  );
  assertEquals(exact, [1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 1, 1]);
  assertEquals(shifted, [1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0]);
});

Deno.test("tokenTypes() gives 729 image tokens of a SigLIP picture, 728 when the boundary is shifted", async () => {
  const slots = imageTokens({ ...thimble().vision, imageSize: 27 * 14, patch: 14 });
  const modality = tensor(Int32Array.from({ length: 740 }, (_, t) => t < slots ? IMAGE : TEXT), {
    shape: [1, 740],
  });
  const types = await read(tokenTypes(modality, "exact"), tokenTypes(modality, "shifted"));
  assertEquals(types.map((row) => row.filter((type) => type === IMAGE).length), [729, 728]);
});

Deno.test("each image has one image token fewer in the routers' counts when the boundary is shifted", async () => {
  const counts: number[] = [];
  for (const visionBoundary of ["exact", "shifted"] as const) {
    const model = await mixture(thimble({ ffn: moiie(), visionBoundary }));
    const { routings } = applyLvlm(model, inputsOf(twoRows()));
    const [tokens] = await read(tokenCounts(routings[0]));
    counts.push(tokens[IMAGE]);
  }
  assertEquals(counts, [2 * SLOTS, 2 * SLOTS - 2]);
});

Deno.test("moeLayers of the outputs are the layers of the placement", async () => {
  for (
    const [placement, want] of [["interleaved", [1, 3]], [[0, 2], [0, 2]], ["none", []]] as const
  ) {
    const model = await mixture(thimble({ ffn: moiie(), placement }));
    const { moeLayers, routings } = applyLvlm(model, inputsOf(twoRows()));
    assertEquals([moeLayers, routings.length], [[...want], want.length]);
  }
});

Deno.test("embed() puts image features in front of the texts, or embeds texts alone", async () => {
  const { language } = makeLvlm(new Random(1), thimble());
  const tokens = tensor([[3, 3, 7, 8]], { dtype: "i32" });
  const image = normal(new Random(2), [1, 2, 16], 1);
  const [table, features, both, texts] = await read(
    language.embedding,
    image,
    embed(language, tokens, image),
    embed(language, tokens, undefined),
  );
  const row = (id: number) => table.slice(id * 16, (id + 1) * 16);
  assertEquals(both, [...features, ...row(7), ...row(8)]);
  assertEquals(texts, [...row(3), ...row(3), ...row(7), ...row(8)]);
});

Deno.test("embedWordScenes() sums the embeddings of the words of each slot", async () => {
  const { language } = makeLvlm(new Random(1), thimble());
  const words = tensor([[[5, 6, 0], [0, 0, 0], [7, 7, 8]]], { dtype: "i32" });
  const [table, scenes] = await read(language.embedding, embedWordScenes(language, words));
  const row = (ids: number[]) =>
    Array.from({ length: 16 }, (_, d) => ids.reduce((s, id) => s + table[id * 16 + d], 0));
  assertClose(scenes, [...row([5, 6]), ...row([]), ...row([7, 7, 8])], 1e-6);
});

Deno.test("applyLanguage() works on texts without a picture", async () => {
  const model = await mixture(thimble({ ffn: moiie() }));
  const inputs = inputsOf(twoRows());
  const modality = tensor(new Int32Array(32), { shape: [2, 16] });
  const { logits, routings } = applyLanguage(
    model.language,
    model.config,
    embed(model.language, inputs.tokens, undefined),
    { ...inputs, modality },
  );
  const [values, counts] = await read(logits, tokenCounts(routings[0]));
  assert(values.every(Number.isFinite));
  assertEquals(counts[IMAGE], 0);
});

Deno.test("makeLvlm() makes the same model when the seed is the same", async () => {
  const weights = async (seed: number) =>
    (await read(...modelParameters(makeLvlm(new Random(seed), thimble())).values())).flat();
  const [a, b, c] = [await weights(3), await weights(3), await weights(4)];
  assertEquals(a, b);
  assert(a.some((v, i) => v !== c[i]));
});

Deno.test("an error about shapes names the layer when the model is new", async () => {
  const batch = inputsOf(twoRows());
  const other = makeLvlm(new Random(1), thimble());
  other.connector.up = makeLinear(new Random(1), 8, 15, { bias: true });
  const { message } = assertThrows(() => applyLvlm(other, batch), RangeError);
  assertStringIncludes(message, "connector.down.weight f32[16,16]");
  const upcycled = await mixture(thimble({ ffn: moiie() }));
  assertEquals(upcycled.language.blocks[1].ffn.routers[1].name, "language.blocks.1.ffn.routers.1");
  const wide = makeLvlm(new Random(1), thimble({ language: { width: 20 } }));
  const mixed = makeLvlm(new Random(1), thimble());
  mixed.language.blocks[1].ffn = wide.language.blocks[1].ffn;
  const { message: ofExperts } = assertThrows(() => applyLvlm(mixed, batch), RangeError);
  assertStringIncludes(ofExperts, "language.blocks.1.ffn.gateUp");
  assertStringIncludes(ofExperts, "[tokens, 20]");
});

Deno.test("applyVision() throws RangeError when pixels have another size", () => {
  const { vision, config } = makeLvlm(new Random(1), thimble());
  const pixels = tensor(new Float32Array(3 * 8 * 8), { shape: [1, 3, 8, 8] });
  const { message } = assertThrows(() => applyVision(vision, config.vision, pixels), RangeError);
  assertStringIncludes(message, "f32[1,3,8,8] must be [B, 3, 16, 16]");
});
