import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  applyFeedForward,
  cellOf,
  choiceCounts,
  modalityMoe,
  moiie,
  type PoolTable,
  recordOf,
  type Routing,
  routingSums,
  tokenCounts,
  vanillaMoe,
} from "../../src/moe/mod.ts";
import { tensor } from "../../src/tensor/mod.ts";
import { assertClose, read } from "../nn/shared.ts";
import { layerOf, modalities, modalityTensor, tokens } from "./shared.ts";

const COUNT = 50, NAMES = ["patch", "word"];
const VALID = Array.from({ length: COUNT }, (_, t) => t % 7 === 3 ? 0 : 1);
/** Every fifth token is of no class. */
const CLASSES = Array.from({ length: COUNT }, (_, t) => t % 5 === 4 ? -1 : t % 2);

const int = (values: readonly number[]) => tensor(Int32Array.from(values));

function routingsOf(table: PoolTable, capacity?: number): Routing[] {
  return [3, 4].map((seed) =>
    applyFeedForward(
      { ...layerOf(table, 0.5, seed), ...(capacity && { routing: { capacity } }) },
      tokens(COUNT, seed),
      { modality: modalityTensor(modalities(COUNT)), valid: int(VALID) },
    ).routing!
  );
}

async function recordFrom(routings: Routing[], pairs = true) {
  const [values] = await read(
    routingSums(routings, { classes: int(CLASSES), names: NAMES, pairs }),
  );
  const { table } = routings[0];
  return recordOf(values, { table, layers: [1, 3], names: NAMES, pairs, benchmark: "ocr" });
}

for (
  const [name, table, capacity] of [
    ["MoIIE", moiie()],
    ["MoIIE 3/3/2 top-3", moiie({ vision: 3, language: 3, shared: 2, topK: 3 })],
    ["vanilla MoE", vanillaMoe()],
    ["hard assignment", modalityMoe({ vision: 1, language: 1 })],
    ["MoIIE with a capacity", moiie(), 0.7],
  ] as [string, PoolTable, number?][]
) {
  Deno.test(`routingSums() of ${name} equal a loop over tokens`, async () => {
    const routings = routingsOf(table, capacity);
    const record = await recordFrom(routings);
    assertEquals(record.benchmark, "ocr");
    assertEquals(record.layers.map((l) => l.layer), [1, 3]);
    const kinds = modalities(COUNT), e = table.experts.length;
    for (const [l, routing] of routings.entries()) {
      const [p, chosen, kept] = await read(
        routing.probabilities,
        routing.chosen,
        ...(routing.kept ? [routing.kept] : []),
      );
      const k = chosen.length / COUNT;
      for (const [m, { modality }] of table.pools.entries()) {
        for (const [c, tokenClass] of NAMES.entries()) {
          const got = cellOf(record, { layer: [1, 3][l], modality, tokenClass });
          const mine = kinds.flatMap((kind, t) =>
            kind === m && VALID[t] === 1 && CLASSES[t] === c ? [t] : []
          );
          const rows = mine.map((t) => p.slice(t * e, (t + 1) * e));
          const picks = mine.map((t) => chosen.slice(t * k, (t + 1) * k));
          const sum = (f: (row: number[]) => number) => rows.reduce((s, r) => s + f(r), 0);
          const top = (row: number[], i: number) => row.toSorted((a, b) => b - a)[i];
          const each = (f: (x: number) => number) => table.experts.map((_, i) => f(i));
          assertEquals(got.tokens, mine.length);
          assertEquals(got.choices, each((i) => picks.filter((s) => s.includes(i)).length));
          assertEquals(
            got.pairs,
            each((i) => i).flatMap((i) =>
              each((j) => picks.filter((s) => s.includes(i) && s.includes(j)).length)
            ),
          );
          assertEquals(
            got.first,
            each((i) => rows.filter((row) => row.indexOf(Math.max(...row)) === i).length),
          );
          assertClose(got.probability, each((i) => sum((row) => row[i])), 1e-5);
          const entropy = sum((row) => -row.reduce((s, v) => s + (v > 0 ? v * Math.log(v) : 0), 0));
          assertClose([got.entropy], [entropy], 1e-5);
          assertClose([got.margin], [sum((r) => top(r, 0) - top(r, 1))], 1e-5);
          assertClose([got.largest], [sum((r) => top(r, 0))], 1e-5);
          const lost = mine.flatMap((t) => kept?.slice(t * k, (t + 1) * k) ?? []);
          assertEquals(got.dropped, lost.filter((v) => v === 0).length);
        }
      }
    }
    if (capacity) assert(cellOf(record).dropped > 0, "the capacity leaves something out");
  });
}

Deno.test("routingSums() without classes counts what choiceCounts() and tokenCounts() count", async () => {
  const routings = routingsOf(moiie());
  const [values, choices, counts] = await read(
    routingSums(routings, { pairs: false }),
    choiceCounts(routings[1]),
    tokenCounts(routings[1]),
  );
  const { table } = routings[0];
  const record = recordOf(values, { table, layers: [1, 3], pairs: false });
  const cells = table.pools.map(({ modality }) => cellOf(record, { layer: 3, modality }));
  assertEquals(cells.flatMap((c) => [...c.choices]), choices);
  assertEquals(cells.map((c) => c.tokens), counts);
  assertEquals(cells[0].pairs, []);
});

Deno.test("a record has no cells without tokens, and recordOf() wants the right number of values", async () => {
  const routing = applyFeedForward(layerOf(moiie()), tokens(5), {
    modality: modalityTensor([0, 0, 0, 0, 0]),
  }).routing!;
  const [values] = await read(routingSums([routing]));
  const record = recordOf(values, { table: moiie(), layers: [1] });
  assertEquals(record.layers[0].cells.map((c) => c.modality), ["text"]);
  assertThrows(() => recordOf(values, { table: moiie(), layers: [1, 3] }), RangeError, "2 layers");
  assertThrows(() => routingSums([]), RangeError, "no mixture layers");
});
