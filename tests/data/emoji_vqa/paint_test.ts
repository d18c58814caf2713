import { assert, assertEquals, assertGreater } from "@std/assert";
import { BACKGROUNDS, type Item, makeScene } from "../../../src/data/emoji_vqa/scene.ts";
import { SPLITS } from "../../../src/data/emoji_vqa/scales.ts";
import { annotate, scenes, sha256, smallWorld, tinyPainter, tinyWorld } from "./shared.ts";
import { loadPainter } from "../../../src/data/emoji_vqa/paint.ts";

Deno.test("paint() and annotate() give the pinned bytes when the recipe is unchanged", async () => {
  const world = await tinyWorld(), painter = await tinyPainter();
  const text = new TextEncoder();
  const parts = scenes(world, "train", 200).flatMap((scene) => [
    new Uint8Array(painter.paint(scene)),
    text.encode(JSON.stringify(annotate(world, scene))),
  ]);
  // A new value means new data: raise RECIPE_VERSION in build.ts, and train the fixtures again.
  assertEquals(
    await sha256(new Uint8Array(await new Blob(parts).arrayBuffer())),
    "1b18a6268050a57f505ebc95b2248dc3577a67205504e1c51d4312220cbcab2d",
  );
});

Deno.test("paint() shows the background where nothing lies and something else where it does", async () => {
  const world = await tinyWorld(), painter = await tinyPainter();
  for (const split of ["train", "comp", "style"] as const) {
    for (const scene of scenes(world, split, 100)) {
      const picture = painter.paint(scene), { cells } = annotate(world, scene);
      assertEquals(picture.length, 32 * 32 * 3);
      for (const [cell, phrase] of cells.entries()) {
        const changed = changedPixels(picture, 32, cell, scene.background);
        // Printed text may lie in one quadrant of its row only.
        if (phrase === "") assertEquals(changed, 0, `quadrant ${cell} of ${cells}`);
        else if (!phrase.startsWith("text")) assertGreater(changed, 3, `${phrase} of ${cells}`);
      }
      for (const row of [0, 2]) {
        if (!cells[row].startsWith("text")) continue;
        const both = [row, row + 1].map((cell) =>
          changedPixels(picture, 32, cell, scene.background)
        );
        assertGreater(both[0] + both[1], 20, cells[row]);
      }
    }
  }
});

Deno.test("paint() draws at 64 pixels without halving when the scale is small", async () => {
  const world = await smallWorld(), painter = await loadPainter(world);
  for (const split of SPLITS.slice(0, 4)) {
    for (const scene of scenes(world, split, 15)) {
      const picture = painter.paint(scene), { cells } = annotate(world, scene);
      assertEquals(picture.length, 64 * 64 * 3);
      const empty = cells.flatMap((phrase, cell) => phrase === "" ? [cell] : []);
      for (const cell of empty) assertEquals(changedPixels(picture, 64, cell, scene.background), 0);
    }
  }
});

Deno.test("paint() gives all pictures distinct bytes across splits", async () => {
  const world = await tinyWorld(), painter = await tinyPainter();
  const seen = new Set<string>();
  for (const split of SPLITS.slice(0, 4)) {
    for (const scene of scenes(world, split, 100)) {
      seen.add(await sha256(new Uint8Array(painter.paint(scene))));
    }
  }
  assertEquals(seen.size, 400);
});

Deno.test("paint() changes only the quadrant whose item changes", async () => {
  const world = await tinyWorld(), painter = await tinyPainter();
  const scene = makeScene(world, "train", 4);
  const [first, ...rest] = scene.items;
  assert(first.type === "object");
  const other: Item = { ...first, flip: !first.flip };
  const a = painter.paint(scene), b = painter.paint({ ...scene, items: [other, ...rest] });
  const differs = [0, 1, 2, 3].map((cell) =>
    quadrant(a, 32, cell).some((byte, i) => byte !== quadrant(b, 32, cell)[i])
  );
  assertEquals(differs, [0, 1, 2, 3].map((cell) => cell === first.cell));
});

function quadrant(picture: Uint8Array, side: number, cell: number): number[] {
  const half = side / 2, x0 = half * (cell & 1), y0 = half * (cell >> 1);
  return Array.from({ length: half }, (_, y) => {
    const start = 3 * ((y0 + y) * side + x0);
    return [...picture.subarray(start, start + 3 * half)];
  }).flat();
}

/** Pixels of a quadrant further than the noise from the background colour. */
function changedPixels(
  picture: Uint8Array,
  side: number,
  cell: number,
  background: string,
): number {
  const colour = BACKGROUNDS[background], bytes = quadrant(picture, side, cell);
  let changed = 0;
  for (let i = 0; i < bytes.length; i += 3) {
    if (colour.some((value, c) => Math.abs(bytes[i + c] - value) > 4)) changed++;
  }
  return changed;
}
