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

/**
 * Measures a job on the session's device.
 *
 * @param onMeasured gets the work when it was measured, before its memory is given back
 */
export async function measure(
  job: Job,
  { gpu }: Session,
  onMeasured?: (work: Work) => Promise<void>,
): Promise<Measurement> {
  const started = performance.now();
  const work = await job.prepare();
  try {
    const once = async () => {
      await work.run();
      await gpu.idle();
    };
    await once();
    const first = (performance.now() - started) / 1000;
    const { warmUp, warmUpMilliseconds, least, most, milliseconds } = TIMING;
    const warm = performance.now() + warmUpMilliseconds;
    for (let i = 0; i < warmUp || performance.now() < warm; i++) await once();
    const before = gpu.counters;
    await once();
    const after = gpu.counters;
    const times: number[] = [], hosts: number[] = [];
    const begin = performance.now();
    while (
      times.length < least || (times.length < most && performance.now() - begin < milliseconds)
    ) {
      const start = performance.now();
      await work.run();
      hosts.push(performance.now() - start);
      await gpu.idle();
      times.push(performance.now() - start);
    }
    await onMeasured?.(work);
    for (const list of [times, hosts]) list.sort((a, b) => a - b);
    const median = times[times.length >> 1];
    return {
      name: job.name,
      what: job.what,
      median,
      min: times[0],
      n: times.length,
      first,
      host: hosts[hosts.length >> 1],
      dispatches: after.dispatches - before.dispatches,
      submits: after.submits - before.submits,
      gflops: work.flops / median / 1e6,
      gbytes: work.bytes / median / 1e6,
    };
  } finally {
    work.dispose();
  }
}
