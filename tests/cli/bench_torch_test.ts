/**
 * The benchmark's work in PyTorch. Whether both sides compute the same is compared where
 * `MOIIE_PYTHON` names a Python that has PyTorch; the rest needs none.
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type BenchReport, JOBS, jobsNamed, torchTable } from "../../src/cli/bench.ts";
import { torchSummary } from "../../src/cli/bench_summary.ts";
import { largeAttention, largeExperts, typedProduct } from "../../src/cli/bench/gpu_jobs.ts";
import type { Job, Measurement, Work } from "../../src/cli/bench/job.ts";
import { Torch, torchCommand, torchReport } from "../../src/cli/bench/torch.ts";
import { readSafetensors } from "../../src/models/mod.ts";
import { assertClose, session } from "../nn/shared.ts";
import { runCommand } from "./command.ts";

const ABOUT = { version: "2.0", device: "abacus", type: "cpu", threads: 2 };
const MEASURED = { dtype: "f32", how: "by hand", median: 30, min: 20, n: 7 } as const;
const FAILED = { dtype: "bf16", how: "by foot", error: "too far" } as const;

/** A program in the place of Python: says these lines, one before it is asked and one for each request. */
function saying(hello: unknown, ...answers: unknown[]): string[] {
  const lines = JSON.stringify([hello, ...answers].map((it) => JSON.stringify(it)));
  const code = `const lines = ${lines}; console.log(lines.shift());
    for await (const _ of Deno.stdin.readable) console.log(lines.shift());`;
  return [Deno.execPath(), "eval", code];
}

const REQUEST = { kind: "matmul", inputs: {}, options: {}, dtypes: ["f32"] } as const;

Deno.test("Torch gives what its process measured", async () => {
  const answer = { measured: [MEASURED], failed: [FAILED] };
  await using torch = await Torch.start(saying(ABOUT, answer, answer));
  assertEquals(torch.about, ABOUT);
  assertEquals(await torch.measure(REQUEST), answer);
  assertEquals(await torch.measure(REQUEST), answer);
});

Deno.test("Torch refuses answers that make no sense, and errors of the other side", async () => {
  for (
    const [answer, message] of [
      [{ measured: [{ ...MEASURED, median: "fast" }], failed: [] }, 'median = "fast"'],
      [{ measured: [{ ...MEASURED, median: null }], failed: [] }, "median = null"],
      [{ measured: [] }, "answered"],
      [[], "answered"],
      [7, "instead of an object"],
      [{ error: "ValueError: odd" }, "ValueError: odd"],
    ] as const
  ) {
    await using torch = await Torch.start(saying(ABOUT, answer));
    await assertRejects(() => torch.measure(REQUEST), Error, message);
  }
});

Deno.test("Torch.start() says what is missing and what to do", async () => {
  await assertRejects(() => Torch.start(["no-such-python"]), Error, "--torch venv/bin/python");
  for (
    const [hello, message] of [
      [{ error: "No module named 'torch'" }, "No module named 'torch'"],
      [{ ...ABOUT, threads: "many" }, 'threads = "many"'],
    ] as const
  ) {
    const error = await assertRejects(() => Torch.start(saying(hello)), Error, message);
    assertStringIncludes(error.message, "pip install torch");
  }
  const silent = [Deno.execPath(), "eval", "Deno.exit(3)"];
  await assertRejects(() => Torch.start(silent), Error, "ended with code 3");
});

Deno.test("deno task bench measures nothing if PyTorch is missing or a word makes no sense", async () => {
  const missing = await runCommand("bench", "--jobs", "mm256", "--torch", "no-such-python");
  assertEquals(missing.code, 1);
  assertStringIncludes(missing.stderr, "no-such-python");
  assert(!missing.stdout.includes("mm256"), missing.stdout);
  const stray = await runCommand("bench", "mm256");
  assertEquals(stray.code, 1);
  assertStringIncludes(stray.stderr, "--jobs");
});

Deno.test("ratios and table show PyTorch beside the own figures", () => {
  const ours = { name: "moe", median: 20 } as Measurement;
  const job = { name: "moe", measured: [MEASURED], failed: [FAILED] };
  const report = torchReport(ABOUT, [job], [ours]);
  assertEquals(report.timeByOurs, { "moe, f32": 1.5 });
  const [head, , row, failure] = torchTable([ours], report).split("\n");
  assertStringIncludes(head, "abacus, 2 threads");
  assertEquals(row.split(/\s+/), [
    ...["moe", "f32", "20.0", "30.0", "20.0", "7", "1.50", "by", "hand"],
  ]);
  assertEquals(failure, "moe: not in bf16 by by foot: too far");
  const recorded = { jobs: [{ ...ours, what: "experts" }], torch: report };
  const last = torchSummary(recorded as unknown as BenchReport).split("\n").at(-1)!;
  assertEquals(last.split(/\s*\|\s*/).slice(1, -1), [
    ...["`moe`", "experts", "20.0", "f32", "30.0", "1.50", "by hand"],
  ]);
});

Deno.test("a request names the shapes of a job's operands", async () => {
  await using torch = await Torch.start(saying(ABOUT));
  const [job] = jobsNamed(["moiie_layer"]);
  const work = await job.prepare();
  const { kind, inputs, options } = await torch.request(work.peer!);
  work.dispose();
  assertEquals(kind, "experts");
  assertEquals(Object.entries(inputs).map(([name, x]) => `${name} ${x.dtype} ${x.shape}`), [
    "x f32 1024,128",
    "modality i32 1024",
    "routers.0 f32 3,128",
    "routers.1 f32 3,128",
    "gateUp f32 4,1024,128",
    "down f32 4,128,512",
  ]);
  assertEquals(options.topK, 2);
});

const python = Deno.env.get("MOIIE_PYTHON");
const small = { tokens: 64, width: 32, hidden: 48 };

/** Jobs without a counterpart in PyTorch. */
const OURS_ALONE = /^(attention_composed|chain100|chain100_jit|grouped_\w+)$/;
/** Jobs that take long in software; those of published sizes are compared in small. */
const LARGE = /^(mm\d+_f16|mm4096|attention_large\w*|moiie_layer_large\w*|small_step)$/;

const compared: Job[] = [
  ...JOBS.filter(({ name }) => !OURS_ALONE.test(name) && !LARGE.test(name)),
  typedProduct(64, "f32"),
  largeAttention("attention_large_fwd", [2, 2, 40, 16], false),
  largeAttention("attention_large", [2, 2, 40, 16], true),
  largeExperts("moiie_layer_large", small, "f32"),
  largeExperts("moiie_layer_large_f16", small, "f16"),
];

/** The results of so many runs, the last of them, on this side. */
async function resultsOf(work: Work, runs: number): Promise<(ArrayLike<number> | undefined)[]> {
  let results = await work.run();
  for (let i = 1; i < runs; i++) results = await work.run();
  const values = [];
  for (const it of results) values.push(it.size > 0 ? await it.data() : undefined);
  return values;
}

Deno.test({
  name: "PyTorch computes what the benchmark's jobs compute (needs MOIIE_PYTHON)",
  ignore: python === undefined,
  fn: async (t) => {
    await using torch = await Torch.start(torchCommand(python!, session.gpu.adapter.software));
    const path = await Deno.makeTempFile();
    for (const job of compared) {
      await t.step(job.name, async () => {
        const work = await job.prepare();
        assert(work.peer, `${job.name} has no counterpart`);
        const request = await torch.request({ ...work.peer, withValues: true });
        // The second run of a training step shows what the first one changed.
        const runs = /^(network|step)/.test(request.kind) ? 2 : 1;
        const ours = await resultsOf(work, runs);
        await torch.results(request, runs, path);
        using file = readSafetensors(path);
        assert(file.names.length > 0);
        const tolerance = job.name.endsWith("f16") ? 1e-2 : 1e-4;
        for (const name of file.names) {
          const [how, i] = name.split(".");
          assertClose(file.float32(name), ours[Number(i)]!, tolerance, `${how}, result ${i}`);
        }
        work.dispose();
      });
    }
    await t.step("moiie_step, roughly, in bf16", async () => {
      const work = await jobsNamed(["moiie_step"])[0].prepare();
      const request = await torch.request({ ...work.peer!, dtypes: ["bf16"] });
      const [loss] = await resultsOf(work, 1);
      await torch.results(request, 1, path);
      using file = readSafetensors(path);
      for (const how of ["loop", "grouped_mm"]) {
        assertClose(file.float32(`${how}.0`), loss!, 0.02, how);
      }
      work.dispose();
    });
    await Deno.remove(path);
  },
});
