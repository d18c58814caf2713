/**
 * The only file that touches `Deno.jupyter`.
 *
 * @module
 */

/** Representations of one value by MIME type, as Jupyter displays them. */
export type MimeBundle = Record<string, unknown>;

/** The display message of the Jupyter protocol. */
export type DisplayMessage = {
  /** The representations; the front end picks the one it likes best. */
  readonly data: MimeBundle;
  /** Hints by MIME type, such as the size of a picture. */
  readonly metadata: Record<string, unknown>;
  /** Identifier of an output that can be updated later. */
  readonly transient: { readonly display_id?: string };
};

/** The part of a running kernel that is used. */
export interface Kernel {
  /**
   * Sends an output to the front end.
   *
   * @param type A new output, or a new content for the outputs with the same `display_id`.
   * @param message The content.
   */
  broadcast(type: "display_data" | "update_display_data", message: DisplayMessage): Promise<void>;
}

let found: { readonly kernel: Kernel | undefined } | undefined;

/**
 * The kernel that runs this program.
 *
 * @returns The kernel, or `undefined` outside of Jupyter.
 */
export function currentKernel(): Kernel | undefined {
  return (found ??= { kernel: lookUp() }).kernel;
}

function lookUp(): Kernel | undefined {
  try {
    // Outside a kernel the property exists, but reading it throws.
    return typeof Deno === "undefined" ? undefined : Deno.jupyter;
  } catch {
    return undefined;
  }
}
