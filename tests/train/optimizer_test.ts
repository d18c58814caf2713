import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { compile, Random, type Tensor, tensor } from "../../src/tensor/mod.ts";
import { AdamW, type AdamWOptions, clipFactor, type ParameterGroup } from "../../src/train/mod.ts";
import { assertClose, read } from "../nn/shared.ts";

/** Sizes around the alignment of packed parts. */
const SIZES = [1, 63, 64, 65, 300];

function leaf(size: number, seed: number): Tensor {
  return tensor(new Random(seed, "parameter").normals(size));
}

/** Two groups over five parameters, the second slower and with weight decay. */
function twoGroups(): { parameters: Tensor[]; groups: ParameterGroup[] } {
  const parameters = SIZES.map((size, i) => leaf(size, i));
  const part = (from: number, to: number) =>
    new Map(parameters.slice(from, to).map((t, i) => [`p${from + i}`, t]));
  return {
    parameters,
    groups: [
      { name: "fast", parameters: part(0, 2) },
      { name: "slow", parameters: part(2, 5), rateScale: 0.1, weightDecay: 0.3 },
    ],
  };
}

/** Gradients of a step, of very different sizes. */
const gradientsOf = (step: number): Float32Array[] =>
  SIZES.map((size, i) => new Random(step, `gradient ${i}`).normals(size, 0, 10 ** (i - 3)));

/** A compiled update that is handed its gradients. */
function updateOf(optimizer: AdamW) {
  const run = compile((inputs) => {
    const grads = SIZES.map((_, i) => inputs[`g${i}`]);
    return { ...optimizer.update(grads, inputs.hyper) };
  });
  return async (step: number, rate: number): Promise<number> => {
    const inputs = Object.fromEntries(
      gradientsOf(step).map((data, i) => [`g${i}`, { data, shape: [data.length] }]),
    );
    const hyper = { data: optimizer.hyper(rate, step), shape: optimizer.hyperShape };
    return await (await run({ ...inputs, hyper })).gradientNorm.item();
  };
}

/** The algorithm of Loshchilov and Hutter in float64. */
function reference(
  parameters: readonly (readonly number[])[],
  steps: number,
  rate: (step: number) => number,
  { betas = [0.9, 0.999], epsilon = 1e-8, weightDecay = 0, clipNorm }: AdamWOptions,
) {
  const theta = parameters.map((p) => Float64Array.from(p));
  const m = theta.map((p) => new Float64Array(p.length)), v = m.map((p) => p.slice());
  const norms: number[] = [];
  for (let step = 1; step <= steps; step++) {
    const all = gradientsOf(step);
    const norm = Math.sqrt(all.flatMap((g) => [...g]).reduce((s, g) => s + g * g, 0));
    norms.push(norm);
    const scale = clipNorm === undefined ? 1 : Math.min(1, clipNorm / (norm + 1e-6));
    all.forEach((gs, i) => {
      const slow = i >= 2;
      const lr = rate(step) * (slow ? 0.1 : 1), decay = slow ? 0.3 : weightDecay;
      gs.forEach((raw, j) => {
        const g = raw * scale;
        m[i][j] = betas[0] * m[i][j] + (1 - betas[0]) * g;
        v[i][j] = betas[1] * v[i][j] + (1 - betas[1]) * g * g;
        const mHat = m[i][j] / (1 - betas[0] ** step), vHat = v[i][j] / (1 - betas[1] ** step);
        theta[i][j] -= lr * (mHat / (Math.sqrt(vHat) + epsilon) + decay * theta[i][j]);
      });
    });
  }
  return { theta, m, v, norms };
}

const rate = (step: number) => 0.1 / step;

for (
  const [name, options] of Object.entries<AdamWOptions>({
    defaults: {},
    "weight decay": { weightDecay: 0.2 },
    clipping: { clipNorm: 5, betas: [0.8, 0.95], epsilon: 1e-3 },
    "clipping that never happens": { clipNorm: 1e9 },
  })
) {
  Deno.test(`AdamW equals a float64 loop over six steps and two groups with ${name}`, async () => {
    const { parameters, groups } = twoGroups();
    const start = await read(...parameters);
    const optimizer = new AdamW(groups, options);
    const update = updateOf(optimizer);
    const norms: number[] = [];
    for (let step = 1; step <= 6; step++) norms.push(await update(step, rate(step)));
    const want = reference(start, 6, rate, options);
    assertClose(norms, want.norms, 1e-6, "norms");
    const state = await optimizer.state();
    const now = await read(...parameters);
    for (let i = 0; i < SIZES.length; i++) {
      assertClose(now[i], want.theta[i], 3e-6, `parameter ${i}`);
      // Moments differ by six orders of magnitude: each part is compared at its own size.
      const size = Math.max(...want.m[i].map(Math.abs)), square = Math.max(...want.v[i]);
      assertClose(state[i].m.map((x) => x / size), want.m[i].map((x) => x / size), 1e-6, `m ${i}`);
      assertClose(state[i].v.map((x) => x / square), want.v[i].map((x) => x / square), 1e-6, "v");
      assert(now[i].some((x, j) => Math.abs(x - start[i][j]) > 1e-3), `parameter ${i} moved`);
    }
  });
}

Deno.test("clipFactor() is 1 up to the largest norm and shrinks larger ones to it", async () => {
  const factors = await read(...[0, 1, 4, 8].map((norm) => clipFactor(tensor([norm]), 4)));
  assertClose(factors.flat(), [1, 1, 4 / (4 + 1e-6), 4 / (8 + 1e-6)], 1e-7);
});

Deno.test("AdamW continues with the same bits when its state is restored", async () => {
  const first = twoGroups();
  const optimizer = new AdamW(first.groups);
  const update = updateOf(optimizer);
  for (let step = 1; step <= 3; step++) await update(step, 0.1);
  const saved = new Map((await optimizer.state()).map((s) => [s.path, s]));
  const weights = await read(...first.parameters);
  await update(4, 0.1);

  const second = twoGroups();
  second.groups.forEach(({ parameters }) => {
    for (const [path, t] of parameters) t.host = Float32Array.from(weights[Number(path[1])]);
  });
  const resumed = new AdamW(second.groups);
  resumed.restore((path) => saved.get(path));
  await updateOf(resumed)(4, 0.1);
  assertEquals(await read(...second.parameters), await read(...first.parameters));
  assertEquals(await resumed.state(), await optimizer.state());
  resumed.dispose();
  optimizer.dispose();
});

Deno.test("restore() throws RangeError and changes nothing when a state is missing or of another size", async () => {
  const optimizer = new AdamW(twoGroups().groups);
  const update = updateOf(optimizer);
  await update(1, 0.1);
  const before = await optimizer.state();
  for (
    const [wrong, says] of [
      [undefined, "p4 has 0 values, not 300"],
      [{ m: new Float32Array(3), v: new Float32Array(300) }, "p4 has 3 values, not 300"],
      [{ m: new Float32Array(300), v: new Float32Array(3) }, "p4"],
    ] as const
  ) {
    const zero = (path: string) => new Float32Array(SIZES[Number(path[1])]);
    const read = (path: string) => path === "p4" ? wrong : { m: zero(path), v: zero(path) };
    assertStringIncludes(assertThrows(() => optimizer.restore(read), RangeError).message, says);
  }
  assertEquals(await optimizer.state(), before);
});

Deno.test("AdamW keeps parameters readable and in place for plans that use them", async () => {
  const { parameters, groups } = twoGroups();
  const before = await read(...parameters);
  const optimizer = new AdamW(groups);
  assertEquals(await read(...parameters), before);
  optimizer.dispose();
  assertEquals(await read(...parameters), before);
});

Deno.test("AdamW throws RangeError when there is nothing to train, or something twice, or a number is out of range", () => {
  const t = leaf(3, 1);
  const group = (name: string, path = "w") => ({ name, parameters: new Map([[path, t]]) });
  const says = (groups: ParameterGroup[], options: AdamWOptions, part: string) => {
    const { message } = assertThrows(() => new AdamW(groups, options), RangeError);
    assertStringIncludes(message, part);
  };
  says([], {}, "no parameters to train");
  says([{ name: "empty", parameters: new Map() }], {}, "no parameters to train");
  says([group("a"), group("b")], {}, 'w is in group "b" and before');
  says([group("a")], { betas: [0.9, 1] }, "beta 1 ");
  says([group("a")], { betas: [-0.1, 0.9] }, "beta -0.1");
  says([group("a")], { epsilon: -1 }, "epsilon -1");
  says([group("a")], { clipNorm: 0 }, "clipNorm 0");
});
