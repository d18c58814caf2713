/** Which kernels ran, how long they took, and how near they came to the device's peak. */
import { type Gpu, measurePeak, type Peak } from "../gpu/mod.ts";
import { type Cost, stepCost } from "./costs.ts";
import type { Plan } from "./plan.ts";
import { EFFECTS } from "./operation_kinds.ts";
import { textTable } from "./text_table.ts";
import { hasWork, type Program } from "./webgpu/execute.ts";

/** All runs of the kernels with one label. */
export interface KernelRow {
  /** Operation, result, and what it is fused with, as in `explain()`. */
  readonly label: string;
  /** Number of runs. */
  readonly dispatches: number;
  /** Milliseconds on the device, of all runs together. */
  readonly ms: number;
  /** Share of the time of all kernels, 0 to 1. */
  readonly share: number;
  /** Bytes read and written by all runs, every element once. */
  readonly bytes: number;
  /** Floating-point operations of all runs. */
  readonly flops: number;
  /** Bytes per second. */
  readonly bandwidth: number;
  /** Floating-point operations per second. */
  readonly flopRate: number;
  /**
   * Least time that the device's peak allows for these bytes and operations, as a share of the time
   * taken. Above 1 where data came from a cache rather than from memory.
   */
  readonly ofPeak: number;
  /** Which of both that least time is due to. */
  readonly bound: "memory" | "arithmetic";
}

interface Total extends Cost {
  readonly dispatches: number;
  readonly ms: number;
}

/** Rows of a printed table. */
const MOST_ROWS = 30;

/** Kernels with their times, those that took longest first. */
export class KernelTable {
  /** One row for each label. */
  readonly rows: readonly KernelRow[];

  /** Made by `session.kernels()`. */
  constructor(
    totals: ReadonlyMap<string, Total>,
    /** The device's name. */
    readonly device: string,
    /** The device's measured peak. */
    readonly peak: Peak,
  ) {
    const all = [...totals.values()].reduce((sum, { ms }) => sum + ms, 0);
    this.rows = [...totals].map(([label, total]) => {
      const { ms, bytes, flops } = total;
      const seconds = ms / 1e3;
      const moving = bytes / peak.bandwidth, computing = flops / peak.flops;
      return {
        label,
        ...total,
        share: ratio(ms, all),
        bandwidth: ratio(bytes, seconds),
        flopRate: ratio(flops, seconds),
        ofPeak: ratio(Math.max(moving, computing), seconds),
        bound: moving >= computing ? "memory" as const : "arithmetic" as const,
      };
    }).sort((a, b) => b.ms - a.ms);
  }

  /** Dispatches of all rows. */
  get dispatches(): number {
    return this.rows.reduce((sum, row) => sum + row.dispatches, 0);
  }

  /** Milliseconds of all rows. */
  get ms(): number {
    return this.rows.reduce((sum, row) => sum + row.ms, 0);
  }

  /** One line: how much ran, where, and what the device can do. */
  get summary(): string {
    const { bandwidth, flops } = this.peak;
    return `${this.rows.length} kernels, ${this.dispatches} dispatches, ${round(this.ms)} ms on ` +
      `${this.device} (measured peak: ${round(bandwidth / 1e9)} GB/s, ${
        round(flops / 1e9)
      } GFLOP/s)`;
  }

  /** Names of the columns of {@linkcode KernelTable.cells}. */
  get head(): string[] {
    return [
      "kernel",
      "dispatches",
      "ms",
      "% of time",
      "MB",
      "MFLOP",
      "GB/s",
      "GFLOP/s",
      "% of peak",
      "bound by",
    ];
  }

  /**
   * The rows as they are shown: rounded, in the units of {@linkcode KernelTable.head}.
   *
   * @param most rows; what the others took is added up in one more
   */
  cells(most: number = MOST_ROWS): (string | number)[][] {
    const cells = this.rows.slice(0, most).map((row) => [
      row.label,
      row.dispatches,
      round(row.ms),
      round(100 * row.share),
      round(row.bytes / 1e6),
      round(row.flops / 1e6),
      round(row.bandwidth / 1e9),
      round(row.flopRate / 1e9),
      round(100 * row.ofPeak),
      row.bound,
    ]);
    const others = this.rows.slice(most);
    if (others.length > 0) {
      const sum = (of: (row: KernelRow) => number) => others.reduce((n, row) => n + of(row), 0);
      const blank = ["", "", "", "", "", ""];
      cells.push([
        `${others.length} others`,
        sum((row) => row.dispatches),
        round(sum((row) => row.ms)),
        round(100 * sum((row) => row.share)),
        ...blank,
      ]);
    }
    return cells;
  }

  /** Summary and rows as aligned text. */
  toString(): string {
    return `${this.summary}\n${textTable(this.head, this.cells())}`;
  }
}

/** Times every kernel of the programs given to it and adds up by label. */
export class KernelLog {
  readonly #device: string;
  readonly #peak: Peak;
  readonly #costs = new WeakMap<Plan, Cost[]>();
  #totals = new Map<string, Total>();
  #runs = 0;
  #printed = 0;

  private constructor(device: string, peak: Peak) {
    this.#device = device;
    this.#peak = peak;
  }

  /** Opens a log, after measuring the device's peak. */
  static async open(gpu: Gpu): Promise<KernelLog> {
    return new KernelLog(gpu.adapter.name, await measurePeak(gpu));
  }

  /**
   * Runs a program and waits for the times of its kernels.
   *
   * Some drivers finish compiling a kernel when it first runs. So the first run of a plan is not
   * counted: it is repeated, or, where it changed parameters in place, left out.
   *
   * @param print whether to print the table of this run
   */
  async record(program: Program, print: boolean): Promise<void> {
    const { steps, isStored } = program.plan;
    const known = this.#costs.get(program.plan);
    const costs = known ?? steps.filter(hasWork).map((step) => stepCost(step, isStored));
    if (!known) {
      this.#costs.set(program.plan, costs);
      program.run();
      if (steps.some((step) => EFFECTS.has(step.node.op))) return;
    }
    const times = await program.profile();
    const now = new Map<string, Total>();
    times.forEach(({ label, ms }, i) => {
      const total = { dispatches: 1, ms, ...costs[i] };
      addTo(now, label, total);
      addTo(this.#totals, label, total);
    });
    this.#runs++;
    if (!print) return;
    console.log(`${new KernelTable(now, this.#device, this.#peak)}\n`);
    this.#printed++;
  }

  /** The table of everything since the last reset. */
  table(): KernelTable {
    return new KernelTable(this.#totals, this.#device, this.#peak);
  }

  /** Forgets what ran. */
  reset(): void {
    this.#totals = new Map();
    this.#runs = this.#printed = 0;
  }

  /** Prints the table of everything, unless it is that of a single run that was printed. */
  close(): void {
    if (this.#runs > Math.min(1, this.#printed)) console.log(`All runs: ${this.table()}\n`);
    this.reset();
  }
}

function addTo(totals: Map<string, Total>, label: string, more: Total): void {
  const { dispatches, ms, bytes, flops } = totals.get(label) ??
    { dispatches: 0, ms: 0, bytes: 0, flops: 0 };
  totals.set(label, {
    dispatches: dispatches + more.dispatches,
    ms: ms + more.ms,
    bytes: bytes + more.bytes,
    flops: flops + more.flops,
  });
}

/** a / b, and 0 where a coarse clock has measured nothing. */
function ratio(a: number, b: number): number {
  return b > 0 ? a / b : 0;
}

/** Three significant digits. */
function round(value: number): number {
  return Number(value.toPrecision(3));
}
