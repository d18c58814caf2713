/**
 * Sending outputs so that none is lost.
 *
 * Deno's kernel reports a cell as finished before its last outputs are out, and outputs that
 * arrive later are dropped. So every output is followed by a short wait that grows with its size,
 * and live outputs are limited in number.
 *
 * @module
 */

import { currentKernel, type DisplayMessage, type MimeBundle } from "./jupyter.ts";

/** Outputs above this many bytes are refused by front ends or make notebooks unusable. */
const MAX_BYTES = 2_000_000;
/** Time that the kernel needs for displayed outputs in any case. */
const WAIT_MS = 10;
const BYTES_PER_MS = 20_000;
/** Time for logged lines: they queue one by one, and how many there are is not known. */
const LOG_WAIT_MS = 100;
/** Live outputs change at most this often. */
const UPDATE_INTERVAL_MS = 100;

let unflushed = 0;

/** A bundle and the hints that go with it. */
export interface Display {
  /** Representations by MIME type. */
  readonly data: MimeBundle;
  /** Hints by MIME type. */
  readonly metadata?: Record<string, unknown>;
}

/**
 * Waits until what was logged has left the kernel. Call it at the end of a cell that ends in
 * `console.log`; `show` needs no such call. It is enough for some hundred lines: longer
 * texts are safer in `await show(text)`. Outside a kernel it does nothing.
 */
export async function flush(): Promise<void> {
  if (!currentKernel()) return;
  await settle();
  await new Promise((resolve) => setTimeout(resolve, LOG_WAIT_MS));
}

/** Waits until what was displayed has left the kernel. */
export async function settle(): Promise<void> {
  if (!currentKernel()) return;
  const delay = WAIT_MS + unflushed / BYTES_PER_MS;
  unflushed = 0;
  await new Promise((resolve) => setTimeout(resolve, delay));
}

/**
 * Sends one output to the kernel, if there is one.
 *
 * @param display The output.
 * @param id Identifier for later updates.
 * @param update Whether to replace the outputs with this identifier.
 */
export async function send(display: Display, id?: string, update = false): Promise<void> {
  const kernel = currentKernel();
  if (!kernel) return;
  const message: DisplayMessage = {
    data: fitting(display.data),
    metadata: display.metadata ?? {},
    transient: id ? { display_id: id } : {},
  };
  unflushed += JSON.stringify(message).length;
  await kernel.broadcast(update ? "update_display_data" : "display_data", message);
}

/**
 * Drops the representations that would make an output too large, the most dispensable first.
 *
 * @param bundle Representations by MIME type.
 * @param limit Most bytes of an output.
 * @returns The bundle, or one with fewer representations.
 */
export function fitting(bundle: MimeBundle, limit: number = MAX_BYTES): MimeBundle {
  const kept = { ...bundle };
  const size = (): number => JSON.stringify(kept).length;
  for (const type of ["text/html", "application/vnd.plotly.v1+json", "image/png"]) {
    if (size() <= limit) return kept;
    delete kept[type];
  }
  if (size() <= limit) return kept;
  const text = String(bundle["text/plain"] ?? "");
  return { "text/plain": `${text.slice(0, 10_000)}\n… (${size()} bytes, too large to show)` };
}

/**
 * One output that changes in place, at most ten times a second.
 *
 * Contents are made only when they are sent, and updates that come too early, or while the last
 * one is still on its way, are left out.
 */
export class LiveOutput {
  readonly #id = crypto.randomUUID();
  readonly #now: () => number;
  #lastTime = -Infinity;
  #shown = false;
  #pending: Promise<void> | undefined;

  /**
   * @param now Clock in milliseconds.
   */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /**
   * Shows a new content if one is due.
   *
   * @param make Makes the content.
   */
  update(make: () => Display): void {
    const now = this.#now();
    if (this.#pending || now - this.#lastTime < UPDATE_INTERVAL_MS) return;
    this.#lastTime = now;
    this.#pending = this.#send(make()).finally(() => this.#pending = undefined);
  }

  /**
   * Shows the last content, whatever the time, and waits until it is out.
   *
   * @param display The content.
   */
  async finish(display: Display): Promise<void> {
    await this.#pending;
    await this.#send(display);
    await settle();
  }

  async #send(display: Display): Promise<void> {
    const update = this.#shown;
    this.#shown = true;
    await send(display, this.#id, update);
  }
}
