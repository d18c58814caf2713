/**
 * Progress of long work: how far, how fast, how long still.
 *
 * @module
 */

import { escapeHtml } from "../study/report.ts";
import { type Display, LiveOutput } from "./display.ts";
import { currentKernel } from "./jupyter.ts";

/** What is known after a step; everything but the step is optional. */
export interface ProgressState {
  /** Loss of the step. */
  readonly loss?: number;
  /** Tokens trained on per second. */
  readonly tokensPerSecond?: number;
  /** Anything else worth a few words. */
  readonly note?: string;
}

/** Options of {@linkcode Progress}. */
export interface ProgressOptions {
  /** What is being done. */
  readonly label: string;
  /** Number of steps. */
  readonly total: number;
  /** Clock in milliseconds, for tests. */
  readonly now?: () => number;
  /** Writes to the terminal, for tests. */
  readonly terminal?: Terminal;
}

/** Where progress is printed outside of notebooks. */
export interface Terminal {
  /** Whether a line can be rewritten with a carriage return. */
  readonly interactive: boolean;
  /** Prints text as it is. */
  write(text: string): void;
}

/** Lines that cannot be rewritten come at most this often … */
const LINE_INTERVAL_MS = 5000;
/** … or when this share of the work has been done, but not every moment. */
const LINE_SHARE = 0.05;
const SHORTEST_LINE_INTERVAL_MS = 1000;
const REWRITE_INTERVAL_MS = 100;

/**
 * A progress line that updates in place: in a notebook as an output, in a terminal as one
 * rewritten line, in a log file as a line now and then.
 *
 * @example Count to three
 * ```ts
 * import { Progress } from "@moiie/lab/notebook";
 *
 * const progress = new Progress({ label: "Training", total: 3 });
 * for (let step = 1; step <= 3; step++) progress.update(step, { loss: 1 / step });
 * await progress.done();
 * ```
 */
export class Progress {
  readonly #options: ProgressOptions;
  readonly #now: () => number;
  readonly #terminal: Terminal;
  readonly #live: LiveOutput;
  readonly #start: number;
  #step = 0;
  #state: ProgressState = {};
  #lastLine: { readonly time: number; readonly step: number } | undefined;

  /**
   * Starts the clock; nothing is shown yet.
   *
   * @param options Label and number of steps.
   */
  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#terminal = options.terminal ?? processTerminal();
    this.#live = new LiveOutput(this.#now);
    this.#start = this.#now();
  }

  /**
   * Reports a step. Cheap enough to be called after every one: most calls show nothing.
   *
   * @param step Number of steps done.
   * @param state Loss, speed, note.
   */
  update(step: number, state: ProgressState = {}): void {
    this.#step = step;
    this.#state = state;
    if (currentKernel()) this.#live.update(() => this.#display(false));
    else if (this.#lineIsDue()) this.#print(false);
  }

  /**
   * Shows the last state with the time taken. Call it also when the work was stopped early.
   *
   * @param note Replaces the note of the last step.
   */
  async done(note?: string): Promise<void> {
    if (note !== undefined) this.#state = { ...this.#state, note };
    if (currentKernel()) await this.#live.finish(this.#display(true));
    else this.#print(true);
  }

  #lineIsDue(): boolean {
    const last = this.#lastLine;
    if (!last) return true;
    const elapsed = this.#now() - last.time;
    if (this.#terminal.interactive) return elapsed >= REWRITE_INTERVAL_MS;
    const advanced = this.#step - last.step >= LINE_SHARE * this.#options.total;
    return elapsed >= LINE_INTERVAL_MS || (advanced && elapsed >= SHORTEST_LINE_INTERVAL_MS);
  }

  #print(last: boolean): void {
    this.#lastLine = { time: this.#now(), step: this.#step };
    const text = this.#text(last);
    // Carriage return, then "erase to the end of the line" for what the last text left over.
    if (this.#terminal.interactive) this.#terminal.write(`\r${text}\x1b[K${last ? "\n" : ""}`);
    else this.#terminal.write(`${text}\n`);
  }

  #parts(last: boolean): string[] {
    const { loss, tokensPerSecond, note } = this.#state;
    const seconds = (this.#now() - this.#start) / 1000;
    const left = (this.#options.total - this.#step) * (seconds / this.#step);
    const time = last
      ? `${duration(seconds)} in all`
      : this.#step > 0 && seconds >= 1
      ? `${duration(left)} left`
      : "starting";
    return [
      `${this.#step}/${this.#options.total}`,
      time,
      ...(loss === undefined ? [] : [`loss ${loss.toPrecision(4)}`]),
      ...(tokensPerSecond === undefined ? [] : [`${compact(tokensPerSecond)} tokens/s`]),
      ...(note ? [note] : []),
    ];
  }

  #text(last: boolean): string {
    const share = Math.floor((100 * this.#step) / Math.max(1, this.#options.total));
    return [`${this.#options.label} ${String(share).padStart(3)} %`, ...this.#parts(last)]
      .join(" · ");
  }

  #display(last: boolean): Display {
    const { label, total } = this.#options;
    const parts = [
      `${escapeHtml(label)} <progress value="${this.#step}" max="${total}"></progress>`,
      ...this.#parts(last).map(escapeHtml),
    ];
    return {
      data: { "text/plain": this.#text(last), "text/html": `<div>${parts.join(" · ")}</div>` },
    };
  }
}

/**
 * Writes a time span for people.
 *
 * @param seconds Seconds; rounded.
 * @returns `12 s`, `3 min 20 s` or `2 h 05 min`.
 */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (!Number.isFinite(whole)) return "unknown time";
  const two = (value: number): string => String(value).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor(whole / 60) % 60)} min`;
}

function compact(value: number): string {
  return value < 1000 ? value.toFixed(0) : `${(value / 1000).toPrecision(3)}k`;
}

function processTerminal(): Terminal {
  const interactive = typeof Deno !== "undefined" && Deno.stdout.isTerminal();
  return {
    interactive,
    write(text: string): void {
      // console.log cannot rewrite a line, but it is what works everywhere else.
      if (interactive) Deno.stdout.writeSync(new TextEncoder().encode(text));
      else console.log(text.trimEnd());
    },
  };
}
