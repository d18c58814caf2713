import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { Sampler } from "../../src/data/sampler.ts";

Deno.test("batch() visits every sample once per epoch when there are no weights", () => {
  const sampler = new Sampler({ seed: 1, batchSize: 4, groups: 10 });
  const twoEpochs = [0, 1, 2, 3, 4].flatMap((i) => sampler.batch(i));
  const all = Array.from({ length: 10 }, (_, i) => i);
  const sorted = (xs: number[]) => [...xs].sort((a, b) => a - b);
  assertEquals(sorted(twoEpochs.slice(0, 10)), all);
  assertEquals(sorted(twoEpochs.slice(10)), all);
  assertNotEquals(twoEpochs.slice(0, 10), twoEpochs.slice(10));
});

Deno.test("batch() gives the same indices when called in another order or by another sampler", () => {
  for (const weights of [undefined, { ocr: 4 }]) {
    const groups = Array.from({ length: 50 }, (_, i) => i % 3 === 0 ? "ocr" : "flag");
    const options = { seed: 9, batchSize: 8, groups, weights };
    const a = new Sampler(options), b = new Sampler(options);
    const forward = [0, 5, 9].map((i) => a.batch(i));
    const backward = [9, 5, 0].map((i) => b.batch(i)).reverse();
    assertEquals(forward, backward);
    assertNotEquals(a.batch(0), new Sampler({ ...options, seed: 10 }).batch(0));
  }
});

Deno.test("batch() draws a group more often when it has a weight", () => {
  const groups = Array.from(
    { length: 100 },
    (_, i) => ["ocr", "flag", "objects", "objects"][i % 4],
  );
  const sampler = new Sampler({ seed: 2, batchSize: 100, groups, weights: { ocr: 4, flag: 0 } });
  const counts: Record<string, number> = { ocr: 0, flag: 0, objects: 0 };
  for (let i = 0; i < 60; i++) for (const index of sampler.batch(i)) counts[groups[index]]++;
  assertEquals(counts.flag, 0);
  // 25 samples of weight 4 against 50 of weight 1: two thirds of 6000 draws.
  assert(Math.abs(counts.ocr - 4000) < 150, `ocr drawn ${counts.ocr} times`);
});

Deno.test("Sampler throws RangeError when its options make no sense", () => {
  const groups = ["ocr", "flag"];
  const make = (options: object) => () =>
    new Sampler({ seed: 1, batchSize: 2, groups, ...options });
  assertThrows(make({ batchSize: 0 }), RangeError, "batchSize");
  assertThrows(make({ groups: 0 }), RangeError, "samples");
  assertThrows(make({ weights: { ocrr: 4 } }), RangeError, 'did you mean "ocr"');
  assertThrows(make({ weights: { ocr: -1 } }), RangeError, "not negative");
  assertThrows(make({ weights: { ocr: 0, flag: 0 } }), RangeError, "weight 0");
  assertThrows(() => make({})().batch(-1), RangeError);
  assertThrows(() => make({})().batch(0.5), RangeError);
});
