import { assert, assertAlmostEquals, assertEquals, assertGreater, assertThrows } from "@std/assert";
import { packSlots } from "../../src/data/mod.ts";
import {
  applyEncoder,
  applyMultimodal,
  applyVision,
  cutPatches,
  type LanguageInputs,
  makeEncoder,
  makeMultimodal,
  makeVision,
  type Multimodal,
  type MultimodalConfig,
  slotsOf,
  upcycle,
  visionEncoder,
} from "../../src/models/mod.ts";
import { balanceLoss, choiceCounts, moiieOf } from "../../src/moe/mod.ts";
import { parameters } from "../../src/nn/mod.ts";
import {
  add,
  crossEntropy,
  gradients,
  Random,
  setValues,
  type Tensor,
  tensor,
} from "../../src/tensor/mod.ts";
import { read } from "../nn/shared.ts";
import { segment, TOKENIZER } from "./shared.ts";

const SIZES = { width: 8, layers: 1, heads: 2, hidden: 12 };

/** One expert for each of three modalities, and two shared ones. */
const CONFIG: MultimodalConfig = {
  encoders: {
    image: { ...SIZES, inputs: 12, tokens: 4 },
    audio: { ...SIZES, inputs: 10, tokens: 3 },
  },
  language: {
    vocabulary: TOKENIZER.size,
    width: 16,
    layers: 4,
    heads: 2,
    hidden: 12,
    ropeBase: 10000,
    epsilon: 1e-6,
  },
  ffn: moiieOf({
    modalities: ["text", "image", "audio"],
    own: { image: 1, audio: 1, text: 1 },
    shared: 2,
  }),
  placement: "interleaved",
};

/** The model with experts; routers are made decisive. */
async function mixture(): Promise<Multimodal> {
  const model = await upcycle(makeMultimodal(new Random(5), CONFIG), new Random(5));
  for (const [path, t] of parameters(model)) {
    const random = new Random(5, path);
    if (path.includes("router")) setValues(t, random.normals(t.size, 0, 0.5));
    if (path.includes("position")) setValues(t, random.normals(t.size));
  }
  return model;
}

/** Modality numbers: positions in the table's pools. */
const IMAGE = 1, AUDIO = 2;

/** Two rows; `absent` names what each lacks. */
function batchOf(absent: readonly (readonly number[])[]) {
  const rows = absent.map((absent, row) => ({
    id: `${row}`,
    segments: [segment(new Random(row), 4, 2), segment(new Random(9), 3, 1)],
    absent,
  }));
  const packed = packSlots(rows, { tokenizer: TOKENIZER, length: 24, slots: slotsOf(CONFIG) });
  const shape = [packed.size, packed.length];
  const numbers = (name: "tokens" | "positions" | "segments" | "modality" | "valid" | "labels") =>
    tensor(packed[name], { shape });
  const inputs: LanguageInputs = {
    tokens: numbers("tokens"),
    positions: numbers("positions"),
    segments: numbers("segments"),
    modality: numbers("modality"),
    valid: numbers("valid"),
  };
  return { packed, inputs, labels: tensor(packed.labels) };
}

function piecesOf(rows: number, seed = 1): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(CONFIG.encoders).map(([name, { tokens, inputs }]) => {
      const values = new Random(seed, name).normals(rows * tokens * inputs);
      return [name, tensor(values, { shape: [rows, tokens, inputs] })];
    }),
  );
}

/** Experts by name, as far as their gradient is not exactly zero. */
async function movedExperts(model: Multimodal, absent: readonly (readonly number[])[]) {
  const { inputs, labels } = batchOf(absent);
  const { logits, routings } = applyMultimodal(model, piecesOf(absent.length), inputs);
  const loss = add(crossEntropy(logits, labels), balanceLoss(routings, 0.01));
  const [{ ffn }] = model.language.blocks.filter((b) => b.ffn.routers.length > 0);
  const [experts, ...routers] = await read(...gradients(loss, [ffn.gateUp, ...ffn.routers]));
  const size = experts.length / ffn.table.experts.length;
  const moved = (g: ArrayLike<number>) => Array.from(g).some((x) => x !== 0);
  return {
    experts: ffn.table.experts.filter((_, e) => moved(experts.slice(e * size, (e + 1) * size)))
      .map((e) => e.name).sort(),
    routers: routers.map(moved),
    choices: await read(...routings.map(choiceCounts)),
  };
}

Deno.test("each modality's tokens choose among their own experts and the shared ones, and no other", async () => {
  const { choices } = await movedExperts(await mixture(), [[], []]);
  // Experts V1 A1 L1 S1 S2; rows are text, image, audio.
  const forbidden = [[0, 1], [1, 2], [0, 2]];
  for (const layer of choices) {
    forbidden.forEach((experts, modality) => {
      const row = layer.slice(5 * modality, 5 * modality + 5);
      for (const e of experts) assertEquals(row[e], 0, `modality ${modality}, expert ${e}`);
      assertGreater(row.reduce((a, b) => a + b), 0);
    });
    // Two choices of each of 2 × 4 patches and 2 × 3 frames.
    assertEquals([5, 10].map((i) => layer.slice(i, i + 5).reduce((a, b) => a + b)), [16, 12]);
  }
});

Deno.test("experts and routers of a modality that is not there get exactly zero gradient", async () => {
  const model = await mixture();
  const all = await movedExperts(model, [[], []]);
  assertEquals(all.experts, ["A1", "L1", "S1", "S2", "V1"]);
  assertEquals(all.routers, [true, true, true]);
  const deaf = await movedExperts(model, [[AUDIO], [AUDIO]]);
  assertEquals(deaf.experts, ["L1", "S1", "S2", "V1"]);
  assertEquals(deaf.routers, [true, true, false]);
  const blind = await movedExperts(model, [[IMAGE], [IMAGE]]);
  assertEquals(blind.experts, ["A1", "L1", "S1", "S2"]);
  const text = await movedExperts(model, [[IMAGE, AUDIO], [AUDIO, IMAGE]]);
  assertEquals(text.experts, ["L1", "S1", "S2"]);
  assertEquals(text.routers, [true, false, false]);
});

Deno.test("applyMultimodal() ignores what a row lacks, and other rows do not change", async () => {
  const model = await mixture();
  const { packed, inputs } = batchOf([[], [AUDIO]]);
  const logits = (seed: number) => {
    const other = piecesOf(2, seed), pieces = piecesOf(2);
    return applyMultimodal(model, { image: pieces.image, audio: other.audio }, inputs).logits;
  };
  const [a, b] = await read(logits(1), logits(2));
  const words = a.length / packed.valid.length;
  const isText = (t: number) => packed.valid[t] === 1 && packed.modality[t] === 0;
  const difference = (row: number) => {
    let most = 0;
    for (let t = 24 * row; t < 24 * (row + 1); t++) {
      if (!isText(t)) continue;
      for (let w = 0; w < words; w++) {
        most = Math.max(most, Math.abs(a[t * words + w] - b[t * words + w]));
      }
    }
    return most;
  };
  assertGreater(difference(0), 1e-4); // hears it
  assertEquals(difference(1), 0);
});

Deno.test("upcycling a model of three modalities does not change what it computes", async () => {
  const { packed, inputs } = batchOf([[], []]), pieces = piecesOf(2);
  const dense = makeMultimodal(new Random(5), CONFIG);
  const [before] = await read(applyMultimodal(dense, pieces, inputs).logits);
  const model = await upcycle(dense, new Random(1));
  assertEquals(model.language.blocks.map((b) => b.ffn.routers.length), [0, 3, 0, 3]);
  const [after] = await read(applyMultimodal(model, pieces, inputs).logits);
  const words = TOKENIZER.size; // experts compute nothing for padding
  before.forEach((x, i) => {
    if (packed.valid[Math.floor(i / words)]) assertAlmostEquals(after[i], x, 1e-5);
  });
});

Deno.test("makeMultimodal() and applyMultimodal() name what does not fit", () => {
  const order = moiieOf({ modalities: ["text", "audio", "image"], own: {}, shared: 2 });
  assertThrows(
    () => makeMultimodal(new Random(1), { ...CONFIG, ffn: order }),
    RangeError,
    `"text, audio, image", but the encoders want "text, image, audio"`,
  );
  const model = makeMultimodal(new Random(1), CONFIG), { inputs } = batchOf([[]]);
  const { image } = piecesOf(1);
  assertThrows(() => applyMultimodal(model, { image }, inputs), RangeError, "no pieces for audio");
  const wrong = { image, audio: image };
  assertThrows(() => applyMultimodal(model, wrong, inputs), RangeError, "must be [B, 3, 10]");
});

Deno.test("slotsOf() lays the encoders' tokens side by side, and packSlots() leaves out what is absent", () => {
  assertEquals(slotsOf(CONFIG), [1, 1, 1, 1, 2, 2, 2]);
  const { packed } = batchOf([[], [IMAGE]]);
  const row = (name: "modality" | "valid" | "segments" | "positions", r: number) => [
    ...packed[name].subarray(24 * r, 24 * r + 9),
  ];
  assertEquals(row("modality", 0), [1, 1, 1, 1, 2, 2, 2, 0, 0]);
  assertEquals(row("modality", 1), [0, 0, 0, 0, 2, 2, 2, 0, 0]);
  assertEquals(row("valid", 1), [0, 0, 0, 0, 1, 1, 1, 1, 1]);
  assertEquals(row("segments", 1), [-1, -1, -1, -1, 0, 0, 0, 1, 1]);
  assertEquals(row("positions", 1), [0, 0, 0, 0, 4, 5, 6, 7, 8]);
});

Deno.test("a vision encoder is an encoder of patches", async () => {
  const sizes = { imageSize: 16, patch: 8, ...SIZES };
  const vision = makeVision(new Random(3), sizes);
  const same = makeEncoder(new Random(3), visionEncoder(sizes));
  const pixels = tensor(new Random(4).normals(2 * 3 * 256), { shape: [2, 3, 16, 16] });
  const [a, b] = await read(
    applyVision(vision, sizes, pixels),
    applyEncoder(same, sizes, cutPatches(pixels, 8)),
  );
  assertEquals(a, b);
  assert(a.every(Number.isFinite));
});
