/**
 * Showing values, in a notebook or in a terminal.
 *
 * @module
 */

import { Tensor } from "../tensor/mod.ts";
import { toConsoleText, toDisplay } from "./bundle.ts";
import { send, settle } from "./display.ts";
import { currentKernel } from "./jupyter.ts";
import { tensorDisplays } from "./tensor.ts";

/**
 * Shows values: figures, PNG bytes, tables, tensors with their statistics and a heat map (they are
 * computed for it), plans of `explain()`, times of `session.kernels()`, objects that display
 * themselves, or anything as text.
 * In a notebook they become outputs, and the promise settles when they have left the kernel; end
 * cells with `await show(x)`, not with `x`. In a terminal a text form is printed.
 *
 * @param values What to show, one output each; tensors are two, their numbers and their picture.
 *
 * @example Show a table
 * ```ts
 * import { show, table } from "@moiie/lab/notebook";
 *
 * await show(table(["variant", "experts"], [["dense", 1], ["MoIIE", 4]]));
 * ```
 */
export async function show(...values: readonly unknown[]): Promise<void> {
  for (const value of values) {
    if (!currentKernel()) console.log(await toConsoleText(value));
    else if (value instanceof Tensor) {
      for (const display of await tensorDisplays(value)) await send(display);
    } else await send(await toDisplay(value));
  }
  await settle();
}
