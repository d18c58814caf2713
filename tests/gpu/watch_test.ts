import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type Kernel, openGpu } from "../../src/gpu/mod.ts";
import { Watch } from "../../src/gpu/watch.ts";
import { download, floats, launch, scale, testOn, upload } from "./kernels.ts";

/** Never ends. */
const never = () => new Promise<never>(() => {});
const labelled = (label: string) => ({ kernel: scale(1, label) }) as never;

Deno.test("Watch ends a wait with the oldest unfinished kernels when time is up", async () => {
  const watch = new Watch(0.02, "Test GPU");
  watch.submitted([labelled("first"), labelled("first"), labelled("second")]);
  await watch.work(() => Promise.resolve());
  watch.submitted([labelled("third"), labelled("fourth")]);
  watch.submitted([labelled("fifth")]);
  assertEquals(watch.underWay(), '"third", "fourth"');
  const alive = setInterval(() => {}, 1000); // The watch alone would let the process end.
  const error = await assertRejects(() => watch.work(never), Error, "Test GPU has not finished");
  clearInterval(alive);
  assertStringIncludes(
    error.message,
    'The oldest unfinished submission is "third", "fourth", with 1 more submissions behind it.',
  );
  assertStringIncludes(error.message, "hangSeconds");
  // Twice the limit, since two submissions are under way.
  assertStringIncludes(error.message, "after 0.04 s");
  assertEquals(error.cause, ["third", "fourth"]);
});

Deno.test("Watch forgets what a wait has seen the end of, and only that", async () => {
  const watch = new Watch(60, "Test GPU");
  const first = Promise.withResolvers<number>();
  watch.submitted([labelled("a")]);
  const wait = watch.work(() => first.promise);
  watch.submitted([labelled("b")]);
  first.resolve(3);
  assertEquals(await wait, 3);
  assertEquals(watch.underWay(), '"b"');
  await assertRejects(() => watch.work(() => Promise.reject(new Error("no"))), Error, "no");
  assertEquals(watch.underWay(), '"b"');
  await watch.work(() => Promise.resolve());
  assertEquals(watch.underWay(), "");
});

Deno.test("Watch fails every wait under way", async () => {
  const watch = new Watch(Infinity, "Test GPU");
  const waits = [watch.work(never), watch.wait(never), watch.work(never)];
  watch.fail(() => new Error("over"));
  for (const { reason } of await Promise.allSettled(waits) as PromiseRejectedResult[]) {
    assertEquals(reason.message, "over");
  }
  assertEquals(await watch.wait(() => Promise.resolve(1)), 1);
});

Deno.test("Watch does not keep the process alive", async () => {
  const module = new URL("../../src/gpu/watch.ts", import.meta.url).href;
  const script = `import { Watch } from "${module}";
    new Watch(3600, "x").work(() => new Promise(() => {}));
    console.log("waiting");`;
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, script);
    const config = new URL("../../deno.json", import.meta.url).pathname;
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "--no-lock", "--config", config, file],
      signal: AbortSignal.timeout(300_000),
    }).output();
    assertEquals([code, new TextDecoder().decode(stdout).trim()], [0, "waiting"]);
  } finally {
    await Deno.remove(file);
  }
});

/** Keeps one invocation busy for as many rounds. */
function loop(rounds: number): Kernel {
  return {
    label: "endless loop",
    code: `
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(1)
fn main() {
  for (var i = 0u; i < ${rounds}u; i++) { x[0] = x[0] * 0.5 + sin(x[0]); }
}`,
    bindings: ["write"],
    workgroups: [1, 1, 1],
  };
}

testOn("dawn", "idle() and read() name the kernel that does not end, then go on", async () => {
  // Long enough for two waits of some milliseconds on any device, short enough for a test.
  using gpu = await openGpu({ provider: "dawn", hangSeconds: 0.002 });
  using patient = await openGpu({ device: gpu.device });
  const x = upload(gpu, [1], "x");
  const long = launch(gpu, loop(gpu.adapter.software ? 2e7 : 2e8), [floats(x, 1)]);
  const short = launch(gpu, scale(0, "short"), [floats(x, 1)]);
  await patient.idle();
  gpu.submit([long]);
  gpu.submit([short]);
  const { buffers } = gpu.memory();
  for (const wait of [() => gpu.idle(), () => gpu.read(x, 0, 4)]) {
    const error = await assertRejects(wait, Error, "has not finished after");
    assertStringIncludes(error.message, 'The oldest unfinished submission is "endless loop", with');
  }
  assertEquals(gpu.memory().buffers, buffers);
  // The work ends after all, and nothing is broken.
  await patient.idle();
  assertEquals(await download(patient, x, 1), [0]);
});

Deno.test("openGpu() refuses a time limit that makes no sense", async () => {
  for (const hangSeconds of [0, -1, NaN]) {
    await assertRejects(
      () => openGpu({ hangSeconds }),
      RangeError,
      `hangSeconds is ${hangSeconds}`,
    );
  }
  using gpu = await openGpu({ hangSeconds: Infinity });
  await gpu.idle();
  assert(gpu.adapter.name.length > 0);
});
