import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertLessOrEqual,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { type BenchReport, inTurns, JOBS, jobsNamed, ratiosOf } from "../../src/cli/bench.ts";
import {
  GPU_JOBS,
  largeAttention,
  largeExperts,
  typedProduct,
} from "../../src/cli/bench/gpu_jobs.ts";
import { fullSizeLine, measureFullSize } from "../../src/cli/bench/full_size.ts";
import { measure } from "../../src/cli/bench/job.ts";
import { loadTable, measureLoading } from "../../src/cli/bench/load.ts";
import { session } from "../nn/shared.ts";
import { runCommand } from "./command.ts";

Deno.test("the jobs have the names by which other libraries were measured, each once", () => {
  const names = JOBS.map((job) => job.name);
  assertEquals(new Set(names).size, names.length);
  for (
    const name of [
      ...["mm256", "mm512", "mm1024", "bmm", "softmax", "layernorm", "rmsnorm", "mlp_sgd"],
      ...["mlp_adamw", "blk", "moe", "moe_fwd", "chain100", "chain100_jit", "lvlm_step"],
      ...["moiie_step", "vanilla_step", "dense_step"],
    ]
  ) assert(names.includes(name), name);
  assertEquals(jobsNamed(["grouped_vs_dense"]).length, 4);
});

Deno.test("jobsNamed() keeps the order of all jobs and offers the nearest name", () => {
  assertEquals(jobsNamed(["moe", "mm256", "cold_start"]).map((job) => job.name), ["mm256", "moe"]);
  assertThrows(() => jobsNamed(["mm265"]), RangeError, "mm256");
});

Deno.test("ratiosOf() compares what was measured", () => {
  const jobs = [{ name: "dense_rows", median: 9 }, { name: "grouped_balanced", median: 10 }];
  assertEquals(ratiosOf(jobs), { "grouped by dense, balanced": 0.9 });
});

Deno.test("inTurns() puts together what is compared, in the order of the jobs", () => {
  const names = inTurns(jobsNamed(["mm256", "grouped_vs_dense", "moe", "moe_fwd", "moiie_layer"]))
    .map((group) => group.map(({ name }) => name));
  assertEquals(names, [
    ["mm256"],
    ["dense_rows", "grouped_balanced", "grouped_skewed", "grouped_empty"],
    ["moe", "moiie_layer"],
    ["moe_fwd"],
  ]);
  const steps = jobsNamed(["dense_step", "vanilla_step", "moiie_step"]);
  assertEquals(inTurns(steps), [steps]);
});

Deno.test("measure() takes jobs by turns and gives all their memory back when one fails", async () => {
  const before = session.memory().live;
  const [bmm] = jobsNamed(["bmm"]), order: string[] = [];
  const watched = (name: string, fail = false) => ({
    ...bmm,
    name,
    prepare: async () => {
      const work = await bmm.prepare();
      const run = () => {
        if (fail) throw new Error("no");
        order.push(name);
        return work.run();
      };
      return { ...work, run };
    },
  });
  const [a, b] = await measure([watched("a"), watched("b")], session);
  assertEquals([a.name, b.name, a.n], ["a", "b", b.n]);
  assertEquals(order.slice(-8, -2).join(""), "ababab"); // the last two are counted, not timed
  await assertRejects(() => measure([watched("a"), watched("b", true)], session), Error, "no");
  assertLessOrEqual(session.memory().live, before);
});

Deno.test("measure() counts the work of a compiled job and gives its memory back", async () => {
  const before = session.memory().live;
  const [m] = await measure(jobsNamed(["bmm"]), session);
  assertEquals([m.dispatches, m.submits], [1, 1]);
  assertGreater(m.n, 6);
  assert(m.min > 0 && m.min <= m.median, `${m.min} ${m.median}`);
  // 2 n³ for each of the 32 products, in the median time.
  assertEquals(Math.round(m.gflops * m.median * 1e6), 2 * 32 * 64 ** 3);
  assertLessOrEqual(session.memory().live, before);
});

Deno.test("measureLoading() measures both element types and leaves nothing behind", async () => {
  const before = session.memory().live;
  const speeds = await measureLoading(session, 2 ** 21, 1);
  assertEquals(new Set(speeds.map(({ dtype }) => dtype)), new Set(["F32", "BF16"]));
  for (const { bytes, read, fill, load } of speeds) {
    assertEquals(bytes, 2 ** 21);
    for (const rate of [read, fill, load]) assert(rate > 0 && rate < Infinity, `${rate}`);
  }
  assertEquals(loadTable(speeds).split("\n").length, 2 + speeds.length);
  assertLessOrEqual(session.memory().live, before);
});

Deno.test("deno task bench prints a table and writes a report", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/bench.json`;
    const ended = await runCommand("bench", "--jobs", "mm256,chain100_jit", "--json", file);
    assertEquals(ended.code, 0, ended.stderr);
    assertStringIncludes(ended.stdout, "mm256");
    const report: BenchReport = JSON.parse(await Deno.readTextFile(file));
    assertEquals(report.jobs.map((job) => job.name), ["mm256", "chain100_jit"]);
    assertGreater(report.peak.flops, 0);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("jobs of published sizes run where they are asked for, and are right in small", async () => {
  const gpu = GPU_JOBS.map((job) => job.name);
  assertEquals(jobsNamed(["gpu"]).map((job) => job.name), gpu);
  assert(!jobsNamed(undefined).some((job) => gpu.includes(job.name)));
  assertEquals(jobsNamed(undefined, false).length, JOBS.length);
  const before = session.memory().live;
  const size = { tokens: 64, width: 32, hidden: 48 };
  for (
    const [job, flops] of [
      [typedProduct(64, "f32"), 2 * 64 ** 3],
      [typedProduct(64, "f16"), 2 * 64 ** 3],
      [largeAttention("large", [2, 2, 40, 16], false), undefined],
      [largeAttention("large", [2, 2, 40, 16], true), undefined],
      [largeExperts("experts", size, "f32"), 3 * 64 * 2 * 3 * 2 * 32 * 48],
      [largeExperts("experts", size, "f16"), 3 * 64 * 2 * 3 * 2 * 32 * 48],
    ] as const
  ) {
    const [m] = await measure([job], session);
    if (flops !== undefined) assertEquals(Math.round(m.gflops * m.median * 1e6), flops, job.what);
    assert(m.dispatches > 0 && m.submits === 1, job.what);
  }
  // Constants of a trace come back when they are collected.
  assertLess(session.memory().live, before + 4096);
});

Deno.test("measureFullSize() runs a model out of its files and leaves nothing behind", async () => {
  const before = session.memory().live;
  const config = {
    model_type: "phi3",
    vocab_size: 320,
    hidden_size: 96,
    intermediate_size: 256,
    num_hidden_layers: 3,
    num_attention_heads: 4,
  };
  const full = await measureFullSize(session, config);
  const layer = 4 * 96 * 96 + 3 * 96 * 256 + 2 * 96;
  assertEquals(full.parameters, 2 * 320 * 96 + 96 + 3 * layer);
  assertEquals([full.layers, full.bytes, full.tokens], [3, 2 * full.parameters, 16]);
  assertEquals(full.seconds.length, 2);
  assertStringIncludes(fullSizeLine(full), "in 3 layers");
  assertLess(session.memory().live, before + 4096);
});
