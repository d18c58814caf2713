/** Kernels that exchange values within a subgroup, for subgroups that this machine may not have. */
import { assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import type { Gpu, Kernel } from "../../src/gpu/mod.ts";
import * as t from "../../src/tensor/mod.ts";
import { plan } from "../../src/tensor/plan.ts";
import type { Lowered } from "../../src/tensor/webgpu/bindings.ts";
import { targetOf } from "../../src/tensor/webgpu/execute.ts";
import { lower } from "../../src/tensor/webgpu/lower.ts";
import { assertNear, session, test } from "./harness.ts";

/** Sizes that devices have. */
const SIZES = [4, 8, 16, 32, 64];
/** Those whose exchange is tried in workgroup memory; compilers take minutes for the others. */
const EMULATED = [4, 8];
const random = new t.Random(9, "subgroups");

/** The kernel of a product for a CPU driver with subgroups of `size`. */
function product(a: t.Tensor, b: t.Tensor, size: number): Lowered {
  const { steps, isStored } = plan([t.matmul(a, b)]);
  assertEquals(steps.length, 1);
  return lower(steps[0], isStored, { ...targetOf(session().gpu), software: true, subgroup: size });
}

/** The same kernel with the exchange through workgroup memory, which any device can run. */
function emulated(kernel: Kernel, size: number): Kernel {
  const parts = new Set(
    [...kernel.code.matchAll(/subgroupBroadcast\(a_part(\d+)\./g)].map((m) => +m[1]),
  );
  const last = Math.max(...parts);
  const store = [...parts].map((r) => `exchange[${r * size}u + lane] = a_part${r};`).join(" ");
  let loaded = false;
  const code = kernel.code.replace("enable subgroups;", "")
    .replaceAll(
      /subgroupBroadcast\(a_part(\d+)\.([xyzw]), (\d+)u\)/g,
      (_, part, component, lane) => `exchange[${part * size + +lane}u].${component}`,
    )
    .replace(new RegExp(`let a_part${last} = [^;]*;`), (line) => {
      loaded = true;
      return `${line} workgroupBarrier(); ${store} workgroupBarrier();`;
    }) + `\nvar<workgroup> exchange: array<vec4f, ${size * (last + 1)}>;`;
  assertEquals(loaded, true, "no loads to exchange");
  return { ...kernel, code };
}

/** Runs a lowered step on the values of its operands. */
async function run(gpu: Gpu, kernel: Kernel, lowered: Lowered): Promise<Float32Array> {
  const ranges = [];
  for (const x of lowered.tensors) {
    const buffer = gpu.acquire(4 * x.size, "subgroup test");
    if (x.node.op === "leaf") gpu.write(buffer, await x.data());
    ranges.push({ buffer, offset: 0, size: 4 * x.size });
  }
  const uniform = lowered.uniform!;
  const sizes = gpu.acquire(uniform.byteLength, "subgroup test");
  gpu.write(sizes, uniform);
  const result = ranges.at(-1)!;
  const group = gpu.bindGroup(kernel, [
    ...ranges,
    { buffer: sizes, offset: 0, size: uniform.byteLength },
  ]);
  await gpu.prepare([kernel]);
  gpu.submit([{ kernel, pipeline: gpu.pipeline(kernel), group }]);
  const values = new Float32Array(await gpu.read(result.buffer, 0, result.size));
  for (const { buffer } of [...ranges, { buffer: sizes }]) gpu.release(buffer);
  return values;
}

test("products are right for subgroups of 4 and 8", async () => {
  const { gpu } = session();
  for (const size of EMULATED) {
    // Whole subgroups and rests along each axis.
    for (const [m, k, n] of [[8, size, 2 * size], [13, 2 * size + 3, 2 * size + 5], [3, 1, 1]]) {
      const a = t.tensor(random.normals(m * k), { shape: [m, k] });
      const b = t.tensor(random.normals(k * n), { shape: [k, n] });
      const lowered = product(a, b, size);
      const got = await run(gpu, emulated(lowered.kernel, size), lowered);
      const [x, y] = [await a.data(), await b.data()];
      const want = Float64Array.from({ length: m * n }, (_, o) => {
        let sum = 0;
        for (let i = 0; i < k; i++) sum += x[Math.floor(o / n) * k + i] * y[i * n + o % n];
        return sum;
      });
      assertNear(got, want, `[${m}, ${k}] · [${k}, ${n}] with subgroups of ${size}`);
    }
  }
});

test("products for subgroups hand round every number of A that they load", async () => {
  const { gpu } = session();
  const stored = [[20, 72], [72, 20], [20, 71]].map((shape) => t.zeros(shape));
  await t.evaluate(...stored);
  // A with the values of k that it loads in a step: by rows, by columns, neither in fours.
  const operands = [[stored[0], 4], [t.transpose(stored[1]), 1], [stored[2], 1]] as const;
  const rows = 16;
  for (const [a, step] of operands) {
    const b = t.zeros([a.shape[1], 300]);
    await t.evaluate(b);
    for (const size of SIZES) {
      const { kernel } = product(a, b, size);
      assertStringIncludes(kernel.code, "enable subgroups;");
      assertStringIncludes(kernel.code, `@workgroup_size(${size})`);
      const used = [...kernel.code.matchAll(/subgroupBroadcast\(a_part\d+\.[xyzw], \d+u\)/g)];
      assertEquals(used.length, rows * step);
      assertEquals(new Set(used.map(([text]) => text)).size, rows * step, "a number used twice");
      const lanes = Math.max(...used.map(([text]) => Number(/, (\d+)u/.exec(text)![1])));
      assertLess(lanes, size);
      assertEquals(kernel.workgroups[1], 2);
      if (gpu.adapter.subgroups) await gpu.prepare([kernel]);
    }
  }
});

Deno.test("targetOf() uses subgroups only when their size is certain", () => {
  const limits = { maxComputeWorkgroupStorageSize: 2 ** 15 };
  const size = (subgroups: { min: number; max: number } | undefined) =>
    targetOf({ adapter: { software: true, subgroups, limits }, variants: {} } as unknown as Gpu)
      .subgroup;
  assertEquals(size({ min: 8, max: 8 }), 8);
  assertEquals(size({ min: 8, max: 32 }), undefined);
  assertEquals(size({ min: 32, max: 64 }), undefined);
  assertEquals(size(undefined), undefined);
});
