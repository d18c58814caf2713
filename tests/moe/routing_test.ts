import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  applyFeedForward,
  balanceLoss,
  biasUpdate,
  checkRouting,
  choiceCounts,
  droppedCounts,
  type FeedForward,
  makeFeedForward,
  modalityMoe,
  moiie,
  moiieOf,
  type PoolTable,
  routerColumns,
  type Routing,
  type RoutingOptions,
  tokenCounts,
  vanillaMoe,
  zLoss,
} from "../../src/moe/mod.ts";
import { buffers, parameters } from "../../src/nn/mod.ts";
import {
  compile,
  gradients,
  Random,
  setValues,
  softmax,
  takeAlong,
  type Tensor,
  tensor,
} from "../../src/tensor/mod.ts";
import { assertClose, read } from "../nn/shared.ts";
import {
  type OptionLayer,
  type OptionTokens,
  referenceChoices,
  referenceOptions,
} from "./routing_reference.ts";
import { HIDDEN, modalities, modalityTensor, referenceOf, tokens, WIDTH } from "./shared.ts";

const COUNT = 50;
const THREE = moiieOf({
  modalities: ["text", "image", "audio"],
  own: { text: 1, image: 1, audio: 1 },
  shared: 2,
});

/** A layer with decisive routers and, where it has them, biases. */
function layerWith(table: PoolTable, routing: RoutingOptions): FeedForward {
  const layer = makeFeedForward(new Random(3, "layer"), table, {
    width: WIDTH,
    hidden: HIDDEN,
    routerStd: 0.5,
    routing,
  });
  const bias = layer.buffers?.bias;
  if (bias) setValues(bias, new Random(4).normals(bias.size, 0, 0.3));
  return layer;
}

/** Tokens as tensors and as numbers. */
interface Given {
  use: { modality: Tensor; valid?: Tensor; jitter?: Tensor; noise?: Tensor; skipPadding?: boolean };
  x: Tensor;
  numbers: Omit<OptionTokens, "x">;
}

function given(table: PoolTable, options: RoutingOptions, padded: boolean): Given {
  const random = new Random(8, "tokens");
  const modality = table.pools.length > 2
    ? Array.from({ length: COUNT }, () => random.int(table.pools.length))
    : modalities(COUNT);
  const valid = padded ? modality.map((_, t) => t % 6 === 5 ? 0 : 1) : undefined;
  const jitter = options.jitter
    ? random.uniforms(COUNT * WIDTH, 1 - options.jitter, 1 + options.jitter)
    : undefined;
  const columns = routerColumns(table);
  const noise = options.noise ? random.normals(COUNT * columns, 0, options.noise) : undefined;
  return {
    x: tokens(COUNT),
    numbers: { modality, valid, jitter, noise },
    use: {
      modality: modalityTensor(modality),
      valid: valid && tensor(Int32Array.from(valid)),
      skipPadding: padded,
      jitter: jitter && tensor(jitter, { shape: [COUNT, WIDTH] }),
      noise: noise && tensor(noise, { shape: [COUNT, columns] }),
    },
  };
}

async function numbersOf(layer: FeedForward): Promise<OptionLayer> {
  const plain = await referenceOf(layer), { alwaysOn, buffers } = layer;
  const numbers: OptionLayer = { ...plain };
  if (buffers) [numbers.bias] = await read(buffers.bias);
  if (alwaysOn) {
    const [gateUp, down] = await read(alwaysOn.gateUp, alwaysOn.down);
    numbers.alwaysOn = { gateUp, down };
    if (alwaysOn.gate) [numbers.alwaysOn.gate] = await read(alwaysOn.gate);
  }
  return numbers;
}

/** Every option, with the tables that show what it does. */
const CASES: Readonly<Record<string, [PoolTable, RoutingOptions, boolean?]>> = {
  "sigmoid scores": [moiie(), { scores: "sigmoid" }],
  "sigmoid scores as weights": [vanillaMoe({ renormalise: false }), { scores: "sigmoid" }],
  "biases": [moiie(), { bias: 0.01 }],
  "biases beside a pool of one": [
    moiie({ vision: 0, language: 1, shared: 1, topK: 1, renormalise: false }),
    { bias: 0.01 },
  ],
  "a capacity": [vanillaMoe(), { capacity: 1 }],
  "a capacity for each modality, with padding": [moiie(), { capacity: 0.75 }, true],
  "a capacity that drops the lowest weights": [
    moiie({ vision: 2, language: 2, shared: 2 }),
    { capacity: 0.75, drop: "weight" },
    true,
  ],
  "experts that choose": [vanillaMoe(), { chooser: "expert" }],
  "experts that choose within modalities, with padding": [moiie(), { chooser: "expert" }, true],
  "experts that choose little, by probabilities as weights": [
    moiie({ renormalise: false }),
    { chooser: "expert", capacity: 0.5 },
  ],
  "experts that choose beside a pool of one": [
    moiie({ vision: 0, language: 1, shared: 1, topK: 1, renormalise: false }),
    { chooser: "expert" },
    true,
  ],
  "jitter and noise": [moiie(), { jitter: 0.2, noise: 0.3 }],
  "slices": [moiie({ split: 2 }), {}],
  "always-on experts": [moiie({ alwaysOn: 2 }), {}],
  "a gated always-on expert": [vanillaMoe({ alwaysOn: { gate: true } }), { scores: "sigmoid" }],
  "three modalities": [THREE, {}, true],
  "three modalities and a capacity": [THREE, { capacity: 1 }, true],
};

for (const [name, [table, options, padded = false]] of Object.entries(CASES)) {
  Deno.test(`applyFeedForward() equals a float64 loop, forward and backward, with ${name}`, async () => {
    const layer = layerWith(table, options), { x, use, numbers } = given(table, options, padded);
    const list = [...parameters(layer)], leaves = [x, ...list.map(([, t]) => t)];
    const { y, routing } = applyFeedForward(layer, x, use);
    const dy = tokens(COUNT, 9);
    const [ys, dys, xs, chosen, weights, ...grads] = await read(
      y,
      dy,
      x,
      routing!.chosen,
      routing!.weights,
      ...gradients(y, leaves, dy),
    );
    const at = await numbersOf(layer), all = { x: xs, ...numbers };
    // Always-on experts see padding too; nothing looks at it.
    const real = (values: ArrayLike<number>) =>
      Array.from(values, (v, i) => numbers.valid?.[Math.floor(i / WIDTH)] === 0 ? 0 : v);
    assertClose(real(ys), real(referenceOptions(at, all, options)), 3e-6, "y");
    const want = referenceChoices(at, all, options), slots = routing!.chosen.shape[1];
    const kept = routing!.kept ? (await read(routing!.kept))[0] : undefined;
    want.forEach((choices, t) => {
      if (numbers.valid?.[t] === 0) return;
      const got = Array.from({ length: slots }, (_, s) => t * slots + s).filter((s) =>
        chosen[s] >= 0
      );
      const byExpert = (a: { expert: number }, b: { expert: number }) => a.expert - b.expert;
      const mine = got.map((s) => ({ expert: chosen[s], kept: kept ? kept[s] === 1 : true }));
      const plain = choices.map(({ expert, kept }) => ({ expert, kept }));
      assertEquals(mine.sort(byExpert), plain.sort(byExpert), `token ${t}`);
      const sum = got.reduce((s, i) => s + weights[i], 0);
      assertClose([sum], [choices.reduce((s, c) => s + c.weight, 0)], 1e-6, `weights of ${t}`);
    });
    // Directional derivatives; the choices are locally constant.
    const step = 1e-6;
    const arrays = [all.x, ...list.map(([path]) => valueAt(at, path))] as ArrayLike<number>[];
    const settings = [
      (v: number[]) => referenceOptions(at, { ...all, x: v }, options),
      ...list.map(([path]) => (v: number[]) =>
        referenceOptions(withValue(at, path, v), all, options)
      ),
    ];
    grads.forEach((gradient, i) => {
      const what = i === 0 ? "x" : list[i - 1][0];
      const way = Array.from(arrays[i], (_, j) => Math.cos(3 * j + i));
      const moved = (sign: number) => {
        const out = settings[i](Array.from(arrays[i], (v, j) => v + sign * step * way[j]));
        return out.reduce(
          (s, v, j) => s + v * dys[j] * (numbers.valid?.[Math.floor(j / WIDTH)] ?? 1),
          0,
        );
      };
      const slope = (moved(1) - moved(-1)) / (2 * step);
      const along = gradient.reduce((s, g, j) => s + g * way[j], 0);
      const size = Math.sqrt(gradient.reduce((s, g) => s + g * g, 0) * gradient.length / 2);
      assert(size > 0, `${what} has no gradient`);
      assert(Math.abs(along - slope) < 2e-5 * Math.max(1, size), `${what}: ${along}, not ${slope}`);
    });
  });
}

/** A parameter's numbers by its path. */
function valueAt(layer: OptionLayer, path: string): ArrayLike<number> {
  // deno-lint-ignore no-explicit-any
  return path.split(".").reduce((node: any, key) => node[key], layer);
}

/** The layer with other numbers in one place. */
function withValue(layer: OptionLayer, path: string, value: number[]): OptionLayer {
  const copy: OptionLayer = { ...layer, routers: [...layer.routers] };
  if (copy.alwaysOn) copy.alwaysOn = { ...copy.alwaysOn };
  const keys = path.split("."), last = keys.pop()!;
  // deno-lint-ignore no-explicit-any
  keys.reduce((node: any, key) => node[key], copy)[last] = value;
  return copy;
}

Deno.test("renormalised weights are the softmax over the chosen scores (softmax after top-k)", async () => {
  const { x, use } = given(moiie(), {}, false);
  const { routing } = applyFeedForward(layerWith(moiie(), {}), x, use);
  const { scores, chosen, weights } = routing!;
  const [before, after] = await read(weights, softmax(takeAlong(scores!, chosen, 1)));
  assertClose(before, after, 1e-6);
});

Deno.test("a capacity that is large enough drops nothing and changes no bit", async () => {
  const { x, use } = given(moiie(), {}, true);
  const [plain, roomy] = [{}, { capacity: 2 }].map((options) =>
    applyFeedForward(layerWith(moiie(), options), x, use)
  );
  const [a, b, dropped] = await read(plain.y, roomy.y, droppedCounts(roomy.routing!));
  assertEquals(b, a);
  assertEquals(dropped, [0, 0]);
});

Deno.test("droppedCounts() counts what was left out by modality, padding left out", async () => {
  const options = { capacity: 0.5 } as const;
  const { x, use, numbers } = given(moiie(), options, true);
  const layer = layerWith(moiie(), options);
  const { routing } = applyFeedForward(layer, x, use);
  const [got, counts, xs] = await read(droppedCounts(routing!), tokenCounts(routing!), x);
  const want = [0, 0];
  referenceChoices(await numbersOf(layer), { x: xs, ...numbers }, options).forEach((list, t) => {
    if (numbers.valid![t]) want[numbers.modality[t]] += list.filter((c) => !c.kept).length;
  });
  assertEquals(got, want);
  assert(want.every((n, m) => n > 0 && n < 2 * counts[m]));
  const plain = applyFeedForward(layerWith(moiie(), {}), x, use).routing!;
  assertEquals(await read(droppedCounts(plain)), [[0, 0]]);
});

Deno.test("experts that choose are equally loaded within each modality", async () => {
  const { x, use, numbers } = given(moiie(), {}, true);
  const { routing } = applyFeedForward(layerWith(moiie(), { chooser: "expert" }), x, use);
  const [choices] = await read(choiceCounts(routing!));
  [0, 1].forEach((m) => {
    const n = numbers.modality.filter((v, t) => v === m && numbers.valid![t]).length;
    const each = Math.ceil(2 * n / 3);
    const pool = moiie().pools[m].experts;
    assertEquals(
      choices.slice(4 * m, 4 * m + 4),
      [0, 1, 2, 3].map((e) => pool.includes(e) ? each : 0),
    );
  });
});

Deno.test("biases steer the choice and leave the weights to the probabilities", async () => {
  const layer = layerWith(moiie(), { bias: 0.01 });
  const { x, use } = given(moiie(), {}, false);
  // Columns: text L1 S1 S2, image V1 S1 S2; the second shared expert is wanted by all.
  setValues(layer.buffers!.bias, [0, 0, 9, 0, 0, 9]);
  const { routing } = applyFeedForward(layer, x, use);
  const [chosen, weights, probabilities] = await read(
    routing!.chosen,
    routing!.weights,
    routing!.probabilities,
  );
  for (let t = 0; t < COUNT; t++) {
    assertEquals(chosen[2 * t], 3);
    const [a, b] = [0, 1].map((s) => probabilities[4 * t + chosen[2 * t + s]]);
    assertClose(weights.slice(2 * t, 2 * t + 2), [a / (a + b), b / (a + b)], 1e-6);
  }
});

Deno.test("biasUpdate() moves each bias by its step towards the mean load of its router, and nothing else", async () => {
  const layer = layerWith(moiie(), { bias: 0.25 });
  setValues(layer.buffers!.bias, [0, 0, 0, 0, 0, 0]);
  const { x, use } = given(moiie(), {}, true);
  const names = { x: { data: await x.data(), shape: x.shape } };
  const run = compile<{ x: unknown }, { choices: Tensor; effect: Tensor }>((inputs) => {
    const routing = applyFeedForward(layer, inputs.x, use).routing!;
    return { choices: choiceCounts(routing), effect: biasUpdate(layer, routing)! };
  });
  const before = await read(layer.gateUp, ...layer.routers);
  const bias = [0, 0, 0, 0, 0, 0];
  const signs = new Set<number>();
  for (let step = 0; step < 3; step++) {
    const { choices } = await run(names);
    const counts = Array.from(await choices.data());
    moiie().pools.forEach(({ experts }, m) => {
      const mine = experts.map((e) => counts[4 * m + e]);
      const mean = mine.reduce((a, b) => a + b, 0) / 3;
      mine.forEach((n, j) => {
        bias[3 * m + j] += 0.25 * Math.sign(mean - n);
        signs.add(Math.sign(mean - n));
      });
    });
    assertEquals(Array.from(await layer.buffers!.bias.data()), bias);
  }
  assert(signs.has(1) && signs.has(-1));
  assertEquals(await read(layer.gateUp, ...layer.routers), before);
  assertEquals([...buffers(layer).keys()], ["buffers.bias"]);
  assert(![...parameters(layer).keys()].some((path) => path.includes("bias")));
  assertEquals(biasUpdate(layerWith(moiie(), {}), undefined as unknown as Routing), undefined);
  run.dispose();
});

Deno.test("biases have no gradient", async () => {
  const layer = layerWith(moiie(), { bias: 0.01 }), { x, use } = given(moiie(), {}, false);
  const { y } = applyFeedForward(layer, x, use);
  const [gradient] = await read(...gradients(y, [layer.buffers!.bias], tokens(COUNT, 9)));
  assertEquals(gradient, [0, 0, 0, 0, 0, 0]);
});

Deno.test("zLoss() equals a float64 loop, and its gradient a difference", async () => {
  for (const table of [moiie(), vanillaMoe()]) {
    const layer = layerWith(table, {}), { x, use, numbers } = given(table, {}, true);
    const { routing } = applyFeedForward(layer, x, use);
    const coefficients = layer.routers.map((_, r) => 0.5 + r);
    const loss = zLoss([routing!, routing!], coefficients);
    const [[got], xs, ...rest] = await read(
      loss,
      x,
      ...layer.routers,
      ...gradients(loss, layer.routers),
    );
    const routers = rest.slice(0, layer.routers.length), grads = rest.slice(layer.routers.length);
    const reference = (at: number[][]) => {
      const sums = at.map(() => 0), counts = at.map(() => 0);
      numbers.modality.forEach((m, t) => {
        if (!numbers.valid![t]) return;
        const { router, experts } = table.pools[m];
        const powers = experts.map((_, j) => {
          let z = 0;
          for (let i = 0; i < WIDTH; i++) z += at[router!][j * WIDTH + i] * xs[t * WIDTH + i];
          return Math.exp(z);
        });
        sums[router!] += Math.log(powers.reduce((a, b) => a + b, 0)) ** 2;
        counts[router!]++;
      });
      return sums.reduce((s, v, r) => s + coefficients[r] * v / counts[r], 0);
    };
    assertClose([got], [reference(routers)], 1e-6);
    grads.forEach((gradient, r) => {
      const way = gradient.map((_, i) => Math.cos(i));
      const moved = (s: number) =>
        reference(routers.map((w, q) => q === r ? w.map((v, i) => v + s * 1e-6 * way[i]) : w));
      const slope = (moved(1) - moved(-1)) / 2e-6;
      const along = gradient.reduce((s, g, i) => s + g * way[i], 0);
      assert(
        Math.abs(along - slope) < 1e-5 * Math.max(1, Math.abs(slope)),
        `${along}, not ${slope}`,
      );
    });
  }
  assertEquals(await read(zLoss([], 1)), [[0]]);
});

Deno.test("losses and counters work with three modalities", async () => {
  const { x, use, numbers } = given(THREE, {}, true);
  const { routing } = applyFeedForward(layerWith(THREE, {}), x, use);
  const [tokensOf, choices, [loss], [audio]] = await read(
    tokenCounts(routing!),
    choiceCounts(routing!),
    balanceLoss([routing!], 1),
    balanceLoss([routing!], { text: 0, image: 0, audio: 1 }),
  );
  const want = [0, 1, 2].map((m) =>
    numbers.modality.filter((v, t) => v === m && numbers.valid![t]).length
  );
  assertEquals(tokensOf, want);
  for (let m = 0; m < 3; m++) {
    const mine = choices.slice(5 * m, 5 * m + 5);
    assertEquals(mine.reduce((a, b) => a + b, 0), 2 * want[m]);
    mine.forEach((n, e) => assert(n === 0 || THREE.pools[m].experts.includes(e)));
  }
  assert(loss > 6 - 0.5 && audio > 1.9 && audio < loss);
});

Deno.test("a layer without routers ignores routing options", async () => {
  const table = modalityMoe({ vision: 1, language: 1 });
  const { x, use } = given(table, {}, true);
  const all: RoutingOptions = { bias: 0.1, capacity: 0.5, jitter: 0.1 };
  const [a, b] = await read(
    ...[{}, all].map((options) => applyFeedForward(layerWith(table, options), x, use).y),
  );
  assertEquals(b, a);
});

Deno.test("checkRouting() throws RangeError when an option is unknown, out of range or contradicted", () => {
  const says = (options: object, part: string) => {
    const { message } = assertThrows(() => checkRouting(options as RoutingOptions), RangeError);
    assertStringIncludes(message, part);
  };
  says({ capcity: 1 }, 'routing option "capcity"; did you mean "capacity"');
  says({ scores: "sigmiod" }, 'did you mean "sigmoid"');
  says({ chooser: "experts" }, 'did you mean "expert"');
  says({ capacity: 1, drop: "positon" }, 'did you mean "position"');
  says({ capacity: 0 }, "capacity = 0 must be a number above 0");
  says({ bias: -1 }, "bias = -1 must be a number of at least 0");
  says({ jitter: 1 }, "jitter = 1 must be a number of at least 0 and below 1");
  says({ noise: NaN }, "noise = NaN");
  says({ chooser: "expert", bias: 0.1 }, "bias is for tokens that choose");
  says({ drop: "weight" }, "without a capacity drops nothing");
});
