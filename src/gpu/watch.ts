/**
 * Waits for the device that end in every case: with what was waited for, with the loss of the device,
 * or with the news that a kernel hangs.
 *
 * @module
 */

import { labelList } from "./errors.ts";
import type { Launch } from "./kernel.ts";
import { paced } from "./pace.ts";

/** The submissions that are remembered by their kernels; of more, only the number is known. */
const REMEMBERED = 256;
/** A program that was busy itself gets this long to notice that the device has finished, ms. */
const GRACE_MS = 1000;
/** The longest time that a timer can count, ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

interface Submission {
  readonly serial: number;
  readonly launches: readonly Launch[];
}

/** Keeps what was submitted until a wait has seen the end of it. */
export class Watch {
  readonly #limitMs: number;
  readonly #where: string;
  /** Submissions not known to have finished, oldest first. */
  #unfinished: Submission[] = [];
  /** Number of submissions ever, and of those known to have finished. */
  #submitted = 0;
  #finished = 0;
  readonly #waits = new Set<(error: Error) => void>();

  /**
   * @param seconds How long a submission may take; Infinity for as long as it likes.
   * @param where The adapter, named in errors.
   */
  constructor(seconds: number, where: string) {
    this.#limitMs = 1000 * seconds;
    this.#where = where;
  }

  /** Notes a submission. */
  submitted(launches: readonly Launch[]): void {
    this.#submitted++;
    if (this.#unfinished.length < REMEMBERED) {
      this.#unfinished.push({ serial: this.#submitted, launches });
    }
  }

  /** The kernels of the oldest submission that is not known to have finished; "" if there is none. */
  underWay(): string {
    const [oldest] = this.#unfinished;
    return oldest ? wordsOf(oldest) : "";
  }

  /** Waits for something other than submitted work, such as a compiler; it may take any time. */
  async wait<T>(start: () => Promise<T>): Promise<T> {
    return await this.#raced(start, Infinity);
  }

  /**
   * Waits for all work submitted so far.
   *
   * @param start Begins the wait; its promise settles no earlier than the work is finished.
   * @throws Error when the work takes longer than every submission may, with the oldest one's kernels;
   * with what `fail` was called with.
   */
  async work<T>(start: () => Promise<T>): Promise<T> {
    const upTo = this.#submitted;
    const count = Math.max(1, upTo - this.#finished);
    const value = await this.#raced(start, count * this.#limitMs);
    this.#finished = Math.max(this.#finished, upTo);
    this.#unfinished = this.#unfinished.filter(({ serial }) => serial > upTo);
    return value;
  }

  /** Ends all waits under way with an error each. */
  fail(error: () => Error): void {
    for (const reject of this.#waits) reject(error());
    this.#waits.clear();
  }

  async #raced<T>(start: () => Promise<T>, limitMs: number): Promise<T> {
    // A promise of its own: racing against one that lives on would pile up reactions on it.
    const { promise: failed, reject } = Promise.withResolvers<never>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const alarm = (ms: number, then: () => void): void => {
      timer = setTimeout(then, Math.min(ms, LONGEST_TIMER_MS));
      unref(timer);
    };
    if (Number.isFinite(limitMs)) {
      // The second round serves a program that was suspended or too busy to hear of the end.
      const grace = Math.min(GRACE_MS, limitMs);
      alarm(limitMs, () => alarm(grace, () => reject(this.#hung(limitMs))));
    }
    this.#waits.add(reject);
    try {
      return await paced(() => Promise.race([start(), failed]));
    } finally {
      clearTimeout(timer);
      this.#waits.delete(reject);
    }
  }

  #hung(limitMs: number): Error {
    const [oldest] = this.#unfinished;
    const others = this.#submitted - this.#finished - 1;
    const behind = others > 0 ? `, with ${others} more submissions behind it` : "";
    const work = oldest ? `The oldest unfinished submission is ${wordsOf(oldest)}${behind}. ` : "";
    return new Error(
      `${this.#where} has not finished after ${limitMs / 1000} s. ${work}One of its kernels may ` +
        "loop for ever. If they are only slow, use a smaller batch, or open the device with a " +
        "larger `hangSeconds`; else end the process and go on from the last checkpoint.",
      { cause: oldest?.launches.map(({ kernel }) => kernel.label) },
    );
  }
}

function wordsOf({ launches }: Submission): string {
  return launches.length === 0 ? "a copy" : labelList(launches.map(({ kernel }) => kernel.label));
}

/** Lets the process end although the timer is running. */
function unref(timer: unknown): void {
  if (typeof timer === "object" && timer !== null && "unref" in timer) {
    (timer as { unref: () => void }).unref();
  } else if (typeof timer === "number") {
    (globalThis as { Deno?: { unrefTimer?: (id: number) => void } }).Deno?.unrefTimer?.(timer);
  }
}
