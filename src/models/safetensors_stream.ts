/**
 * Writes safetensors files tensor by tensor, in one file or in several with an index, as Hugging Face
 * does: no more than one tensor is in memory at a time.
 *
 * @module
 */
import { join } from "node:path";
import {
  SAFETENSORS_ARRAYS,
  type SafetensorsArrays,
  type SafetensorsDType,
} from "./safetensors_dtypes.ts";
import {
  bytesOf,
  type Described,
  headerBytes,
  inFileOrder,
  writeAtomically,
} from "./safetensors_layout.ts";

/** A tensor that is to be written, and how to get it. */
export interface StreamedTensor extends Described {
  /** Reads the elements, in the array that goes with the type; called once, when its turn comes. */
  readonly read: () => Promise<SafetensorsArrays[SafetensorsDType]>;
}

/** Refuses what no file can hold. */
function checkTensors(tensors: readonly StreamedTensor[]): void {
  const names = new Set<string>();
  for (const { name, dtype, shape } of tensors) {
    const where = `cannot write tensor ${JSON.stringify(name)}`;
    if (name === "__metadata__" || !name.isWellFormed()) {
      throw new TypeError(`${where}: the format does not allow this name`);
    }
    if (names.has(name)) throw new RangeError(`${where}: the name is there twice`);
    names.add(name);
    if (!Object.hasOwn(SAFETENSORS_ARRAYS, dtype)) {
      throw new TypeError(`${where}: there is no dtype ${dtype}`);
    }
    if (shape.some((size) => !Number.isSafeInteger(size) || size < 0)) {
      throw new RangeError(`${where}: shape [${shape}] is none`);
    }
  }
}

/**
 * Writes one file tensor by tensor, under a temporary name until it is whole. Equal tensors give the
 * same bytes as {@linkcode writeSafetensors}. Needs Deno.
 *
 * @throws {TypeError} if a name is not allowed, or an array does not go with its dtype.
 * @throws {RangeError} if a name is there twice, or an array's length is not the product of its shape.
 * @throws {Deno.errors.NotFound} if the folder does not exist.
 */
export async function streamSafetensors(
  path: string,
  tensors: readonly StreamedTensor[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  checkTensors(tensors);
  const ordered = inFileOrder(tensors), head = headerBytes(ordered, metadata);
  await writeAtomically(path, async (write) => {
    await write(head);
    for (const t of ordered) {
      const data = await t.read();
      if (!(data instanceof SAFETENSORS_ARRAYS[t.dtype]) || data.byteLength !== bytesOf(t)) {
        throw new RangeError(
          `cannot write tensor ${JSON.stringify(t.name)}: ${t.dtype}[${t.shape}] goes with ` +
            `${SAFETENSORS_ARRAYS[t.dtype].name} of ${bytesOf(t)} bytes, got ` +
            `${data.constructor.name} of ${data.byteLength}`,
        );
      }
      await write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
  });
}

/** What was written. */
export interface WrittenWeights {
  /** The weight files, without their folder. */
  readonly files: readonly string[];
  /** Bytes of all tensors. */
  readonly bytes: number;
}

/**
 * Writes the weights of a checkpoint into a folder: `model.safetensors`, or, where they do not fit into
 * one file, `model-00001-of-00002.safetensors` and so on with `model.safetensors.index.json`. Metadata
 * is `{ format: "pt" }`, which transformers asks for. Tensors are filled into files in their order.
 *
 * @param folder that exists
 * @param shardSize most bytes of the tensors of one file; a tensor larger than that has its own.
 * @throws as {@linkcode streamSafetensors}; {RangeError} if the shard size is no positive number.
 */
export async function streamWeights(
  folder: string,
  tensors: readonly StreamedTensor[],
  shardSize: number,
): Promise<WrittenWeights> {
  if (!(shardSize > 0)) throw new RangeError(`shardSize = ${shardSize} must be positive`);
  checkTensors(tensors);
  const shards: StreamedTensor[][] = [[]];
  let room = shardSize, total = 0;
  for (const t of tensors) {
    const bytes = bytesOf(t);
    if (bytes > room && shards.at(-1)!.length > 0) {
      shards.push([]);
      room = shardSize;
    }
    shards.at(-1)!.push(t);
    room -= bytes;
    total += bytes;
  }
  const five = (n: number) => String(n).padStart(5, "0");
  const files = shards.length === 1
    ? ["model.safetensors"]
    : shards.map((_, i) => `model-${five(i + 1)}-of-${five(shards.length)}.safetensors`);
  for (const [i, shard] of shards.entries()) {
    await streamSafetensors(join(folder, files[i]), shard, { format: "pt" });
  }
  if (files.length > 1) {
    const owners = shards.flatMap((shard, i) => shard.map(({ name }) => [name, files[i]] as const));
    const index = {
      metadata: { total_size: total },
      weight_map: Object.fromEntries(owners.sort(([a], [b]) => a < b ? -1 : 1)),
    };
    const path = join(folder, "model.safetensors.index.json");
    await Deno.writeTextFile(path, `${JSON.stringify(index, null, 2)}\n`);
  }
  return { files, bytes: total };
}
