/** Checkpoint folders made for a test. */
import { join } from "node:path";
import { encodeSafetensors, type SafetensorsTensor } from "../../src/models/mod.ts";
import { tensorsOf } from "./fixture_models.ts";

/** Runs with a folder that is removed afterwards. */
export async function inFolder(work: (folder: string) => Promise<void> | void): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "moiie_checkpoint_" });
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Writes a JSON file, or the text as it is. */
export function writeJson(folder: string, name: string, value: unknown): void {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  Deno.writeTextFileSync(join(folder, name), text);
}

/** Writes a weight file. */
export function writeWeights(
  folder: string,
  name: string,
  tensors: Record<string, SafetensorsTensor>,
): void {
  Deno.writeFileSync(join(folder, name), encodeSafetensors(tensors));
}

/** A row of numbers counting from `from`. */
export function row(from: number, length = 2): SafetensorsTensor {
  const data = Float32Array.from({ length }, (_, i) => from + i);
  return { dtype: "F32", shape: [length], data };
}

/** A checkpoint of two files; `change` edits its index. */
export function writeSharded(folder: string, change: (map: Record<string, string>) => void): void {
  writeWeights(folder, "one.safetensors", { a: row(0), b: row(10) });
  writeWeights(folder, "two.safetensors", { c: row(20) });
  const map = { a: "one.safetensors", b: "one.safetensors", c: "two.safetensors" };
  change(map);
  writeJson(folder, "model.safetensors.index.json", { metadata: {}, weight_map: map });
}

/** Names, element types, shapes and bytes of a folder's tensors. */
export function contents(folder: string): [string, string, string, Uint8Array][] {
  return [...tensorsOf(folder)]
    .map(([name, { dtype, shape, data }]): [string, string, string, Uint8Array] => [
      name,
      dtype,
      shape.join("x"),
      new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength),
    ])
    .sort(([a], [b]) => a < b ? -1 : 1);
}
