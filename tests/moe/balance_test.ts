import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  applyFeedForward,
  balanceLoss,
  type BalanceOptions,
  chanceOfShared,
  choiceCounts,
  type FeedForward,
  IMAGE,
  modalityMoe,
  moiie,
  type PoolTable,
  routerLoads,
  routersOf,
  type Routing,
  TEXT,
  tokenCounts,
  vanillaMoe,
} from "../../src/moe/mod.ts";
import { gradients, setValues, type Tensor, tensor } from "../../src/tensor/mod.ts";
import { allZero, assertClose, read } from "../nn/shared.ts";
import { type ReferenceLayer, referenceToken } from "./reference.ts";
import { layerOf, modalities, modalityTensor, referenceOf, tokens, WIDTH } from "./shared.ts";

const COUNT = 50;

/** Tokens of one layer in numbers. */
interface Case {
  layer: FeedForward;
  x: Tensor;
  modality: number[];
  valid?: number[];
}

function routingOf({ layer, x, modality, valid }: Case): Routing {
  return applyFeedForward(layer, x, {
    modality: modalityTensor(modality),
    valid: valid && tensor(Int32Array.from(valid)),
  }).routing!;
}

/** Layers of one table with different routers and tokens. */
function cases(table: PoolTable, layers = 2): Case[] {
  return Array.from({ length: layers }, (_, i) => ({
    layer: layerOf(table, 0.5, i),
    x: tokens(COUNT, 10 + i),
    modality: modalities(COUNT),
    valid: Array.from({ length: COUNT }, (_, t) => t % 7 === 3 ? 0 : 1),
  }));
}

/** What the loops count of one layer: choices and probabilities by expert, tokens. */
function counted(
  layer: ReferenceLayer,
  x: ArrayLike<number>,
  { modality, valid }: Case,
  served: readonly number[],
) {
  const n = layer.table.experts.length;
  const choices = new Array(n).fill(0), probability = new Array(n).fill(0);
  let count = 0;
  modality.forEach((m, t) => {
    if (!served.includes(m) || valid?.[t] === 0) return;
    const token = referenceToken(
      layer,
      Array.from({ length: WIDTH }, (_, i) => x[t * WIDTH + i]),
      m,
    );
    count++;
    for (const e of token.chosen) choices[e]++;
    token.probabilities.forEach((p, e) => probability[e] += p);
  });
  return { choices, probability, count };
}

/** The auxiliary loss as a loop in float64. */
async function referenceLoss(
  list: readonly Case[],
  coefficients: readonly number[],
  { convention, reduction }: BalanceOptions,
  nudge: (router: number[], layer: number, r: number) => number[] = (router) => router,
): Promise<number> {
  const layers = await Promise.all(list.map(async (c, l) => {
    const layer = await referenceOf(c.layer);
    const routers = layer.routers.map((w, r) => nudge(Array.from(w), l, r));
    return { layer: { ...layer, routers }, x: (await read(c.x))[0] };
  }));
  const { table } = layers[0].layer;
  const groups = reduction === "layers" ? list.map((_, i) => [i]) : [list.map((_, i) => i)];
  let total = 0;
  for (const group of groups) {
    routersOf(table).forEach(({ experts, modalities }, r) => {
      const parts = group.map((l) => counted(layers[l].layer, layers[l].x, list[l], modalities));
      const count = parts.reduce((s, p) => s + p.count, 0);
      let loss = 0;
      for (const e of experts) {
        const choices = parts.reduce((s, p) => s + p.choices[e], 0);
        const probability = parts.reduce((s, p) => s + p.probability[e], 0);
        loss += choices / count * (probability / count);
      }
      const perChoice = convention === "fraction" ? 1 / table.topK : 1;
      total += coefficients[r] * experts.length * perChoice * loss / groups.length;
    });
  }
  return total;
}

for (const convention of ["slots", "fraction"] as const) {
  for (const reduction of ["pooled", "layers"] as const) {
    Deno.test(`balanceLoss() equals a float64 loop when the convention is ${convention} and the reduction ${reduction}`, async () => {
      for (const table of [moiie(), vanillaMoe()]) {
        const list = cases(table), options = { convention, reduction };
        const coefficients = routersOf(table).map((_, r) => 0.3 + r);
        const [[loss]] = await read(balanceLoss(list.map(routingOf), coefficients, options));
        assertClose([loss], [await referenceLoss(list, coefficients, options)], 1e-6);
      }
    });
  }
}

Deno.test("balanceLoss() has the gradient of its probabilities, with the choices held fixed", async () => {
  const list = cases(moiie());
  const routers = list.flatMap((c) => c.layer.routers);
  const grads = await read(...gradients(balanceLoss(list.map(routingOf), 1), routers));
  const step = 1e-6;
  for (const [at, gradient] of grads.entries()) {
    const l = Math.floor(at / 2), r = at % 2;
    const direction = (i: number) => Math.cos(i + at);
    const moved = (sign: number) =>
      referenceLoss(
        list,
        [1, 1],
        {},
        (w, layer, router) =>
          layer === l && router === r ? w.map((v, i) => v + sign * step * direction(i)) : w,
      );
    const slope = (await moved(1) - await moved(-1)) / (2 * step);
    const along = gradient.reduce((s, g, i) => s + g * direction(i), 0);
    assert(Math.abs(slope) > 3e-5, "a direction without slope tests nothing");
    assert(Math.abs(along - slope) < 3e-7, `layer ${l}, router ${r}: ${along}, not ${slope}`);
  }
});

/** A layer whose routers' logits for every token are the given ones (its first feature is 1). */
function constantLogits(table: PoolTable, logits: readonly number[]): Case {
  const layer = layerOf(table);
  for (const router of layer.routers) {
    const values = new Float32Array(router.size);
    logits.forEach((z, e) => values[e * WIDTH] = z);
    setValues(router, values);
  }
  const x = new Float32Array(COUNT * WIDTH);
  for (let t = 0; t < COUNT; t++) x[t * WIDTH] = 1;
  return { layer, x: tensor(x, { shape: [COUNT, WIDTH] }), modality: modalities(COUNT) };
}

Deno.test("the loss of a router is k when logits are uniform, n when it collapses onto k of n = 3", async () => {
  const even = routerLoads([routingOf(constantLogits(moiie(), [0, 0, 0]))]);
  const collapsed = routerLoads([routingOf(constantLogits(moiie(), [30, 30, -30]))]);
  assertEquals(even.length, 2);
  for (const { loss, meanProbability } of even) {
    assertClose((await read(loss))[0], [2], 1e-6);
    assertClose((await read(meanProbability))[0], [1 / 3, 1 / 3, 1 / 3], 1e-6);
  }
  for (const { loss, load } of collapsed) {
    assertClose((await read(loss))[0], [3], 1e-6);
    assertEquals((await read(load))[0], [1, 1, 0]);
  }
  const [[slots], [fraction]] = await read(
    balanceLoss([routingOf(constantLogits(moiie(), [0, 0, 0]))], 0.001),
    balanceLoss([routingOf(constantLogits(moiie(), [0, 0, 0]))], 0.001, { convention: "fraction" }),
  );
  assertClose([slots * 1000, fraction * 1000], [4, 2], 1e-6);
});

Deno.test("routers whose opinions are random and weak are nearly balanced", async () => {
  const layer = layerOf(moiie(), 1e-4);
  const loads = routerLoads([routingOf({ layer, x: tokens(COUNT), modality: modalities(COUNT) })]);
  for (const { loss } of loads) assertClose((await read(loss))[0], [2], 1e-3);
});

Deno.test("balanceLoss() does not change when padding is added", async () => {
  const plain: Case = {
    layer: layerOf(moiie()),
    x: tokens(COUNT),
    modality: modalities(COUNT),
    valid: new Array(COUNT).fill(1),
  };
  const [x] = await read(plain.x);
  const [noise] = await read(tokens(14, 77));
  const padded: Case = {
    layer: plain.layer,
    x: tensor([...x, ...noise], { shape: [COUNT + 14, WIDTH] }),
    modality: [...plain.modality, ...new Array(14).fill(TEXT)],
    valid: [...plain.valid!, ...new Array(14).fill(0)],
  };
  const counting = { ...padded, valid: undefined };
  const losses = await read(
    ...[plain, padded, counting].map((c) => balanceLoss([routingOf(c)], 1)),
    choiceCounts(routingOf(plain)),
    choiceCounts(routingOf(padded)),
  );
  assertClose(losses[1], losses[0], 1e-6, "padded");
  assert(Math.abs(losses[2][0] - losses[0][0]) > 1e-4, "padding that counts would show");
  assertEquals(losses[4], losses[3]);
});

Deno.test("a router without tokens has loss 0 and no gradient", async () => {
  const layer = layerOf(moiie());
  const routing = routingOf({ layer, x: tokens(COUNT), modality: new Array(COUNT).fill(TEXT) });
  const [text, image] = routerLoads([routing]);
  const [[ofText], [ofImage], dText, dImage] = await read(
    text.loss,
    image.loss,
    ...gradients(balanceLoss([routing], 1), layer.routers),
  );
  assert(ofText > 1.9);
  assertEquals(ofImage, 0);
  assert(!allZero(dText));
  assert(allZero(dImage));
});

Deno.test("balanceLoss() is 0 when nothing is routed, or the coefficient is 0", async () => {
  const assigned = modalityMoe({ vision: 1, language: 1 });
  const routing = routingOf({
    layer: layerOf(assigned),
    x: tokens(COUNT),
    modality: modalities(COUNT),
  });
  const routed = routingOf({
    layer: layerOf(moiie()),
    x: tokens(COUNT),
    modality: modalities(COUNT),
  });
  assertEquals(
    await read(balanceLoss([], 1), balanceLoss([routing], 1), balanceLoss([routed], 0)),
    [[0], [0], [0]],
  );
  const [[one], [both]] = await read(balanceLoss([routed], [0, 1]), balanceLoss([routed], 1));
  assert(one > 1 && one < both - 1, "a coefficient of 0 leaves one router out");
});

Deno.test("balanceLoss() throws RangeError when a coefficient is missing, negative or no number", () => {
  const routing = routingOf({
    layer: layerOf(moiie()),
    x: tokens(COUNT),
    modality: modalities(COUNT),
  });
  for (const [coefficient, part] of [[-1, "-1"], [NaN, "NaN"], [[1], "router 1"]] as const) {
    const { message } = assertThrows(() => balanceLoss([routing], coefficient), RangeError);
    assertStringIncludes(message, part);
  }
});

Deno.test("balanceLoss() weighs each modality's router when coefficients have names", async () => {
  const [item] = cases(moiie(), 1);
  const routing = routingOf(item);
  const [[named], [listed]] = await read(
    balanceLoss([routing], { image: 0.25, text: 2 }),
    balanceLoss([routing], [2, 0.25]),
  );
  assertEquals(named, listed);
  const vanilla = routingOf(cases(vanillaMoe(), 1)[0]);
  const [[same], [one]] = await read(
    balanceLoss([vanilla], { text: 0.5, image: 0.5 }),
    balanceLoss([vanilla], 0.5),
  );
  assertEquals(same, one);
  const says = (of: Routing, coefficient: Record<string, number>, part: string) => {
    const { message } = assertThrows(() => balanceLoss([of], coefficient), RangeError);
    assertStringIncludes(message, part);
  };
  says(routing, { text: 1, images: 1 }, 'did you mean "image"');
  says(routing, { text: 1 }, "coefficient undefined of router 1");
  says(vanilla, { text: 1, image: 2 }, "router 0 serves text and image with different");
});

Deno.test("choiceCounts() and tokenCounts() equal a loop and leave padding out", async () => {
  for (const table of [moiie(), modalityMoe({ vision: 1, language: 1 })]) {
    const [item] = cases(table, 1);
    const routing = routingOf(item);
    const [choices, count, chosen] = await read(
      choiceCounts(routing),
      tokenCounts(routing),
      routing.chosen,
    );
    const n = table.experts.length, k = table.topK;
    const want = new Array(2 * n).fill(0), wantTokens = [0, 0];
    item.modality.forEach((m, t) => {
      if (item.valid![t] === 0) return;
      wantTokens[m]++;
      for (let s = 0; s < k; s++) want[m * n + chosen[t * k + s]]++;
    });
    assertEquals(choices, want);
    assertEquals(count, wantTokens);
    assert(wantTokens.every((c) => c > 0));
  }
});

Deno.test("chanceOfShared() is the shared experts' part of a modality's pool", () => {
  assertEquals(chanceOfShared(moiie(), TEXT), 2 / 3);
  assertEquals(chanceOfShared(moiie({ vision: 3, language: 1, shared: 2 }), IMAGE), 2 / 5);
  assertEquals(chanceOfShared(modalityMoe(), IMAGE), 0);
  assertEquals(chanceOfShared(vanillaMoe(), TEXT), 1);
});
