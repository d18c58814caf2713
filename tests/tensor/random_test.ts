import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import { hashString, philox, Random } from "../../src/tensor/random.ts";

Deno.test("philox() gives the known answers of Random123", () => {
  const ones = 0xffffffff;
  // kat_vectors of Random123, philox4x32-10: counter, key, result.
  const known: [number[], number[], number[]][] = [
    [[0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
    [[ones, ones, ones, ones], [ones, ones], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ];
  for (const [counter, key, result] of known) assertEquals([...philox(counter, key)], result);
});

Deno.test("philox() throws RangeError when counter or key have the wrong length", () => {
  assertThrows(() => philox([0, 0], [0, 0]), RangeError, "got 2 and 2");
});

Deno.test("Random repeats its numbers when seed and stream are the same", () => {
  const a = new Random(7, "weights"), b = new Random(7, "weights");
  a.fork("other").uint32();
  for (let i = 0; i < 100; i++) assertEquals(a.uint32(), b.uint32());
  assertNotEquals(new Random(7, "weights").uint32(), new Random(8, "weights").uint32());
  assertNotEquals(new Random(7, "weights").uint32(), new Random(7, "bias").uint32());
  assertNotEquals(new Random(7).uint32(), new Random(7 + 2 ** 32).uint32());
});

Deno.test("Random keeps its first bits when the code changes", () => {
  const random = new Random(7, "pinned");
  const drawn = [random.uint32(), random.int(1000), random.uniform()];
  assertEquals(drawn, [804315917, 112, 0.9204365253019244]);
});

Deno.test("fork() starts a stream of its own when the parent has drawn numbers", () => {
  const parent = new Random(1, "a");
  const before = parent.fork("b").uint32();
  parent.uniforms(10);
  assertEquals(parent.fork("b").uint32(), before);
  assertEquals(parent.fork("b").stream, "a/b");
  assertEquals(new Random(1, "a/b").uint32(), before);
});

Deno.test("int() covers its range evenly when n is no power of two", () => {
  const random = new Random(3), counts = new Array(6).fill(0);
  for (let i = 0; i < 12000; i++) counts[random.int(6)]++;
  for (const count of counts) assert(Math.abs(count - 2000) < 200, `counts ${counts}`);
});

Deno.test("int() throws RangeError when n is not a positive whole number", () => {
  const random = new Random(0);
  for (const n of [0, -1, 1.5, NaN, 2 ** 33]) assertThrows(() => random.int(n), RangeError);
  assertEquals(random.int(1), 0);
  assert(random.int(2 ** 32) >= 0);
});

Deno.test("uniforms() and normals() have the moments asked for when n is large", () => {
  const random = new Random(11);
  const mean = (xs: Float32Array) => xs.reduce((a, b) => a + b, 0) / xs.length;
  const uniforms = random.uniforms(20000, -2, 4);
  assertAlmostEquals(mean(uniforms), 1, 0.05);
  assert(uniforms.every((x) => x >= -2 && x <= 4));
  const normals = random.normals(20000, 3, 0.5);
  assertAlmostEquals(mean(normals), 3, 0.02);
  assertAlmostEquals(Math.sqrt(mean(normals.map((x) => (x - 3) ** 2))), 0.5, 0.02);
  for (let i = 0; i < 1000; i++) {
    const x = random.uniform();
    assert(x >= 0 && x < 1);
  }
});

Deno.test("shuffle() permutes in place when given an array or a typed array", () => {
  const xs = Int32Array.from({ length: 50 }, (_, i) => i);
  const shuffled = new Random(5).shuffle(xs);
  assert(shuffled === xs);
  assertNotEquals([...xs], Array.from({ length: 50 }, (_, i) => i));
  assertEquals([...xs].sort((a, b) => a - b), Array.from({ length: 50 }, (_, i) => i));
  assertEquals(new Random(5).shuffle([]), []);
});

Deno.test("Random throws RangeError when the seed is no safe whole number", () => {
  for (const seed of [-1, 0.5, NaN, 2 ** 53]) assertThrows(() => new Random(seed), RangeError);
  assertThrows(() => new Random(0).pick([]), RangeError, "empty");
});

Deno.test("hashString() spreads similar names when only one letter differs", () => {
  const hashes = new Set(Array.from({ length: 5000 }, (_, i) => hashString(`picture ${i}`)));
  assert(hashes.size >= 4999);
});
