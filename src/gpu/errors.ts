/**
 * Turning WebGPU's asynchronous errors into errors that say which kernel failed and where.
 *
 * @module
 */

import type { GpuMemory } from "./account.ts";
import type { AdapterFacts } from "./adapter.ts";
import type { Kernel, Launch } from "./kernel.ts";

/** The numbered source lines around `line` (1-based), with a mark at the line. */
function excerpt(code: string, line: number): string {
  const lines = code.split("\n");
  const from = Math.max(1, line - 2);
  const to = Math.min(lines.length, line + 2);
  const width = String(to).length;
  const rows: string[] = [];
  for (let n = from; n <= to; n++) {
    rows.push(`${n === line ? ">" : " "} ${String(n).padStart(width)} | ${lines[n - 1]}`);
  }
  return rows.join("\n");
}

/**
 * The error for a kernel that failed to compile: its label, the compiler's messages and the source
 * lines around each.
 *
 * @param kernel The kernel.
 * @param shader Its shader module, asked for the compiler's messages.
 * @param cause What pipeline creation reported; it is the message when the WGSL itself was fine.
 */
export async function compileError(
  kernel: Kernel,
  shader: GPUShaderModule,
  cause: { readonly message: string },
): Promise<Error> {
  const info = await shader.getCompilationInfo();
  const found = info.messages.filter((message) => message.type === "error");
  const head = `Kernel "${kernel.label}" did not compile`;
  if (found.length === 0) {
    const settings = JSON.stringify({ bindings: kernel.bindings, constants: kernel.constants });
    return new Error(`${head}: ${cause.message.trim()}\n${settings}`, { cause });
  }
  const parts = found.map(({ lineNum, linePos, message }) =>
    `line ${lineNum}:${linePos}: ${message.trim()}\n${excerpt(kernel.code, lineNum)}`
  );
  return new Error(`${head}: ${parts.join("\n")}`, { cause });
}

/** Bytes as people read them: "384 B", "1.5 MiB". */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : Number(value.toFixed(2))} ${units[unit]}`;
}

/** The error for a request that no buffer of the device can fulfil, whatever is free. */
export function tooLarge(bytes: number, label: string, adapter: AdapterFacts): RangeError {
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const what = `Cannot allocate ${bytes} bytes (${formatBytes(bytes)}) for "${label}"`;
  if (!(bytes >= 0)) return new RangeError(`${what}: a size is a number of bytes, at least 0.`);
  const [verb, name, limit] = bytes > maxBufferSize
    ? ["a buffer holds", "maxBufferSize", maxBufferSize]
    : ["a kernel can bind", "maxStorageBufferBindingSize", maxStorageBufferBindingSize];
  return new RangeError(
    `${what}: ${verb} at most ${limit} bytes (${formatBytes(limit)}) on ${adapter.name} ` +
      `(${name}). Use a smaller batch or model, or split the tensor.`,
  );
}

/** The error for a buffer that the device had no room for: what was asked for and what is held. */
export function outOfMemory(
  { size, label, where, largest, held, cause }: {
    readonly size: number;
    readonly label: string;
    readonly where: string;
    readonly largest: readonly {
      readonly label: string;
      readonly owner: string;
      readonly bytes: number;
    }[];
    readonly held: GpuMemory;
    readonly cause: unknown;
  },
): Error {
  const owners = Object.entries(held.owners)
    .map(([owner, { bytes, buffers }]) => `${owner} ${formatBytes(bytes)} in ${buffers}`);
  const names = largest.map(({ label, owner, bytes }) =>
    `"${label}" of ${owner} ${formatBytes(bytes)}`
  );
  return new Error(
    `Out of GPU memory allocating ${formatBytes(size)} for "${label}" on ${where}. Held: ` +
      `${formatBytes(held.live)} in ${held.buffers} buffers (${owners.join(", ") || "none"}; ` +
      `largest: ${names.join(", ") || "none"}), and ${formatBytes(held.pooled)} in free ones, ` +
      "which are destroyed by now. Use a smaller batch or model, dispose tensors that are no " +
      "longer needed, or close other programs on the GPU.",
    { cause },
  );
}

/** Different labels, the first few of them in quotes. */
export function labelList(labels: Iterable<string>, shown: number = 8): string {
  const all = [...new Set(labels)];
  const more = all.length - shown;
  return all.slice(0, shown).map((label) => `"${label}"`).join(", ") +
    (more > 0 ? `, and ${more} more` : "");
}

/** What to say when the device is lost: after what, why, and what to do. */
export function lossMessage(
  { reason, message }: GPUDeviceLostInfo,
  underWay: string,
  lastSubmit: readonly Launch[],
): string {
  const last = labelList(lastSubmit.map(({ kernel }) => kernel.label));
  const during = underWay ? ` while it worked on ${underWay}` : last ? ` after ${last}` : "";
  return `The GPU device was lost${during} (${
    reason ?? "unknown"
  }: ${message}). What was only in ` +
    "its memory is gone. Open a new session with lab(), or a new device with openGpu(), and " +
    "restore the last checkpoint.";
}

/** The error for a buffer that is given back and was not handed out. */
export function notHeld(buffer: GPUBuffer): Error {
  return new Error(
    `Buffer "${buffer.label}" (${buffer.size} bytes) is not held by this Gpu: it was released ` +
      "before, or it comes from elsewhere. Release every acquired buffer exactly once.",
  );
}
