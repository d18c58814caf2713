/**
 * What a session and its plans are made of, shown: plans, and the times of kernels.
 *
 * @module
 */

import { escapeHtml } from "../study/report.ts";
import { Explanation, KernelTable, Tensor } from "../tensor/mod.ts";
import type { Display } from "./display.ts";
import { tableHtml } from "./table.ts";
import { tensorText } from "./tensor.ts";

/**
 * Makes the representations of a plan or of the times of kernels.
 *
 * @param value Anything.
 * @returns What a kernel displays, or `undefined` if it is none of these.
 */
export function insideDisplay(value: unknown): Display | undefined {
  if (value instanceof KernelTable) return { data: tableBundle(value, "") };
  if (value instanceof Explanation) return { data: tableBundle(value, sources(value)) };
  return undefined;
}

/**
 * Makes the text of the same, or of a tensor, which is computed for it.
 *
 * @param value Anything.
 * @returns Lines of text, or `undefined` if it is none of these.
 */
export async function insideText(value: unknown): Promise<string | undefined> {
  if (value instanceof Tensor) return await tensorText(value);
  if (value instanceof KernelTable || value instanceof Explanation) return String(value);
  return undefined;
}

function tableBundle(value: KernelTable | Explanation, more: string): Display["data"] {
  const summary = escapeHtml(value.summary).replaceAll("\n", "<br>");
  const table = tableHtml(value.head, value.cells());
  return {
    "text/plain": String(value),
    "text/html": `<div><p>${summary}</p>${table}${more}</div>`,
  };
}

/** The WGSL of each kernel, folded up. */
function sources({ steps }: Explanation): string {
  return steps.map(({ kernel, wgsl }, i) =>
    wgsl === undefined
      ? ""
      : `<details><summary>WGSL of ${i + 1}, ${escapeHtml(kernel)}</summary><pre>${
        escapeHtml(wgsl.trim())
      }</pre></details>`
  ).join("");
}
