import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { openGpu } from "../../src/gpu/mod.ts";
import { BufferPool, sizeClass } from "../../src/gpu/pool.ts";
import { formatBytes } from "../../src/gpu/errors.ts";

const KIB = 1024;

function fakeBuffer(size: number): GPUBuffer & { destroyed: boolean } {
  const fake = {
    size,
    label: "fake",
    destroyed: false,
    destroy: () => void (fake.destroyed = true),
  };
  return fake as unknown as GPUBuffer & { destroyed: boolean };
}

Deno.test("sizeClass() wastes at most a fifth and never exceeds the limit", () => {
  assertEquals(sizeClass(0, 1e9), 256);
  assertEquals(sizeClass(257, 1e9), 320);
  assertEquals(sizeClass(4 * KIB, 1e9), 4 * KIB);
  assertEquals(sizeClass(4 * KIB + 1, 1e9), 5 * KIB);
  assertEquals(sizeClass(1000, 1001), 1000);
  assertEquals(sizeClass(1001, 1004), 1004);
  for (let bytes = 257; bytes < 1e8; bytes = Math.ceil(bytes * 1.07)) {
    const size = sizeClass(bytes, 2 ** 32);
    assert(size >= bytes && size % 4 === 0 && bytes > 0.799 * size, `${bytes} -> ${size}`);
    assertEquals(sizeClass(size, 2 ** 32), size);
  }
});

Deno.test("acquire() uses a released buffer again and counts what is held", async () => {
  using gpu = await openGpu();
  assertEquals(gpu.memory(), { live: 0, peak: 0, pooled: 0, buffers: 0, owners: {} });
  const a = gpu.acquire(1000, "a");
  const b = gpu.acquire(4000, "b");
  assert(a.size >= 1000 && b.size >= 4000);
  assertEquals(gpu.memory().live, a.size + b.size);
  assertEquals(gpu.memory().buffers, 2);
  gpu.release(a);
  assertEquals(gpu.memory().pooled, a.size);
  const c = gpu.acquire(990, "c");
  assertStrictEquals(c, a);
  assertEquals(gpu.counters.buffers, 2);
  gpu.release(b);
  gpu.release(c);
  const { live, peak, pooled } = gpu.memory();
  assertEquals([live, peak, pooled], [0, a.size + b.size, a.size + b.size]);
  gpu.trim();
  assertEquals(gpu.memory().pooled, 0);
  await gpu.check();
});

/** Bytes that this process holds in memory, where the system tells. */
function resident(): number | undefined {
  try {
    return 1024 * Number(/VmRSS:\s+(\d+)/.exec(Deno.readTextFileSync("/proc/self/status"))![1]);
  } catch {
    return undefined;
  }
}

Deno.test("trim() gives memory back to the system, though nothing is computed afterwards", async () => {
  using gpu = await openGpu();
  if (!gpu.adapter.software || resident() === undefined) return; // a GPU's memory is not the process's
  const size = 2 ** 26, rounds = 10;
  const data = new Uint8Array(2 ** 20).fill(1), held: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const buffer = gpu.acquire(size, "large");
    for (let at = 0; at < buffer.size; at += data.length) gpu.write(buffer, data, at);
    await gpu.idle();
    held.push(resident()!);
    gpu.release(buffer);
    gpu.trim();
    await gpu.idle();
  }
  // Now and then a driver frees a round later; if none did, there would be nine more at the end.
  assert(held.at(-1)! - held[0] < 4 * size, `${held} bytes with one buffer of ${size} at a time`);
});

Deno.test("release() refuses a buffer that is not held", async () => {
  using gpu = await openGpu();
  const a = gpu.acquire(16, "a");
  gpu.release(a);
  assertThrows(() => gpu.release(a), Error, "released before");
});

const USAGE = 128;

/** A pool, and a way to take a fake buffer from it. */
function fakePool(keep: number): {
  pool: BufferPool;
  take: (size: number, owner?: string) => GPUBuffer & { destroyed: boolean };
} {
  const pool = new BufferPool(keep);
  const take = (size: number, owner = "tensor") =>
    pool.acquire({ usage: USAGE, size }, `${size} bytes`, owner, () => fakeBuffer(size));
  return { pool, take: take as never };
}

Deno.test("BufferPool keeps no more than the peak, or its bound more than is live", () => {
  const { pool, take } = fakePool(512);
  const small = [256, 256].map((size) => take(size));
  const large = take(1024);
  assertEquals([pool.live, pool.peak, pooled(pool)], [1536, 1536, 0]);
  pool.release(large);
  pool.release(small[0]);
  // What is free and what is live were live at once before.
  assertEquals([pool.live, pooled(pool), large.destroyed], [256, 1280, false]);
  // Now the sum would exceed both bounds: what has waited longest goes, even where it is largest.
  const other = take(1280);
  assertEquals([pool.live, pooled(pool)], [1536, 256]);
  assertEquals([large.destroyed, small[0].destroyed], [true, false]);
  assertStrictEquals(take(256), small[0]);
  pool.release(other);
  pool.destroy();
  assertEquals([other, ...small].map(({ destroyed }) => destroyed), [true, true, true]);
  assertEquals([pool.live, pooled(pool), pool.count, pool.owners()], [0, 0, 0, {}]);
});

/** The pool's own number of free bytes. */
const pooled = (pool: BufferPool): number => pool.pooled;

Deno.test("BufferPool stays within its bound through any order of requests", () => {
  const keep = 2048, { pool, take } = fakePool(keep);
  const held: GPUBuffer[] = [], ever = new Set<GPUBuffer & { destroyed: boolean }>();
  let seed = 1;
  const random = (n: number) => (seed = seed * 48271 % 2147483647) % n;
  for (let i = 0; i < 3000; i++) {
    if (held.length > 0 && random(100) < 50) {
      pool.release(held.splice(random(held.length), 1)[0]);
    } else {
      const buffer = take(256 * (1 + random(20)), ["tensor", "plan"][random(2)]);
      assert(!buffer.destroyed, "a destroyed buffer was handed out");
      ever.add(buffer);
      held.push(buffer);
    }
    const live = held.reduce((sum, { size }) => sum + size, 0);
    const there = [...ever].filter(({ destroyed }) => !destroyed);
    assertEquals(pool.live, live);
    assertEquals(pool.live + pool.pooled, there.reduce((sum, { size }) => sum + size, 0));
    assert(pool.live + pool.pooled <= Math.max(pool.peak, live + keep), `step ${i}`);
    const owned = Object.values(pool.owners()).reduce((sum, { bytes }) => sum + bytes, 0);
    assertEquals(owned, live);
  }
  assert([...ever].some(({ destroyed }) => destroyed), "the bound was never reached");
});

Deno.test("BufferPool destroys a condemned buffer when it comes back", () => {
  const { pool, take } = fakePool(2048);
  const bad = take(256);
  pool.condemn(bad);
  assertEquals(pool.largest(3), []);
  pool.release(bad);
  assertEquals([bad.destroyed, pool.live, pool.pooled], [true, 0, 0]);
});

Deno.test("memory() says who holds how much", async () => {
  using gpu = await openGpu();
  const weights = gpu.acquire(4096, "w", "parameters");
  gpu.acquire(1024, "x", "tensor");
  const y = gpu.acquire(2048, "y", "tensor");
  gpu.acquire(256);
  assertEquals(gpu.memory().owners, {
    parameters: { bytes: 4096, buffers: 1 },
    tensor: { bytes: 3072, buffers: 2 },
    other: { bytes: 256, buffers: 1 },
  });
  gpu.assign(y, "optimizer", "moment");
  gpu.release(weights);
  assertEquals(Object.entries(gpu.memory().owners), [
    ["optimizer", { bytes: 2048, buffers: 1 }],
    ["tensor", { bytes: 1024, buffers: 1 }],
    ["other", { bytes: 256, buffers: 1 }],
  ]);
  assertThrows(() => gpu.assign(weights, "tensor"), Error, "is not held");
  const reading = gpu.read(y, 0, 2000);
  assertEquals(gpu.memory().owners.staging, { bytes: 2048, buffers: 1 });
  await reading;
  const { live, owners } = gpu.memory();
  assertEquals([owners.staging, live], [undefined, 3328]);
});

Deno.test("formatBytes() picks the unit", () => {
  assertEquals([0, 1023, 1024, 1536, 5 * 2 ** 20].map(formatBytes), [
    "0 B",
    "1023 B",
    "1 KiB",
    "1.5 KiB",
    "5 MiB",
  ]);
});
