import { assert, assertEquals, assertGreater } from "@std/assert";
import { join } from "node:path";
import { encodeSafetensors, openCheckpoint, parseSafetensors } from "../../src/models/mod.ts";
import type { Safetensors, SafetensorsTensor } from "../../src/models/mod.ts";
import { Random } from "../../src/tensor/mod.ts";
import { inFolder, writeSharded } from "./checkpoint_shared.ts";

const FIXTURES = new URL("../../fixtures/torch/safetensors/", import.meta.url);
const INDEX = "model.safetensors.index.json";

/** Mutated files in memory, on disk, and mutated indices: 10,000 together. */
const COUNTS = { memory: 6000, disk: 2000, index: 2000 };

/** Small valid files. */
const VALID: readonly Uint8Array[] = [
  Deno.readFileSync(new URL("dtypes.safetensors", FIXTURES)),
  Deno.readFileSync(new URL("odd_header.safetensors", FIXTURES)),
  encodeSafetensors({
    "model.norm.weight": { dtype: "F32", shape: [4], data: new Float32Array([1, 2, 3, 4]) },
    "model.head.weight": { dtype: "BF16", shape: [2, 3], data: new Uint16Array(6) },
    scalar: { dtype: "I64", shape: [], data: new BigInt64Array(1) },
    none: { dtype: "U8", shape: [0, 7], data: new Uint8Array(0) },
  }, { format: "pt" }),
  encodeSafetensors({}),
];

const decoder = new TextDecoder(), encoder = new TextEncoder();

/** Numbers that break arithmetic. */
const NUMBERS = [
  "-1",
  "0",
  "1",
  "255",
  "2147483648",
  "4294967296",
  "9007199254740991",
  "9007199254740993",
  "1e308",
  "1e999",
  "0.5",
  "-0",
  "null",
  '"7"',
  "[]",
  "true",
];
const WORDS = ["F32", "F64", "BF16", "BOOL", "F8_E4M3", "constructor", "__proto__", "", "I64"];

const pick = <T>(random: Random, list: readonly T[]): T => list[random.int(list.length)];

/** Edits of a header's or an index's text. */
const EDITS: readonly ((text: string, random: Random) => string)[] = [
  (text, random) => {
    const found = [...text.matchAll(/-?\d+/g)];
    if (found.length === 0) return text;
    const { index, 0: number } = pick(random, found);
    return text.slice(0, index) + pick(random, NUMBERS) + text.slice(index + number.length);
  },
  (text, random) => {
    const found = [...text.matchAll(/"[^"]*"/g)];
    if (found.length === 0) return text;
    const { index, 0: word } = pick(random, found);
    const other = random.int(2) ? `"${pick(random, WORDS)}"` : pick(random, found)[0];
    return text.slice(0, index) + other + text.slice(index + word.length);
  },
  (text, random) => {
    const at = random.int(text.length + 1);
    return text.slice(0, at) + pick(random, ["[", "{", "}", "]", ",", '"', ":", "\\"]) +
      text.slice(at);
  },
  (text, random) => {
    const depth = 1 + random.int(5000), open = pick(random, ["[", '{"a":']);
    return text.replace(/\d+/, open.repeat(depth));
  },
  (text, random) => {
    const from = random.int(text.length + 1), to = Math.min(text.length, from + random.int(40));
    return text.slice(0, to) + text.slice(from); // says something twice
  },
  (text, random) => text.slice(0, random.int(text.length + 1)),
  (text) => text.replace(/\[([\d,]*)\]/, `[${"1,".repeat(5000)}$1]`),
  (text, random) => text.replace(/"(\w)/, `"${"x".repeat(random.int(5000))}$1`),
];

/** Edits the header and sets its length, or not. */
function editHeader(bytes: Uint8Array, random: Random): Uint8Array {
  const said = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const length = Math.min(said, bytes.length - 8);
  const header = encoder.encode(
    pick(random, EDITS)(decoder.decode(bytes.slice(8, 8 + length)), random),
  );
  const out = new Uint8Array(bytes.length - length + header.length);
  out.set(bytes.slice(0, 8));
  out.set(header, 8);
  out.set(bytes.slice(8 + length), 8 + header.length);
  if (random.int(10) > 0) new DataView(out.buffer).setBigUint64(0, BigInt(header.length), true);
  return out;
}

/** Edits of a file's bytes. */
const MUTATIONS: readonly ((bytes: Uint8Array, random: Random) => Uint8Array)[] = [
  editHeader,
  editHeader,
  editHeader,
  (bytes, random) => bytes.slice(0, random.int(bytes.length + 1)),
  (bytes, random) => {
    const out = bytes.slice();
    for (let flips = 1 + random.int(8); flips > 0 && out.length > 0; flips--) {
      out[random.int(out.length)] ^= 1 << random.int(8);
    }
    return out;
  },
  (bytes, random) => {
    const out = bytes.slice();
    const lengths = [
      0n,
      1n,
      8n,
      99_999_999n,
      100_000_001n,
      2n ** 32n,
      2n ** 53n + 1n,
      2n ** 64n - 1n,
    ];
    const near = BigInt(Math.max(0, bytes.length - 8 + random.int(5) - 2));
    new DataView(out.buffer).setBigUint64(0, random.int(2) ? near : pick(random, lengths), true);
    return out;
  },
  (bytes, random) => {
    const at = random.int(bytes.length + 1), extra = new Uint8Array(random.int(64));
    const out = new Uint8Array(bytes.length + extra.length);
    out.set(bytes.slice(0, at));
    out.set(extra.map(() => random.int(256)), at);
    out.set(bytes.slice(at), at + extra.length);
    return out;
  },
];

function mutated(random: Random): Uint8Array {
  let bytes = pick(random, VALID);
  for (let times = 1 + random.int(3); times > 0; times--) {
    if (bytes.length >= 8) bytes = pick(random, MUTATIONS)(bytes, random);
  }
  return bytes;
}

/** Reads everything; what is read has the size that the header says. */
function readWhole(file: Pick<Safetensors, "names" | "tensor">, fileBytes: number): void {
  let total = 0;
  for (const name of file.names) {
    const { shape, data }: SafetensorsTensor = file.tensor(name);
    assertEquals(data.length, shape.reduce((product, size) => product * size, 1));
    total += data.byteLength;
  }
  assert(total <= fileBytes, `${total} bytes of tensors from a file of ${fileBytes}`);
}

/** Runs a case: it goes well, or throws one of the errors that say what is wrong, in few words. */
function outcome(work: () => void, errors: readonly unknown[], what: string): "read" | "refused" {
  try {
    work();
    return "read";
  } catch (error) {
    const known = errors.some((kind) => (error as Error).constructor === kind);
    assert(known, `${what}: ${(error as Error).stack}`);
    const { message } = error as Error;
    assert(message.length > 0 && message.length < 2000, `${what}: ${message.length} characters`);
    return "refused";
  }
}

/** The largest array that is made while something runs, in bytes. */
function largestAllocation(work: () => void): number {
  const Real = globalThis.Uint8Array;
  let largest = 0;
  const note = (value: unknown) => {
    if (typeof value === "number") largest = Math.max(largest, value);
  };
  // Files are read into new arrays of bytes, and only into these.
  globalThis.Uint8Array = new Proxy(Real, {
    construct(target, given, self) {
      note(given[0]);
      return Reflect.construct(target, given, self);
    },
  });
  try {
    work();
  } finally {
    globalThis.Uint8Array = Real;
  }
  return largest;
}

const ERRORS = [SyntaxError, RangeError, TypeError];

Deno.test("largestAllocation() sees the arrays that a file is read into", () => {
  const file = parseSafetensors(VALID[2] as Uint8Array<ArrayBuffer>);
  assertEquals(largestAllocation(() => file.tensor("model.norm.weight")), 16);
});

Deno.test("parseSafetensors() reads or refuses mutated files, and allocates no more than they hold", () => {
  const random = new Random(1, "fuzz memory"), counts = { read: 0, refused: 0 };
  for (let i = 0; i < COUNTS.memory; i++) {
    const bytes = mutated(random) as Uint8Array<ArrayBuffer>;
    const largest = largestAllocation(() => {
      const read = () => readWhole(parseSafetensors(bytes, "x"), bytes.length);
      counts[outcome(read, ERRORS, `case ${i}`)]++;
    });
    assert(largest <= bytes.length, `case ${i}: ${largest} bytes for a file of ${bytes.length}`);
  }
  assertGreater(counts.read, COUNTS.memory / 50);
  assertGreater(counts.refused, COUNTS.memory / 2);
});

Deno.test("openCheckpoint() reads or refuses mutated files on disk, and leaves none open", async () => {
  await inFolder((folder) => {
    const random = new Random(2, "fuzz disk"), counts = { read: 0, refused: 0 };
    const path = join(folder, "model.safetensors");
    for (let i = 0; i < COUNTS.disk; i++) {
      const bytes = mutated(random);
      Deno.writeFileSync(path, bytes);
      const largest = largestAllocation(() => {
        const read = () => {
          using checkpoint = openCheckpoint(folder);
          readWhole(checkpoint, bytes.length);
        };
        counts[outcome(read, ERRORS, `case ${i}`)]++;
      });
      assert(largest <= bytes.length, `case ${i}: ${largest} bytes for a file of ${bytes.length}`);
    }
    assertGreater(counts.read, COUNTS.disk / 50);
    assertGreater(counts.refused, COUNTS.disk / 2);
  });
});

Deno.test("openCheckpoint() reads or refuses mutated indices", async () => {
  await inFolder((folder) => {
    writeSharded(folder, () => {});
    const path = join(folder, INDEX), valid = Deno.readTextFileSync(path);
    const random = new Random(3, "fuzz index"), counts = { read: 0, refused: 0 };
    // An index may also name a file that is not there.
    const errors = [...ERRORS, Deno.errors.NotFound];
    for (let i = 0; i < COUNTS.index; i++) {
      let text = valid;
      for (let times = 1 + random.int(3); times > 0; times--) {
        text = pick(random, EDITS)(text, random);
      }
      Deno.writeTextFileSync(path, text);
      const read = () => {
        using checkpoint = openCheckpoint(folder);
        assertEquals([...checkpoint.names].sort(), ["a", "b", "c"]);
        readWhole(checkpoint, 24);
      };
      counts[outcome(read, errors, `case ${i}: ${text.slice(0, 200)}`)]++;
    }
    assertGreater(counts.read, 10);
    assertGreater(counts.refused, COUNTS.index / 2);
  });
});
