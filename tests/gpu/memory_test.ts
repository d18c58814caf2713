import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { type Gpu, openGpu } from "../../src/gpu/mod.ts";
import { download, upload } from "./kernels.ts";

/**
 * A device with room for `room` bytes: the buffer that does not fit any more is one that cannot be
 * used, and its error scope says so, as WebGPU has it.
 */
function smallDevice(device: GPUDevice, room: number): GPUDevice {
  let used = 0;
  let verdict: GPUError | null = null;
  const createBuffer = (descriptor: GPUBufferDescriptor): GPUBuffer => {
    const { size } = descriptor;
    const fits = used + size <= room;
    verdict = fits ? null : { message: `no room for ${size} bytes` };
    const buffer = device.createBuffer(fits ? descriptor : { ...descriptor, size: 4 });
    if (!fits) return buffer;
    used += size;
    const destroy = buffer.destroy.bind(buffer);
    let there = true;
    buffer.destroy = () => {
      if (there) used -= size;
      there = false;
      return destroy();
    };
    return buffer;
  };
  const popErrorScope = async (): Promise<GPUError | null> => {
    const said = verdict;
    await device.popErrorScope();
    return said;
  };
  const own: Record<PropertyKey, unknown> = { createBuffer, popErrorScope };
  return new Proxy(device, {
    get(target, name) {
      if (name in own) return own[name];
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

const MIB = 2 ** 20;

/** Opens a device with so much memory, and hands it to `use`. */
async function withRoom(room: number, use: (gpu: Gpu) => Promise<void>): Promise<void> {
  using owner = await openGpu();
  using gpu = await openGpu({ device: smallDevice(owner.device, room), poison: false });
  await use(gpu);
}

Deno.test("acquireAll() gives buffers that can be used, from the pool where it can", async () => {
  using gpu = await openGpu();
  const requests = [{ bytes: 1000, label: "a", owner: "plan" }, { bytes: 3000, label: "b" }];
  const [a, b] = await gpu.acquireAll(requests);
  assertEquals(Object.keys(gpu.memory().owners), ["other", "plan"]);
  gpu.write(b, new Float32Array([1, 2]));
  assertEquals(await download(gpu, b, 2), [1, 2]);
  gpu.release(a);
  gpu.release(b);
  const { buffers } = gpu.counters;
  assertEquals(await gpu.acquireAll(requests), [a, b]);
  assertEquals(gpu.counters.buffers, buffers);
  assertEquals(await gpu.acquireAll([]), []);
});

Deno.test("acquireAll() destroys free buffers and tries again when memory runs out", async () => {
  await withRoom(10 * MIB, async (gpu) => {
    const kept = gpu.acquire(4 * MIB, "weights", "parameters");
    gpu.release(gpu.acquire(5 * MIB, "old"));
    await gpu.idle();
    assertEquals(gpu.memory().pooled, 5 * MIB);
    const [first, second] = await gpu.acquireAll([
      { bytes: MIB, label: "small" },
      { bytes: 2 * MIB, label: "next" },
    ]);
    assertEquals([first.size, second.size], [MIB, 2 * MIB]);
    assertEquals([gpu.memory().live, gpu.memory().pooled], [7 * MIB, 0]);
    gpu.write(second, new Float32Array([8]));
    assertEquals(await download(gpu, second, 1), [8]);
    gpu.release(kept);
  });
});

Deno.test("acquireAll() says who holds the memory when there is none left", async () => {
  await withRoom(10 * MIB, async (gpu) => {
    gpu.acquire(4 * MIB, "weights", "parameters");
    gpu.acquire(2 * MIB, "moment", "optimizer");
    gpu.release(gpu.acquire(MIB, "old"));
    const before = gpu.memory();
    const error = await assertRejects(
      () => gpu.acquireAll([{ bytes: MIB, label: "x" }, { bytes: 6 * MIB, label: "logits" }]),
      Error,
      'Out of GPU memory allocating 6 MiB for "logits"',
    );
    assertStringIncludes(error.message, "parameters 4 MiB in 1, optimizer 2 MiB in 1");
    assertStringIncludes(error.message, '"weights" of parameters 4 MiB, "moment" of optimizer');
    assertStringIncludes(error.message, "smaller batch");
    assertEquals((error.cause as GPUError).message, `no room for ${6 * MIB} bytes`);
    // Nothing stays acquired, and the device goes on.
    assertEquals(gpu.memory().live, before.live);
    await gpu.idle();
    await gpu.acquireAll([{ bytes: 3 * MIB, label: "y" }]);
  });
});

Deno.test("acquire() tells at the next wait that memory ran out, and then has room", async () => {
  await withRoom(4 * MIB, async (gpu) => {
    const kept = upload(gpu, [5], "kept");
    gpu.release(gpu.acquire(2 * MIB, "old"));
    const failed = gpu.acquire(3 * MIB, "late", "tensor");
    // What WebGPU then says about the useless buffer comes second.
    gpu.submit([], [{
      from: { buffer: kept, offset: 0, size: 4 },
      to: { buffer: failed, offset: 256, size: 4 },
    }]);
    const error = await assertRejects(
      () => gpu.idle(),
      Error,
      "Out of GPU memory allocating 3 MiB",
    );
    assertStringIncludes(error.message, '"late"');
    assertStringIncludes(error.message, "2 MiB in free ones");
    gpu.release(failed);
    assertEquals(gpu.memory().pooled, 0, "a buffer without memory must not be kept");
    gpu.acquire(3 * MIB, "again");
    await gpu.idle();
    assertEquals(await download(gpu, kept, 1), [5]);
  });
});

Deno.test("acquire() costs no error scope once the pool has the buffer", async () => {
  using owner = await openGpu();
  let scopes = 0;
  const device = new Proxy(owner.device, {
    get(target, name) {
      if (name === "pushErrorScope") scopes++;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  using gpu = await openGpu({ device });
  gpu.release(gpu.acquire(1000));
  assertEquals(scopes, 1);
  for (let i = 0; i < 10; i++) gpu.release(gpu.acquire(1000));
  assertEquals(scopes, 1);
  await gpu.idle();
});

Deno.test("acquire() refuses more than a buffer can hold or a kernel can bind", async () => {
  using gpu = await openGpu();
  const { maxBufferSize, maxStorageBufferBindingSize } = gpu.adapter.limits;
  const limit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
  const before = gpu.counters.buffers;
  const error = assertThrows(() => gpu.acquire(limit + 4, "logits"), RangeError);
  assertStringIncludes(error.message, `${limit + 4} bytes`);
  assertStringIncludes(error.message, '"logits"');
  assertStringIncludes(error.message, `at most ${limit} bytes`);
  assertStringIncludes(error.message, "split the tensor");
  const whole = assertThrows(() => gpu.acquire(maxBufferSize + 4), RangeError);
  assertStringIncludes(whole.message, `a buffer holds at most ${maxBufferSize} bytes`);
  assertStringIncludes(whole.message, "(maxBufferSize)");
  assertThrows(() => gpu.acquire(-1), RangeError, "at least 0");
  assertThrows(() => gpu.acquire(NaN), RangeError, "at least 0");
  const both = [{ bytes: 4, label: "small" }, { bytes: limit + 4, label: "large" }];
  await assertRejects(() => gpu.acquireAll(both), RangeError, '"large"');
  assertEquals(gpu.counters.buffers, before);
});
