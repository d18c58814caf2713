import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertGreater,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  add,
  compile,
  evaluate,
  KernelTable,
  lab,
  type LabOptions,
  linear,
  makeEffect,
  matmul,
  relu,
  sum,
  tensor,
} from "../../src/tensor/mod.ts";
import { session, test } from "./harness.ts";

/** What `run` prints with console.log, one text a call. */
async function printed(run: () => Promise<void>): Promise<string[]> {
  const original = console.log;
  const texts: string[] = [];
  console.log = (...values: unknown[]): void => void texts.push(values.join(" "));
  try {
    await run();
  } finally {
    console.log = original;
  }
  return texts;
}

const input = (...shape: number[]) =>
  tensor(new Float32Array(shape.reduce((a, b) => a * b)).fill(0.5), { shape });

Deno.test("KernelTable computes rates, and shares of time and of the peak", () => {
  const peak = { bandwidth: 100e9, flops: 1e12 };
  const totals = new Map([
    ["copy", { dispatches: 4, ms: 2, bytes: 50e6, flops: 0 }],
    ["product", { dispatches: 1, ms: 6, bytes: 1e6, flops: 3e9 }],
    ["too short for the clock", { dispatches: 1, ms: 0, bytes: 4, flops: 1 }],
  ]);
  const { rows, dispatches, ms } = new KernelTable(totals, "a device", peak);
  assertEquals([dispatches, ms], [6, 8]);
  const [product, copy, short] = rows;
  assertEquals([product.label, product.share, product.bound], ["product", 0.75, "arithmetic"]);
  assertAlmostEquals(product.flopRate, 5e11, 1);
  assertAlmostEquals(product.ofPeak, 0.5, 1e-12); // 3 GFLOP take 3 ms at 1 TFLOP/s
  assertEquals([copy.share, copy.bound], [0.25, "memory"]);
  assertAlmostEquals(copy.bandwidth, 25e9, 1);
  assertAlmostEquals(copy.ofPeak, 0.25, 1e-12); // 50 MB take 0.5 ms at 100 GB/s
  assertEquals([short.bandwidth, short.flopRate, short.ofPeak], [0, 0, 0]);
});

Deno.test("KernelTable adds up the rows that it does not show", () => {
  const total = { dispatches: 2, ms: 1, bytes: 4, flops: 1 };
  const totals = new Map(Array.from({ length: 10 }, (_, i) => [`k${i}`, total]));
  const cells = new KernelTable(totals, "d", { bandwidth: 1, flops: 1 }).cells(4);
  assertEquals(cells.length, 5);
  assertEquals(cells[4].slice(0, 4), ["6 others", 12, 6, 60]);
});

Deno.test("lab() refuses an unknown way of debugging", async () => {
  await assertRejects(
    () => lab({ debug: "kernel" } as unknown as LabOptions),
    RangeError,
    "kernel",
  );
});

test("kernels() throws when the session times none", () => {
  assertThrows(() => session().kernels(), Error, 'debug: "kernels"');
});

test("lab({ debug }) prints the kernels of an evaluation, and those of all when it closes", async () => {
  const harness = session();
  const provider = harness.gpu.provider as "dawn" | "deno";
  const texts = await printed(async () => {
    const debugged = await lab({ provider, debug: "kernels" });
    try {
      const x = input(8, 64), w = input(32, 64);
      await evaluate(relu(linear(x, w)));
      const product = "matmul+where -> f32[8,32]";
      const [row] = debugged.kernels().rows;
      assertEquals([row.label, row.dispatches, row.flops], [product, 1, 2 * 8 * 64 * 32 + 256]);
      assertEquals(row.bytes, 4 * (8 * 64 + 32 * 64 + 8 * 32));

      const f = compile(({ a }) => ({ total: sum(matmul(a, w)) }));
      const a = { data: new Float32Array(64 * 32), shape: [64, 32] };
      for (let i = 0; i < 3; i++) await f({ a });
      assertEquals(debugged.kernels().dispatches, 1 + 3 * f.dispatches);
      const share = debugged.kernels().rows.reduce((sum, row) => sum + row.share, 0);
      assert(share === 0 || Math.abs(share - 1) < 1e-9, String(share));
      f.dispose();
    } finally {
      debugged.dispose();
    }
  });
  assertEquals(texts.length, 2, texts.join("\n"));
  assertMatch(texts[0], /^1 kernels, 1 dispatches, .* ms on .* \(measured peak: .* GB\/s, .*\)/);
  assertStringIncludes(texts[0], "matmul+where -> f32[8,32]");
  assertStringIncludes(texts[1], "All runs: ");
  assertStringIncludes(texts[1], "matmul -> f32[64,64]");
});

test("lab({ debug }) leaves out the first run of a plan that changes tensors in place", async () => {
  const provider = session().gpu.provider as "dawn" | "deno";
  await printed(async () => {
    using debugged = await lab({ provider, debug: "kernels" });
    const count = input(4);
    const f = compile(({ a }) => ({ done: makeEffect("assign", [count, add(count, a)], {}) }));
    const a = { data: new Float32Array([1, 1, 1, 1]), shape: [4] };
    for (let i = 0; i < 3; i++) await f({ a });
    assertEquals(debugged.kernels().dispatches, 2 * f.dispatches);
    assertEquals([...await count.data()], [3.5, 3.5, 3.5, 3.5]); // each run took effect once
    f.dispose();
  });
});

test("resetKernels() forgets what ran", async () => {
  const provider = session().gpu.provider as "dawn" | "deno";
  await printed(async () => {
    using debugged = await lab({ provider, debug: "kernels" });
    await evaluate(sum(input(100)));
    assertGreater(debugged.kernels().rows.length, 0);
    debugged.resetKernels();
    assertEquals(debugged.kernels().rows, []);
  });
});
