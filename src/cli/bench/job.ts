/** What a benchmark job is, and how it is measured. */
import type { Session } from "../../tensor/mod.ts";

/** Work that is ready to be repeated. */
export interface Work {
  /** Does it once; resolves when it is submitted. */
  run(): Promise<void>;
  /** Floating-point operations of one run, a multiply-add counting two; 0 if there is no point. */
  readonly flops: number;
  /** Bytes of the operands and results of every kernel of one run. */
  readonly bytes: number;
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
  /** Dispatches of one run. */
  readonly dispatches: number;
  /** Submits of one run. */
  readonly submits: number;
  /** Floating-point operations per second at the median, in 10⁹. */
  readonly gflops: number;
  /** Bytes per second at the median, in 10⁹. */
  readonly gbytes: number;
}

/**
 * Runs before measuring starts, and how long they go on at least: drivers and the JavaScript engine
 * go on compiling in the first ones.
 */
const WARM_UP = 3, WARM_UP_MILLISECONDS = 200;

/** Limits of the measured runs: enough for a median, not more than the patience of a reader. */
const LEAST = 7, MOST = 300, MILLISECONDS = 1500;

/** Measures a job on the session's device. */
export async function measure(job: Job, { gpu }: Session): Promise<Measurement> {
  const started = performance.now();
  const work = await job.prepare();
  try {
    const once = async () => {
      await work.run();
      await gpu.idle();
    };
    await once();
    const first = (performance.now() - started) / 1000;
    const warm = performance.now() + WARM_UP_MILLISECONDS;
    for (let i = 0; i < WARM_UP || performance.now() < warm; i++) await once();
    const before = gpu.counters;
    await once();
    const after = gpu.counters;
    const times: number[] = [];
    const begin = performance.now();
    while (
      times.length < LEAST || (times.length < MOST && performance.now() - begin < MILLISECONDS)
    ) {
      const start = performance.now();
      await once();
      times.push(performance.now() - start);
    }
    times.sort((a, b) => a - b);
    const median = times[times.length >> 1];
    return {
      name: job.name,
      what: job.what,
      median,
      min: times[0],
      n: times.length,
      first,
      dispatches: after.dispatches - before.dispatches,
      submits: after.submits - before.submits,
      gflops: work.flops / median / 1e6,
      gbytes: work.bytes / median / 1e6,
    };
  } finally {
    work.dispose();
  }
}
