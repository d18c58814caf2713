import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { blockMeans, type Figure, figureToSvg, heatMap, valueLine } from "../../src/plot/mod.ts";

const subtitle = ({ layout }: Figure): string => layout.title!.text.replace(/<[^>]*>/g, "|");

Deno.test("blockMeans() averages the finite values of blocks, of smaller ones at the ends too", () => {
  // 3 × 5 values into at most two rows and two columns: blocks of 2 × 3.
  const values = [
    ...[1, 2, 3, 10, 20],
    ...[4, 5, NaN, 30, 40],
    ...[7, 7, 7, Infinity, NaN],
  ];
  const { means, block } = blockMeans(values, [3, 5], 2);
  assertEquals(block, [2, 3]);
  assertEquals(means, [[3, 25], [7, NaN]]);
});

Deno.test("heatMap() shows every value of a small matrix, row 0 at the top", () => {
  const figure = heatMap([1, 2, 3, 4, 5, NaN], [2, 3], { title: "f32[2,3]" });
  const [trace] = figure.data;
  assertEquals(trace.z, [[1, 2, 3], [4, 5, null]]);
  assert(trace.texttemplate !== undefined, "the cells have no numbers");
  assertEquals((figure.layout.yaxis as { range: number[] }).range, [1.5, -0.5]);
  assertMatch(subtitle(figure), /white: NaN or infinite/);
});

Deno.test("heatMap() averages a large matrix and says so", () => {
  const figure = heatMap(new Float32Array(300 * 100).fill(2), [300, 100], { note: "a slice" });
  const [trace] = figure.data;
  const z = trace.z as number[][];
  assertEquals([z.length, z[0].length, z[59][49]], [60, 50, 2]);
  // Cells of five rows lie at 2, 7, 12, …
  assertEquals([trace.x0, trace.dx, trace.y0, trace.dy], [0.5, 2, 2, 5]);
  assertEquals(trace.texttemplate, undefined);
  assertStringIncludes(subtitle(figure), "a slice; each cell is the mean of 5×2 values");
});

Deno.test("heatMap() throws when the values do not fill the matrix", () => {
  assertThrows(() => heatMap([1, 2], [2, 2]), RangeError, "2 values for 2×2");
  assertThrows(() => heatMap([], [0, 3]), RangeError);
});

Deno.test("valueLine() draws a long vector as means", () => {
  const figure = valueLine(Float32Array.from({ length: 1024 }, (_, i) => i));
  const [trace] = figure.data;
  assertEquals([trace.x!.length, trace.x![1], trace.y![1]], [512, 2.5, 2.5]);
  assertStringIncludes(subtitle(figure), "mean of 2 values");
  assertThrows(() => valueLine([]), RangeError);
});

Deno.test("figureToSvg() draws a heat map with a colour bar, numbers and sharp cells", async () => {
  const svg = await figureToSvg(heatMap([1, 2, 3, 4], [2, 2], { title: "f32[2,2]" }));
  assertEquals(svg.match(/class="heatmap-label"/g)?.length, 4);
  assertMatch(svg, /class="[^"]*cbaxis[^"]*"/);
  // The picture's renderer knows no "pixelated" and would blur the cells.
  assert(!svg.includes("pixelated"));
});
