import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { encodePng } from "../../src/data/mod.ts";
import { toConsoleText, toDisplay, toText } from "../../src/notebook/bundle.ts";
import { fitting } from "../../src/notebook/display.ts";
import { currentKernel } from "../../src/notebook/jupyter.ts";
import { flush, show, table } from "../../src/notebook/mod.ts";
import type { Figure } from "../../src/plot/mod.ts";

const FIGURE: Figure = {
  data: [{ type: "scatter", name: "line", x: [0, 1], y: [2, 5] }],
  layout: { title: { text: "A </script> <b>title</b>" }, width: 320, height: 240 },
};

/** What `run` prints with console.log. */
async function printed(run: () => Promise<void>): Promise<string> {
  const original = console.log;
  const lines: string[] = [];
  console.log = (...values: unknown[]): void => void lines.push(values.join(" "));
  try {
    await run();
  } finally {
    console.log = original;
  }
  return lines.join("\n");
}

Deno.test("currentKernel() is undefined when there is no kernel", () => {
  assertEquals(currentKernel(), undefined);
});

Deno.test("show() prints text forms when there is no kernel", async () => {
  const text = await printed(async () => {
    await show(FIGURE, "plain", table(["a"], [[1]]), { key: [1, 2] });
    await flush();
  });
  assertStringIncludes(text, "line: 2 points, 2 to 5, last 5");
  assertStringIncludes(text, "\nplain\na\n-\n1\n");
  assertStringIncludes(text, "{ key: [ 1, 2 ] }");
});

Deno.test("toDisplay() gives a figure in every form that front ends know", async () => {
  const { data, metadata } = await toDisplay(FIGURE);
  assertEquals(Object.keys(data).sort(), [
    "application/vnd.plotly.v1+json",
    "image/png",
    "text/html",
    "text/plain",
  ]);
  assertEquals(metadata, { "image/png": { width: 320, height: 240 } });
  const html = String(data["text/html"]);
  assertStringIncludes(html, `src="data:image/png;base64,${data["image/png"]}"`);
  assertEquals(html.match(/<\/script>/g)?.length, 1, "the title ends the script");
  assertMatch(html, /alt="A[^"]*title"/);
});

Deno.test("toDisplay() takes PNG bytes for a picture and other bytes for text", async () => {
  const png = await encodePng(2, 2, new Uint8Array(16));
  assertEquals(Object.keys((await toDisplay(png)).data), ["text/plain", "image/png"]);
  assertEquals(toText(png), "Picture, 2×2 pixels");
  assertEquals(Object.keys((await toDisplay(new Uint8Array(3))).data), ["text/plain"]);
});

Deno.test("toDisplay() asks objects that display themselves, also when they take time", async () => {
  const value = {
    [Symbol.for("Jupyter.display")]: async () => {
      await Promise.resolve();
      return { "text/plain": "own text", "text/html": "<i>own</i>" };
    },
  };
  assertEquals((await toDisplay(value)).data["text/html"], "<i>own</i>");
  assertEquals(await toConsoleText(value), "own text");
});

Deno.test("fitting() drops the largest forms first when an output is too large", () => {
  const bundle = {
    "text/plain": "short",
    "text/html": "h".repeat(600),
    "application/vnd.plotly.v1+json": {},
    "image/png": "p".repeat(600),
  };
  assertEquals(fitting(bundle, 10_000), bundle);
  assertEquals(Object.keys(fitting(bundle, 900)), [
    "text/plain",
    "application/vnd.plotly.v1+json",
    "image/png",
  ]);
  assertEquals(fitting(bundle, 100), { "text/plain": "short" });
  const long = fitting({ "text/plain": "x".repeat(50_000) }, 20_000);
  assertMatch(String(long["text/plain"]), /too large to show/);
});

Deno.test("table() aligns numbers to the right and rounds them", () => {
  const text = String(table(["name", "score"], [["dense", 0.512345], ["MoIIE", 12], ["?", null]]));
  assertEquals(text.split("\n"), [
    "name    score",
    "-----  ------",
    "dense  0.5123",
    "MoIIE      12",
    "?",
  ]);
});

Deno.test("table() escapes its cells in HTML", async () => {
  const { data } = await toDisplay(table(["<h>"], [["a & b"]]));
  assertStringIncludes(String(data["text/html"]), "&lt;h&gt;");
  assertStringIncludes(String(data["text/html"]), "a &amp; b");
});

Deno.test("table() throws when a row is too short", () => {
  assertThrows(() => table(["a", "b"], [[1, 2], [3]]), RangeError, "Row 1");
  assert(table(["a"], []).toString().length > 0);
});
