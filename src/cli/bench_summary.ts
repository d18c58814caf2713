/**
 * `deno run -A src/cli/bench_summary.ts RESULTS.json [--torch]`: prints the README's table of a recorded
 * benchmark, one that `deno task bench --json` wrote; or, with `--torch`, the one beside
 * PyTorch.
 */
import { type BenchReport, digits } from "./bench.ts";
import { markdownTable } from "./markdown_table.ts";

/** Jobs that the README shows. */
const SHOWN = [
  "mm512",
  "mm1024",
  "attention",
  "softmax",
  "layernorm",
  "mlp_adamw",
  "blk",
  "moe",
  "moiie_layer",
  "dense_step",
  "vanilla_step",
  "moiie_step",
];

/**
 * Median, minimum and arithmetic rate of the shown jobs, beside PyTorch's median in f32 if the benchmark
 * was run with `--torch`, as a Markdown table.
 */
export function benchSummary({ jobs, torch }: BenchReport): string {
  const theirs = (name: string): string[] => {
    const job = torch?.jobs.find((job) => job.name === name);
    const it = job?.measured.find(({ dtype }) => dtype === "f32");
    return torch ? [it ? digits(it.median) : ""] : [];
  };
  const rows = SHOWN.map((name) => {
    const job = jobs.find((job) => job.name === name);
    if (!job) throw new RangeError(`the recorded benchmark has no job ${name}`);
    const { what, median, min, n, gflops } = job;
    const rate = gflops ? digits(gflops) : "";
    return [`\`${name}\``, what, digits(median), digits(min), n, rate, ...theirs(name)];
  });
  const head = ["job", "what", "median ms", "minimum", "n", "GFLOP/s"];
  return markdownTable([...head, ...(torch ? ["PyTorch ms"] : [])], rows);
}

/** Both medians of every job that was measured in PyTorch too, as a Markdown table. */
export function torchSummary({ jobs, torch }: BenchReport): string {
  if (!torch) throw new RangeError("the recorded benchmark was not run with --torch");
  const ours = new Map(jobs.map((job) => [job.name, job]));
  const rows = torch.jobs.flatMap(({ name, measured }) => {
    const { what, median } = ours.get(name)!;
    return measured.map((it) => [
      ...[`\`${name}\``, what, digits(median), it.dtype, digits(it.median)],
      ...[digits(it.median / median), it.how],
    ]);
  });
  return markdownTable(
    ["job", "what", "median ms", "PyTorch in", "its median ms", "by ours", "how"],
    rows,
  );
}

if (import.meta.main) {
  const [path, more] = Deno.args;
  if (!path) throw new TypeError("which results? Give a file such as fixtures/results/NAME.json");
  const report: BenchReport = JSON.parse(await Deno.readTextFile(path));
  console.log(more === "--torch" ? torchSummary(report) : benchSummary(report));
}
