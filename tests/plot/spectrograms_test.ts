import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { logMel } from "../../src/data/mod.ts";
import { pngSize } from "../../src/data/png.ts";
import { figureToPng, isFigure, spectrograms } from "../../src/plot/mod.ts";

/** A tone of half a second. */
function tone(hertz: number) {
  const wave = Float32Array.from({ length: 4016 }, (_, i) => 0.5 * Math.sin(i * hertz * 7.854e-4));
  return { name: `${hertz} Hz`, wave, ...logMel(wave) };
}

const SOUNDS = [300, 600, 900, 1200, 1500, 1800, 2100].map(tone);

Deno.test("spectrograms() draws a wave and a map for each sound, over the same seconds", () => {
  const figure = spectrograms(SOUNDS, { title: "Tones" });
  assert(isFigure(figure));
  assertEquals(JSON.parse(JSON.stringify(figure)), figure);
  assertEquals(figure.data.map((t) => t.type), SOUNDS.flatMap(() => ["scatter", "heatmap"]));
  const [wave, map] = figure.data;
  assertEquals(Math.max(...wave.y as number[]), 0.5);
  assertEquals(Math.min(...wave.y as number[]), -0.5);
  assert(wave.x!.length <= 340);
  const z = map.z as number[][];
  assertEquals([z.length, z[0].length], [20, 48]); // bands, frames
  assertEquals(z[3][10], Number(SOUNDS[0].values[10 * 20 + 3].toFixed(2)));
  // Frame 47 begins at 0.47 s.
  assert(Math.abs((map.x0 as number) + 47 * (map.dx as number) - 0.475) < 1e-9);
  const range = (name: string) => (figure.layout[name] as { range: number[] }).range;
  assertEquals(range("xaxis"), range("xaxis2"));
  const notes = (figure.layout.annotations as { text: string }[]).map(({ text }) => text);
  assertEquals(notes, SOUNDS.map((s) => s.name));
  assertEquals(JSON.stringify(figure.data).match(/\d\.\d{8,}/g), null);
});

Deno.test("spectrograms() names its axes once a row or column, and puts five in a row", () => {
  const { layout } = spectrograms(SOUNDS);
  const titles = (direction: string) =>
    Object.entries(layout).filter(([name]) => name.startsWith(direction))
      .map(([, axis]) => (axis as { title: { text: string } }).title.text).filter((t) => t);
  assertEquals(titles("xaxis"), new Array(5).fill("seconds")); // the lowest of each column
  assertEquals(titles("yaxis"), ["mel band", "mel band"]);
  assertMatch(layout.title!.text, /^Sounds<br>.*above: samples/);
  const narrow = spectrograms(SOUNDS.slice(0, 2), { columns: 1 }).layout;
  assert(narrow.width! < layout.width! && narrow.height! > 300);
});

Deno.test("spectrograms() can be drawn without a browser", async () => {
  const figure = spectrograms(SOUNDS.slice(0, 2));
  const { width, height } = figure.layout;
  assertEquals(pngSize(await figureToPng(figure, 1)), { width: width!, height: height! });
});

Deno.test("spectrograms() throws RangeError when there is nothing, or values do not fill the map", () => {
  assertThrows(() => spectrograms([]), RangeError, "got 0");
  const [first] = SOUNDS;
  assertThrows(
    () => spectrograms([{ ...first, bands: 21 }]),
    RangeError,
    `"300 Hz" has 960 values for 48 frames × 21 bands`,
  );
});
