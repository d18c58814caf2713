import { assertNear, checkOperation, type Input, normal, test } from "./harness.ts";
import * as t from "../../src/tensor/mod.ts";
import * as ref from "./reference.ts";
import { type Arr, matmul, reshape, transpose, zip } from "./reference.ts";

/** Products of vectors, as rows and columns. */
function product(a: Arr, b: Arr): Arr {
  const row = a.shape.length === 1, column = b.shape.length === 1;
  const y = matmul(row ? reshape(a, [1, ...a.shape]) : a, column ? reshape(b, [...b.shape, 1]) : b);
  const shape = [...y.shape];
  if (column) shape.pop();
  if (row) shape.splice(shape.length - (column ? 1 : 2), 1);
  return reshape(y, shape);
}

test("matmul follows the shape rules of NumPy", async () => {
  const shapes: [number[], number[]][] = [
    [[7, 5], [5, 3]],
    [[5], [5, 3]],
    [[7, 5], [5]],
    [[9], [9]],
    [[1, 1], [1, 1]],
    [[3, 1], [1, 5]],
    [[2, 7, 5], [5, 3]],
    [[7, 5], [2, 5, 3]],
    [[2, 1, 3, 5], [4, 5, 2]],
    [[2, 3, 2, 5], [2, 3, 5, 4]],
    [[5], [2, 5, 3]],
    [[2, 3, 5], [5]],
    [[2, 1, 3, 1, 2, 2], [1, 4, 1, 5, 2, 2]],
  ];
  for (const [a, b] of shapes) {
    await checkOperation("matmul", [normal(...a), normal(...b)], t.matmul, product);
  }
});

test("matmul is right below, at and above the size of a tile", async () => {
  for (
    const [m, k, n] of [[8, 8, 16], [9, 7, 17], [64, 16, 64], [65, 33, 47], [1, 130, 1], [
      63,
      1,
      65,
    ], [16, 100, 129]]
  ) {
    const inputs = [normal(m, k), normal(k, n)];
    const gradient = m * k * n < 3000;
    await checkOperation("matmul", inputs, t.matmul, matmul, { gradient });
  }
});

test("the gradients of a large product are the products with the transposed operands", async () => {
  const [m, k, n] = [65, 33, 47];
  const random = new t.Random(1, "large");
  const values = [m * k, k * n, m * n].map((size) => random.normals(size));
  const [a, b, g] = values.map((v, i) => t.tensor(v, { shape: [[m, k], [k, n], [m, n]][i] }));
  const [x, y, z] = [[m, k], [k, n], [m, n]].map((shape, i): Arr => ({
    shape,
    data: [...values[i]],
  }));
  const [da, db] = t.gradients(t.matmul(a, b), [a, b], g);
  assertNear(await da.data(), matmul(z, transpose(y)).data, "by a");
  assertNear(await db.data(), matmul(transpose(x), z).data, "by b");
});

test("matmul is right whichever way its operands lie, in fours or not", async () => {
  // As stored, and as the transpose of what is stored.
  const layouts = [(x: t.Tensor) => x, t.transpose];
  for (const [m, k, n] of [[20, 12, 40], [8, 8, 12], [21, 12, 40], [20, 13, 40], [20, 12, 7]]) {
    for (const [i, layA] of layouts.entries()) {
      for (const [j, layB] of layouts.entries()) {
        await checkOperation(
          `[${m}, ${k}] · [${k}, ${n}], layouts ${i} and ${j}`,
          [i === 0 ? normal(m, k) : normal(k, m), j === 0 ? normal(k, n) : normal(n, k)],
          (a, b) => t.matmul(layA(a), layB(b)),
          (a, b) => matmul(i === 0 ? a : transpose(a), j === 0 ? b : transpose(b)),
          { gradient: false },
        );
      }
    }
  }
  await checkOperation(
    "a part that begins between fours",
    [normal(20, 16), normal(12, 40)],
    (a, b) => t.matmul(t.narrow(a, 1, 3, 12), b),
    (a, b) => matmul(ref.build([20, 12], ([i, j]) => ref.at(a, [i, j + 3])), b),
    { gradient: false },
  );
});

test("matmul reads transposed, sliced, repeated and reshaped operands where they lie", async () => {
  await checkOperation(
    "transposed",
    [normal(6, 4), normal(9, 6)],
    (a, b) => t.matmul(t.transpose(a), t.transpose(b)),
    (a, b) => matmul(transpose(a), transpose(b)),
  );
  await checkOperation(
    "sliced",
    [normal(4, 9), normal(5, 3)],
    (a, b) => t.matmul(t.narrow(a, 1, 2, 3), t.slice(b, { step: 2 })),
    (a, b) =>
      matmul(
        ref.build([4, 3], ([i, j]) => ref.at(a, [i, j + 2])),
        ref.build([3, 3], ([i, j]) => ref.at(b, [2 * i, j])),
      ),
  );
  await checkOperation("heads", [normal(2, 5, 12), normal(2, 5, 12)], (q, k) => {
    const heads = (x: t.Tensor) => t.permute(t.reshape(x, [2, 5, 3, 4]), [0, 2, 1, 3]);
    return t.matmul(heads(q), t.transpose(heads(k)));
  }, (q, k) => {
    const heads = (x: Arr) => ref.permute(reshape(x, [2, 5, 3, 4]), [0, 2, 1, 3]);
    return matmul(heads(q), transpose(heads(k)));
  });
  await checkOperation(
    "repeated",
    [normal(2, 1, 3, 4), normal(4, 2)],
    (a, b) => t.matmul(t.expand(a, [2, 5, 3, 4]), t.expand(b, [2, 5, 4, 2])),
    (a, b) => matmul(ref.expand(a, [2, 5, 3, 4]), ref.expand(b, [2, 5, 4, 2])),
  );
  await checkOperation(
    "computed",
    [normal(3, 4), normal(4, 2)],
    (a, b) => t.matmul(t.flip(t.exp(a), [0]), t.pad(b, [0, 1], [0, 1])),
    (a, b) =>
      matmul(
        ref.build([3, 4], ([i, j]) => Math.exp(ref.at(a, [2 - i, j]))),
        ref.build([4, 4], ([i, j]) => j === 0 || j === 3 ? 0 : ref.at(b, [i, j - 1])),
      ),
  );
  await checkOperation("with itself", [normal(4, 4)], (a) => t.matmul(a, a), (a) => matmul(a, a));
  await checkOperation(
    "reshaped after a permutation",
    [normal(2, 3, 4), normal(6, 5)],
    (a, b) => t.matmul(t.reshape(t.permute(a, [1, 2, 0]), [4, 6]), b),
    (a, b) => matmul(reshape(ref.permute(a, [1, 2, 0]), [4, 6]), b),
  );
});

test("matmul of empty operands gives zeros or nothing", async () => {
  const shapes: [number[], number[]][] = [[[2, 0], [0, 3]], [[0, 4], [4, 3]], [[4, 2], [2, 0]], [[
    2,
    2,
    0,
  ], [0, 3]], [[0, 2, 3], [0, 3, 2]]];
  for (const [a, b] of shapes) {
    await checkOperation(
      "matmul",
      [normal(...a), normal(...b)],
      (x, y) => t.matmul(t.mul(x, 2), y),
      (x, y) => matmul(ref.map(x, (v) => 2 * v), y),
    );
  }
});

test("linear matches the reference with and without bias", async () => {
  const x: Input = normal(2, 3, 7), w = normal(5, 7), b = normal(5);
  await checkOperation("linear", [x, w], t.linear, (v, k) => matmul(v, transpose(k)));
  await checkOperation(
    "linear with bias",
    [x, w, b],
    t.linear,
    (v, k, c) => zip((p, q) => p + q, matmul(v, transpose(k)), c),
  );
});

test("a product with bias, activation and residual is the same in one kernel", async () => {
  await checkOperation(
    "block",
    [normal(9, 7), normal(5, 7), normal(5), normal(9, 5)],
    (x, w, b, r) => t.add(t.gelu(t.linear(x, w, b)), r),
    (x, w, b, r) =>
      zip(
        (p, c, q) => (p + c) * 0.5 * (1 + ref.erf((p + c) / Math.SQRT2)) + q,
        matmul(x, transpose(w)),
        b,
        r,
      ),
  );
  await checkOperation(
    "a reshaped product with a residual of another layout",
    [normal(6, 4), normal(4, 8), normal(2, 3, 2, 4)],
    (a, b, r) => t.add(t.reshape(t.matmul(a, b), [2, 3, 2, 4]), t.flip(r, [3])),
    (a, b, r) =>
      zip(
        (p, q) => p + q,
        reshape(matmul(a, b), [2, 3, 2, 4]),
        ref.build(r.shape, (c) => ref.at(r, [c[0], c[1], c[2], 3 - c[3]])),
      ),
  );
  await checkOperation(
    "a product used twice, once transposed",
    [normal(5, 4), normal(4, 5)],
    (a, b) => t.add(t.matmul(a, b), t.transpose(t.matmul(a, b))),
    (a, b) => zip((p, q) => p + q, matmul(a, b), transpose(matmul(a, b))),
  );
  await checkOperation(
    "a transposed product only",
    [normal(5, 4), normal(4, 5)],
    (a, b) => {
      const y = t.matmul(a, b);
      return t.add(y, t.transpose(y));
    },
    (a, b) => zip((p, q) => p + q, matmul(a, b), transpose(matmul(a, b))),
  );
});
