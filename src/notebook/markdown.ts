/**
 * Text with Markdown, shown as such in notebooks.
 *
 * @module
 */

import type { MimeBundle } from "./jupyter.ts";

/** Text that a notebook shows as Markdown and a terminal as it is. */
export interface Markdown {
  /** The text. */
  readonly text: string;
  /** The text. */
  toString(): string;
}

/**
 * Makes text that a notebook shows as Markdown: captions, or sentences that were computed.
 *
 * @param text Markdown.
 * @returns A value for `show`.
 */
export function markdown(text: string): Markdown {
  const bundle = (): MimeBundle => ({ "text/plain": text, "text/markdown": text });
  return { text, toString: () => text, [Symbol.for("Jupyter.display")]: bundle } as Markdown;
}

/**
 * Makes a list with bullets, one item a line.
 *
 * @param items Lines of Markdown.
 * @returns A value for `show`.
 */
export function bullets(items: readonly string[]): Markdown {
  return markdown(items.map((item) => `- ${item}`).join("\n"));
}
