import {
  assert,
  assertEquals,
  assertGreater,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  encodeSafetensors,
  fromBfloat16,
  parseSafetensors,
  readSafetensors,
  type Safetensors,
  type SafetensorsTensor,
  toBfloat16,
  writeSafetensors,
} from "../../src/models/safetensors.ts";

const FIXTURES = new URL("../../fixtures/torch/safetensors/", import.meta.url);
const fixture = (name: string): URL => new URL(name, FIXTURES);
const expected = JSON.parse(Deno.readTextFileSync(fixture("dtypes_expected.json")));

/** The same file once from memory and once from disk. */
function* bothWays(name: string): Generator<Safetensors> {
  yield parseSafetensors(Deno.readFileSync(fixture(name)), name);
  using file = readSafetensors(fixture(name));
  yield file;
}

/** A file with this header (text or object) and so many bytes of data. */
function fileOf(header: unknown, dataBytes = 0): Uint8Array {
  const text = typeof header === "string" ? header : JSON.stringify(header);
  const json = new TextEncoder().encode(text);
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

/** The bit patterns, which tell 0 from -0 in both worlds of the assertions. */
function bits(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

/** Numbers as they stand in the JSON fixture, which cannot hold infinities. */
function float32Of(values: (number | string)[]): Float32Array {
  return Float32Array.from(
    values,
    (value) => typeof value === "number" ? value : Number(value.replace("inf", "Infinity")),
  );
}

Deno.test("float32() equals PyTorch's conversion bit by bit when the dtype is F32, F16 or BF16", () => {
  for (const file of bothWays("dtypes.safetensors")) {
    const names = Object.keys(expected.as_float32);
    assertGreater(names.length, 5);
    for (const name of names) {
      const want = float32Of(expected.as_float32[name]);
      assertEquals(bits(file.float32(name)), bits(want), name);
    }
  }
});

Deno.test("tensor() gives every dtype in its own array when the file comes from outside", () => {
  for (const file of bothWays("dtypes.safetensors")) {
    assertEquals(file.metadata, expected.metadata);
    assertEquals(file.tensor("d.f64").data, new Float64Array(expected["d.f64"]));
    assertEquals(file.tensor("e.i64").data, BigInt64Array.from(expected["e.i64"], BigInt));
    assertEquals(file.tensor("f.i32").data, new Int32Array(expected["f.i32"]));
    assertEquals(file.tensor("g.i16").data, new Int16Array(expected["g.i16"]));
    assertEquals(file.tensor("h.i8").data, new Int8Array(expected["h.i8"]));
    assertEquals(file.tensor("i.u8").data, new Uint8Array(expected["i.u8"]));
    assertEquals(file.tensor("j.bool").data, Uint8Array.from(expected["j.bool"], Number));
    assertEquals(file.tensor("a.f32").shape, [4, 5]);
    assertEquals(file.tensor("k.scalar").shape, []);
    assertEquals(file.tensor("l.empty").data.length, 0);
    assertEquals(file.entry("b.f16"), { dtype: "F16", shape: [20], begin: 80, end: 120 });
  }
});

Deno.test("float32() rounds F64 to the nearest float32", () => {
  for (const file of bothWays("dtypes.safetensors")) {
    const want = (expected["d.f64"] as number[]).map(Math.fround);
    assertEquals(bits(file.float32("d.f64")), bits(Float32Array.from(want)));
  }
});

Deno.test("toBfloat16() rounds as PyTorch does, and fromBfloat16() leads back", () => {
  const values = float32Of(expected.as_float32["a.f32"]);
  const rounded = toBfloat16(values);
  assertEquals(rounded, new Uint16Array(expected["f32_to_bf16_bits_of_a.f32"]));
  assertEquals(toBfloat16(fromBfloat16(rounded)), rounded);
  const notNumbers = new Float32Array(new Uint32Array([0x7f800001, 0xffffffff]).buffer);
  assert(fromBfloat16(toBfloat16(notNumbers)).every(Number.isNaN));
});

Deno.test("tensor() reads data that is not aligned", () => {
  for (const file of bothWays("odd_header.safetensors")) {
    assertEquals(file.names, ["z", "a", "m"]);
    assertEquals(file.float32("z"), new Float32Array([1, 2]));
    assertEquals(file.float32("a"), new Float32Array([1, 2, 3]));
    assertEquals(file.float32("m"), new Float32Array([3]));
  }
  const shifted = new Uint8Array(1000).subarray(3);
  const bytes = Deno.readFileSync(fixture("odd_header.safetensors"));
  shifted.set(bytes);
  const file = parseSafetensors(shifted.subarray(0, bytes.length));
  assertEquals(file.float32("z"), new Float32Array([1, 2]));
});

Deno.test("tensor() gives a copy, so that changing it changes nothing in the file", () => {
  const file = parseSafetensors(Deno.readFileSync(fixture("odd_header.safetensors")));
  file.float32("z").fill(7);
  assertEquals(file.float32("z"), new Float32Array([1, 2]));
});

const MALFORMED: Record<string, [typeof RangeError | typeof SyntaxError, string]> = {
  "bad_header_too_long.safetensors": [RangeError, "1000000000"],
  "bad_not_json.safetensors": [SyntaxError, "JSON"],
  "bad_overlap.safetensors": [RangeError, 'tensor "b" starts at byte 4'],
  "bad_size_mismatch.safetensors": [RangeError, "needs 12 bytes"],
  "bad_truncated.safetensors": [RangeError, "describes 18 bytes of data, the file holds 15"],
};

Deno.test("every malformed file of the fixtures is refused, with its name and the numbers", () => {
  const names = [...Deno.readDirSync(FIXTURES)].map(({ name }) => name);
  assertEquals(names.filter((name) => name.startsWith("bad_")).sort(), Object.keys(MALFORMED));
  for (const [name, [errorClass, text]] of Object.entries(MALFORMED)) {
    const read = assertThrows(() => readSafetensors(fixture(name)), errorClass, text);
    assertStringIncludes(read.message, name);
    const bytes = Deno.readFileSync(fixture(name));
    const parsed = assertThrows(() => parseSafetensors(bytes, name), errorClass, text);
    assertStringIncludes(parsed.message, name);
  }
});

const entry = (shape: unknown, offsets: unknown, dtype: unknown = "U8"): unknown => ({
  dtype,
  shape,
  data_offsets: offsets,
});

Deno.test("parseSafetensors() refuses a header that is not of the format", () => {
  const refused: [header: unknown, dataBytes: number, text: string][] = [
    ["[]", 0, "not a JSON object"],
    ["null", 0, "not a JSON object"],
    ["", 0, "JSON"],
    ["\ufeff{}", 0, "JSON"],
    ['{"a":1', 0, "JSON"],
    ['{]"a":1}', 0, "JSON"],
    ["[".repeat(100_000), 0, "nested too deeply"],
    [{ a: 1 }, 0, 'tensor "a" is not described by an object'],
    [{ a: entry([1], [0, 1], "F8_E4M3") }, 1, "F8_E4M3"],
    [{ a: entry([1], [0, 1], "constructor") }, 1, "has dtype"],
    [{ a: entry([1], [0, 1], 3) }, 1, "has dtype"],
    [{ a: entry([-1], [0, 1]) }, 1, "has no shape"],
    [{ a: entry([0.5], [0, 1]) }, 1, "has no shape"],
    [{ a: entry(["1"], [0, 1]) }, 1, "has no shape"],
    [{ a: entry(1, [0, 1]) }, 1, "has no shape"],
    [{ a: entry([1], [0]) }, 1, "has no data_offsets"],
    [{ a: entry([1], [0, 1.5]) }, 1, "has no data_offsets"],
    [{ __metadata__: { a: 1 } }, 0, "__metadata__"],
    [{ __metadata__: ["a"] }, 0, "__metadata__"],
    [
      '{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0061":{}}',
      0,
      '"a" stands there twice',
    ],
    [
      '{"a":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}}',
      0,
      '"dtype" stands there twice',
    ],
  ];
  for (const [header, dataBytes, text] of refused) {
    assertThrows(() => parseSafetensors(fileOf(header, dataBytes)), SyntaxError, text);
  }
});

Deno.test("parseSafetensors() refuses sizes and offsets that do not fit", () => {
  const refused: [header: unknown, dataBytes: number, text: string][] = [
    [{ a: entry([2], [0, 1]) }, 1, "needs 2 bytes, but its data_offsets [0, 1] hold 1"],
    [{ a: entry([1], [1, 0]) }, 0, "hold -1"],
    [{ a: entry([2 ** 27, 2 ** 27], [0, 1], "F32") }, 1, "too large for any file"],
    [{ a: entry([2 ** 40, 2 ** 40, 0], [0, 0]) }, 0, "too large for any file"],
    [{ a: entry([2 ** 40], [0, 2 ** 40]) }, 4, "describes 1099511627776 bytes of data"],
    [{ a: entry([1], [1, 2]) }, 2, "nothing describes the bytes between"],
    [{ a: entry([1], [0, 1]), b: entry([1], [2, 3]) }, 3, "nothing describes the bytes between"],
    [{ a: entry([2], [0, 2]), b: entry([2], [1, 3]) }, 3, "they overlap"],
    [{ a: entry([2], [0, 2]), b: entry([2], [0, 2]) }, 2, "they overlap"],
    [{ a: entry([1], [0, 1]) }, 2, "describes 1 bytes of data, the file holds 2"],
    [{}, 1, "describes 0 bytes of data, the file holds 1"],
  ];
  for (const [header, dataBytes, text] of refused) {
    assertThrows(() => parseSafetensors(fileOf(header, dataBytes)), RangeError, text);
  }
  assertThrows(() => parseSafetensors(new Uint8Array(7)), RangeError, "7 bytes are too few");
  const endless = new Uint8Array(8).fill(255);
  assertThrows(() => parseSafetensors(endless), RangeError, "18446744073709551615");
});

Deno.test("parseSafetensors() takes an empty file, empty tensors and names of objects", () => {
  assertEquals(parseSafetensors(fileOf({})).names, []);
  assertEquals(parseSafetensors(fileOf('{"__metadata__":{}}   ')).metadata, {});
  const header = { b: entry([0], [1, 1]), a: entry([1], [0, 1]), c: entry([0, 9], [0, 0]) };
  const file = parseSafetensors(fileOf(header, 1));
  assertEquals(file.names, ["c", "a", "b"]);
  const odd = parseSafetensors(
    fileOf('{"__proto__":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}', 1),
  );
  assertEquals(odd.names, ["__proto__"]);
  assertEquals(odd.has("constructor"), false);
});

Deno.test("tensor() names the closest tensor when there is none of the name", () => {
  const file = parseSafetensors(Deno.readFileSync(fixture("dtypes.safetensors")), "dtypes");
  const error = assertThrows(() => file.tensor("a.f23"), RangeError);
  assertStringIncludes(error.message, 'dtypes: no tensor "a.f23"');
  assertStringIncludes(error.message, 'did you mean "a.f32"?');
});

Deno.test("float32() refuses integers and truth values", () => {
  const file = parseSafetensors(Deno.readFileSync(fixture("dtypes.safetensors")));
  for (const name of ["e.i64", "f.i32", "i.u8", "j.bool"]) {
    assertThrows(() => file.float32(name), TypeError, "not floats");
  }
});

const SAMPLE: Record<string, SafetensorsTensor> = {
  "10": { dtype: "U8", shape: [3], data: new Uint8Array([1, 2, 3]) },
  "9": { dtype: "BOOL", shape: [1], data: new Uint8Array([1]) },
  "路由.weight": { dtype: "F32", shape: [2, 1], data: new Float32Array([1.5, -2]) },
  half: { dtype: "F16", shape: [1], data: new Float16Array([0.5]) },
  brain: { dtype: "BF16", shape: [2], data: new Uint16Array([0x3f80, 0xff80]) },
  wide: { dtype: "F64", shape: [], data: new Float64Array([Math.PI]) },
  step: { dtype: "I64", shape: [], data: new BigInt64Array([-(2n ** 62n)]) },
  ids: { dtype: "I32", shape: [2], data: new Int32Array([7, 8, 9]).subarray(1) },
  'a "b"': { dtype: "I16", shape: [0, 4], data: new Int16Array() },
  tiny: { dtype: "I8", shape: [1, 1, 1], data: new Int8Array([-1]) },
};

Deno.test("writeSafetensors() then readSafetensors() gives back every tensor and the metadata", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/sample.safetensors`;
    await Deno.writeTextFile(path, "an older file");
    await writeSafetensors(path, SAMPLE, { format: "pt", "\u2028": "line\nbreak" });
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["sample.safetensors"]);
    using file = readSafetensors(path);
    assertEquals([...file.names].sort(), Object.keys(SAMPLE).sort());
    assertEquals(file.metadata, { format: "pt", "\u2028": "line\nbreak" });
    for (const [name, { dtype, shape, data }] of Object.entries(SAMPLE)) {
      const read = file.tensor(name);
      assertEquals<unknown>([read.dtype, read.shape], [dtype, shape], name);
      assertEquals<unknown>([...read.data], [...data], name);
    }
    assertEquals(await Deno.readFile(path), encodeSafetensors(SAMPLE, file.metadata));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("encodeSafetensors() gives equal bytes when the order differs, and aligns all tensors", () => {
  const bytes = encodeSafetensors(SAMPLE, { b: "2", a: "1" });
  const backwards = Object.fromEntries(Object.entries(SAMPLE).reverse());
  assertEquals(encodeSafetensors(backwards, { a: "1", b: "2" }), bytes);
  const headerBytes = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  assertEquals(headerBytes % 8, 0);
  const file = parseSafetensors(bytes);
  for (const name of file.names) {
    assertEquals(file.entry(name).begin % file.tensor(name).data.BYTES_PER_ELEMENT, 0, name);
  }
  assertEquals(encodeSafetensors({}).length, 16);
});

Deno.test("writing back what was read gives the same tensors for every weight of the fixtures", () => {
  for (const name of ["llama/model", "llama_sharded_bf16/model-00001-of-00002", "llama/io"]) {
    const path = new URL(`../models/${name}.safetensors`, FIXTURES);
    using file = readSafetensors(path);
    assertGreater(file.names.length, 0);
    const tensors = Object.fromEntries(file.names.map((it) => [it, file.tensor(it)]));
    const again = parseSafetensors(encodeSafetensors(tensors, file.metadata));
    for (const it of file.names) assertEquals(again.tensor(it), file.tensor(it));
  }
});

Deno.test("writeSafetensors() leaves the older file and no other when it cannot write", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/taken`);
    await Deno.writeTextFile(`${folder}/taken/file`, "");
    await assertRejects(() => writeSafetensors(`${folder}/taken`, SAMPLE)); // A folder with files.
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["taken"]);
    await assertRejects(
      () => writeSafetensors(`${folder}/missing/file`, SAMPLE),
      Deno.errors.NotFound,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("encodeSafetensors() refuses arrays that do not go with their dtype or shape", () => {
  const data = new Float32Array(6);
  assertThrows(
    () => encodeSafetensors({ w: { dtype: "F32", shape: [2, 2], data } }),
    RangeError,
    'cannot write tensor "w": shape [2,2] has 4 elements, the data 6',
  );
  assertThrows(
    () => encodeSafetensors({ w: { dtype: "F16", shape: [6], data } as never }),
    TypeError,
    "dtype F16 goes with Float16Array, got Float32Array",
  );
  assertThrows(
    () => encodeSafetensors({ w: { dtype: "F4", shape: [6], data } as never }),
    TypeError,
    "dtype F4",
  );
  assertThrows(
    () => encodeSafetensors({ __metadata__: { dtype: "F32", shape: [6], data } }),
    TypeError,
    "does not allow this name",
  );
});

Deno.test("readSafetensors() reports a file that is missing, and one cut while it is open", async () => {
  const path = await Deno.makeTempFile();
  try {
    await writeSafetensors(path, SAMPLE);
    using file = readSafetensors(path);
    await Deno.truncate(path, 100);
    assertThrows(() => file.tensor("wide"), RangeError, "was it cut while it was open?");
  } finally {
    await Deno.remove(path);
  }
  assertThrows(() => readSafetensors(path), Deno.errors.NotFound);
});

Deno.test("readSafetensors() keeps reading the file that it opened when that is replaced", async () => {
  const path = await Deno.makeTempFile();
  try {
    const of = (value: number): Record<string, SafetensorsTensor> => ({
      w: { dtype: "F32", shape: [1], data: new Float32Array([value]) },
    });
    await writeSafetensors(path, of(1));
    using file = readSafetensors(path);
    await writeSafetensors(path, of(2));
    assertEquals(file.float32("w"), new Float32Array([1]));
    file.close();
    file.close(); // Closing twice is harmless.
  } finally {
    await Deno.remove(path);
  }
});

/** Mulberry32: the same numbers in every run. */
function randomNumbers(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Changes a few bytes, or cuts, doubles or removes a piece. */
function mutate(bytes: Uint8Array, random: (below: number) => number): Uint8Array {
  const at = random(Math.min(bytes.length, 1200));
  const until = Math.min(bytes.length, at + random(12));
  switch (random(4)) {
    case 0:
      return bytes.slice(0, at);
    case 1:
      return new Uint8Array([...bytes.subarray(0, at), ...bytes.subarray(until)]);
    case 2:
      return new Uint8Array([...bytes.subarray(0, until), ...bytes.subarray(at)]);
    default: {
      const changed = bytes.slice();
      const pool = '0123456789{}[]:,"\\ -.eEFU\x00\xff';
      for (let i = random(3); i >= 0; i--) {
        changed[random(Math.min(bytes.length, 1200))] = pool.charCodeAt(random(pool.length));
      }
      return changed;
    }
  }
}

Deno.test("parseSafetensors() refuses or reads 20,000 damaged files, and never more than they hold", () => {
  const random = randomNumbers(7);
  const originals = ["dtypes.safetensors", "odd_header.safetensors"]
    .map((name) => Deno.readFileSync(fixture(name)));
  let refused = 0;
  for (let i = 0; i < 20_000; i++) {
    const bytes = mutate(originals[i % 2], random);
    let file: Safetensors;
    try {
      file = parseSafetensors(bytes);
    } catch (error) {
      if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
      refused++;
      continue;
    }
    const read = file.names.reduce((sum, name) => sum + file.tensor(name).data.byteLength, 0);
    assert(read <= bytes.length, `${read} bytes out of ${bytes.length}`);
  }
  // Changes inside the data or of a letter of a name give files that are sound.
  assert(refused > 10_000 && refused < 20_000, `${refused} of 20000 were refused`);
});
