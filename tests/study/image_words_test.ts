import { assertAlmostEquals, assertEquals } from "@std/assert";
import { imageWords } from "../../src/study/mod.ts";
import { setValues } from "../../src/tensor/mod.ts";
import "../nn/shared.ts";
import { DATA } from "../train/shared.ts";
import { randomModel } from "./shared.ts";

Deno.test("imageWords() reads the connector's output in the language model's words", async () => {
  const model = await randomModel(DATA);
  const { weight, bias } = model.connector.down;
  const { embedding } = model.language;
  const values = await embedding.data() as Float32Array, width = embedding.shape[1];
  const id = DATA.tokenizer.encode("owl")[0];
  setValues(weight, new Float32Array(weight.size));
  // Twice the embedding: length does not count.
  setValues(bias!, values.slice(id * width, (id + 1) * width).map((x) => 2 * x));
  const words = await imageWords(model, DATA, DATA.sample("val", 0), 2);
  assertEquals(words.length, 16);
  for (const [first, second] of words) {
    assertEquals(first.word, "owl");
    assertAlmostEquals(first.cosine, 1, 1e-6);
    assertEquals(second.cosine < 1, true);
  }
});
