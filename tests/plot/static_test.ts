import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { encodePng, isPng, pngSize } from "../../src/data/png.ts";
import {
  type Figure,
  figureToPng,
  figureToSvg,
  lossCurve,
  sampleGrid,
} from "../../src/plot/mod.ts";
import { encodeBase64 } from "../../src/plot/base64.ts";
import { fontMetrics } from "../../src/plot/font_metrics.ts";
import { fontFiles } from "../../src/plot/packages.ts";
import { exampleRun } from "./examples.ts";

const HEATMAP: Figure = {
  data: [{ type: "heatmap", z: [[0, 1], [2, 3]], colorscale: [[0, "#000000"], [1, "#ffffff"]] }],
  layout: { title: { text: "Heat" }, width: 320, height: 240 },
};

async function sha256(bytes: Uint8Array): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new Uint8Array(bytes));
  return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

Deno.test("figureToSvg() draws texts and lines when given a figure", async () => {
  const svg = await figureToSvg(lossCurve(exampleRun(20)));
  assertMatch(svg, /^<svg/);
  for (const text of ["Training loss", "learning rate", "connector", "instruct", "step"]) {
    assertStringIncludes(svg, text);
  }
});

Deno.test("figureToSvg() places the ticks of both axes when labels are measured", async () => {
  const svg = await figureToSvg(lossCurve(exampleRun(20, false)));
  const labels = (axis: string): number =>
    [...svg.matchAll(new RegExp(`class="${axis}tick"><text`, "g"))].length;
  assert(labels("x") >= 3, "the x axis has no labels");
  assert(labels("y") >= 3, "the y axis has no labels");
});

Deno.test("figureToPng() gives the same bytes on every machine", async () => {
  const png = await figureToPng(lossCurve(exampleRun(20)));
  assertEquals(pngSize(png), { width: 1080, height: 690 });
  assertEquals(png, await figureToPng(lossCurve(exampleRun(20))));
  assertEquals(
    await sha256(png),
    "b9e1f02ff15d249d40015106fe89c56b467766c9294454e3ebd735a05c8cb5ad",
  );
});

Deno.test("figureToPng() draws heat maps when the document has no canvas", async () => {
  const svg = await figureToSvg(HEATMAP);
  assertMatch(svg, /<image image-rendering="optimizeSpeed"[^>]*data:image\/png;base64,/);
  assert(isPng(await figureToPng(HEATMAP, 1)));
});

Deno.test("figureToPng() draws figures one after the other when many are asked for", async () => {
  const figures = [5, 10, 15].map((steps) => lossCurve(exampleRun(steps)));
  const together = await Promise.all(figures.map((figure) => figureToPng(figure, 0.5)));
  for (const [index, figure] of figures.entries()) {
    assertEquals(together[index], await figureToPng(figure, 0.5));
  }
});

Deno.test("figureToSvg() leaves the figure as it is when plotly fills in defaults", async () => {
  const before = structuredClone(HEATMAP);
  await figureToSvg(HEATMAP);
  assertEquals(HEATMAP, before);
});

Deno.test("figureToSvg() names the figure when it cannot be drawn", async () => {
  // A function is not data.
  const broken = { data: [], layout: { title: { text: "Broken" }, shapes: (() => {}) as never } };
  await assertRejects(() => figureToSvg(broken), Error, "Broken");
});

Deno.test("fontMetrics() reads the widths of the font file", async () => {
  const [regular, bold] = (await fontFiles()).map(fontMetrics);
  // Advance of "A" in DejaVu Sans: 1401 of 2048 units.
  assertEquals(regular.width("A", 2048), 1401);
  assertEquals(regular.width("AAA", 10), 3 * regular.width("A", 10));
  assert(bold.width("A", 10) > regular.width("A", 10));
});

Deno.test("fontMetrics() throws when the file is not a font", () => {
  assertThrows(() => fontMetrics(new Uint8Array(100)), SyntaxError, "Not a TrueType font");
});

Deno.test("encodeBase64() writes long arrays", () => {
  assertEquals(encodeBase64(new Uint8Array([104, 105])), "aGk=");
  assertEquals(atob(encodeBase64(new Uint8Array(100_001))).length, 100_001);
});

Deno.test("sampleGrid() gives each row the height of its longest text", async () => {
  const png = await encodePng(8, 8, new Uint8Array(256).fill(120));
  const sample = { png, question: "Where?", expected: "left", answer: "<right>", correct: false };
  const options = { size: 100, scale: 1 };
  const one = pngSize(await sampleGrid([sample], options));
  assertEquals(one, { width: 140, height: 100 + 4 * 16 + 2 * 20 + 8 });
  const long = {
    ...sample,
    question: "Where is the very small dog with the unbelievablylonghair?",
  };
  const wide = pngSize(await sampleGrid([sample, long], options));
  assertEquals(wide.width, 260);
  assert(wide.height > one.height, "the long question is not wrapped");
  const rows = pngSize(await sampleGrid([sample, sample], { ...options, columns: 1 }));
  assertEquals(rows, { width: 140, height: 2 * one.height - 20 });
  await assertRejects(() => sampleGrid([]), RangeError, "at least one sample");
});
