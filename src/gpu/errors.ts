/**
 * Turning WebGPU's asynchronous errors into errors that say which kernel failed and where.
 *
 * @module
 */

import type { GpuMemory } from "./account.ts";
import type { Kernel } from "./kernel.ts";

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

/** The error for a buffer that the device had no room for: what was asked for and what is held. */
export function outOfMemory(
  { size, label, where, largest, held, cause }: {
    readonly size: number;
    readonly label: string;
    readonly where: string;
    readonly largest: readonly { readonly label: string; readonly bytes: number }[];
    readonly held: GpuMemory;
    readonly cause: unknown;
  },
): Error {
  const names = largest.map(({ label, bytes }) => `"${label}" ${formatBytes(bytes)}`).join(", ");
  return new Error(
    `Out of GPU memory allocating ${formatBytes(size)} for "${label}" on ${where}: ` +
      `${formatBytes(held.live)} were held in ${held.buffers} buffers (largest: ${names}), ` +
      `${formatBytes(held.pooled)} in free ones, which are now destroyed. Use a smaller batch or ` +
      "model, dispose tensors that are no longer needed, or close other programs on the GPU.",
    { cause },
  );
}
