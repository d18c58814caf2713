/**
 * `full_size`: a forward pass of a language model of a published size, layer by layer out of its
 * files, so that the device holds one layer at a time. The weights are random: what is measured is
 * whether and how fast it runs, not what it says.
 */
import { join } from "node:path";
import {
  publishedShapes,
  type SafetensorsTensor,
  streamLayers,
  writeSafetensors,
} from "../../models/mod.ts";
import { Random, type Session, type Shape, sizeOf, tensor } from "../../tensor/mod.ts";

/** What was measured. */
export interface FullSize {
  /** Layers, and parameters of all of them with embedding and head. */
  readonly layers: number;
  readonly parameters: number;
  /** Bytes of the files, in BF16. */
  readonly bytes: number;
  /** Tokens of the one row. */
  readonly tokens: number;
  /** Seconds of the pass, reading included: the first one and the one after it. */
  readonly seconds: readonly number[];
  /** Most device memory that was in use: bytes. */
  readonly device: number;
  /** Most memory of the program beyond what it had before: bytes. On CPU drivers `device` is in it. */
  readonly host: number;
}

const TOKENS = 16;
/** Random numbers that all weights are cut from. */
const POOL = 2 ** 22;

/**
 * Measures on the session's device. Writes the weights to a temporary folder and removes them.
 *
 * @param config of a Phi-3 or Llama; by default Phi-3-mini, 3.8 billion parameters in 7.6 GB
 * @throws {RangeError} if a layer is larger than the device can bind.
 */
export async function measureFullSize(
  session: Session,
  config: Readonly<Record<string, unknown>> = { model_type: "phi3" },
): Promise<FullSize> {
  const folder = await Deno.makeTempDir();
  try {
    const shapes = publishedShapes(config);
    await writeRandom(folder, config, shapes);
    using model = await streamLayers(folder, { dtype: "f16" });
    const vocabulary = model.config.language.vocabulary;
    const row = Int32Array.from({ length: TOKENS }, (_, i) => i * 1009 % vocabulary);
    const before = Deno.memoryUsage().rss;
    let host = before;
    const seconds: number[] = [];
    for (let round = 0; round < 2; round++) {
      const start = performance.now();
      const onLayer = () => host = Math.max(host, Deno.memoryUsage().rss);
      const tokens = tensor(row, { shape: [1, TOKENS] });
      const { logits } = await model.apply({ tokens }, { onLayer });
      const values = await logits.data();
      seconds.push((performance.now() - start) / 1000);
      if (!values.every(Number.isFinite)) throw new Error("the logits are not finite");
      logits.dispose();
      tokens.dispose();
    }
    const parameters = [...shapes.values()].reduce((sum, shape) => sum + sizeOf(shape), 0);
    const { peak: device } = session.memory();
    const { layers } = model;
    return {
      layers,
      parameters,
      bytes: 2 * parameters,
      tokens: TOKENS,
      seconds,
      device,
      host: host - before,
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Writes a checkpoint of random weights: a file for each layer, and one for the rest. */
async function writeRandom(
  folder: string,
  config: Readonly<Record<string, unknown>>,
  shapes: ReadonlyMap<string, Shape>,
): Promise<void> {
  const files = Map.groupBy(shapes, ([name]) => {
    const layer = /\.layers\.(\d+)\./.exec(name)?.[1];
    return `model-${layer ?? "rest"}.safetensors`;
  });
  const floats = new Random(1, "full size").normals(POOL, 0, 0.02);
  const pool = new Uint16Array(POOL);
  new Uint32Array(floats.buffer).forEach((word, i) => pool[i] = word >>> 16);
  const weightMap: Record<string, string> = {};
  for (const [file, entries] of files) {
    const tensors: Record<string, SafetensorsTensor> = {};
    for (const [name, shape] of entries) {
      weightMap[name] = file;
      tensors[name] = { dtype: "BF16", shape, data: bitsFor(name, sizeOf(shape), pool) };
    }
    await writeSafetensors(join(folder, file), tensors);
  }
  const write = (name: string, value: unknown) =>
    Deno.writeTextFile(join(folder, name), JSON.stringify(value));
  await write("model.safetensors.index.json", { metadata: {}, weight_map: weightMap });
  await write("config.json", config);
}

/** BF16 numbers of a weight: ones of a norm, else the random numbers over and over. */
function bitsFor(name: string, size: number, pool: Uint16Array): Uint16Array {
  const bits = new Uint16Array(size);
  if (name.includes("norm")) return bits.fill(0x3f80);
  for (let at = 0; at < size; at += pool.length) {
    bits.set(pool.subarray(0, Math.min(pool.length, size - at)), at);
  }
  return bits;
}

/** The measurement as a line of text. */
export function fullSizeLine(full: FullSize): string {
  const { layers, parameters, bytes, tokens, seconds, device, host } = full;
  const mb = (x: number) => `${Math.round(x / 1e6)} MB`;
  return `full size: ${(parameters / 1e9).toFixed(2)} billion parameters in ${layers} layers, ` +
    `${(bytes / 1e9).toFixed(1)} GB of BF16, ${tokens} tokens as f16, layer by layer: ` +
    `${seconds.map((s) => s.toFixed(1)).join(", then ")} s; device memory ${mb(device)}, ` +
    `program ${mb(host)} more than before`;
}
