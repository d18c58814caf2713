import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  type PublishedConfig,
  type Rope,
  ropeFrequencies,
  ropeScaling,
  rotary,
} from "../../src/models/mod.ts";
import { assertClose, read } from "../nn/shared.ts";
import { ids } from "./published_shared.ts";

const BASE = 10000, SIZE = 8;
const plain = [0, 1, 2, 3].map((i) => BASE ** (-i / 4));

/** Frequencies for one text of so many tokens. */
async function frequencies(scaling: Rope["scaling"], length = 4): Promise<number[]> {
  const positions = ids(Array.from({ length }, (_, i) => i), 1, length);
  const [found] = await read(ropeFrequencies({ base: BASE, size: SIZE, scaling }, positions));
  return found;
}

Deno.test("ropeFrequencies() are powers of the base, divided where positions are scaled", async () => {
  assertClose(await frequencies(undefined), plain, 1e-7);
  const divided = await frequencies({ kind: "linear", factor: 4 });
  assertClose(divided, plain.map((f) => f / 4), 1e-7);
});

Deno.test("ropeFrequencies() of Llama 3.1 keep quick waves, divide slow ones, blend between", async () => {
  // rope_scaling of the published Llama-3.1-8B.
  const scaling = {
    kind: "llama3",
    factor: 8,
    lowFrequency: 1,
    highFrequency: 4,
    positions: 8192,
  } as const;
  const rope = { base: 500000, size: 128, scaling };
  const [found] = await read(ropeFrequencies(rope, ids([0, 1], 1, 2)));
  const kinds = new Set<string>();
  found.forEach((f, i) => {
    const own = 500000 ** (-i / 64), wave = 2 * Math.PI / own;
    const kind = wave < 8192 / 4 ? "quick" : wave > 8192 ? "slow" : "between";
    kinds.add(kind);
    if (kind === "quick") assertAlmostEquals(f / own, 1, 1e-6);
    else if (kind === "slow") assertAlmostEquals(f / own, 1 / 8, 1e-6);
    else assert(f < own && f > own / 8, `${f} lies between ${own / 8} and ${own}`);
  });
  assertEquals([...kinds].sort(), ["between", "quick", "slow"]);
});

const LONGROPE = {
  kind: "longrope",
  short: [1, 1.5, 2, 3],
  long: [2, 4, 8, 16],
  positions: 6,
  attentionFactor: 1.25,
} as const;

Deno.test("ropeFrequencies() of LongRoPE change when the longest text exceeds pretraining", async () => {
  const divided = (by: readonly number[]) => plain.map((f, i) => f / by[i]);
  assertClose(await frequencies(LONGROPE, 6), divided(LONGROPE.short), 1e-7);
  assertClose(await frequencies(LONGROPE, 7), divided(LONGROPE.long), 1e-7);
  const positions = ids([0, 1, 2, 3, 4, 5, 6, 7], 1, 8),
    valid = ids([1, 1, 1, 1, 1, 0, 0, 0], 1, 8);
  const rope = { base: BASE, size: SIZE, scaling: LONGROPE };
  const [padded] = await read(ropeFrequencies(rope, positions, valid));
  assertClose(padded, divided(LONGROPE.short), 1e-7, "padding does not count");
});

Deno.test("rotary() has cosines and sines as large as the attention factor", async () => {
  const positions = ids([0, 3, 9, 1, 2, 5], 2, 3);
  for (const [scaling, want] of [[undefined, 1], [LONGROPE, 1.25]] as const) {
    const turn = rotary({ base: BASE, size: SIZE, scaling }, positions);
    assertEquals(turn.cos.shape, [2, 3, SIZE]);
    const [cos, sin] = await read(turn.cos, turn.sin);
    const sizes = cos.map((c, i) => Math.hypot(c, sin[i]));
    assertClose(sizes, sizes.map(() => want), 1e-5);
  }
});

Deno.test("ropeFrequencies() grow with the text from the given length on when dynamic", async () => {
  const scaling = { kind: "dynamic", factor: 2, positions: 10 } as const;
  assertClose(await frequencies(scaling, 10), plain, 1e-6);
  const base = BASE * (2 * 25 / 10 - 1) ** (SIZE / (SIZE - 2));
  const want = [0, 1, 2, 3].map((i) => base ** (-i / 4));
  (await frequencies(scaling, 25)).forEach((f, i) => assertAlmostEquals(f / want[i], 1, 1e-4));
});

Deno.test("ropeFrequencies() throws RangeError when sizes do not fit", () => {
  const at = ids([0], 1, 1);
  assertThrows(() => ropeFrequencies({ base: BASE, size: 7 }, at), RangeError, "must be even");
  const rope = { base: BASE, size: 6, scaling: LONGROPE };
  assertThrows(() => ropeFrequencies(rope, at), RangeError, "4 long factors, a head of 6 needs 3");
});

Deno.test("ropeScaling() reads every published spelling", () => {
  const config = (rope_scaling: unknown, more = {}): PublishedConfig => ({ rope_scaling, ...more });
  assertEquals(ropeScaling({}), undefined);
  assertEquals(ropeScaling(config(null)), undefined);
  assertEquals(ropeScaling(config({ rope_type: "default" })), undefined);
  assertEquals(ropeScaling(config({ type: "linear", factor: 2 })), { kind: "linear", factor: 2 });
  const dynamic = config({ type: "dynamic", factor: 2 }, { max_position_embeddings: 64 });
  assertEquals(ropeScaling(dynamic), { kind: "dynamic", factor: 2, positions: 64 });
  // Phi-3-mini-128k, whose first files call it "su".
  for (const type of ["su", "longrope"]) {
    const found = ropeScaling(config(
      { type, short_factor: [1, 2], long_factor: [3, 4] },
      { max_position_embeddings: 131072, original_max_position_embeddings: 4096 },
    ));
    assert(found?.kind === "longrope");
    assertEquals(found.positions, 4096);
    assertAlmostEquals(found.attentionFactor, 1.1902380714238083, 1e-12);
  }
  assertThrows(() => ropeScaling(config({ rope_type: "llama" })), RangeError, `"llama3"`);
  assertThrows(() => ropeScaling(config({ rope_type: "linear" })), SyntaxError, "factor should be");
  assertThrows(() => ropeScaling(config("llama3")), SyntaxError, "should be an object");
});
