/**
 * WebGPU reports most errors after the call that caused them. They are collected here and thrown by
 * the next wait.
 *
 * @module
 */

import { labelList } from "./errors.ts";
import type { Launch } from "./kernel.ts";

/** The errors of one device that nobody has seen yet. */
export class LateErrors {
  /** The launches that were submitted last, named in errors that do not say where they come from. */
  lastSubmit: readonly Launch[] = [];
  readonly #pending = new Set<Promise<void>>();
  /** Errors with a known cause: a kernel that does not compile, a buffer that found no room. */
  #causes: Error[] = [];
  /** What WebGPU refused, often in consequence. */
  #refusals: Error[] = [];

  /** Checks under way, whose outcome a wait must include. */
  get pending(): Iterable<Promise<void>> {
    return this.#pending;
  }

  /** Adds a check that may turn out an error. */
  readonly expect = (check: Promise<Error | undefined>): void => {
    const pending = check.then((error) => {
      if (error) this.#causes.push(error);
    }, () => {
      // Error scopes reject only when the device is lost, which has its own message.
    }).finally(() => this.#pending.delete(pending));
    this.#pending.add(pending);
  };

  /** Listens to `uncapturederror`. */
  readonly collect = (event: GPUUncapturedErrorEvent): void => {
    event.preventDefault();
    const { error } = event;
    // What follows from an error already collected says nothing new.
    if (this.#refusals.length > 0 && error.message.includes("[Invalid CommandBuffer")) return;
    const labels = labelList(this.lastSubmit.map(({ kernel }) => kernel.label));
    const last = labels === "" ? "" : `\nLast submitted: ${labels}`;
    this.#refusals.push(
      new Error(`WebGPU refused the work: ${error.message.trim()}${last}`, { cause: error }),
    );
  };

  /** Throws the first error collected, with the number of the others, and forgets them all. */
  throwAny(): void {
    const [first, ...others] = [...this.#causes, ...this.#refusals];
    if (first === undefined) return;
    this.#causes = [];
    this.#refusals = [];
    if (others.length > 0) first.message += `\n(and ${others.length} more)`;
    throw first;
  }
}
