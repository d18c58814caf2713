import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { encodePng } from "../../src/data/mod.ts";
import { renderReport, type Report, writeReport } from "../../src/study/report.ts";

const png = await encodePng(2, 2, new Uint8Array(16).fill(200));

const REPORT: Report = {
  title: "Runs & <results>",
  lead: "First.\n\nSecond.",
  facts: [["Seed", "7"], ["Adapter", "llvmpipe"]],
  sections: [
    { kind: "text", heading: "Notes", text: "One <b>text</b>." },
    { kind: "figure", heading: "Loss", png, alt: 'A "falling" line', caption: "Loss.", width: 640 },
    {
      kind: "table",
      head: ["family", "n", "interval"],
      rows: [["general", 125, "76.0 – 83.5"], ["ocr", 90, "–"]],
    },
    {
      kind: "gallery",
      samples: [
        { png, alt: "a cat", question: "What?", expected: "cat", answer: "cat", correct: true },
        { png, alt: "a dog", question: "Who?", expected: "dog", answer: "", correct: false },
      ],
    },
    { kind: "code", heading: "Configuration", code: '{ "topK": 2 }' },
  ],
};

Deno.test("renderReport() needs nothing but itself", () => {
  const html = renderReport(REPORT);
  assertEquals(html.match(/https?:|url\(|<script|<link|@import/g), null);
  for (const [, source] of html.matchAll(/ src="([^"]*)"/g)) {
    assert(source.startsWith("data:image/png;base64,"), source.slice(0, 40));
  }
});

Deno.test("renderReport() escapes what it is given", () => {
  const html = renderReport(REPORT);
  assertStringIncludes(html, "<title>Runs &amp; &lt;results&gt;</title>");
  assertStringIncludes(html, "One &lt;b&gt;text&lt;/b&gt;.");
  assertStringIncludes(html, 'alt="A &quot;falling&quot; line"');
});

Deno.test("renderReport() gives every picture a description and every verdict a word", () => {
  const html = renderReport(REPORT);
  const pictures = html.match(/<img[^>]*>/g)!;
  assertEquals(pictures.length, 3);
  assert(pictures.every((picture) => /alt="[^"]+"/.test(picture)));
  assertStringIncludes(html, "✓ right");
  assertStringIncludes(html, "✗ wrong");
  assertStringIncludes(html, "1 of 2 right");
});

Deno.test("renderReport() aligns columns of numbers and intervals, not of words", () => {
  const html = renderReport(REPORT);
  assertStringIncludes(html, '<td class="short">general</td><td class="number">125</td>');
  assertStringIncludes(html, '<td class="number">76.0 – 83.5</td>');
});

Deno.test("writeReport() leaves one complete file, or none", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await writeReport(`${folder}/deep/report.html`, REPORT);
    assertEquals(await Deno.readTextFile(`${folder}/deep/report.html`), renderReport(REPORT));
    await Deno.mkdir(`${folder}/taken/report.html`, { recursive: true });
    await assertRejects(() => writeReport(`${folder}/taken/report.html`, REPORT));
    assertEquals([...Deno.readDirSync(`${folder}/taken`)].map(({ name }) => name), ["report.html"]);
    assertEquals([...Deno.readDirSync(`${folder}/deep`)].map(({ name }) => name), ["report.html"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
