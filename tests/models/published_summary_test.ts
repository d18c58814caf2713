import { assertEquals, assertThrows } from "@std/assert";
import {
  loadPublished,
  summarize,
  summarizePublished,
  upcyclePublished,
} from "../../src/models/mod.ts";
import { moiie } from "../../src/moe/mod.ts";
import "../nn/shared.ts";
import { folderOf, tensorsOf } from "./fixture_models.ts";

for (const name of ["llama", "llama_tied_rope3", "phi3", "llava", "mixtral"]) {
  Deno.test(`summarizePublished() counts every number of ${name}'s files once`, async () => {
    const folder = folderOf(`models/${name}`), model = await loadPublished(folder);
    const { rows, total } = summarizePublished(model);
    const inFiles = [...tensorsOf(folder).values()].reduce((n, { data }) => n + data.length, 0);
    assertEquals(total, inFiles);
    assertEquals(total, rows.reduce((n, row) => n + row.total, 0));
  });
}

Deno.test("summarizePublished() counts of an upcycled model what one token uses, as summarize() does", async () => {
  const dense = await loadPublished(folderOf("models/llama"));
  if (dense.kind !== "language") throw new Error("not a language model");
  const table = moiie({ vision: 2, language: 1, shared: 2, alwaysOn: 1 });
  const model = await upcyclePublished(dense, table, { placement: [0, 2] });
  const { rows } = summarizePublished(model);
  const vision = { imageSize: 8, patch: 4, width: 8, layers: 1, heads: 2, hidden: 8 };
  const { language } = dense.model.config;
  const counted = summarize({ preset: "", vision, language, ffn: table, placement: [0, 2] });
  const of = (part: string) => {
    const own = rows.find((r) => r.part === part)!,
      other = counted.rows.find((r) => r.part === part)!;
    assertEquals([own.total, own.active], [other.total, other.active], part);
    return own;
  };
  for (const { part } of rows) of(part);
  assertEquals(of("experts (moiie)").active, of("experts (moiie)").total * 2 / 5);
  assertEquals(of("routers").shape, "2 layers, 2 each");
});

Deno.test("summarizePublished() refuses a vision tower", async () => {
  const tower = await loadPublished(folderOf("models/clip_vision"));
  assertThrows(() => summarizePublished(tower), RangeError, "vision tower");
});
