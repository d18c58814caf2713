/**
 * Rounding errors of long sums. Equal numbers are the hard case: what is rounded off is the same in
 * every addition, so nothing cancels.
 */
import { assertLess } from "@std/assert";
import * as t from "../../src/tensor/mod.ts";
import { test } from "./harness.ts";

/** Elements of the longest sum. */
const MOST = 262_144;

const VALUES: Readonly<Record<string, Float32Array>> = {
  "random numbers": new t.Random(8, "accuracy").uniforms(MOST),
  "equal numbers": new Float32Array(MOST).fill(0.1),
  "large and small numbers": Float32Array.from(
    { length: MOST },
    (_, i) => i % 2 ? 1e-3 : 1e3 + i % 7,
  ),
  "numbers of both signs": Float32Array.from({ length: MOST }, (_, i) => i % 2 ? -1000 : 1000.3),
};

/** Fails unless all numbers are right to a relative error: relative to `scale`, if it is given. */
function assertRelative(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  message: string,
  limit = 1e-6,
  scale = want,
): void {
  const worst = Array.from(got, (v, i) => Math.abs(v - want[i]) / Math.abs(scale[i]))
    .reduce((a, b) => Math.max(a, b), 0);
  assertLess(worst, limit, message);
}

/** Σ over one axis of a matrix, in float64. */
function sums(x: ArrayLike<number>, rows: number, columns: number, axis: number): Float64Array {
  const out = new Float64Array(axis === 0 ? columns : rows);
  for (let i = 0; i < rows * columns; i++) {
    out[axis === 0 ? i % columns : Math.floor(i / columns)] += x[i];
  }
  return out;
}

test("sums and means of 262,144 elements are right to 1e-6", async () => {
  for (const [name, values] of Object.entries(VALUES)) {
    const x = t.tensor(values), [exact] = sums(values, 1, MOST, 1);
    const row = t.reshape(x, [1, MOST]), column = t.reshape(x, [MOST, 1]);
    const results = [
      t.sum(x),
      t.mul(t.mean(x), MOST),
      t.sum(row, { axes: 1 }),
      t.sum(column, { axes: 0 }),
    ];
    await t.evaluate(...results);
    const got = await Promise.all(results.map(async (r) => (await r.data())[0]));
    const [size] = sums(values.map(Math.abs), 1, MOST, 1); // what rounding errors are relative to
    assertRelative(got, got.map(() => exact), name, 1e-6, got.map(() => size));
  }
});

test("sums of rows and columns are right to 1e-6, whatever their length", async () => {
  const shapes = [[37, 7083], [7083, 37], [4, 65_536], [65_536, 4], [511, 513], [3, 87_381]];
  for (const [name, values] of Object.entries(VALUES)) {
    for (const [rows, columns] of shapes) {
      const used = values.slice(0, rows * columns), x = t.tensor(used, { shape: [rows, columns] });
      const results = [0, 1].map((axis) => t.sum(x, { axes: axis }));
      await t.evaluate(...results);
      for (const axis of [0, 1]) {
        const want = sums(used, rows, columns, axis);
        const label = `${name}, [${rows}, ${columns}] over axis ${axis}`;
        const sizes = sums(used.map(Math.abs), rows, columns, axis);
        assertRelative(await results[axis].data(), want, label, 1e-6, sizes);
      }
    }
  }
});

test("running sums of 100,003 elements are right to 1e-6", async () => {
  for (const name of ["random numbers", "equal numbers", "large and small numbers"]) {
    const values = VALUES[name].slice(0, 100_003);
    let sum = 0;
    const want = Float64Array.from(values, (v) => sum += v);
    assertRelative(await t.cumsum(t.tensor(values)).data(), want, name);
  }
});

test("softmax and logsumexp of long rows are right", async () => {
  for (const n of [5001, 100_003, MOST]) {
    const rows: Record<string, Float32Array> = {
      "normal numbers": new t.Random(n, "rows").normals(n),
      "equal numbers": new Float32Array(n).fill(0.1),
      // every other term of the sum is the same e^-2.3 of no short binary fraction
      "one above equal numbers": new Float32Array(n).fill(-2.3).fill(0, 0, 1),
      "large numbers": Float32Array.from({ length: n }, (_, i) => 500 + i % 3),
    };
    for (const [name, values] of Object.entries(rows)) {
      const label = `${name}, ${n}`, x = t.tensor(values);
      const top = values.reduce((a, b) => Math.max(a, b));
      const total = values.reduce((s, v) => s + Math.exp(v - top), 0);
      const results = [t.logSumExp(x), t.softmax(x), t.logSoftmax(x)];
      await t.evaluate(...results);
      const [lse, p, logp] = await Promise.all(results.map((r) => r.data()));
      assertRelative(lse, [top + Math.log(total)], `log of ${label}`);
      assertRelative(p, values.map((v) => Math.exp(v - top) / total), `softmax of ${label}`, 2e-6);
      const wanted = values.map((v) => v - top - Math.log(total));
      assertRelative(logp, wanted, `log of softmax of ${label}`, 2e-6);
    }
  }
});
