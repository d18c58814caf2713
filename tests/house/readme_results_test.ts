import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { BenchReport } from "../../src/cli/bench.ts";
import { benchSummary } from "../../src/cli/bench_summary.ts";
import { type QuickstartRecord, resultsTable } from "../../src/cli/quickstart_results.ts";
import { amountSummary, studySummary } from "../../src/cli/study_summary.ts";
import { readResults } from "../../src/study/mod.ts";

const ROOT = new URL("../../", import.meta.url);
const record: QuickstartRecord = JSON.parse(
  Deno.readTextFileSync(new URL("fixtures/results/quickstart_llvmpipe.json", ROOT)),
);

/** Cells of a Markdown table, without the padding that the formatter adds. */
function cells(markdown: string): string[][] {
  return markdown.trim().split("\n").map((line) =>
    line.split("|").slice(1, -1).map((c) => c.trim().replace(/^-+$/, "-"))
  );
}

Deno.test("README shows the results of the recorded runs, and no others", () => {
  const readme = Deno.readTextFileSync(new URL("README.md", ROOT));
  const table = readme.match(/^\| family +\| val[^]*?(?=\n\n)/m)?.[0];
  assert(table, "the README has no results table");
  assertEquals(cells(table), cells(resultsTable(record)));
});

Deno.test("README shows the recorded study as it is", async () => {
  const readme = Deno.readTextFileSync(new URL("README.md", ROOT));
  const path = new URL("fixtures/results/study_tiny_llvmpipe.json", ROOT).pathname;
  const [results] = await readResults(path);
  const tables = [
    [/^\| variant +\| val[^]*?(?=\n\n)/m, studySummary(results)],
    [/^\| trained on [^]*?(?=\n\n)/m, amountSummary(results)],
  ] as const;
  for (const [pattern, summary] of tables) {
    const table = readme.match(pattern)?.[0];
    assert(table, `the README has no table like ${pattern}`);
    assertEquals(cells(table), cells(summary));
  }
});

Deno.test("README shows the recorded benchmark as it is", () => {
  const readme = Deno.readTextFileSync(new URL("README.md", ROOT));
  const report: BenchReport = JSON.parse(
    Deno.readTextFileSync(new URL("fixtures/results/bench_llvmpipe.json", ROOT)),
  );
  const table = readme.match(/^\| job +\| what[^]*?(?=\n\n)/m)?.[0];
  assert(table, "the README has no table of the benchmark");
  assertEquals(cells(table), cells(benchSummary(report)));
  const prose = readme.match(/### Speed[^]*?(?=\n## )/)![0].replaceAll(/\s+/g, " ");
  const { ratios, peak, coldStart } = report;
  const said = [
    ...Object.entries(ratios).filter(([what]) => /grouped|layer/.test(what)).map(([, x]) => x),
    coldStart!,
  ].map((x) => x.toFixed(2));
  said.push(`${Math.round(peak.flops / 1e9)} GFLOP/s`, `${(peak.bandwidth / 1e9).toFixed(1)} GB/s`);
  for (const number of said) assertStringIncludes(prose, number);
});

Deno.test("README says how fast files were loaded and a full size was run", () => {
  const prose = Deno.readTextFileSync(new URL("README.md", ROOT)).replaceAll(/\s+/g, " ");
  const { load, fullSize }: BenchReport = JSON.parse(
    Deno.readTextFileSync(new URL("fixtures/results/bench_files_llvmpipe.json", ROOT)),
  );
  const mega = (bytes: number) => (bytes / 1e6).toFixed(0);
  const [f32, bf16] = (["F32", "BF16"] as const)
    .map((dtype) => load!.find((speed) => speed.dtype === dtype && speed.from === "disk")!);
  for (
    const said of [
      `at ${mega(f32.load)} MB/s where reading alone reaches ${mega(f32.read)}`,
      `at ${mega(bf16.load)} of ${mega(bf16.read)}`,
      `in ${fullSize!.seconds[1].toFixed(1)} s with ${mega(fullSize!.device)} MB on the device`,
    ]
  ) assertStringIncludes(prose, said);
});

Deno.test("the recorded runs have at least three seeds and beat blind guessing in every family", () => {
  assert(new Set(record.runs.map((r) => r.seed)).size >= 3);
  for (const { seed, rows } of record.runs) {
    for (const { split, family, low, floor } of rows.filter((r) => r.split === "val")) {
      assert(low > floor, `seed ${seed}: ${family} on ${split} is not above its blind floor`);
    }
  }
});
