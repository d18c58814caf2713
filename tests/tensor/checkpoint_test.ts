/** Recomputation changes memory, not numbers. */
import { assertEquals, assertGreater, assertLess } from "@std/assert";
import * as t from "../../src/tensor/mod.ts";
import { plan } from "../../src/tensor/plan.ts";
import { copyGraph } from "../../src/tensor/structure.ts";
import { test } from "./harness.ts";

const WIDTH = 64, ROWS = 256, LAYERS = 8;

/** A deep stack of feed-forward layers, and its gradients. */
function stack(wrap: (block: (x: t.Tensor) => t.Tensor) => (x: t.Tensor) => t.Tensor) {
  const random = new t.Random(3, "checkpoint");
  const x = t.tensor(random.normals(ROWS * WIDTH), { shape: [ROWS, WIDTH] });
  const weights = Array.from(
    { length: LAYERS },
    () => t.tensor(random.normals(WIDTH * 4 * WIDTH, 0, 0.1), { shape: [WIDTH, 4 * WIDTH] }),
  );
  let y = x;
  for (const w of weights) {
    y = wrap((y) => {
      const hidden = t.gelu(t.matmul(t.softmax(y), w));
      return t.add(y, t.matmul(hidden, t.transpose(w)));
    })(y);
  }
  const loss = t.mean(t.square(y));
  return { loss, grads: t.gradients(loss, [x, ...weights]) };
}

const plain = (block: (x: t.Tensor) => t.Tensor) => block;
const bytes = ({ loss, grads }: ReturnType<typeof stack>) =>
  plan([loss, ...grads]).slots.filter((s) => !s.result).reduce((n, s) => n + s.bytes, 0);

test("checkpoint() gives the same value and gradients, bit by bit", async () => {
  const a = stack(plain), b = stack(t.checkpoint);
  const [one, two] = [
    await t.readAll(a.loss, ...a.grads),
    await t.readAll(b.loss, ...b.grads),
  ];
  one.forEach((values, i) => assertEquals(two[i], values));
});

test("checkpoint() needs less memory and computes more", () => {
  const a = stack(plain), b = stack(t.checkpoint);
  // Kept per layer without: softmax, hidden and its derivative's operands, far wider than y.
  assertLess(bytes(b), 0.5 * bytes(a));
  const roots = copyGraph([b.loss, ...b.grads]).roots;
  assertEquals(bytes({ loss: roots[0], grads: roots.slice(1) }), bytes(b));
  const kernels = (x: typeof a) => plan([x.loss, ...x.grads]).steps.length;
  assertGreater(kernels(b), kernels(a));
});

test("checkpoint() of a checkpoint is the outer one", async () => {
  const a = stack(plain);
  const b = stack((block) => t.checkpoint((y) => t.checkpoint(block)(y)));
  assertLess(bytes(b), 0.5 * bytes(a));
  const [one, two] = [await t.readAll(...a.grads), await t.readAll(...b.grads)];
  one.forEach((values, i) => assertEquals(two[i], values));
});

test("checkpoint() takes parts with several inputs, results and captured tensors", async () => {
  const gradient = (wrap: boolean) => {
    const x = t.tensor([[3, 1, 2], [5, 9, 7]]), y = t.tensor([2, 3]), scale = t.tensor([0.5]);
    const part = (x: t.Tensor, y: t.Tensor): readonly t.Tensor[] => {
      const { values, indices } = t.topK(t.mul(x, scale), 2);
      return [t.mul(t.exp(values), t.reshape(y, [2, 1])), t.sigmoid(values), indices];
    };
    const [a, b] = (wrap ? t.checkpoint(part) : part)(x, y);
    const loss = t.add(t.sum(t.square(a)), t.sum(t.mul(a, b)));
    return t.readAll(loss, ...t.gradients(loss, [x, y, scale]));
  };
  assertEquals(await gradient(true), await gradient(false));
});

test("checkpoint() may be differentiated twice", async () => {
  const third = (wrap: boolean) => {
    const x = t.tensor([0.5, -1]);
    const f = (x: t.Tensor) => t.mul(x, t.mul(x, t.sin(x)));
    const y = (wrap ? t.checkpoint(f) : f)(x);
    const [dx] = t.gradients(t.sum(y), [x]);
    return t.gradients(t.sum(dx), [x])[0].data();
  };
  assertEquals(await third(true), await third(false));
});
