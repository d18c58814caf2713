import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { compile, Random, type Tensor, tensor } from "../../src/tensor/mod.ts";
import { Sgd, type SgdOptions } from "../../src/train/mod.ts";
import "../nn/shared.ts";

/** torch.optim.SGD in float64. */
function reference(
  w: number[],
  grads: number[][],
  rate: number,
  { momentum = 0, nesterov = false, weightDecay = 0 }: SgdOptions,
): number[] {
  const p = [...w], v = w.map(() => 0);
  for (const grad of grads) {
    grad.forEach((g0, i) => {
      const g = g0 + weightDecay * p[i];
      v[i] = momentum * v[i] + g;
      p[i] -= rate * (nesterov ? g + momentum * v[i] : v[i]);
    });
  }
  return p;
}

for (
  const options of [{}, { momentum: 0.9, weightDecay: 0.1 }, { momentum: 0.8, nesterov: true }]
) {
  Deno.test(`Sgd equals a float64 loop over steps when ${JSON.stringify(options)}`, async () => {
    const random = new Random(1, "sgd");
    const sizes = [70, 3], rates = [1, 0.5];
    const start = sizes.map((n) => Array.from(random.normals(n, 0, 1)));
    const weights = start.map((w) => tensor(w));
    const optimizer = new Sgd(
      weights.map((w, i) => ({
        name: `group ${i}`,
        parameters: new Map([[`w${i}`, w]]),
        rateScale: rates[i],
      })),
      options,
    );
    const step = compile(({ a, b, hyper }: { a: Tensor; b: Tensor; hyper: Tensor }) => ({
      effect: optimizer.update([a, b], hyper).effect,
    }));
    const grads = sizes.map((n) =>
      Array.from({ length: 4 }, () => Array.from(random.normals(n, 0, 1)))
    );
    for (let t = 0; t < 4; t++) {
      await step({
        a: { data: Float32Array.from(grads[0][t]), shape: [sizes[0]] },
        b: { data: Float32Array.from(grads[1][t]), shape: [sizes[1]] },
        hyper: { data: optimizer.hyper(0.1), shape: optimizer.hyperShape },
      });
    }
    for (const [i, w] of weights.entries()) {
      const want = reference(start[i], grads[i], 0.1 * rates[i], options);
      (await w.data()).forEach((x, j) => assertAlmostEquals(x, want[j], 1e-6));
    }
    step.dispose();
    optimizer.dispose();
  });
}

Deno.test("Sgd refuses hyper-parameters that make no sense", () => {
  const groups = [{ name: "all", parameters: new Map([["w", tensor([1])]]) }];
  assertThrows(() => new Sgd(groups, { momentum: 1 }), RangeError, "momentum 1");
  assertThrows(() => new Sgd(groups, { nesterov: true }), RangeError, "nesterov");
  assertThrows(() => new Sgd(groups, { clipNorm: 0 }), RangeError, "clipNorm 0");
  assertThrows(() => new Sgd([]), RangeError, "no parameters");
  assertEquals(new Sgd(groups).hyperShape, [1, 4]);
});
