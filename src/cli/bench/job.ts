/** What a benchmark job is, and how it is measured. */
import type { HostTensor, Session, Tensor } from "../../tensor/mod.ts";

/** Element types in which PyTorch is measured. */
export type PeerType = "f32" | "f16" | "bf16";

/** What PyTorch needs to do the same work: see `torch.ts`. */
export interface PeerWork {
  /** Which work, by the names in `torch/jobs.py`. */
  readonly kind: string;
  /** The operands by name; parameters by their paths, in the order of their gradients. */
  readonly inputs: Readonly<Record<string, Tensor | HostTensor>>;
  /** What the shapes of the operands do not say. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Element types to measure. Default `f32`. */
  readonly dtypes?: readonly PeerType[];
  /** Hand over the values of the operands; else there are random ones. Default false. */
  readonly withValues?: boolean;
}

/** Work that is ready to be repeated. */
export interface Work {
  /** Does it once; resolves with the results when it is submitted. The next run overwrites them. */
  run(): Promise<readonly Tensor[]>;
  /** Floating-point operations of one run, a multiply-add counting two; 0 if there is no point. */
  readonly flops: number;
  /** Bytes of the operands and results of every kernel of one run. */
  readonly bytes: number;
  /** The same work for PyTorch, if it is known there. */
  readonly peer?: PeerWork;
  /** Gives memory back. */
  dispose(): void;
}

/** A job of the benchmark. */
export interface Job {
  /** Short name, the same in every version. */
  readonly name: string;
  /** What it does, with sizes. */
  readonly what: string;
  /** Builds it. */
  prepare(): Promise<Work> | Work;
}

/** What was measured of a job. */
export interface Measurement {
  /** Name of the job. */
  readonly name: string;
  /** What it does. */
  readonly what: string;
  /** Median of the runs, milliseconds from the call until the device is idle. */
  readonly median: number;
  /** Fastest run, milliseconds. */
  readonly min: number;
  /** Measured runs. */
  readonly n: number;
  /** Seconds until the first run was done: tracing, compiling, running. */
  readonly first: number;
  /** Median of the host's part of a run: milliseconds from the call until it is submitted. */
  readonly host: number;
  /** Dispatches of one run. */
  readonly dispatches: number;
  /** Submits of one run. */
  readonly submits: number;
  /** Floating-point operations per second at the median, in 10⁹. */
  readonly gflops: number;
  /** Bytes per second at the median, in 10⁹. */
  readonly gbytes: number;
}

/** How a job is measured, on both sides. */
export const TIMING = {
  /** Runs before measuring starts: drivers and the JavaScript engine go on compiling in them. */
  warmUp: 3,
  /** How long they go on at least. */
  warmUpMilliseconds: 200,
  /** Least number of measured runs: enough for a median. */
  least: 7,
  /** Most of them: not more than the patience of a reader. */
  most: 300,
  /** How long they go on, within these limits. */
  milliseconds: 1500,
} as const;

/** A job that is being measured. */
interface Measured {
  readonly job: Job;
  readonly work: Work;
  /** Seconds until its first run was done. */
  first: number;
  readonly times: number[];
  readonly hosts: number[];
}

/**
 * Measures jobs on the session's device, by turns: what disturbs the machine meanwhile disturbs all of
 * them, so that their ratios say something on a busy one too.
 *
 * @param onMeasured gets each work when it was measured, before its memory is given back
 */
export async function measure(
  jobs: readonly Job[],
  { gpu }: Session,
  onMeasured?: (job: Job, work: Work) => Promise<void>,
): Promise<Measurement[]> {
  const { warmUp, warmUpMilliseconds, least, most, milliseconds } = TIMING;
  const all: Measured[] = [];
  try {
    for (const job of jobs) {
      const started = performance.now();
      const work = await job.prepare();
      const it = { job, work, first: 0, times: [], hosts: [] };
      all.push(it); // now, so that its memory is given back whatever happens
      await runOnce(work, gpu);
      it.first = (performance.now() - started) / 1000;
      const warm = performance.now() + warmUpMilliseconds;
      for (let i = 0; i < warmUp || performance.now() < warm; i++) await runOnce(work, gpu);
    }
    const begin = performance.now(), end = begin + milliseconds * jobs.length;
    for (let n = 0; n < least || (n < most && performance.now() < end); n++) {
      for (const { work, times, hosts } of all) {
        const { host, time } = await runOnce(work, gpu);
        hosts.push(host);
        times.push(time);
      }
    }
    const measurements: Measurement[] = [];
    for (const it of all) {
      measurements.push(await summary(it, gpu));
      await onMeasured?.(it.job, it.work);
    }
    return measurements;
  } finally {
    for (const { work } of all) work.dispose();
  }
}

/** Does a work once: milliseconds until it was submitted, and until the device was idle. */
async function runOnce(work: Work, gpu: Session["gpu"]): Promise<{ host: number; time: number }> {
  const start = performance.now();
  await work.run();
  const host = performance.now() - start;
  await gpu.idle();
  return { host, time: performance.now() - start };
}

/** What was measured of a job; its work is done once more, to count what it sends. */
async function summary(
  { job, work, first, times, hosts }: Measured,
  gpu: Session["gpu"],
): Promise<Measurement> {
  const before = gpu.counters;
  await runOnce(work, gpu);
  const after = gpu.counters;
  const middle = (list: number[]) => list.sort((a, b) => a - b)[list.length >> 1];
  const median = middle(times);
  return {
    name: job.name,
    what: job.what,
    median,
    min: times[0],
    n: times.length,
    first,
    host: middle(hosts),
    dispatches: after.dispatches - before.dispatches,
    submits: after.submits - before.submits,
    gflops: work.flops / median / 1e6,
    gbytes: work.bytes / median / 1e6,
  };
}
