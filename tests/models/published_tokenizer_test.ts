import { assert, assertEquals, assertThrows } from "@std/assert";
import { publishedTokenizer } from "../../src/models/mod.ts";
import { TOKENIZER_FILES, TOKENIZER_JSON } from "./tokenizer_shared.ts";

const tokenizer = publishedTokenizer(TOKENIZER_FILES);

Deno.test("publishedTokenizer() merges pieces, adds the beginning, and leads back", () => {
  assertEquals(tokenizer.encode("ab c"), [1, 10, 11]);
  assertEquals(tokenizer.encode("ab c", { special: false }), [10, 11]);
  assertEquals(tokenizer.decode([1, 10, 11]), "ab c");
  assertEquals(tokenizer.decode([1, 10, 11], { special: false }), "<s> ab c");
  assertEquals(tokenizer.decode(new Int32Array([13])), "hi");
  assertEquals(tokenizer.decode([]), "");
  assertEquals(tokenizer.encode(""), [1]);
});

Deno.test("publishedTokenizer() spells what it has no piece for in bytes", () => {
  assertEquals(tokenizer.encode("é", { special: false }), [3, 15, 16]);
  assertEquals(tokenizer.decode([3, 15, 16]), "é");
  assertEquals(tokenizer.encode("z", { special: false }), [3, 0]);
});

Deno.test("publishedTokenizer() recognises special tokens that a text spells out", () => {
  assertEquals(tokenizer.encode("<|user|>hi<|end|>", { special: false }), [17, 13, 18]);
  assertEquals(tokenizer.decode([17, 13, 18]), "hi");
  assertEquals([...tokenizer.specialIds].sort((a, b) => a - b), [0, 1, 2, 17, 18]);
});

Deno.test("publishedTokenizer() knows the ends, the template and single tokens", () => {
  const { size, beginId, endId, padId, unknownId, chatTemplate } = tokenizer;
  assertEquals({ size, beginId, endId, padId, unknownId }, {
    size: 19,
    beginId: 1,
    endId: 2,
    padId: undefined,
    unknownId: 0,
  });
  assert(chatTemplate?.includes("<|user|>"));
  assertEquals([tokenizer.id("<|end|>"), tokenizer.id("nothing")], [18, undefined]);
  assertEquals([tokenizer.token(18), tokenizer.token(99)], ["<|end|>", undefined]);
  assertThrows(() => tokenizer.decode([1, 99]), RangeError, "99 is no token");
});

Deno.test("publishedTokenizer() takes the default of several chat templates", () => {
  const config = {
    chat_template: [{ name: "tools", template: "T" }, { name: "default", template: "D" }],
  };
  assertEquals(publishedTokenizer({ tokenizer: TOKENIZER_JSON, config }).chatTemplate, "D");
});

Deno.test("publishedTokenizer() refuses files that describe no tokenizer", () => {
  const broken = [{}, { model: {} }, { ...TOKENIZER_JSON, model: { type: "Magic" } }, {
    ...TOKENIZER_JSON,
    decoder: { type: "Magic" },
  }];
  for (const tokenizer of broken) {
    assertThrows(
      () => publishedTokenizer({ tokenizer, config: {} }),
      SyntaxError,
      "tokenizer.json",
    );
  }
});
