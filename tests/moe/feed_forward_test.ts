import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  applyFeedForward,
  type FeedForward,
  IMAGE,
  LARGE_TILE,
  makeFeedForward,
  modalityMoe,
  moiie,
  TEXT,
  TILE,
  tileOf,
  vanillaMoe,
} from "../../src/moe/mod.ts";
import { gradients, Random, setValues, type Tensor, tensor } from "../../src/tensor/mod.ts";
import { allZero, assertClose, read } from "../nn/shared.ts";
import { referenceLayer } from "./reference.ts";
import {
  HIDDEN,
  layerOf,
  modalities,
  modalityTensor,
  referenceOf,
  TABLES,
  TOKENS,
  tokens,
  WIDTH,
} from "./shared.ts";

/** Sums of at most a hundred terms near 1, in f32. */
const TOLERANCE = 2e-6;

/** Compares result and all gradients with the loops. */
async function compare(
  layer: FeedForward,
  x: Tensor,
  modality: readonly number[],
  what: string,
): Promise<void> {
  const dy = tokens(modality.length, 9);
  const { y } = applyFeedForward(layer, x, { modality: modalityTensor(modality) });
  const grads = gradients(y, [x, layer.gateUp, layer.down, ...layer.routers], dy);
  const [xs, dys, ys, dx, dGateUp, dDown, ...dRouters] = await read(x, dy, y, ...grads);
  const want = referenceLayer(await referenceOf(layer), xs, modality, dys);
  assertClose(ys, want.y, TOLERANCE, `${what}: y`);
  assertClose(dx, want.gradients.x, TOLERANCE, `${what}: dx`);
  assertClose(dGateUp, want.gradients.gateUp, TOLERANCE, `${what}: dGateUp`);
  assertClose(dDown, want.gradients.down, TOLERANCE, `${what}: dDown`);
  dRouters.forEach((d, r) => {
    assertClose(d, want.gradients.routers[r], TOLERANCE, `${what}: router ${r}`);
  });
}

for (const [name, table] of Object.entries(TABLES)) {
  Deno.test(`applyFeedForward() equals a float64 loop, forward and backward, when the table is ${name}`, async () => {
    await compare(layerOf(table), tokens(50), modalities(50), name);
  });
}

for (const [name, modality] of Object.entries(TOKENS)) {
  Deno.test(`applyFeedForward() equals a float64 loop, forward and backward, when tokens are ${name}`, async () => {
    await compare(layerOf(moiie()), tokens(modality.length), modality, name);
  });
}

/** Makes each router prefer the experts in their order, by a margin of `each`. */
function prefer(layer: FeedForward, x: Float32Array, each: number): void {
  for (let t = 0; t < x.length; t += WIDTH) x[t] = 1;
  for (const router of layer.routers) {
    const values = new Float32Array(router.size);
    for (let e = 0; e < router.shape[0]; e++) values[e * WIDTH] = -each * e;
    setValues(router, values);
  }
}

Deno.test("applyFeedForward() equals a float64 loop when experts stay without tokens and others fill several tiles", async () => {
  for (const [count, tile] of [[2 * TILE + 5, TILE], [6 * 1024 + 5, LARGE_TILE]]) {
    assertEquals(tileOf(2 * count, 6), tile);
    const layer = layerOf(vanillaMoe({ experts: 6 }));
    const values = new Random(1).normals(count * WIDTH);
    prefer(layer, values, 3);
    const x = tensor(values, { shape: [count, WIDTH] });
    const modality = modalities(count);
    await compare(layer, x, modality, "collapsed");
    const { routing } = applyFeedForward(layer, x, { modality: modalityTensor(modality) });
    const [chosen] = await read(routing!.chosen);
    assertEquals([...new Set(chosen)].sort(), [0, 1]);
  }
});

for (const scale of [0.02, 1, 1000]) {
  Deno.test(`applyFeedForward() keeps every token in its pool when router weights are of size ${scale}`, async () => {
    for (const [name, table] of Object.entries(TABLES)) {
      const modality = modalities(50, 5);
      const { routing } = applyFeedForward(layerOf(table, scale), tokens(50, 6), {
        modality: modalityTensor(modality),
      });
      if (!routing) continue;
      const [chosen, probabilities, weights] = await read(
        routing.chosen,
        routing.probabilities,
        routing.weights,
      );
      const k = table.topK, n = table.experts.length;
      modality.forEach((m, t) => {
        const pool = table.pools[m].experts;
        const mine = chosen.slice(t * k, t * k + k);
        assert(mine.every((e) => pool.includes(e)), `${name}: ${mine} outside of ${pool}`);
        assertEquals(new Set(mine).size, k, `${name}: an expert twice in ${mine}`);
        const p = probabilities.slice(t * n, t * n + n);
        assert(p.every((v, e) => pool.includes(e) || v === 0), `${name}: probabilities ${p}`);
        assertClose([p.reduce((a, b) => a + b)], [1], 1e-6, `${name}: sum of probabilities`);
        const w = weights.slice(t * k, t * k + k);
        if (table.renormalise) {
          assertClose([w.reduce((a, b) => a + b)], [1], 1e-6, `${name}: sum of weights`);
        } else {
          assertEquals(w, mine.map((e) => p[e]));
        }
      });
    }
  });
}

/** Which experts and routers get any gradient from tokens of one modality. */
async function reached(layer: FeedForward, modality: readonly number[]) {
  const x = tokens(modality.length);
  const { y } = applyFeedForward(layer, x, { modality: modalityTensor(modality) });
  const [gateUp, down, ...routers] = await read(
    ...gradients(y, [layer.gateUp, layer.down, ...layer.routers], tokens(modality.length, 9)),
  );
  const { experts } = layer.table;
  const part = (values: number[], e: number) => {
    const size = values.length / experts.length;
    return values.slice(e * size, (e + 1) * size);
  };
  return {
    gateUp: experts.filter((_, e) => !allZero(part(gateUp, e))).map((e) => e.name).join(" "),
    down: experts.filter((_, e) => !allZero(part(down, e))).map((e) => e.name).join(" "),
    routers: routers.flatMap((r, i) => allZero(r) ? [] : [i]),
  };
}

Deno.test("gradients of forbidden experts and of the other router are exactly zero when tokens are of one modality", async () => {
  const mix = layerOf(moiie({ vision: 1, language: 1, shared: 2 }));
  const text = new Array(50).fill(TEXT), image = new Array(50).fill(IMAGE);
  assertEquals(await reached(mix, text), {
    gateUp: "L1 S1 S2",
    down: "L1 S1 S2",
    routers: [0],
  });
  assertEquals(await reached(mix, image), {
    gateUp: "V1 S1 S2",
    down: "V1 S1 S2",
    routers: [1],
  });
  const apart = layerOf(modalityMoe({ topK: 1, renormalise: false }));
  assertEquals(await reached(apart, text), { gateUp: "L1 L2", down: "L1 L2", routers: [0] });
  assertEquals(await reached(apart, image), { gateUp: "V1 V2", down: "V1 V2", routers: [1] });
});

Deno.test("applyFeedForward() computes nothing for padding and changes no other token when told to skip it", async () => {
  for (const name of ["MoIIE 1/1/2", "modality 1 + 1"]) {
    const layer = layerOf(TABLES[name]);
    const count = 50, padded = [3, 11, 48, 49];
    const x = tokens(count), modality = modalityTensor(modalities(count));
    const flags = Array.from({ length: count }, (_, t) => padded.includes(t) ? 0 : 1);
    const valid = tensor(Int32Array.from(flags));
    const whole = applyFeedForward(layer, x, { modality, valid });
    const skipping = applyFeedForward(layer, x, { modality, valid, skipPadding: true });
    const dy = tokens(count, 9);
    const [all, some, dx, ...routers] = await read(
      whole.y,
      skipping.y,
      ...gradients(skipping.y, [x, ...layer.routers], dy),
    );
    flags.forEach((real, t) => {
      const mine = some.slice(t * WIDTH, (t + 1) * WIDTH);
      if (real) assertEquals(mine, all.slice(t * WIDTH, (t + 1) * WIDTH), `${name}: token ${t}`);
      else {
        assert(allZero(mine), `${name}: padding ${t} gives ${mine}`);
        assert(
          allZero(dx.slice(t * WIDTH, (t + 1) * WIDTH)),
          `${name}: padding ${t} has a gradient`,
        );
      }
    });
    assert(routers.every((r) => !allZero(r)), `${name}: a router without gradient`);
  }
});

Deno.test("applyFeedForward() gives no routing when there is one expert only", () => {
  const layer = layerOf(TABLES.dense);
  const { routing } = applyFeedForward(layer, tokens(3), { modality: modalityTensor([0, 1, 0]) });
  assertEquals(routing, undefined);
});

Deno.test("applyFeedForward() names the layer when shapes do not fit", () => {
  const layer = layerOf(moiie());
  layer.gateUp.name = "blocks.3.ffn.gateUp";
  const modality = modalityTensor([0, 1]);
  const wide = assertThrows(
    () => applyFeedForward(layer, tokens(2, 1, WIDTH + 1), { modality }),
    RangeError,
  );
  assertStringIncludes(wide.message, "blocks.3.ffn.gateUp");
  assertStringIncludes(wide.message, `f32[2,${WIDTH + 1}]`);
  assertStringIncludes(wide.message, `[tokens, ${WIDTH}]`);
  const long = assertThrows(() => applyFeedForward(layer, tokens(5), { modality }), RangeError);
  assertStringIncludes(long.message, "blocks.3.ffn.gateUp");
  assertStringIncludes(long.message, "i32[2]");
  assertStringIncludes(long.message, `f32[5,${WIDTH}]`);
});

Deno.test("makeFeedForward() makes the same layer when the seed is the same", async () => {
  const make = (seed: number) =>
    makeFeedForward(new Random(seed), moiie(), { width: WIDTH, hidden: HIDDEN });
  const [a, b, c] = await read(...[5, 5, 6].map((seed) => make(seed).gateUp));
  assertEquals(a, b);
  assert(a.some((v, i) => v !== c[i]));
  assertEquals(make(5).routers.map((r) => r.shape), [[3, WIDTH], [3, WIDTH]]);
});
