import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  encodeSafetensors,
  readSafetensors,
  type SafetensorsTensor,
  type StreamedTensor,
  streamSafetensors,
  streamWeights,
} from "../../src/models/mod.ts";

const TENSORS: Record<string, SafetensorsTensor> = {
  b: { dtype: "F32", shape: [2, 3], data: Float32Array.of(1, -0, 2, 3, NaN, 5) },
  a: { dtype: "BF16", shape: [3], data: Uint16Array.of(1, 2, 3) },
  c: { dtype: "I64", shape: [], data: BigInt64Array.of(7n) },
  "ä": { dtype: "BOOL", shape: [0], data: new Uint8Array() },
};

function streamed(
  tensors: Record<string, SafetensorsTensor>,
  seen: string[] = [],
): StreamedTensor[] {
  return Object.entries(tensors).map(([name, { dtype, shape, data }]) => ({
    name,
    dtype,
    shape,
    read: () => {
      seen.push(name);
      return Promise.resolve(data);
    },
  }));
}

async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "moiie-stream-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("streamSafetensors() writes the bytes of encodeSafetensors(), asking for each tensor once and in turn", () =>
  inFolder(async (folder) => {
    const seen: string[] = [], path = `${folder}/a.safetensors`;
    await streamSafetensors(path, streamed(TENSORS, seen), { format: "pt" });
    assertEquals(Deno.readFileSync(path), encodeSafetensors(TENSORS, { format: "pt" }));
    assertEquals(seen, ["c", "b", "a", "ä"]);
  }));

Deno.test("streamSafetensors() has written a tensor before it asks for the next", () =>
  inFolder(async (folder) => {
    const sizes: number[] = [];
    const tensors = ["x", "y", "z"].map((name): StreamedTensor => ({
      name,
      dtype: "F32",
      shape: [1000],
      read: () => {
        const [{ name: part }] = [...Deno.readDirSync(folder)];
        sizes.push(Deno.statSync(`${folder}/${part}`).size);
        return Promise.resolve(new Float32Array(1000));
      },
    }));
    await streamSafetensors(`${folder}/a.safetensors`, tensors);
    assertEquals(sizes.map((size) => size - sizes[0]), [0, 4000, 8000]);
  }));

Deno.test("streamWeights() fills files in order up to the shard size", () =>
  inFolder(async (folder) => {
    const numbers = (
      n: number,
    ) => ({ dtype: "F32", shape: [n], data: new Float32Array(n) } as const);
    const tensors = { one: numbers(3), two: numbers(2), big: numbers(9), last: numbers(1) };
    const { files, bytes } = await streamWeights(folder, streamed(tensors), 20);
    assertEquals(files, [1, 2, 3].map((n) => `model-0000${n}-of-00003.safetensors`));
    assertEquals(bytes, 60);
    const names = files.map((name) => {
      using file = readSafetensors(`${folder}/${name}`);
      assertEquals(file.metadata, { format: "pt" });
      return [...file.names].sort();
    });
    assertEquals(names, [["one", "two"], ["big"], ["last"]]);
    const index = JSON.parse(Deno.readTextFileSync(`${folder}/model.safetensors.index.json`));
    assertEquals(index, {
      metadata: { total_size: 60 },
      weight_map: { big: files[1], last: files[2], one: files[0], two: files[0] },
    });
  }));

Deno.test("streaming refuses what no file can hold, and leaves none", () =>
  inFolder(async (folder) => {
    const write = (change: Partial<StreamedTensor>) =>
      streamSafetensors(`${folder}/a`, [
        ...streamed({ a: TENSORS.a }),
        { ...streamed({ b: TENSORS.b })[0], ...change },
      ]);
    await assertRejects(() => write({ name: "a" }), RangeError, "there twice");
    await assertRejects(() => write({ name: "__metadata__" }), TypeError, "does not allow");
    await assertRejects(() => write({ dtype: "F8" as "F16" }), TypeError, "no dtype F8");
    await assertRejects(() => write({ shape: [-1] }), RangeError, "[-1]");
    await assertRejects(() => write({ shape: [7] }), RangeError, "28 bytes");
    await assertRejects(() => write({ dtype: "I32" }), RangeError, "Int32Array");
    await assertRejects(
      () => write({ read: () => Promise.reject(new Error("device lost")) }),
      Error,
      "device lost",
    );
    await assertRejects(() => streamWeights(folder, [], -1), RangeError, "shardSize = -1");
    assert([...Deno.readDirSync(folder)].length === 0);
  }));
