import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  imageTokens,
  lvlmConfig,
  type LvlmOptions,
  moeLayers,
  type Placement,
  PRESETS,
} from "../../src/models/mod.ts";
import { moiie, moiieOf } from "../../src/moe/mod.ts";

Deno.test("lvlmConfig() gives a preset its defaults", () => {
  const config = lvlmConfig("tiny");
  assertEquals(config.preset, "tiny");
  assertEquals(config.ffn.variant, "dense");
  assertEquals([config.placement, config.visionBoundary], ["interleaved", "exact"]);
  assertEquals(config.vision, PRESETS.tiny.vision);
  assertEquals(imageTokens(config.vision), 16);
});

Deno.test("lvlmConfig() changes single sizes and leaves the preset as it is", () => {
  const config = lvlmConfig("small", { vision: { layers: 2 }, language: { hidden: 80 } });
  assertEquals(config.vision, { ...PRESETS.small.vision, layers: 2 });
  assertEquals(config.language, { ...PRESETS.small.language, hidden: 80 });
  assertEquals([PRESETS.small.vision.layers, PRESETS.small.language.hidden], [4, 704]);
});

/** Wrong options and what is said about them. */
const WRONG: Readonly<Record<string, [string, object, string[]]>> = {
  "the preset is unknown": ["tinny", {}, ['model preset "tinny"', 'did you mean "tiny"']],
  "the preset is a property of every object": ["constructor", {}, ['preset "constructor"']],
  "an option is unknown": ["tiny", { fnn: moiie() }, ['option "fnn"', 'did you mean "ffn"']],
  "a vision size is unknown": [
    "tiny",
    { vision: { widht: 8 } },
    ['vision option "widht"', 'did you mean "width"'],
  ],
  "a language size is unknown": [
    "tiny",
    { language: { vocabulry: 8 } },
    ['did you mean "vocabulary"'],
  ],
  "the boundary is unknown": [
    "tiny",
    { visionBoundary: "shift" },
    ['did you mean "shifted"'],
  ],
  "the placement is unknown": [
    "tiny",
    { placement: "interleave" },
    ['did you mean "interleaved"'],
  ],
  "the placement names a missing layer": [
    "tiny",
    { placement: [1, 4] },
    ["layer 4 of 4", "count from 0"],
  ],
  "heads do not divide the width": [
    "tiny",
    { language: { heads: 5 } },
    ["language: 5 heads do not divide the width 64"],
  ],
  "patches do not tile the picture": [
    "tiny",
    { vision: { patch: 7 } },
    ["patches of 7 do not tile a picture of 32 pixels"],
  ],
  "a head has an odd size": ["tiny", { language: { width: 12, heads: 4 } }, ["even head size"]],
  "a size is no whole number": ["tiny", { vision: { layers: 1.5 } }, ["vision.layers = 1.5"]],
  "a size is zero": ["tiny", { language: { hidden: 0 } }, ["language.hidden = 0"]],
  "a size is missing": ["tiny", { language: { hidden: undefined } }, ["hidden = undefined"]],
  "the pool table has an idle expert": [
    "tiny",
    { ffn: { ...moiie(), experts: [...moiie().experts, { name: "X", group: "shared" }] } },
    ["nobody uses X"],
  ],
  "a routing option is unknown": [
    "tiny",
    { ffn: moiie(), routing: { capasity: 1 } },
    ['routing option "capasity"', 'did you mean "capacity"'],
  ],
  "the slices do not divide an expert": [
    "tiny",
    { ffn: moiie({ split: 5 }) },
    ["5 slices do not divide the inner width 176"],
  ],
  "the pool table has other modalities": [
    "tiny",
    { ffn: { ...moiie(), pools: [...moiie().pools].reverse() } },
    ['"image,text", must be "text,image"'],
  ],
};

for (const [name, [preset, options, says]] of Object.entries(WRONG)) {
  Deno.test(`lvlmConfig() throws RangeError when ${name}`, () => {
    const { message } = assertThrows(() => lvlmConfig(preset, options as LvlmOptions), RangeError);
    for (const part of says) assertStringIncludes(message, part);
  });
}

Deno.test("lvlmConfig() keeps routing options, as plain data, and leaves them out when there are none", () => {
  const routing = { capacity: 1.25, drop: "weight", jitter: 0.01 } as const;
  const config = lvlmConfig("tiny", { ffn: moiie({ split: 2, alwaysOn: 1 }), routing });
  assertEquals(JSON.parse(JSON.stringify(config)), config);
  assertEquals(config.routing, routing);
  assertEquals("routing" in lvlmConfig("tiny", { ffn: moiie(), routing: {} }), false);
});

Deno.test("lvlmConfig() takes a table with more modalities after text and image", () => {
  const three = { modalities: ["text", "image", "audio"], own: { audio: 1 }, shared: 2 };
  assertEquals(lvlmConfig("tiny", { ffn: moiieOf(three) }).ffn.pools.length, 3);
});

Deno.test("moeLayers() gives odd layers, all, none, or those of a list in order", () => {
  assertEquals(moeLayers("interleaved", 5), [1, 3]);
  assertEquals(moeLayers("interleaved", 32).length, 16);
  assertEquals(moeLayers("full", 3), [0, 1, 2]);
  assertEquals(moeLayers("even", 5), [0, 2, 4]);
  assertEquals(moeLayers("first-half", 5), [0, 1]);
  assertEquals(moeLayers("second-half", 5), [2, 3, 4]);
  assertEquals(moeLayers("none", 3), []);
  assertEquals(moeLayers([2, 0, 2], 3), [0, 2]);
  assertThrows(() => moeLayers([-1], 3), RangeError, "layer -1");
  assertThrows(() => moeLayers("half" as Placement, 3), RangeError, "placement");
});
