import { assertEquals } from "@std/assert";
import * as t from "../../src/tensor/mod.ts";
import { checkOperation, type Input, normal, test, whole } from "./harness.ts";
import { type Arr, at, build, expand, permute, reshape } from "./reference.ts";

const part = (x: Arr, starts: number[], steps: number[], shape: number[]): Arr =>
  build(shape, (c) => at(x, c.map((v, i) => starts[i] + steps[i] * v)));

function padded(x: Arr, before: number[], after: number[], value: number): Arr {
  return build(x.shape.map((d, i) => before[i] + d + after[i]), (c) => {
    const from = c.map((v, i) => v - before[i]);
    return from.every((v, i) => v >= 0 && v < x.shape[i]) ? at(x, from) : value;
  });
}

function joined(parts: Arr[], axis: number): Arr {
  const shape = [...parts[0].shape];
  shape[axis] = parts.reduce((n, p) => n + p.shape[axis], 0);
  return build(shape, (c) => {
    let i = c[axis], k = 0;
    while (i >= parts[k].shape[axis]) i -= parts[k++].shape[axis];
    return at(parts[k], c.map((v, j) => j === axis ? i : v));
  });
}

test("reshape, permute and transpose match the reference", async () => {
  await checkOperation(
    "reshape",
    [normal(3, 4, 5)],
    (x) => t.reshape(x, [5, -1]),
    (x) => reshape(x, [5, 12]),
  );
  await checkOperation(
    "reshape to scalar",
    [normal(1, 1)],
    (x) => t.reshape(x, []),
    (x) => reshape(x, []),
  );
  await checkOperation(
    "reshape empty",
    [normal(0, 4)],
    (x) => t.reshape(x, [2, 0, 2]),
    (x) => reshape(x, [2, 0, 2]),
  );
  for (const axes of [[2, 0, 1], [0, 2, 1], [2, 1, 0], [-1, 0, 1]]) {
    const order = axes.map((a) => (a + 3) % 3);
    await checkOperation(
      `permute ${axes}`,
      [normal(2, 3, 5)],
      (x) => t.permute(x, axes),
      (x) => permute(x, order),
    );
  }
  await checkOperation(
    "transpose",
    [normal(4, 1, 3)],
    (x) => t.transpose(x),
    (x) => permute(x, [0, 2, 1]),
  );
  await checkOperation(
    "transpose 0 2",
    [normal(4, 1, 3)],
    (x) => t.transpose(x, 0, 2),
    (x) => permute(x, [2, 1, 0]),
  );
});

test("expand repeats, and its gradient sums", async () => {
  await checkOperation(
    "expand",
    [normal(3, 1)],
    (x) => t.expand(x, [2, 3, 4]),
    (x) => expand(x, [2, 3, 4]),
  );
  await checkOperation(
    "expand a scalar",
    [normal()],
    (x) => t.expand(x, [3, 2]),
    (x) => expand(x, [3, 2]),
  );
  await checkOperation(
    "expand to nothing",
    [normal(1, 3)],
    (x) => t.expand(x, [0, 3]),
    (x) => ({ shape: [0, 3], data: x.data.slice(3) }),
  );
});

test("slice, narrow and split match the reference", async () => {
  const x = normal(5, 7);
  await checkOperation(
    "slice",
    [x],
    (v) => t.slice(v, { start: 1, end: 4 }, { start: -3 }),
    (v) => part(v, [1, 4], [1, 1], [3, 3]),
  );
  await checkOperation(
    "slice with steps",
    [x],
    (v) => t.slice(v, { step: 2 }, { start: 1, step: 3 }),
    (v) => part(v, [0, 1], [2, 3], [3, 2]),
  );
  await checkOperation(
    "slice to nothing",
    [x],
    (v) => t.slice(v, { start: 2, end: 2 }),
    (v) => part(v, [2, 0], [1, 1], [0, 7]),
  );
  await checkOperation(
    "slice one",
    [x],
    (v) => t.slice(v, { start: 4 }, { start: 6 }),
    (v) => part(v, [4, 6], [1, 1], [1, 1]),
  );
  await checkOperation(
    "narrow",
    [x],
    (v) => t.narrow(v, -1, 2, 4),
    (v) => part(v, [0, 2], [1, 1], [5, 4]),
  );
  await checkOperation("split", [x], (v) => t.split(v, [1, 0, 6], 1), (v) => [
    part(v, [0, 0], [1, 1], [5, 1]),
    part(v, [0, 1], [1, 1], [5, 0]),
    part(v, [0, 1], [1, 1], [5, 6]),
  ]);
});

test("pad and flip match the reference", async () => {
  await checkOperation(
    "pad",
    [normal(2, 3)],
    (x) => t.pad(x, [1, 0], [0, 2]),
    (x) => padded(x, [1, 0], [0, 2], 0),
  );
  await checkOperation(
    "pad with a value",
    [normal(1, 3)],
    (x) => t.pad(x, [2, 1], [1, 1], -1.5),
    (x) => padded(x, [2, 1], [1, 1], -1.5),
  );
  await checkOperation(
    "pad nothing",
    [normal(0, 2)],
    (x) => t.pad(x, [1, 0], [1, 0], 3),
    (x) => padded(x, [1, 0], [1, 0], 3),
  );
  await checkOperation(
    "flip",
    [normal(3, 1, 4)],
    (x) => t.flip(x, [0, -1]),
    (x) => build(x.shape, ([a, b, c]) => at(x, [2 - a, b, 3 - c])),
  );
});

test("cat and stack join any number of tensors, empty ones among them", async () => {
  const two = [normal(2, 3), normal(2, 1)];
  await checkOperation("cat", two, (...x) => t.cat(x, 1), (...x) => joined(x, 1));
  const many: Input[] = Array.from({ length: 13 }, (_, i) => normal(i % 3, 2));
  await checkOperation("cat of 13", many, (...x) => t.cat(x, 0), (...x) => joined(x, 0));
  const three = [normal(2, 3), normal(2, 3), normal(2, 3)];
  for (const axis of [0, 1, 2]) {
    const one = (x: Arr) => reshape(x, [...x.shape.slice(0, axis), 1, ...x.shape.slice(axis)]);
    await checkOperation(
      `stack ${axis}`,
      three,
      (...x) => t.stack(x, axis),
      (...x) => joined(x.map(one), axis),
    );
  }
  const integers = [whole([2], [1, 2]), whole([1], [3])];
  await checkOperation("cat of i32", integers, (...x) => t.cat(x), (...x) => joined(x, 0));
});

test("unsqueeze, squeeze and flattenFrom only change the shape", async () => {
  await checkOperation(
    "unsqueeze",
    [normal(2, 3)],
    (x) => t.unsqueeze(x, -1),
    (x) => reshape(x, [2, 3, 1]),
  );
  await checkOperation(
    "squeeze",
    [normal(2, 1, 3)],
    (x) => t.squeeze(x, 1),
    (x) => reshape(x, [2, 3]),
  );
  await checkOperation(
    "flattenFrom",
    [normal(2, 3, 4)],
    (x) => t.flattenFrom(x, 1),
    (x) => reshape(x, [2, 12]),
  );
});

test("repeating, rolling, chunks and triangles match the reference", async () => {
  const x = normal(2, 3, 4);
  const take = (v: Arr, shape: number[], from: (c: number[]) => number[]) =>
    build(shape, (c) => at(v, from(c)));
  await checkOperation(
    "repeat",
    [x],
    (v) => t.repeat(v, [2, 1, 3]),
    (v) => take(v, [4, 3, 12], ([a, b, c]) => [a % 2, b, c % 4]),
  );
  await checkOperation(
    "repeatInterleave",
    [x],
    (v) => t.repeatInterleave(v, 3, 1),
    (v) => take(v, [2, 9, 4], ([a, b, c]) => [a, Math.floor(b / 3), c]),
  );
  for (const by of [1, -1, 5, 0]) {
    await checkOperation(
      `roll ${by}`,
      [x],
      (v) => t.roll(v, by),
      (v) => take(v, [2, 3, 4], ([a, b, c]) => [a, b, (c - by + 8) % 4]),
    );
  }
  await checkOperation(
    "chunk",
    [normal(7)],
    (v) => t.chunk(v, 3),
    (v) => [[0, 3], [3, 6], [6, 7]].map(([a, b]) => ({ shape: [b - a], data: v.data.slice(a, b) })),
  );
  await checkOperation(
    "unbind",
    [x],
    (v) => t.unbind(v, 1),
    (v) => [0, 1, 2].map((b) => take(v, [2, 4], ([a, c]) => [a, b, c])),
  );
  for (const diagonal of [-1, 0, 2]) {
    await checkOperation(
      `tril ${diagonal}`,
      [x],
      (v) => t.tril(v, diagonal),
      (v) => build(v.shape, (c) => c[2] - c[1] <= diagonal ? at(v, c) : 0),
    );
    await checkOperation(
      `triu ${diagonal}`,
      [x],
      (v) => t.triu(v, diagonal),
      (v) => build(v.shape, (c) => c[2] - c[1] >= diagonal ? at(v, c) : 0),
    );
  }
});

test("movements of movements fuse into correct index arithmetic", async () => {
  await checkOperation(
    "flip of a slice of a padded permutation",
    [normal(3, 4, 2)],
    (x) =>
      t.flip(
        t.slice(t.pad(t.permute(x, [2, 0, 1]), [0, 1, 0], [1, 0, 2]), { end: 2 }, { step: 2 }),
        [1],
      ),
    (x) => {
      const moved = padded(permute(x, [2, 0, 1]), [0, 1, 0], [1, 0, 2], 0);
      const sliced = part(moved, [0, 0, 0], [1, 2, 1], [2, 2, 6]);
      return build(sliced.shape, ([a, b, c]) => at(sliced, [a, 1 - b, c]));
    },
  );
  await checkOperation(
    "reshape across axes that a permutation separated",
    [normal(4, 6)],
    (x) => t.reshape(t.permute(t.reshape(x, [2, 2, 3, 2]), [1, 3, 0, 2]), [8, 3]),
    (x) => reshape(permute(reshape(x, [2, 2, 3, 2]), [1, 3, 0, 2]), [8, 3]),
  );
});

test("tensor() reads nested lists and typed arrays", async () => {
  const nested = t.tensor([[1, 2, 3], [4, 5, 6]]);
  assertEquals([nested.shape, nested.dtype, [...await nested.data()]], [[2, 3], "f32", [
    1,
    2,
    3,
    4,
    5,
    6,
  ]]);
  const integers = t.tensor(new Int32Array([1, 2]), { name: "ids" });
  assertEquals([integers.dtype, String(integers)], ["i32", "ids i32[2]"]);
  const empty = t.tensor([[], []]);
  assertEquals([empty.shape, (await empty.data()).length], [[2, 0], 0]);
  assertEquals(await t.tensor(2.5).item(), 2.5);
});

test("a tensor keeps its values when the arrays around it change", async () => {
  const array = Float32Array.from([1, 2]), x = t.tensor(array);
  array[0] = 9;
  const read = await x.data();
  read[1] = 9;
  assertEquals([...await t.add(x, 0).data(), ...await x.data()], [1, 2, 1, 2]);
});
