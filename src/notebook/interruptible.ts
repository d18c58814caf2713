/**
 * The Stop button.
 *
 * Jupyter's Stop sends SIGINT, which ends the kernel and loses every variable, unless a program
 * listens for it.
 *
 * @module
 */

import { currentKernel } from "./jupyter.ts";

/** Work that can be stopped; see {@linkcode interruptible}. */
export interface Interruptible extends Disposable {
  /** Aborted when the user presses Stop (or Ctrl-C). Check it between steps. */
  readonly signal: AbortSignal;
}

const active = new Set<AbortController>();
let listening = false;

/**
 * Lets the user stop a piece of work without losing the kernel's state.
 *
 * In a notebook every press is safe, also one that comes after the work has ended. In a terminal
 * the first Ctrl-C aborts the signal and a second one ends the program.
 *
 * @returns A signal to check between steps; dispose it when the work is done, best with `using`.
 *
 * @example Count until stopped
 * ```ts
 * import { interruptible } from "@moiie/lab/notebook";
 *
 * using stop = interruptible();
 * for (let step = 0; step < 3 && !stop.signal.aborted; step++) await Promise.resolve();
 * ```
 */
export function interruptible(): Interruptible {
  const controller = new AbortController();
  active.add(controller);
  listen();
  return {
    signal: controller.signal,
    [Symbol.dispose](): void {
      active.delete(controller);
      // A kernel keeps listening: a late second press must not end it.
      if (active.size === 0 && !currentKernel()) unlisten();
    },
  };
}

function onInterrupt(): void {
  const running = [...active].filter((controller) => !controller.signal.aborted);
  if (running.length === 0 && !currentKernel()) Deno.exit(130);
  for (const controller of running) {
    controller.abort(new DOMException("Stopped by the user.", "AbortError"));
  }
}

function listen(): void {
  if (listening || typeof Deno === "undefined") return;
  Deno.addSignalListener("SIGINT", onInterrupt);
  listening = true;
}

function unlisten(): void {
  if (!listening) return;
  Deno.removeSignalListener("SIGINT", onInterrupt);
  listening = false;
}
