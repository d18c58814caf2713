// "@std/assert" is the real one where JSR answers and the stand-in where it does not. The same
// table must hold for both, or a test could pass in one world and fail in the other.
import * as std from "@std/assert";

/** Runs a check and says whether it held; anything but an AssertionError is a mistake here. */
function holds(check: () => unknown): boolean {
  try {
    check();
    return true;
  } catch (error) {
    if (error instanceof std.AssertionError) return false;
    throw error;
  }
}

function throwRange(): never {
  throw new RangeError("axis 3 of 2");
}

const TABLE: [check: () => unknown, expected: boolean][] = [
  [() => std.assert(1), true],
  [() => std.assert(0), false],
  [() => std.assert(""), false],
  [() => std.assertEquals({ a: [1, NaN] }, { a: [1, NaN] }), true],
  [() => std.assertEquals({ a: [1, 2] }, { a: [1, 3] }), false],
  [() => std.assertEquals<unknown>({ a: 1 }, { a: 1, b: undefined }), false],
  [() => std.assertEquals(new Float32Array([1, 2]), new Float32Array([1, 2])), true],
  [() => std.assertEquals(new Float32Array([1, 2]), new Float32Array([1, 3])), false],
  [() => std.assertEquals<unknown>(new Float32Array([1]), [1]), false],
  [() => std.assertEquals<unknown>(1, "1"), false],
  [() => std.assertEquals(new Map([["a", 1]]), new Map([["a", 1]])), true],
  [() => std.assertEquals(new Map([["a", 1]]), new Map([["a", 2]])), false],
  [() => std.assertNotEquals([1], [2]), true],
  [() => std.assertNotEquals([1], [1]), false],
  [() => std.assertStrictEquals(NaN, NaN), true],
  [() => std.assertStrictEquals<unknown>([1], [1]), false],
  [() => std.assertStrictEquals(0, -0), false],
  [() => std.assertAlmostEquals(1, 1 + 1e-9), true],
  [() => std.assertAlmostEquals(1, 1 + 1e-5), false],
  [() => std.assertAlmostEquals(1e-9, 2e-9), false],
  [() => std.assertAlmostEquals(1, 1.1, 0.2), true],
  [() => std.assertAlmostEquals(NaN, 1, 10), false],
  [() => std.assertAlmostEquals(NaN, NaN), true],
  [() => std.assertAlmostEquals(Infinity, Infinity), true],
  [() => std.assertGreater(2, 1), true],
  [() => std.assertGreater(1, 1), false],
  [() => std.assertGreater(NaN, 1), false],
  [() => std.assertGreaterOrEqual(1, 1), true],
  [() => std.assertGreaterOrEqual(0, 1), false],
  [() => std.assertLess(1, 2), true],
  [() => std.assertLess(1, 1), false],
  [() => std.assertLess(NaN, 1), false],
  [() => std.assertLessOrEqual(1, 1), true],
  [() => std.assertLessOrEqual(2, 1), false],
  [() => std.assertStringIncludes("shapes differ", "differ"), true],
  [() => std.assertStringIncludes("shapes differ", "match"), false],
  [() => std.assertMatch("12 passed", /^\d+ passed$/), true],
  [() => std.assertMatch("twelve passed", /^\d+ passed$/), false],
  [() => std.assertExists(0), true],
  [() => std.assertExists(null), false],
  [() => std.assertExists(undefined), false],
  [() => std.assertInstanceOf(new RangeError(), Error), true],
  [() => std.assertInstanceOf(new Error(), RangeError), false],
  [() => std.assertThrows(throwRange), true],
  [() => std.assertThrows(throwRange, RangeError, "axis 3"), true],
  [() => std.assertThrows(throwRange, TypeError), false],
  [() => std.assertThrows(throwRange, RangeError, "axis 4"), false],
  [() => std.assertThrows(() => 1), false],
  [() => std.fail(), false],
];

Deno.test("the assertions hold and fail as this table says", () => {
  for (const [check, expected] of TABLE) {
    if (holds(check) !== expected) {
      throw new Error(`${check} ${expected ? "failed" : "held"}, against the table`);
    }
  }
});

Deno.test("assertThrows() and assertRejects() hand over the error", async () => {
  const thrown = std.assertThrows(throwRange, RangeError);
  std.assertEquals(thrown.message, "axis 3 of 2");
  const rejected = await std.assertRejects(() => Promise.reject(new TypeError("f16")), TypeError);
  std.assertEquals(rejected.message, "f16");
});

Deno.test("assertRejects() fails when the promise resolves, or rejects with another error", async () => {
  const failures = [
    () => std.assertRejects(() => Promise.resolve(1)),
    () => std.assertRejects(() => Promise.reject(new TypeError("f16")), RangeError),
    () => std.assertRejects(() => Promise.reject(new TypeError("f16")), TypeError, "bf16"),
  ];
  for (const failure of failures) {
    const error = await failure().then(() => undefined, (error: unknown) => error);
    if (!(error instanceof std.AssertionError)) {
      throw new Error(`${failure} did not fail: ${error}`);
    }
  }
});
