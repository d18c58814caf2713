import { assertEquals, assertThrows } from "@std/assert";
import { StopStrings, TextPieces } from "../../src/models/text_stream.ts";
import { WordTokenizer } from "../../src/data/tokenizer.ts";

/** One token for each byte. */
const BYTES = {
  decode: (ids: readonly number[]) => new TextDecoder().decode(Uint8Array.from(ids)),
};

const bytesOf = (text: string) => [...new TextEncoder().encode(text)];

function pieces(tokens: readonly number[], decoder: ConstructorParameters<typeof TextPieces>[0]) {
  const stream = new TextPieces(decoder);
  return [...tokens.map((token) => stream.add(token)), stream.end()];
}

Deno.test("TextPieces holds a character back until its bytes are whole", () => {
  assertEquals(pieces(bytesOf("aé€"), BYTES), ["a", "", "é", "", "", "€", ""]);
  assertEquals(pieces(bytesOf("👍🏽!"), BYTES).join("|"), "|||👍||||🏽|!|");
});

Deno.test("TextPieces gives what is left in the end, and what can never become whole", () => {
  const [cut] = [bytesOf("€").slice(0, 2)];
  assertEquals(pieces([97, ...cut], BYTES).slice(0, 3), ["a", "", ""]);
  assertEquals(pieces([97, ...cut], BYTES).at(-1), "\ufffd");
  const broken = pieces([255, 255, 255, 255, 255, 255, 97], BYTES);
  assertEquals(broken.join("").endsWith("a"), true);
  assertEquals(broken.slice(0, 6).some((piece) => piece !== ""), true); // not held for ever
});

Deno.test("TextPieces puts the blanks that depend on a token's neighbours", () => {
  const words = new WordTokenizer(["red", "green", "cat"]);
  assertEquals(pieces(words.encode("red green cat"), words), ["red", " green", " cat", ""]);
  // As SentencePiece: the first word of a text loses the blank in front of it.
  const blanks = {
    decode: (ids: readonly number[]) => ids.map((id) => ` w${id}`).join("").replace(/^ /, ""),
  };
  assertEquals(pieces([1, 2, 3], blanks), ["w1", " w2", " w3", ""]);
  // A special token has no text.
  const special = { decode: (ids: readonly number[]) => blanks.decode(ids.filter((i) => i > 0)) };
  assertEquals(pieces([1, 0, 2], special).join(""), "w1 w2");
});

function stopped(parts: readonly string[], stops: readonly string[]) {
  const stop = new StopStrings(stops), shown = parts.map((part) => stop.add(part));
  return { shown: [...shown, stop.end()], found: stop.found };
}

Deno.test("StopStrings cuts the text where a stop string begins, across pieces", () => {
  assertEquals(stopped(["yes", " it is\nUS", "ER: and"], ["\nUSER:"]), {
    shown: ["yes", " it is", "", ""],
    found: "\nUSER:",
  });
  assertEquals(stopped(["a", "b", "c"], ["bc"]), { shown: ["a", "", "", ""], found: "bc" });
});

Deno.test("StopStrings gives back what it held when it was none", () => {
  assertEquals(stopped(["a\nUS", "A!"], ["\nUSER:"]).shown.join("|"), "a|\nUSA!|");
  assertEquals(stopped(["end", "<|en"], ["<|end|>"]).shown, ["end", "", "<|en"]);
  assertEquals(stopped(["aab"], ["ab"]), { shown: ["a", ""], found: "ab" });
  assertEquals(stopped(["aa", "ab"], ["aab"]).shown.join(""), "a");
});

Deno.test("StopStrings takes the first of several, and says nothing after it", () => {
  assertEquals(stopped(["one two three", " four"], ["three", "two"]), {
    shown: ["one ", "", ""],
    found: "two",
  });
  assertEquals(stopped(["plain"], []), { shown: ["plain", ""], found: undefined });
  assertThrows(() => new StopStrings(["x", ""]), RangeError, "empty");
});
