import { assertEquals } from "@std/assert";
import { type Kernel, openGpu } from "../../src/gpu/mod.ts";
import { writtenOnly } from "../../src/gpu/poison.ts";
import { download, floats, launch, scale, shifted, testOnEach, upload } from "./kernels.ts";

Deno.test("writtenOnly() finds the arrays that are assigned to and nothing else", () => {
  assertEquals(writtenOnly(shifted), [2]);
  assertEquals(writtenOnly(scale(2)), []); // x *= factor reads x
  const kernel = (body: string): Kernel => ({
    label: "k",
    code: `@group(0) @binding(0) var<storage, read_write> out0: array<u32>;
      @group(0) @binding(1) var<storage, read_write> out1: array<u32>;
      fn main() { ${body} }`,
    bindings: ["write", "write"],
    workgroups: [1, 1, 1],
  });
  assertEquals(writtenOnly(kernel("out0[1] = 2u; out1[out0[0]] = 3u;")), [1]);
  assertEquals(writtenOnly(kernel("out0[a[i] + 1u] = 2u; out1[0] = 3u;")), [0, 1]);
  assertEquals(writtenOnly(kernel("out0[0] += 2u; if (out1[0] == 1u) { out1[0] = 3u; }")), []);
  assertEquals(writtenOnly(kernel("")), []);
});

testOnEach("poison fills what is acquired and what a kernel only writes", async (provider) => {
  using gpu = await openGpu({ provider, poison: true });
  const buffer = gpu.acquire(1000);
  assertEquals(
    new Uint8Array(await gpu.read(buffer, 0, buffer.size)),
    new Uint8Array(buffer.size).fill(255),
  );
  gpu.write(buffer, new Uint8Array(16));
  gpu.release(buffer);
  assertEquals(await download(gpu, gpu.acquire(1000), 2), [NaN, NaN]);

  const x = upload(gpu, [1, 2, 3]), y = upload(gpu, [7, 7, 7]), shift = upload(gpu, [1, 0, 0, 0]);
  // A kernel that forgets the last element.
  const forgetful = {
    ...shifted,
    code: shifted.code.replace("id.x < arrayLength(&y)", "id.x < 2u"),
  };
  const once = launch(gpu, forgetful, [floats(x, 3), floats(shift, 4), floats(y, 3)]);
  const twice = launch(gpu, scale(10), [floats(y, 3)]);
  gpu.submit([once, twice, twice]);
  assertEquals(await download(gpu, y, 3), [200, 300, NaN]);

  // A buffer that cannot be filled, as it was not acquired, is left alone.
  const own = gpu.device.createBuffer({ size: 12, usage: 0x80 | 0x4 });
  const ranges = [floats(x, 3), floats(shift, 4), floats(own, 3)];
  gpu.submit([launch(gpu, shifted, ranges)]);
  assertEquals(await download(gpu, own, 3), [2, 3, 4]);
});
