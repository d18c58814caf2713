import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { openGpu } from "../../src/gpu/mod.ts";
import { BufferPool, sizeClass } from "../../src/gpu/pool.ts";
import { formatBytes, outOfMemory } from "../../src/gpu/errors.ts";

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
  assertEquals(gpu.memory(), { live: 0, peak: 0, pooled: 0, buffers: 0 });
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

Deno.test("release() refuses a buffer that is not held", async () => {
  using gpu = await openGpu();
  const a = gpu.acquire(16, "a");
  gpu.release(a);
  assertThrows(() => gpu.release(a), Error, "released before");
});

Deno.test("BufferPool destroys free buffers beyond its bound", () => {
  const pool = new BufferPool(512);
  const buffers = [256, 256, 256].map((size) => pool.acquire(size, "x", () => fakeBuffer(size)));
  const destroyed = () =>
    buffers.map((buffer) => (buffer as unknown as { destroyed: boolean }).destroyed);
  for (const buffer of buffers) pool.release(buffer);
  assertEquals(destroyed(), [false, false, true]);
  assertEquals(pool.pooled, 512);
  pool.destroy();
  assertEquals(destroyed(), [true, true, true]);
  assertEquals([pool.live, pool.pooled, pool.count], [0, 0, 0]);
});

Deno.test("outOfMemory() names the request, the holders and the remedy", () => {
  const error = outOfMemory({
    size: 3 * 2 ** 30,
    label: "logits",
    where: "Test GPU",
    largest: [{ label: "weights", bytes: 2 ** 30 }],
    held: { live: 1.5 * 2 ** 30, peak: 0, pooled: 2 ** 20, buffers: 7 },
    cause: "the cause",
  });
  assertEquals(
    error.message,
    'Out of GPU memory allocating 3 GiB for "logits" on Test GPU: 1.5 GiB were held in 7 buffers ' +
      '(largest: "weights" 1 GiB), 1 MiB in free ones, which are now destroyed. Use a smaller ' +
      "batch or model, dispose tensors that are no longer needed, or close other programs on the " +
      "GPU.",
  );
  assertEquals(error.cause, "the cause");
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
