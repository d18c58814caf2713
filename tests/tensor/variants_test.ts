/** Kernel variants: all give the same results, others can be asked for, nonsense is refused. */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import * as t from "../../src/tensor/mod.ts";
import { plan } from "../../src/tensor/plan.ts";
import { targetOf } from "../../src/tensor/webgpu/execute.ts";
import { lower } from "../../src/tensor/webgpu/lower.ts";
import {
  checkForced,
  FAMILY_NAMES,
  runnable,
  variantOf,
} from "../../src/tensor/webgpu/variants.ts";
import { assertNear, session, test } from "./harness.ts";
import { computedFor } from "./with_target.ts";

const random = new t.Random(3, "variants");
const normal = (...shape: number[]): t.Tensor =>
  t.tensor(random.normals(t.sizeOf(shape)), { shape });

test("every variant of every family gives the same results", async () => {
  const chosen = t.tensor(Int32Array.from({ length: 150 }, () => random.int(6)));
  const leaves = {
    a: normal(70, 36),
    b: normal(36, 130),
    odd: normal(37, 3),
    long: normal(3, 5000),
    tokens: normal(150, 20),
    experts: normal(5, 72, 20),
  };
  const build = () => {
    const { a, b, odd, long, tokens, experts } = leaves;
    const map = t.sortByGroup(chosen, 5, 32);
    const rows = t.groupedMatmul(t.dispatchRows(tokens, map, 1), experts, map);
    const mixed = t.combineRows(rows, map, 1);
    return [
      t.gelu(t.matmul(a, b)),
      t.matmul(t.transpose(odd), odd),
      t.softmax(long, 1),
      t.sum(long, { axes: 0 }),
      t.add(t.sin(long), 1),
      mixed,
      ...t.gradients(t.sum(t.sin(mixed)), [tokens, experts]),
    ];
  };
  await t.evaluate(...Object.values(leaves));
  const want = await computedFor({}, build());
  for (const family of FAMILY_NAMES) {
    const [mine, ...others] = runnable(family, targetOf(session().gpu));
    assertEquals(mine, variantOf(family, targetOf(session().gpu)));
    assert(others.length > 0, `${family} has one variant only`);
    for (const name of others) {
      const got = await computedFor({ forced: { [family]: name } }, build());
      for (const [i, values] of got.entries()) {
        assertNear(values, want[i], `${family} ${name}, result ${i}`, 1e-5);
      }
    }
  }
});

test("products that are read in fours equal plain tiles bit for bit, so that they may be tuned", async () => {
  const turned = (...shape: number[]) => t.transpose(normal(...shape));
  for (
    const [batch, m, k, n] of [[1, 132, 36, 260], [2, 64, 20, 68], [1, 4, 8, 4], [1, 8, 300, 12]]
  ) {
    const pairs = [
      [normal(batch, m, k), normal(batch, k, n)],
      [normal(batch, m, k), turned(batch, n, k)],
      [turned(batch, k, m), normal(batch, k, n)],
      [turned(batch, k, m), turned(batch, n, k)],
    ];
    for (const [a, b] of pairs) {
      const build = () => [t.relu(t.matmul(a, b))];
      const [want] = await computedFor({ forced: { matmul: "tiled" } }, build());
      for (const matmul of ["vectors", "vectors-small"]) {
        const { steps, isStored } = plan(build());
        const target = { ...targetOf(session().gpu), forced: { matmul } };
        assertStringIncludes(lower(steps.at(-1)!, isStored, target).kernel.code, "store_four");
        assertEquals((await computedFor({ forced: { matmul } }, build()))[0], want, matmul);
      }
    }
  }
});

test("large products by one subgroup, which take larger blocks, equal plain tiles bit for bit", async () => {
  const turned = (...shape: number[]) => t.transpose(normal(...shape));
  const pairs = [
    [normal(332, 330), normal(330, 340)],
    [normal(332, 332), turned(340, 332)],
    [turned(331, 332), normal(331, 340)],
    [turned(330, 333), turned(340, 330)],
  ];
  for (const [a, b] of pairs) {
    const build = () => [t.relu(t.matmul(a, b))];
    const [want] = await computedFor({ forced: { matmul: "tiled" } }, build());
    assertEquals((await computedFor({}, build()))[0], want, `${a} by ${b}`);
  }
  const chosen = t.tensor(Int32Array.from({ length: 700 }, () => [0, 2, 2, 3][random.int(4)]));
  const tokens = normal(700, 260), experts = normal(5, 264, 260);
  for (const tile of [16, 32]) {
    const build = () => {
      const map = t.sortByGroup(chosen, 5, tile);
      const rows = t.groupedMatmul(t.dispatchRows(tokens, map, 1), experts, map);
      const y = t.combineRows(rows, map, 1);
      return [y, ...t.gradients(t.sum(t.mul(y, y)), [tokens, experts])];
    };
    const want = await computedFor({ forced: { matmul: "tiled-small" } }, build());
    for (const [i, values] of (await computedFor({}, build())).entries()) {
      assertEquals(values, want[i], `tiles of ${tile}, result ${i}`);
    }
  }
});

test("groups in tiles of 64 and 128 rows can be multiplied in large tiles", async () => {
  const chosen = t.tensor(Int32Array.from({ length: 300 }, () => [0, 2, 2, 2, 3][random.int(5)]));
  const tokens = normal(300, 20), experts = normal(5, 72, 20);
  for (const tile of [64, 128]) {
    const build = () => {
      const map = t.sortByGroup(chosen, 5, tile);
      const rows = t.groupedMatmul(t.dispatchRows(tokens, map, 1), experts, map);
      const y = t.combineRows(rows, map, 1);
      return [y, ...t.gradients(t.sum(t.sin(y)), [tokens, experts])];
    };
    const want = await computedFor({ forced: { matmul: "tiled-small" } }, build());
    for (const matmul of ["vectors", "vectors-small"]) {
      const got = await computedFor({ forced: { matmul } }, build());
      for (const [i, values] of got.entries()) assertNear(values, want[i], `${matmul} ${i}`, 1e-6);
    }
  }
});

test("few results with long sums are split on a GPU, by their shape alone", async () => {
  const { gpu } = session();
  const hardware = { ...targetOf(gpu), software: false };
  const isSplit = (y: t.Tensor): boolean => {
    const { steps: [step], isStored } = plan([y]);
    const { code } = lower(step, isStored, { ...hardware, best: () => "tiled" }).kernel;
    return code.includes("var<workgroup> sums");
  };
  const x = normal(777, 34), g = normal(777, 70), wide = normal(777, 3000);
  await t.evaluate(x, g, wide);
  assert(isSplit(t.matmul(t.transpose(x), g)));
  assert(!isSplit(t.matmul(x, t.transpose(normal(70, 34)))), "a short sum");
  assert(!isSplit(t.matmul(t.transpose(wide), g)), "many results");
  const [got] = await computedFor({ software: false }, [t.matmul(t.transpose(x), g)]);
  const [a, b] = [await x.data(), await g.data()];
  const want = Float64Array.from({ length: 34 * 70 }, (_, o) => {
    let sum = 0;
    for (let i = 0; i < 777; i++) sum += a[i * 34 + Math.floor(o / 70)] * b[i * 70 + o % 70];
    return sum;
  });
  assertNear(got, want, "a split product", 1e-5);
});

test("lab() opens with forced variants and refuses those that there are not", async () => {
  await assertRejects(
    () => t.lab({ variants: { matmul: "tilde" } }),
    RangeError,
    'no variant "tilde" of matmul',
  );
  await assertRejects(
    () => t.lab({ variants: { matmull: "tiled" } }),
    RangeError,
    "did you mean matmul?",
  );
});

Deno.test("checkForced() refuses a variant that the device cannot run", () => {
  const target = {
    software: false,
    subgroup: undefined,
    f16: false,
    matrixUnits: [],
    workgroupBytes: 2 ** 14,
    name: "GPU X",
    forced: {},
  };
  assertThrows(
    () => checkForced({ matmul: "broadcast" }, target),
    RangeError,
    'GPU X cannot run the variant "broadcast" of matmul',
  );
  assertThrows(() => checkForced({ matmul: "vectors" }, target), RangeError, "cannot run");
  assertEquals(checkForced({ matmul: "tiled-large" }, target), { matmul: "tiled-large" });
  assertEquals(variantOf("matmul", target), "tiled");
  assertEquals(variantOf("matmul", { ...target, software: true, subgroup: 8 }), "broadcast");
});
