import { assert, assertEquals, assertGreater, assertRejects, assertThrows } from "@std/assert";
import { emojiVqa } from "../../../src/data/emoji_vqa/build.ts";
import { FAMILIES } from "../../../src/data/emoji_vqa/questions.ts";
import { type Split, SPLITS } from "../../../src/data/emoji_vqa/scales.ts";
import { makeScene } from "../../../src/data/emoji_vqa/scene.ts";
import { annotate, FEW, tinyData, tinyPainter, tinyWorld } from "./shared.ts";

Deno.test("emojiVqa() gives samples that do not depend on how many there are", async () => {
  const data = await tinyData(), world = await tinyWorld(), painter = await tinyPainter();
  for (const split of SPLITS) {
    for (const index of [0, 7, data.sizes[split] - 1]) {
      const scene = makeScene(world, split, index), sample = data.sample(split, index);
      const image = split === "text" ? new Uint8Array(0) : painter.paint(scene);
      assertEquals([...sample.image], [...image]);
      assertEquals(sample.id, `tiny/${split}/${index}`);
      const { caption, cells, background, kind, questions } = sample;
      assertEquals({ kind, background, caption, cells, questions }, annotate(world, scene));
    }
  }
  const { train, val, comp, style, text } = FEW;
  assertEquals(data.sizes, { train, val, comp, style, text });
});

Deno.test("emojiVqa() throws RangeError naming the closest name when one is unknown", async () => {
  // deno-lint-ignore no-explicit-any
  const scale = "tinny" as any, split = "vla" as any;
  await assertRejects(() => emojiVqa({ scale }), RangeError, 'did you mean "tiny"');
  await assertRejects(() => emojiVqa({ train: -1 }), RangeError, '"train"');
  await assertRejects(() => emojiVqa({ val: 1.5 }), RangeError, '"val"');
  const data = await tinyData();
  assertThrows(() => data.sample(split, 0), RangeError, 'did you mean "val"');
  assertThrows(() => data.kinds(split), RangeError);
  assertThrows(() => data.blindFloors(split), RangeError);
  assertThrows(() => [...data.questions(split)], RangeError);
});

Deno.test("sample() throws RangeError when there is no such sample", async () => {
  const data = await tinyData();
  for (const index of [-1, 200, 0.5, NaN]) {
    assertThrows(() => data.sample("train", index), RangeError, "200 samples");
  }
});

Deno.test("benchmarks list every question of the test splits once", async () => {
  const data = await tinyData();
  assertEquals(data.benchmarks.length, 12);
  assertEquals(data.benchmarks[0].name, "val/general");
  for (const split of ["val", "comp", "style"] as Split[]) {
    const listed = data.benchmarks.filter((benchmark) => benchmark.split === split);
    assertEquals(listed.map(({ family }) => family), [...FAMILIES]);
    const seen = new Set(
      listed.flatMap(({ questions }) =>
        questions.map(({ sample, question }) => `${sample} ${question}`)
      ),
    );
    const all = data.samples(split, Array.from({ length: 40 }, (_, i) => i));
    assertEquals(seen.size, all.reduce((sum, { questions }) => sum + questions.length, 0));
    for (const { family, questions } of listed) {
      for (const { sample, question } of questions) {
        assertEquals(data.sample(split, sample).questions[question].family, family);
      }
    }
  }
});

Deno.test("blindFloors() lies between chance and certainty and covers every task", async () => {
  const data = await tinyData();
  for (const split of ["val", "comp", "style"] as Split[]) {
    const floors = data.blindFloors(split);
    for (const family of FAMILIES) {
      assert(floors.families[family] >= 0 && floors.families[family] < 0.75, family);
      assertGreater(floors.counts[family], 10);
    }
    const mean = FAMILIES.reduce((sum, family) => sum + floors.families[family], 0) / 4;
    assertEquals(floors.macro, mean);
    const tasks = new Set(data.questions(split).map(({ asked }) => asked.task));
    assertEquals(Object.keys(floors.tasks), [...tasks].sort());
  }
});

Deno.test("contactSheet() gives a PNG of the size that its options imply", async () => {
  const data = await tinyData();
  const size = async (options: Parameters<typeof data.contactSheet>[0]) => {
    const png = await data.contactSheet(options), view = new DataView(png.buffer);
    return [view.getUint32(16), view.getUint32(20)];
  };
  assertEquals(await size({ count: 6, columns: 3, zoom: 2 }), [3 * 68 + 4, 2 * 68 + 4]);
  assertEquals(await size({ split: "val", count: 2, columns: 3, zoom: 1 }), [2 * 36 + 4, 40]);
  const [width] = await size({ count: 2, columns: 1, captions: true });
  assertGreater(width, 132 + 300);
  await assertRejects(() => data.contactSheet({ start: 199, count: 2 }), RangeError, "sample 200");
  await assertRejects(() => data.contactSheet({ count: 0 }), RangeError, "count");
  await assertRejects(
    () => data.contactSheet({ split: "text", count: 1 }),
    RangeError,
    "no pictures",
  );
});
