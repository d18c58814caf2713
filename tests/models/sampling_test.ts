import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { checkSampling, sampleToken, type SamplingOptions } from "../../src/models/sampling.ts";
import { Random } from "../../src/tensor/random.ts";

/** Logits of probabilities 0.4, 0.3, 0.2, 0.1, in another order. */
const LOGITS = Float32Array.from([0.2, 0.4, 0.1, 0.3], Math.log);

/** Share of each token in many draws. */
function shares(options: SamplingOptions, logits = LOGITS, draws = 20_000): number[] {
  const random = new Random(1, "draws"), counts = new Array(logits.length).fill(0);
  for (let i = 0; i < draws; i++) counts[sampleToken(logits, options, random)]++;
  return counts.map((n) => n / draws);
}

/** Four standard deviations of a share of 20,000 draws, at most. */
const NOISE = 4 * 0.5 / Math.sqrt(20_000);

function assertShares(found: number[], wanted: number[]): void {
  found.forEach((share, i) => {
    if (wanted[i] === 0) assertEquals(share, 0);
    else assertAlmostEquals(share, wanted[i], NOISE);
  });
}

Deno.test("sampleToken() takes the likeliest token, of equal ones the first, when greedy", () => {
  const random = new Random(0);
  assertEquals(sampleToken(LOGITS, {}, random), 1);
  assertEquals(sampleToken(Float32Array.of(1, 3, 3, 2), { temperature: 0 }, random), 1);
  assertEquals(new Random(0).uint32(), random.uint32()); // and draws nothing
});

Deno.test("sampleToken() draws tokens as often as they are likely", () => {
  assertShares(shares({ temperature: 1 }), [0.2, 0.4, 0.1, 0.3]);
  // Half the temperature squares the probabilities.
  assertShares(shares({ temperature: 0.5 }), [4, 16, 1, 9].map((n) => n / 30));
  assertShares(shares({ temperature: 1 }, Float32Array.of(0, -Infinity, 0)), [0.5, 0, 0.5]);
});

Deno.test("sampleToken() leaves unlikely tokens out with top-k, top-p and min-p", () => {
  assertShares(shares({ temperature: 1, topK: 2 }), [0, 4 / 7, 0, 3 / 7]);
  // 0.4 + 0.3 do not reach 0.75, with 0.2 they do
  assertShares(shares({ temperature: 1, topP: 0.75 }), [2 / 9, 4 / 9, 0, 3 / 9]);
  assertShares(shares({ temperature: 1, topP: 0.35 }), [0, 1, 0, 0]);
  // at least 0.6 times as likely as the likeliest
  assertShares(shares({ temperature: 1, minP: 0.6 }), [0, 4 / 7, 0, 3 / 7]);
  // top-p is about what top-k left: 4/7 reach a half of it
  assertShares(shares({ temperature: 1, topK: 2, topP: 0.5 }), [0, 1, 0, 0]);
});

Deno.test("sampleToken() makes earlier tokens less likely with a repetition penalty", () => {
  const random = new Random(0), logits = Float32Array.of(2, 1.5, -1, -1.2);
  const penalty = { repetitionPenalty: 2 };
  assertEquals(sampleToken(logits, penalty, random, new Set([0])), 1);
  // 2 / 2 = 1, 1.5 / 2 = 0.75, -1 · 2 = -2
  assertEquals(sampleToken(logits, penalty, random, new Set([0, 1, 2])), 0);
  assertEquals(sampleToken(logits.slice(2), penalty, random, new Set([0])), 1);
  assertEquals([...logits], [2, 1.5, -1, Math.fround(-1.2)]); // what was given stays
});

Deno.test("sampleToken() draws the same tokens from the same seed", () => {
  const draw = (seed: number) => {
    const random = new Random(seed, "row 0");
    return Array.from({ length: 20 }, () => sampleToken(LOGITS, { temperature: 1 }, random));
  };
  assertEquals(draw(3), draw(3));
  assert(draw(3).join() !== draw(4).join());
});

Deno.test("checkSampling() refuses numbers out of range and options that would do nothing", () => {
  checkSampling({ temperature: 0.7, topP: 0.9, topK: 40, minP: 0.05, seed: 3 });
  for (
    const bad of [
      { temperature: -1 },
      { temperature: NaN },
      { temperature: 1, topP: 0 },
      { temperature: 1, topP: 1.1 },
      { temperature: 1, topK: 0 },
      { temperature: 1, minP: 2 },
      { repetitionPenalty: 0 },
      { seed: -1 },
    ]
  ) assertThrows(() => checkSampling(bad), RangeError, "must be", JSON.stringify(bad));
  assertThrows(() => checkSampling({ topP: 0.9 }), RangeError, "needs a temperature above 0");
});
