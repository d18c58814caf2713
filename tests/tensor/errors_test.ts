import { assert, assertStringIncludes } from "@std/assert";
import * as t from "../../src/tensor/mod.ts";
import { failure, test } from "./harness.ts";

/** Functions that must fail, the class of the error and a part of its message. */
const MISTAKES: [() => unknown, ErrorConstructor, string][] = [
  [() => t.tensor([[1, 2], [3]]), RangeError, "rows of shape [2] and [1] in one list"],
  [
    () => t.tensor([1, 2, 3], { shape: [2, 2] }),
    RangeError,
    "3 values do not fill shape [2,2] (4 elements)",
  ],
  [() => t.tensor([1], { shape: [-1] }), RangeError, "[-1] must be non-negative whole numbers"],
  [() => t.tensor([1.5], { dtype: "i32" }), RangeError, "value 1.5 at position 0 is not a i32"],
  [() => t.tensor([-1], { dtype: "u32" }), RangeError, "value -1 at position 0 is not a u32"],
  [
    () => t.add(t.ones([2, 3]), t.ones([2])),
    RangeError,
    "shapes [2,3] and [2] do not broadcast (sizes 3 and 2 at dimension -1)",
  ],
  [
    () => t.add(t.ones([2]), t.ones([2], "i32")),
    TypeError,
    "f32[2] and i32[2] differ in type; convert one with cast()",
  ],
  [() => t.add(t.ones([2], "bool"), 1), TypeError, "bool[2] is bool; convert it with cast()"],
  [() => t.less(t.ones([2], "bool"), t.ones([2], "bool")), TypeError, "less: bool[2] is bool"],
  [
    () => t.mul(t.ones([2], "i32"), 0.5),
    RangeError,
    "0.5 is not a i32; convert the other operand with cast()",
  ],
  [() => t.div(t.ones([2], "i32"), 0), RangeError, "divided by the whole number 0"],
  [() => t.add(1, 2), TypeError, "at least one operand must be a tensor"],
  [() => t.exp(t.ones([2], "i32")), TypeError, "exp: i32[2] must be f32"],
  [() => t.mean(t.ones([2], "i32")), TypeError, "mean: i32[2] must be f32"],
  [() => t.sum(t.ones([2], "bool")), TypeError, "sum: bool[2] is bool"],
  [
    () => t.sum(t.ones([2]), { axes: 1 }),
    RangeError,
    "axis 1 is out of range for a tensor of rank 1",
  ],
  [() => t.sum(t.ones([2, 2]), { axes: [0, -2] }), RangeError, "axes [0,-2] name one axis twice"],
  [() => t.max(t.ones([2, 0]), { axes: 1 }), RangeError, "f32[2,0] has no elements along axes [1]"],
  [() => t.softmax(t.ones([2, 0])), RangeError, "has no elements"],
  [
    () => t.reshape(t.ones([2, 3]), [4]),
    RangeError,
    "reshape [2,3] to [4]: 6 elements do not make 4",
  ],
  [() => t.reshape(t.ones([2, 3]), [-1, 4]), RangeError, "reshape [2,3] to [-1,4]"],
  [
    () => t.permute(t.ones([2, 3]), [0, 0]),
    RangeError,
    "[0,0] is not a permutation of the axes of f32[2,3]",
  ],
  [() => t.expand(t.ones([2, 3]), [2, 4]), RangeError, "f32[2,3] does not broadcast to [2,4]"],
  [
    () => t.slice(t.ones([4]), { start: 2, end: 5 }),
    RangeError,
    "2:5:1 leaves dimension 0 of f32[4]",
  ],
  [
    () => t.split(t.ones([4]), [1, 2]),
    RangeError,
    "sizes [1,2] add up to 3, axis 0 of f32[4] does not",
  ],
  [() => t.pad(t.ones([4]), [-1], [0]), RangeError, "must be non-negative"],
  [
    () => t.cat([t.ones([2, 3]), t.ones([2, 4])]),
    RangeError,
    "f32[2,3] and f32[2,4] differ in another size",
  ],
  [() => t.cat([]), RangeError, "no tensors given"],
  [() => t.squeeze(t.ones([2]), 0), RangeError, "axis 0 of f32[2] is not of size 1"],
  [
    () => t.matmul(t.ones([2, 3]), t.ones([2, 3])),
    RangeError,
    "inner sizes 3 and 2 differ (transpose one of them?)",
  ],
  [() => t.matmul(t.ones([2, 2], "i32"), t.ones([2, 2])), TypeError, "must be f32"],
  [() => t.matmul(t.ones([]), t.ones([2])), RangeError, "is a scalar"],
  [
    () => t.linear(t.ones([2, 3]), t.ones([4, 5])),
    RangeError,
    "input f32[2,3] does not fit weight f32[4,5]",
  ],
  [() => t.where(t.ones([2]), 1, 2), TypeError, "condition f32[2] must be bool"],
  [() => t.clamp(t.ones([2]), 3, 2), RangeError, "limits 3 and 2 are out of order"],
  [() => t.take(t.ones([2]), t.ones([2])), TypeError, "indices f32[2] must be i32"],
  [
    () => t.take(t.ones([0, 2]), t.ones([2], "i32")),
    RangeError,
    "axis 0 of f32[0,2] has nothing to take",
  ],
  [
    () => t.takeAlong(t.ones([2, 2]), t.ones([3, 1], "i32")),
    RangeError,
    "index i32[3,1] does not fit f32[2,2]",
  ],
  [() => t.topK(t.ones([3]), 4), RangeError, "k = 4 is not between 1 and 3, axis 0 of f32[3]"],
  [
    () => t.indexAdd(t.ones([3, 2]), t.ones([2], "i32"), 4),
    RangeError,
    "index i32[2] does not fit source f32[3,2]",
  ],
  [() => t.crossEntropy(t.ones([3, 2]), t.ones([2], "i32")), RangeError, "must be [N, C] and [N]"],
  [
    () => t.attention(t.ones([1, 3, 2, 4]), t.ones([1, 2, 2, 4]), t.ones([1, 2, 2, 4])),
    RangeError,
    "do not fit (want [B, H, T, D])",
  ],
  [
    () => t.conv2d(t.ones([1, 3, 8, 8]), t.ones([4, 2, 3, 3])),
    RangeError,
    "must be [B, C, H, W], [O, C, kh, kw]",
  ],
  [
    () => t.conv2d(t.ones([1, 2, 2, 8]), t.ones([4, 2, 3, 3])),
    RangeError,
    "kernel 3 x 3 is larger than the picture",
  ],
  [() => t.setValues(t.add(t.ones([2]), 1), [1, 2]), TypeError, "f32[2] is computed, not a leaf"],
  [() => t.setValues(t.tensor([1, 2]), [1]), RangeError, "1 values for f32[2] of 2"],
  [() => t.flattenInPlace([t.tensor(new Int32Array(2))]), TypeError, "i32[2] must be an f32 leaf"],
  [
    () => t.placeholder([2], "f32", "x").data(),
    Error,
    "x f32[2] has no values: a placeholder outside its compiled function?",
  ],
  [() => t.tensor([1, 2]).item(), RangeError, "item() needs one element, this is f32[2]"],
  [() => t.lab({ seed: -1 }), RangeError, "seed -1 must be a non-negative whole number"],
];

test("mistakes are named with the operation, the shapes and the remedy", async () => {
  for (const [fn, type, part] of MISTAKES) {
    const error = await failure(fn);
    assert(error instanceof type, `${fn}: ${error}`);
    assertStringIncludes(error.message, part);
  }
});

test("a disposed tensor cannot be used, nor what is still to be computed from it", async () => {
  const x = t.tensor([1, 2], { name: "x" }), y = t.add(x, 1);
  x.dispose();
  x.dispose();
  const message = async (fn: () => unknown) => (await failure(fn)).message;
  assertStringIncludes(await message(() => t.add(x, 1)), "operand x f32[2] was disposed");
  assertStringIncludes(await message(() => x.data()), "x f32[2] was disposed");
  assertStringIncludes(
    await message(() => y.data()),
    "x f32[2] was disposed, but a result needs it",
  );
  const f = t.compile(() => ({ y }));
  assertStringIncludes(await message(() => f({})), "was disposed, but a result needs it");
});

test("what was computed before its operand was disposed stays", async () => {
  const x = t.tensor([1, 2]), y = t.add(x, 1);
  await t.evaluate(y);
  x.dispose();
  assert([...await y.data()].join() === "2,3");
});
