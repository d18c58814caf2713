import { assertEquals, assertRejects } from "@std/assert";
import { JsonRows } from "../../src/data/json_rows.ts";
import { type JsonLayout, JsonScan } from "../../src/data/json_scan.ts";

/** The texts of the rows of a file that comes in pieces of a length. */
function scanned(text: string, layout: JsonLayout, piece = 1 << 20): string[] {
  const bytes = new TextEncoder().encode(text), scan = new JsonScan(layout), ranges = [];
  for (let at = 0; at < bytes.length; at += piece) {
    ranges.push(...scan.push(bytes.subarray(at, at + piece)));
  }
  ranges.push(...scan.end());
  return ranges.map(([start, end]) => new TextDecoder().decode(bytes.subarray(start, end)).trim());
}

/** Runs a test with a file of the given text. */
async function withFile(text: string, test: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempFile({ suffix: ".json" });
  try {
    await Deno.writeTextFile(path, text);
    await test(path);
  } finally {
    await Deno.remove(path);
  }
}

const TRICKY = [
  { text: 'a "quote", a ] and a } and \\' },
  { nested: [[1, { a: "[" }], {}], empty: "" },
  [1, [2, 3]],
  'a string, with a comma and \\\\" quotes',
  12.5,
  null,
  { name: "é, 漢字 and \u{1f600}", backslashes: "\\\\\\" },
];

Deno.test("JsonScan finds the same rows in a list wherever it is cut into pieces", () => {
  const text = `\ufeff ${JSON.stringify(TRICKY, undefined, 1)}\n`;
  for (const piece of [1, 2, 3, 7, 64, 1 << 20]) {
    assertEquals(scanned(text, "list", piece).map((row) => JSON.parse(row)), TRICKY);
  }
});

Deno.test("JsonScan finds a named list behind other fields, strings and lists", () => {
  const file = { questions: "no list", info: { questions: [1] }, other: [2], "quéstions": TRICKY };
  const text = JSON.stringify({ ...file, later: [3, "quéstions"] });
  for (const piece of [1, 5, 1 << 20]) {
    const rows = scanned(text, { named: "quéstions" }, piece);
    assertEquals(rows.map((row) => JSON.parse(row)), TRICKY);
  }
  const absent = new JsonScan({ named: "data" });
  assertEquals([...absent.push(new TextEncoder().encode(text)), ...absent.end()], []);
  assertEquals(absent.found, false);
});

Deno.test("JsonScan finds lines that are not blank", () => {
  const text = '{"a": "}{"}\r\n\n   \n{"b": [1,\n"last"';
  for (const piece of [1, 4, 1 << 20]) {
    assertEquals(scanned(text, "lines", piece), ['{"a": "}{"}', '{"b": [1,', '"last"']);
  }
});

Deno.test("JsonScan keeps a broken row from spoiling its neighbours", () => {
  assertEquals(scanned('[{"a": 1}}, {"b": }, , {"c": 3}]', "list"), [
    '{"a": 1}}',
    '{"b": }',
    "",
    '{"c": 3}',
  ]);
  assertEquals(scanned('[1, {"a": "cut', "list"), ["1", '{"a": "cut']);
  assertEquals(scanned("[1, 2", "list"), ["1", "2"]);
  assertEquals(scanned("[1] trailing", "list"), ["1", "trailing"]);
  assertEquals(scanned("[]", "list"), []);
  assertEquals(scanned("[ \n ]", "list"), []);
});

Deno.test("JsonRows reads any row of lists, lines and named lists", async () => {
  const rows = Array.from({ length: 3000 }, (_, id) => ({ id, text: `row ${id} `.repeat(id % 7) }));
  const files: [string, string | undefined][] = [
    [JSON.stringify(rows), undefined],
    [rows.map((row) => JSON.stringify(row)).join("\n"), undefined],
    [JSON.stringify({ info: { data: [] }, data: rows }), "data"],
  ];
  for (const [text, list] of files) {
    await withFile(text, async (path) => {
      await using file = await JsonRows.open(path, { list });
      assertEquals(file.length, 3000);
      for (const index of [2999, 0, 1717]) assertEquals(await file.value(index), rows[index]);
      let count = 0;
      for await (const row of file.values()) assertEquals(row, rows[count++]);
      assertEquals(count, 3000);
      await assertRejects(() => file.text(3000), RangeError, "has the rows 0 to 2999, not 3000");
    });
  }
});

Deno.test("JsonRows.open() throws when a file is missing, empty or something else", async () => {
  await assertRejects(() => JsonRows.open("nowhere.json"), Deno.errors.NotFound, "nowhere.json");
  await withFile(" \n", async (path) => {
    await assertRejects(() => JsonRows.open(path), SyntaxError, "is empty");
  });
  await withFile("image,question\n", async (path) => {
    await assertRejects(() => JsonRows.open(path), SyntaxError, 'begins with "i"');
  });
  await withFile('{"questions": []}', async (path) => {
    await assertRejects(() => JsonRows.open(path, { list: "data" }), SyntaxError, 'no list "data"');
  });
});

Deno.test("JsonRows.value() names the row that is broken and reads the others", async () => {
  await withFile('[{"a": 1}, {"b": 2,}, {"c": 3}]', async (path) => {
    await using rows = await JsonRows.open(path);
    await assertRejects(() => rows.value(1), SyntaxError, "row 1 of");
    assertEquals([await rows.value(0), await rows.value(2)], [{ a: 1 }, { c: 3 }]);
  });
});
