import {
  assert,
  assertEquals,
  assertGreater,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { openGpu } from "../../src/gpu/mod.ts";
import { download, floats, launch, scale, shifted, testOn, testOnEach, upload } from "./kernels.ts";

testOnEach("openGpu() reports the adapter and its limits", async (provider) => {
  using gpu = await openGpu({ provider });
  assertEquals(gpu.provider, provider);
  const { name, limits } = gpu.adapter;
  assertGreater(name.length, 0);
  assertEquals(limits.maxStorageBufferBindingSize, gpu.device.limits.maxStorageBufferBindingSize);
  assertGreater(limits.maxComputeInvocationsPerWorkgroup, 255);
  assertEquals(gpu.adapter.timestamps, gpu.device.features.has("timestamp-query"));
});

testOnEach("read() returns what write() stored", async (provider) => {
  using gpu = await openGpu({ provider });
  const buffer = gpu.acquire(64);
  const bytes = Uint8Array.from({ length: 64 }, (_, i) => 3 * i);
  gpu.write(buffer, bytes);
  assertEquals(new Uint8Array(await gpu.read(buffer, 0, 64)), bytes);
  // Odd places and lengths, a view into a larger array, a padded end.
  gpu.write({ buffer, offset: 16, size: 16 }, bytes.subarray(5, 11), 4);
  const expected = bytes.slice();
  expected.set(bytes.subarray(5, 11), 20);
  expected.fill(0, 26, 28);
  assertEquals(new Uint8Array(await gpu.read(buffer, 3, 30)), expected.slice(3, 33));
  assertEquals((await gpu.read(buffer, 64, 0)).byteLength, 0);
});

testOnEach("readMany() answers several ranges, and reads may overlap", async (provider) => {
  using gpu = await openGpu({ provider });
  const a = upload(gpu, [1, 2, 3, 4]);
  const b = upload(gpu, [5, 6, 7]);
  const [[first, second], third] = await Promise.all([
    gpu.readMany([floats(a, 2, 1), floats(b, 3)]),
    gpu.read(a, 12, 4),
  ]);
  assertEquals([...new Float32Array(first)], [2, 3]);
  assertEquals([...new Float32Array(second)], [5, 6, 7]);
  assertEquals([...new Float32Array(third)], [4]);
  assertEquals(await gpu.readMany([]), []);
});

testOnEach("submit() runs launches in order, then copies", async (provider) => {
  using gpu = await openGpu({ provider });
  const x = upload(gpu, [1, 2, 3]);
  const shift = gpu.acquire(16, "shift");
  const y = gpu.acquire(12, "y");
  const kept = gpu.acquire(12, "kept");
  gpu.write(shift, new Float32Array([10, 0, 0, 0]));
  const uniform = gpu.device.createBuffer({ size: 16, usage: 0x40 | 0x8 });
  gpu.submit([], [{ from: floats(shift, 4), to: floats(uniform, 4) }]);
  gpu.submit([
    launch(gpu, scale(3), [floats(x, 3)]),
    launch(gpu, shifted, [floats(x, 3), floats(uniform, 4), floats(y, 3)]),
    launch(gpu, scale(2), [floats(y, 3)]),
  ], [{ from: floats(y, 3), to: floats(kept, 3) }]);
  gpu.submit([launch(gpu, scale(0), [floats(y, 3)])]);
  assertEquals(await download(gpu, kept, 3), [26, 32, 38]);
  assertEquals(await download(gpu, y, 3), [0, 0, 0]);
});

testOnEach("submit() creates nothing when launches are replayed", async (provider) => {
  using gpu = await openGpu({ provider });
  const x = upload(gpu, [1]);
  const launches = [launch(gpu, scale(2), [floats(x, 1)])];
  gpu.submit(launches);
  await download(gpu, x, 1);
  const before = gpu.counters;
  const memory = gpu.memory();
  for (let i = 0; i < 5; i++) {
    gpu.submit(launches);
    await download(gpu, x, 1);
  }
  const after = gpu.counters;
  assertEquals(await download(gpu, x, 1), [64]);
  assertEquals(
    [after.buffers, after.bindGroups, after.pipelines],
    [before.buffers, before.bindGroups, before.pipelines],
  );
  assertEquals(after.dispatches - before.dispatches, 5);
  assertEquals(gpu.memory(), memory);
});

testOnEach("profiled() times every dispatch", async (provider) => {
  using gpu = await openGpu({ provider });
  const x = upload(gpu, [1]);
  const double = launch(gpu, scale(2, "double"), [floats(x, 1)]);
  const triple = launch(gpu, scale(3, "triple"), [floats(x, 1)]);
  const times = await gpu.profiled([double, triple, double]);
  const clock = gpu.adapter.timestamps ? "device" : "host";
  assertEquals(times.map((time) => time.clock), [clock, clock, clock]);
  assertEquals(times.map(({ label }) => label), ["double", "triple", "double"]);
  assert(times.every(({ ms }) => ms >= 0 && ms < 60_000));
  assertEquals(await download(gpu, x, 1), [12]);
});

testOnEach("profiled() times from outside when the adapter has no clock", async (provider) => {
  using gpu = await openGpu({ provider, without: ["timestamp-query"] });
  assertEquals(gpu.adapter.timestamps, false);
  const x = upload(gpu, [1]);
  const launches = [scale(2, "double"), scale(3, "triple")]
    .map((kernel) => launch(gpu, kernel, [floats(x, 1)]));
  const times = await gpu.profiled(launches);
  assertEquals(times.map(({ label, clock }) => `${label} ${clock}`), [
    "double host",
    "triple host",
  ]);
  assert(times.every(({ ms }) => ms > 0));
  assertEquals(await download(gpu, x, 1), [6]);
  assertThrows(() => gpu.profile(), Error, "Use profiled()");
});

testOnEach("openGpu() leaves features out that are not wanted", async (provider) => {
  using all = await openGpu({ provider, without: [] });
  using none = await openGpu({ provider, without: ["timestamp-query", "subgroups", "shader-f16"] });
  const { timestamps, subgroups, f16 } = none.adapter;
  assertEquals([timestamps, subgroups, f16], [false, undefined, false]);
  for (const name of ["timestamp-query", "subgroups", "shader-f16"] as GPUFeatureName[]) {
    assertEquals(none.device.features.has(name), false, name);
  }
  assertEquals(all.adapter.f16, all.device.features.has("shader-f16"));
  // A device of the caller's has them, but they are not used.
  using guest = await openGpu({ device: all.device, without: ["timestamp-query"] });
  assertEquals(guest.adapter.timestamps, false);
  const without = ["subgroup"] as unknown as ["subgroups"];
  await assertRejects(() => openGpu({ provider, without }), RangeError, "shader-f16");
});

testOnEach("profile() gathers more dispatches than one query set holds", async (provider) => {
  using gpu = await openGpu({ provider });
  if (!gpu.adapter.timestamps) return;
  const x = upload(gpu, [0]);
  const step = launch(gpu, scale(1), [floats(x, 1)]);
  const profile = gpu.profile();
  for (let i = 0; i < 3; i++) gpu.submit(Array(700).fill(step), [], profile);
  assertEquals((await profile.times()).length, 2100);
  assertEquals(await profile.times(), []);
});

testOnEach("openGpu() uses the caller's device and leaves it alive", async (provider) => {
  using owner = await openGpu({ provider });
  const guest = await openGpu({ device: owner.device });
  assertEquals(guest.provider, "given");
  assertStrictEquals(guest.device, owner.device);
  // Dawn tells the sizes of matrix units of an adapter only.
  assertEquals({ ...guest.adapter, matrixUnits: [] }, { ...owner.adapter, matrixUnits: [] });
  const x = upload(guest, [2]);
  assertEquals(await download(guest, x, 1), [2]);
  guest.dispose();
  const y = upload(owner, [3]);
  assertEquals(await download(owner, y, 1), [3]);
});

testOn(
  "deno",
  "openGpu() loads no OpenGL driver, which can crash as the process ends",
  async () => {
    using gpu = await openGpu({ provider: "deno" });
    assertEquals(gpu.provider, "deno");
    if (Deno.build.os !== "linux" || Deno.env.get("DENO_WEBGPU_BACKEND") !== "vulkan") return;
    assert(!(await Deno.readTextFile("/proc/self/maps")).includes("libEGL"));
  },
);

testOn("dawn", "openGpu() finds an adapter by a part of its name", async () => {
  using any = await openGpu({ provider: "dawn" });
  const part = any.adapter.name.slice(2, 8);
  using named = await openGpu({ provider: "dawn", adapter: part.toUpperCase() });
  assertEquals(named.adapter.name, any.adapter.name);
  using full = await openGpu({ provider: "dawn", adapter: any.adapter.name });
  assertEquals(full.adapter.name, any.adapter.name);
  await assertRejects(() => openGpu({ adapter: "no such adapter" }), Error, "no such adapter");
});

Deno.test("openGpu() honours `software`", async () => {
  using any = await openGpu();
  const { software } = any.adapter;
  using same = await openGpu({ software });
  assertEquals(same.adapter.software, software);
  if (software) {
    await assertRejects(() => openGpu({ software: false }), Error, "runs on the CPU");
  }
});

testOnEach("dispose() gives all memory back and closes the door", async (provider) => {
  const gpu = await openGpu({ provider });
  upload(gpu, [1, 2, 3]);
  gpu.release(upload(gpu, [4]));
  gpu.dispose();
  assertEquals(gpu.memory().live, 0);
  assertEquals(gpu.memory().pooled, 0);
  assertEquals(gpu.memory().buffers, 0);
  assertThrows(() => gpu.acquire(4), Error, "disposed");
  await assertRejects(() => gpu.idle(), Error, "disposed");
  gpu.dispose();
  await gpu.lost;
});

testOn("dawn", "openGpu() names the remedy, and finds a driver that came later,", async () => {
  const module = new URL("../../src/gpu/mod.ts", import.meta.url).href;
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const script = `import { openGpu } from "${module}";
    try { await openGpu({ provider: "dawn" }); } catch (error) { console.log(error.message); }
    for (const name of ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"]) {
      const before = Deno.env.get("BEFORE_" + name);
      if (before) Deno.env.set(name, before);
      else Deno.env.delete(name);
    }
    console.log((await openGpu({ provider: "dawn" })).adapter.name);`;
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, script);
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "--no-lock", "--config", config, file],
      env: {
        VK_DRIVER_FILES: "/dev/null",
        VK_ICD_FILENAMES: "/dev/null",
        BEFORE_VK_DRIVER_FILES: Deno.env.get("VK_DRIVER_FILES") ?? "",
        BEFORE_VK_ICD_FILENAMES: Deno.env.get("VK_ICD_FILENAMES") ?? "",
      },
    }).output();
    const said = new TextDecoder().decode(stdout);
    assertStringIncludes(said, "No GPU adapter found (dawn:");
    assertStringIncludes(said, "deno task doctor");
    assertStringIncludes(said, "deno task start");
    assertStringIncludes(said, "apt-get install");
    using gpu = await openGpu({ provider: "dawn" });
    assertStringIncludes(said, gpu.adapter.name);
  } finally {
    await Deno.remove(file);
  }
});
