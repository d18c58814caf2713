import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  checkTable,
  dense,
  modalityMoe,
  moiie,
  moiieOf,
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

Deno.test("moiieOf() gives every modality experts of its own, the shared ones and a router", () => {
  const table = moiieOf({
    modalities: ["text", "image", "audio", "sound", "speech"],
    own: { text: 1, image: 2, audio: 1, sound: 1, speech: 0 },
    shared: 2,
  });
  assertEquals(names(table), "L1 V1 V2 A1 So1 S1 S2");
  assertEquals(table.experts.map((e) => e.group), [
    "language",
    "vision",
    "vision",
    "audio",
    "sound",
    "shared",
    "shared",
  ]);
  assertEquals(table.pools.map((p) => p.experts), [
    [0, 5, 6],
    [1, 2, 5, 6],
    [3, 5, 6],
    [4, 5, 6],
    [5, 6],
  ]);
  assertEquals(table.pools.map((p) => p.router), [0, 1, 2, 3, 4]);
  const two = { modalities: ["text", "image"], own: { image: 1, text: 1 }, shared: 2 };
  assertEquals(moiieOf(two), moiie());
});

Deno.test("a table with slices has as many more experts and choices, side by side", () => {
  const table = moiie({ vision: 1, language: 1, shared: 1, topK: 2, split: 2 });
  assertEquals(names(table), "V1.1 V1.2 L1.1 L1.2 S1.1 S1.2");
  assertEquals([table.topK, table.split], [4, 2]);
  assertEquals(table.pools.map((p) => p.experts), [[2, 3, 4, 5], [0, 1, 4, 5]]);
  assertEquals(vanillaMoe({ experts: 2, topK: 1, split: 3 }).experts.length, 6);
  assertEquals(modalityMoe({ split: 2 }).experts.length, 8);
});

Deno.test("a table names its always-on experts apart from the shared ones, and only where there are any", () => {
  assertEquals(moiie({ alwaysOn: 2 }).alwaysOn, { experts: 2, gate: false });
  assertEquals(vanillaMoe({ alwaysOn: { gate: true } }).alwaysOn, { experts: 1, gate: true });
  for (const table of [moiie(), moiie({ alwaysOn: 0, split: 1 })]) {
    assertEquals(Object.keys(table), ["variant", "experts", "pools", "topK", "renormalise"]);
  }
  assertEquals(names(moiie({ alwaysOn: 1 })), names(moiie()));
});

Deno.test("tables of slices, of always-on experts and of any modalities are refused when they make no sense", () => {
  const says = (make: () => unknown, part: string) => {
    const { message } = assertThrows(make, RangeError);
    assertStringIncludes(message, part);
  };
  says(() => moiie({ split: 0 }), "split = 0");
  says(() => checkTable(own({ split: 3 })), "topK = 2 counts slices, so it must be a multiple");
  says(
    () =>
      checkTable(own({
        split: 2,
        pools: [
          { modality: "text", experts: [1, 2, 3], router: 0 },
          { modality: "image", experts: [0, 2, 3], router: 1 },
        ],
      })),
    "does not stand beside the other slices",
  );
  says(() => moiie({ alwaysOn: 1.5 }), "alwaysOn.experts = 1.5");
  says(() => vanillaMoe({ experts: 1, topK: 1, alwaysOn: 1 }), "need routed ones beside them");
  const three = { modalities: ["text", "image", "audio"], shared: 2 };
  says(() => moiieOf({ ...three, own: { adio: 1 } }), 'did you mean "audio"');
  says(() => moiieOf({ ...three, own: { audio: -1 } }), "own.audio = -1");
  says(() => moiieOf({ modalities: [], own: {}, shared: 1 }), "must be names that differ");
  says(() => moiieOf({ modalities: ["a", "a"], own: {}, shared: 2 }), "must be names that differ");
});
