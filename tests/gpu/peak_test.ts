import { assert, assertEquals } from "@std/assert";
import { measurePeak, openGpu } from "../../src/gpu/mod.ts";
import { floats, launch, scale, testOnEach, upload } from "./kernels.ts";

testOnEach("measurePeak() gives two rates and leaves no memory behind", async (provider) => {
  using gpu = await openGpu({ provider });
  const before = gpu.memory().live;
  const { bandwidth, flops } = await measurePeak(gpu);
  assert(Number.isFinite(bandwidth) && bandwidth > 1e6, `${bandwidth} bytes/s`);
  assert(Number.isFinite(flops) && flops > 1e6, `${flops} FLOP/s`);
  assertEquals(gpu.memory().live, before);
});

for (const without of [[], ["timestamp-query"]] as const) {
  const clock = without.length === 0 ? "the device's clock" : "no clock on the device";
  testOnEach(`profiled() gives a time for every launch with ${clock}`, async (provider) => {
    using gpu = await openGpu({ provider, without });
    const x = upload(gpu, [1, 2, 3]);
    const launches = ["one", "two"].map((label) => launch(gpu, scale(2, label), [floats(x, 3)]));
    const times = await gpu.profiled(launches);
    assertEquals(times.map(({ label }) => label), ["one", "two"]);
    assert(times.every(({ ms }) => ms >= 0));
    assertEquals([...new Float32Array(await gpu.read(x, 0, 12))], [4, 8, 12]);
  });
}
