import { assertEquals, assertThrows } from "@std/assert";
import { SPECIAL_TOKENS, WordTokenizer } from "../../src/data/tokenizer.ts";

Deno.test("WordTokenizer gives the same ids when the words come in another order", () => {
  const a = new WordTokenizer(["dog", "a", "cat", "dog"]);
  const b = new WordTokenizer(["cat", "dog", "a"]);
  assertEquals(a.tokens, b.tokens);
  assertEquals(a.tokens.slice(0, 5), [...SPECIAL_TOKENS]);
  assertEquals([a.pad, a.bos, a.eos, a.image, a.unk], [0, 1, 2, 3, 4]);
  assertEquals(a.size, 8);
});

Deno.test("encode() and decode() invert each other when all words are known", () => {
  const tokenizer = new WordTokenizer(["what", "is", "?", "top-left"]);
  const ids = tokenizer.encode("  what is  top-left ? ");
  assertEquals(ids.length, 4);
  assertEquals(tokenizer.decode(ids), "what is top-left ?");
  assertEquals(tokenizer.encode(""), []);
  assertEquals(tokenizer.decode([0, ids[0], 0]), "what");
});

Deno.test("encode() gives <unk> when a word is not in the vocabulary", () => {
  const tokenizer = new WordTokenizer(["a"]);
  assertEquals(tokenizer.encode("a zebra"), [5, tokenizer.unk]);
  assertEquals(tokenizer.decode(tokenizer.encode("zebra <eos>")), "<unk> <eos>");
});

Deno.test("decode() throws RangeError when an id is out of range", () => {
  const tokenizer = new WordTokenizer(["a"]);
  for (const id of [-1, 6, 1.5]) assertThrows(() => tokenizer.decode([id]), RangeError, "0 to 5");
});

Deno.test("WordTokenizer throws RangeError when a word cannot be one", () => {
  for (const word of ["", "two words", "<pad>"]) {
    assertThrows(() => new WordTokenizer([word]), RangeError, "cannot be a word");
  }
});

Deno.test("fromJSON() restores the tokenizer and refuses anything else", () => {
  const tokenizer = new WordTokenizer(["b", "a"]);
  const json = JSON.parse(JSON.stringify(tokenizer));
  assertEquals(WordTokenizer.fromJSON(json).tokens, tokenizer.tokens);
  for (const bad of [null, {}, { type: "bpe", tokens: [] }, { type: "words", tokens: [1] }]) {
    assertThrows(() => WordTokenizer.fromJSON(bad), TypeError);
  }
  const swapped = { type: "words", tokens: [...SPECIAL_TOKENS, "b", "a"] };
  assertThrows(() => WordTokenizer.fromJSON(swapped), RangeError, "token 5");
  const doubled = { type: "words", tokens: [...SPECIAL_TOKENS, "a", "a"] };
  assertThrows(() => WordTokenizer.fromJSON(doubled), RangeError);
});
