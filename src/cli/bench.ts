/**
 * `deno task bench [--jobs NAME,…] [--json FILE] [--torch [PYTHON]]`: how fast the engine is on this
 * device. Each job is compiled, run a few times, then measured from the call until the device is idle;
 * medians count. On a GPU, or with `--jobs gpu`, there are jobs of published sizes too. `--jobs load`
 * measures how fast checkpoints are loaded, and writes files of 512 MiB for it; `--jobs full_size` runs
 * Phi-3-mini's shape with random weights, of which it writes 7.6 GB; `all` stands for the jobs of every
 * device. `--torch` measures PyTorch beside each job that has a counterpart there
 * (`bench/torch/jobs.py`), with `python3` or the Python that is named. Ratios within one run say more
 * than times of different days.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { rename, writeFile } from "node:fs/promises";
import { measurePeak, type Peak } from "../gpu/mod.ts";
import { lab, unknownName } from "../tensor/mod.ts";
import { type FullSize, fullSizeLine, measureFullSize } from "./bench/full_size.ts";
import { GPU_JOBS } from "./bench/gpu_jobs.ts";
import { type Job, measure, type Measurement } from "./bench/job.ts";
import { type LoadSpeed, loadTable, measureLoading } from "./bench/load.ts";
import { MODEL_JOBS } from "./bench/model_jobs.ts";
import { TENSOR_JOBS } from "./bench/tensor_jobs.ts";
import {
  Torch,
  torchCommand,
  type TorchJob,
  type TorchReport,
  torchReport,
  type TorchRequest,
} from "./bench/torch.ts";
import { ROOT } from "./ok.ts";

/** All jobs in the order in which they run; `cold_start` runs in a process of its own. */
export const JOBS: readonly Job[] = [...TENSOR_JOBS, ...MODEL_JOBS, ...GPU_JOBS];

const COLD_START = "cold_start";
/** Run only when they are asked for, as they need much disk and memory. */
const LOAD = "load", FULL_SIZE = "full_size";

/** Names that stand for several jobs. */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  all: [...TENSOR_JOBS, ...MODEL_JOBS].map((job) => job.name),
  gpu: GPU_JOBS.map((job) => job.name),
  grouped_vs_dense: ["dense_rows", "grouped_balanced", "grouped_skewed", "grouped_empty"],
};

/** What a run of the benchmark writes. */
export interface BenchReport {
  /** Adapter and provider. */
  readonly device: string;
  /** When it was measured. */
  readonly date: string;
  /** Measured limits of the device: bytes and floating-point operations per second. */
  readonly peak: Peak;
  /** The jobs. */
  readonly jobs: readonly Measurement[];
  /** Seconds of the first block step of a fresh process without shader caches. */
  readonly coldStart?: number;
  /** How fast checkpoints are loaded. */
  readonly load?: readonly LoadSpeed[];
  /** A model of a published size, layer by layer. */
  readonly fullSize?: FullSize;
  /** The same work in PyTorch. */
  readonly torch?: TorchReport;
  /** What is compared within this run. */
  readonly ratios: Readonly<Record<string, number>>;
}

/** Jobs whose speeds are compared: the first one's median by the second one's. */
const RATIOS: Readonly<Record<string, readonly [string, string]>> = {
  "grouped by dense, balanced": ["dense_rows", "grouped_balanced"],
  "grouped by dense, skewed": ["dense_rows", "grouped_skewed"],
  "grouped by dense, one empty": ["dense_rows", "grouped_empty"],
  "attention by composed": ["attention", "attention_composed"],
  "time of MoIIE by vanilla, layer": ["moiie_layer", "moe"],
  "time of MoIIE by vanilla, step": ["moiie_step", "vanilla_step"],
  "time of MoIIE by dense, step": ["moiie_step", "dense_step"],
};

/** Jobs in the order in which they are measured, those by turns that are compared. */
export function inTurns(jobs: readonly Job[]): Job[][] {
  let groups: Job[][] = jobs.map((job) => [job]);
  for (const pair of Object.values(RATIOS)) {
    const [first, ...others] = groups.filter((group) => group.some((j) => pair.includes(j.name)));
    first?.push(...others.flat());
    groups = groups.filter((group) => !others.includes(group));
  }
  return groups;
}

/** The ratios of which both jobs were measured. */
export function ratiosOf(
  jobs: readonly Pick<Measurement, "name" | "median">[],
): Record<string, number> {
  const median = (name: string) => jobs.find((job) => job.name === name)?.median;
  return Object.fromEntries(
    Object.entries(RATIOS).flatMap(([what, [a, b]]) => {
      const top = median(a), bottom = median(b);
      return top === undefined || bottom === undefined ? [] : [[what, top / bottom]];
    }),
  );
}

/** Share of the device's peak, by whichever of memory and arithmetic is nearer to its limit. */
function ofPeak({ gflops, gbytes }: Measurement, peak: Peak): number {
  return Math.max(gflops * 1e9 / peak.flops, gbytes * 1e9 / peak.bandwidth);
}

/** A number with three digits. */
export const digits = (x: number): string =>
  x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2);

/** One line of the table. */
function row(m: Measurement, peak: Peak): string {
  const rate = (x: number) => x > 0 ? digits(x) : "";
  const share = ofPeak(m, peak);
  return [
    m.name.padEnd(21),
    digits(m.median).padStart(8),
    digits(m.min).padStart(8),
    String(m.n).padStart(4),
    rate(m.gflops).padStart(9),
    rate(m.gbytes).padStart(7),
    (share > 0 ? `${(100 * share).toFixed(0)} %` : "").padStart(7),
    digits(m.host).padStart(6),
    String(m.dispatches).padStart(6),
    String(m.submits).padStart(4),
    m.first.toFixed(2).padStart(8),
  ].join(" ");
}

const HEAD =
  "job                     median      min    n  GFLOP/s    GB/s of peak   host  disp. subm. first s";

/**
 * The jobs of these names; without any, all that suit the device.
 *
 * @throws {RangeError} on an unknown one; the nearest is offered.
 */
export function jobsNamed(names: readonly string[] | undefined, software: boolean = true): Job[] {
  const known = [
    ...JOBS.map((job) => job.name),
    ...Object.keys(GROUPS),
    COLD_START,
    LOAD,
    FULL_SIZE,
  ];
  for (const name of names ?? []) {
    if (!known.includes(name)) throw unknownName("job", name, known);
  }
  const wanted = names?.flatMap((name) => GROUPS[name] ?? [name]);
  return JOBS.filter((job) =>
    wanted ? wanted.includes(job.name) : !(software && GPU_JOBS.includes(job))
  );
}

async function coldStart(): Promise<number> {
  const folder = await Deno.makeTempDir();
  try {
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", new URL("bench/cold_start.ts", import.meta.url).href],
      cwd: ROOT,
      env: { MESA_SHADER_CACHE_DIR: folder, __GL_SHADER_DISK_CACHE_PATH: folder },
    }).output();
    if (!success) throw new Error(`cold start failed: ${new TextDecoder().decode(stderr)}`);
    return Number(new TextDecoder().decode(stdout).trim().split("\n").at(-1));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** In a session of its own, whose peak of memory nothing else has part in. */
async function fullSizeAlone(): Promise<FullSize> {
  using session = await lab();
  return await measureFullSize(session);
}

/** What the two sides took, line by line, and what PyTorch could not do. */
export function torchTable(ours: readonly Measurement[], torch: TorchReport): string {
  const { version, device, type, threads, jobs, timeByOurs } = torch;
  const median = new Map(ours.map(({ name, median }) => [name, median]));
  const lines = jobs.flatMap(({ name, measured, failed }) => [
    ...measured.map((it) =>
      [
        name.padEnd(21),
        it.dtype.padEnd(5),
        digits(median.get(name)!).padStart(8),
        digits(it.median).padStart(8),
        digits(it.min).padStart(8),
        String(it.n).padStart(4),
        digits(timeByOurs[`${name}, ${it.dtype}`]).padStart(10),
        ` ${it.how}`,
      ].join(" ")
    ),
    ...failed.map(({ dtype, how, error }) => `${name}: not in ${dtype} by ${how}: ${error}`),
  ]);
  return [
    `PyTorch ${version}, eager, without TF32, on ${device}` +
    (type === "cpu" ? `, ${threads} threads` : ""),
    "job                   dtype     ours  PyTorch      min    n  PyTorch/ours",
    ...lines,
  ].join("\n");
}

/** The command line's Python: the word behind `--torch`, or `python3` if there is none. */
function pythonOf(torch: boolean | undefined, positionals: readonly string[]): string | undefined {
  if (positionals.length > (torch ? 1 : 0)) {
    throw new TypeError(
      `bench: what is "${
        positionals.at(-1)
      }"? Jobs are named as in --jobs mm512,moe; one Python may ` +
        `stand behind --torch`,
    );
  }
  return torch ? positionals[0] ?? "python3" : undefined;
}

async function main(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { jobs: { type: "string" }, json: { type: "string" }, torch: { type: "boolean" } },
  });
  const names = values.jobs?.split(",").map((name) => name.trim());
  const python = pythonOf(values.torch, positionals);
  jobsNamed(names); // nonsense is refused before anything is opened
  using session = await lab();
  const { software } = session.gpu.adapter;
  await using torch = python ? await Torch.start(torchCommand(python, software)) : undefined;
  const jobs = jobsNamed(names, software);
  const peak = await measurePeak(session.gpu);
  console.log(
    `${session}: memory ${digits(peak.bandwidth / 1e9)} GB/s, arithmetic ` +
      `${digits(peak.flops / 1e9)} GFLOP/s (measured)\n\n${HEAD}`,
  );
  const measured: Measurement[] = [];
  const beside: TorchJob[] = [];
  for (const group of inTurns(jobs)) {
    const requests: { name: string; request: TorchRequest }[] = [];
    const rows = await measure(group, session, async ({ name }, { peer }) => {
      if (torch && peer) requests.push({ name, request: await torch.request(peer) });
    });
    measured.push(...rows);
    for (const m of rows) console.log(row(m, peak));
    for (const { name, request } of requests) {
      beside.push({ name, ...await torch!.measure(request) });
    }
  }
  const inTorch = torch && torchReport(torch.about, beside, measured);
  if (inTorch) console.log(`\n${torchTable(measured, inTorch)}`);
  const withCold = !names || names.includes(COLD_START) || names.includes("all");
  const cold = withCold ? await coldStart() : undefined;
  if (cold !== undefined) {
    console.log(
      `\n${COLD_START}: first block step of a fresh process, no caches: ${cold.toFixed(2)} s`,
    );
  }
  const load = names?.includes(LOAD) ? await measureLoading(session) : undefined;
  if (load) console.log(`\n${loadTable(load)}`);
  const fullSize = names?.includes(FULL_SIZE) ? await fullSizeAlone() : undefined;
  if (fullSize) console.log(`\n${fullSizeLine(fullSize)}`);
  const ratios = ratiosOf(measured);
  for (const [what, ratio] of Object.entries(ratios)) console.log(`${what}: ${ratio.toFixed(2)}`);
  if (values.json) {
    const report: BenchReport = {
      device: `${session.gpu.adapter.name} through ${session.gpu.provider}`,
      date: new Date().toISOString(),
      peak,
      jobs: measured,
      coldStart: cold,
      load,
      fullSize,
      torch: inTorch,
      ratios,
    };
    await writeFile(`${values.json}.part`, `${JSON.stringify(report, null, 1)}\n`);
    await rename(`${values.json}.part`, values.json);
  }
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
