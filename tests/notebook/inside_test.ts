import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { arrayText } from "../../src/notebook/array_text.ts";
import { toConsoleText, toDisplay, toText } from "../../src/notebook/bundle.ts";
import { tensorFigure } from "../../src/notebook/mod.ts";
import { tensorDisplays } from "../../src/notebook/tensor.ts";
import {
  add,
  describe,
  explain,
  KernelTable,
  matmul,
  softmax,
  tensor,
} from "../../src/tensor/mod.ts";
import { cellText } from "../../src/tensor/text_table.ts";

const range = (n: number): Float32Array => Float32Array.from({ length: n }, (_, i) => i);

Deno.test("arrayText() aligns nested values and leaves out the middle of long dimensions", () => {
  assertEquals(arrayText([1, 2.5, -3, NaN], [2, 2], cellText), "[[  1, 2.5],\n [ -3, NaN]]");
  assertEquals(arrayText(range(4), [2, 1, 2], cellText), "[[[0, 1]],\n\n [[2, 3]]]");
  assertEquals(arrayText([7], [], cellText), "7");
  assertEquals(arrayText([], [0, 3], cellText), "[]");
  const long = arrayText(range(700), [7, 100], cellText).split("\n");
  assertEquals(long.length, 7);
  assertEquals(long[0], "[[  0,   1,   2, …,  97,  98,  99],");
  assertEquals(long[3], " …,");
  assertEquals(long[6], " [600, 601, 602, …, 697, 698, 699]]");
});

Deno.test("toConsoleText() prints a tensor's statistics and values", async () => {
  const t = tensor([[1, 2.5], [3, NaN]], { name: "scores" });
  assertEquals((await toConsoleText(t)).split("\n"), [
    "f32[2,2] scores, 16 B",
    "min 1, mean 2.167, max 3, standard deviation 0.8498, zeros 0, NaN 1, infinite 0",
    "distribution from 1 to 3: █·················█····█",
    "[[  1, 2.5],",
    " [  3, NaN]]",
  ]);
  const truth = tensor([1, 0], { dtype: "bool" });
  assertMatch(await toConsoleText(truth), /\[ true, false\]$/);
});

Deno.test("tensorDisplays() gives a tensor's numbers, then its picture with a description", async () => {
  const t = tensor([[1, 2.5], [3, NaN]], { name: "<scores>" });
  const [numbers, picture, ...more] = await tensorDisplays(t);
  assertEquals(more, []);
  assertEquals(numbers.data["text/plain"], await toConsoleText(t));
  const html = String(numbers.data["text/html"]);
  assertStringIncludes(html, "&lt;scores&gt;");
  assertMatch(html, /<td[^>]*>2.5<\/td>/);
  const description = "Heat map of f32[2,2] <scores>: from 1 to 3, mean 2.167.";
  assertEquals(picture.data["text/plain"], description);
  assertStringIncludes(
    String(picture.data["text/html"]),
    'alt="Heat map of f32[2,2] &lt;scores&gt;',
  );
  const { width } = (picture.metadata as Record<string, { width: number }>)["image/png"];
  assertEquals(width, tensorFigure(await describe(t))!.layout.width);
});

Deno.test("tensorDisplays() draws no picture of a single value", async () => {
  assertEquals((await tensorDisplays(tensor(3))).length, 1);
});

Deno.test("tensorFigure() shows the first matrix of many and says so", async () => {
  const figure = tensorFigure(await describe(tensor(range(24), { shape: [2, 2, 2, 3] })))!;
  assertEquals(figure.data[0].z, [[0, 1, 2], [3, 4, 5]]);
  assertStringIncludes(figure.layout.title!.text, "first of 4 matrices, [0,0,:,:]");
  const line = tensorFigure(await describe(tensor(range(5))))!;
  assertEquals(line.data[0].type, "scatter");
});

Deno.test("a tensor that is looked at is not computed, one that is shown is", async () => {
  const sum = add(tensor([1, 2]), 1);
  assertEquals(Deno.inspect(sum), "Tensor f32[2]");
  assertEquals(toText(sum), "Tensor f32[2]");
  assertEquals(sum.node.op, "add");
  await assertRejects(() => toConsoleText(sum), Error, "lab()"); // no session is open here
});

Deno.test("toDisplay() gives a plan as a table", async () => {
  const a = tensor([[1, 2], [3, 4]]);
  const { data } = await toDisplay(explain(softmax(matmul(a, a))));
  const html = String(data["text/html"]);
  assertStringIncludes(html, "softmax -&gt; f32[2,2]");
  assert(!html.includes("<details>"), "WGSL was not asked for");
  assertStringIncludes(String(data["text/plain"]), "2 kernels, one dispatch each");
});

Deno.test("toDisplay() gives times of kernels as a table", async () => {
  const totals = new Map([["copy -> f32[2]", { dispatches: 4, ms: 2, bytes: 50e6, flops: 0 }]]);
  const kernels = new KernelTable(totals, "a device", { bandwidth: 100e9, flops: 1e12 });
  const { data } = await toDisplay(kernels);
  assertMatch(String(data["text/html"]), /copy -&gt; f32\[2\].*<td[^>]*>25<\/td>.*memory/);
  assertEquals(await toConsoleText(kernels), String(kernels));
});
