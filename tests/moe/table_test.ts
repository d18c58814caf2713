import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  checkTable,
  dense,
  modalityMoe,
  moiie,
  type PoolTable,
  routersOf,
  vanillaMoe,
} from "../../src/moe/mod.ts";

/** Names of the experts in the order of their numbers. */
const names = (table: PoolTable) => table.experts.map((e) => e.name).join(" ");

Deno.test("moiie() gives each modality its own and the shared experts, and a router over them", () => {
  const table = moiie();
  assertEquals(names(table), "V1 L1 S1 S2");
  assertEquals(table.pools, [
    { modality: "text", experts: [1, 2, 3], router: 0 },
    { modality: "image", experts: [0, 2, 3], router: 1 },
  ]);
  assertEquals([table.topK, table.renormalise], [2, true]);
});

Deno.test("moiie() maps router columns to the right experts when there are eight", () => {
  const balanced = moiie({ vision: 2, language: 2, shared: 4 });
  assertEquals(names(balanced), "V1 V2 L1 L2 S1 S2 S3 S4");
  assertEquals(balanced.pools[0].experts, [2, 3, 4, 5, 6, 7]);
  assertEquals(balanced.pools[1].experts, [0, 1, 4, 5, 6, 7]);
  const unbalanced = moiie({ vision: 3, language: 3, shared: 2 });
  assertEquals(names(unbalanced), "V1 V2 V3 L1 L2 L3 S1 S2");
  assertEquals(unbalanced.pools[0].experts, [3, 4, 5, 6, 7]);
  assertEquals(unbalanced.pools[1].experts, [0, 1, 2, 6, 7]);
});

Deno.test("vanillaMoe() lets both modalities share one router over all experts", () => {
  const table = vanillaMoe();
  assertEquals(table.pools.map((p) => p.experts), [[0, 1, 2, 3], [0, 1, 2, 3]]);
  assertEquals(routersOf(table), [{ experts: [0, 1, 2, 3], modalities: [0, 1] }]);
});

Deno.test("modalityMoe() routes within each modality, or assigns when each has one expert", () => {
  const routed = modalityMoe();
  assertEquals(names(routed), "V1 V2 L1 L2");
  assertEquals(routersOf(routed), [
    { experts: [2, 3], modalities: [0] },
    { experts: [0, 1], modalities: [1] },
  ]);
  const assigned = modalityMoe({ vision: 1, language: 1 });
  assertEquals(assigned.topK, 1);
  assertEquals(routersOf(assigned), []);
  assertEquals(routed.variant, "modality");
});

Deno.test("moiie() gives a pool of one expert no router when the other pool is routed", () => {
  const table = moiie({ vision: 0, language: 1, shared: 1, topK: 1 });
  assertEquals(table.pools, [
    { modality: "text", experts: [0, 1], router: 0 },
    { modality: "image", experts: [1], router: undefined },
  ]);
  const mirrored = moiie({ vision: 1, language: 0, shared: 1, topK: 1 });
  assertEquals(mirrored.pools, [
    { modality: "text", experts: [1], router: undefined },
    { modality: "image", experts: [0, 1], router: 0 },
  ]);
});

Deno.test("every builder's table passes checkTable()", () => {
  for (const table of [dense(), vanillaMoe(), modalityMoe(), moiie()]) checkTable(table);
});

/** What each impossible table says. */
const IMPOSSIBLE: Readonly<Record<string, [() => unknown, string[]]>> = {
  "text tokens have no expert": [
    () => moiie({ language: 0, shared: 0, topK: 1 }),
    ["text tokens have no expert", "shared one"],
  ],
  "image tokens have no expert": [
    () => moiie({ vision: 0, shared: 0, topK: 1 }),
    ["image tokens have no expert"],
  ],
  "top-k is larger than a pool": [
    () => moiie({ vision: 1, language: 1, shared: 0 }),
    ["top-2 of only 1 experts", "lower topK or add experts"],
  ],
  "top-k is larger than all experts": [
    () => vanillaMoe({ experts: 4, topK: 5 }),
    ["top-5 of only 4 experts"],
  ],
  "top-k is larger than a modality's experts": [
    () => modalityMoe({ vision: 2, language: 2, topK: 3 }),
    ["top-3 of only 2 experts"],
  ],
  "top-k is zero": [() => moiie({ topK: 0 }), ["topK = 0", "at least 1"]],
  "a number of experts is negative": [() => moiie({ vision: -1 }), ["vision = -1"]],
  "a number of experts is a fraction": [() => moiie({ shared: 1.5 }), ["shared = 1.5"]],
  "there are no experts": [() => vanillaMoe({ experts: 0 }), ["experts = 0"]],
  "an option is misspelt": [
    () => moiie({ shard: 2 } as object),
    ['moiie option "shard"', 'did you mean "shared"'],
  ],
  "modalityMoe() is given shared experts": [
    () => modalityMoe({ shared: 2 } as object),
    ['modalityMoe option "shared"', "valid: vision, language, topK, renormalise"],
  ],
  "vanillaMoe() is given a misspelt option": [
    () => vanillaMoe({ topk: 2 } as object),
    ['did you mean "topK"'],
  ],
};

for (const [name, [make, says]] of Object.entries(IMPOSSIBLE)) {
  Deno.test(`a table is refused when ${name}`, () => {
    const { message } = assertThrows(make, RangeError);
    for (const part of says) assertStringIncludes(message, part);
  });
}

/** A table of one's own, with changes. */
function own(change: Partial<PoolTable>): PoolTable {
  return { ...moiie(), variant: "mine", ...change };
}

Deno.test("checkTable() refuses a table of one's own when an expert is idle", () => {
  const { message } = assertThrows(
    () =>
      checkTable(own({
        pools: [
          { modality: "text", experts: [2, 3], router: 0 },
          { modality: "image", experts: [0, 2, 3], router: 1 },
        ],
      })),
    RangeError,
  );
  assertStringIncludes(message, 'expert table "mine": nobody uses L1');
});

Deno.test("checkTable() refuses a table of one's own when routers and pools do not fit", () => {
  const pools = (text: object, image: object) =>
    own({
      pools: [
        { modality: "text", experts: [1, 2, 3], router: 0, ...text },
        { modality: "image", experts: [0, 2, 3], router: 1, ...image },
      ],
    });
  const says = (table: PoolTable, part: string) => {
    const { message } = assertThrows(() => checkTable(table), RangeError);
    assertStringIncludes(message, part);
  };
  says(pools({}, { router: 0 }), "router 0 serves the different pools [1,2,3] and [0,2,3]");
  says(pools({ router: undefined }, {}), "text tokens have 3 experts, but no router");
  says(pools({}, { router: 2 }), "routers 0, 2");
  says(pools({ router: -1 }, {}), "routers -1, 1");
  says(pools({ experts: [1, 2, 4] }, {}), "text tokens use expert 4 of 4");
  says(pools({ experts: [1, 2, 2] }, {}), "text tokens list expert 2 twice");
});
