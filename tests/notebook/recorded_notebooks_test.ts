import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  type Cell,
  codeCells,
  type Notebook,
  readNotebook,
  sourceText,
} from "../../src/cli/notebook_file.ts";

const ROOT = new URL("../../", import.meta.url);

/** Cells that train something; the others follow from the recorded results. */
const isLive = ({ metadata }: Cell): boolean =>
  (metadata.moiie as { live?: boolean } | undefined)?.live === true;

/** What the recorded cells of a notebook print when they run now, without a kernel, by number. */
async function printed(notebook: Notebook): Promise<Map<number, string>> {
  const lines = new Map<number, string[]>();
  const cells = codeCells(notebook).filter(({ cell }) => !isLive(cell));
  const code = cells.map(({ number, cell }) =>
    `console.log(${JSON.stringify({ cell: number })});\n${sourceText(cell)}\n`
  ).join("\n").replaceAll('"@moiie/lab"', JSON.stringify(new URL("mod.ts", ROOT).href));
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  const log = console.log;
  try {
    // Imports may stand after other statements.
    await Deno.writeTextFile(path, `${code}\nexport {};\n`);
    let here: string[] = [];
    console.log = (value: unknown) => {
      if (typeof value !== "object") here.push(String(value));
      else lines.set((value as { cell: number }).cell, here = []);
    };
    await import(`file://${path}`);
  } finally {
    console.log = log;
    await Deno.remove(path);
  }
  return new Map([...lines].map(([number, texts]) => [number, texts.join("\n")]));
}

const textOf = (value: unknown): string => Array.isArray(value) ? value.join("") : String(value);

/** What the recorded cells of an executed notebook show, as text, by number. */
function committed(notebook: Notebook): Map<number, string> {
  return new Map(
    codeCells(notebook).filter(({ cell }) => !isLive(cell)).map(({ number, cell }) => [
      number,
      (cell.outputs ?? []).map((o) => textOf(o.data?.["text/plain"])).join("\n"),
    ]),
  );
}

const isExecuted = (notebook: Notebook): boolean =>
  codeCells(notebook).some(({ cell }) => (cell.outputs ?? []).length > 0);

const PATHS = [...Deno.readDirSync(new URL("notebooks/", ROOT))]
  .filter(({ name }) => name.endsWith(".ipynb")).map(({ name }) => name).sort();
const STUDIES: [string, Notebook][] = [];
for (const name of PATHS) {
  const notebook = await readNotebook(new URL(`notebooks/${name}`, ROOT).pathname);
  const code = codeCells(notebook).map(({ cell }) => sourceText(cell)).join("\n");
  if (code.includes("studyResults(")) STUDIES.push([name, notebook]);
}

const code = (source: string, text?: string, live = false): Cell => ({
  cell_type: "code",
  metadata: live ? { moiie: { live } } : {},
  source,
  outputs: text === undefined
    ? []
    : [{ output_type: "display_data", data: { "text/plain": [text] } }],
});

Deno.test("printed() runs the recorded cells and leaves the live ones out", async () => {
  const notebook: Notebook = {
    cells: [
      code('import { show, table } from "@moiie/lab";\nconst rows = [[1]];'),
      code("throw new Error();", "", true),
      code('await show(table(["a"], rows), "b");', "other"),
    ],
    metadata: {},
    nbformat: 4,
    nbformat_minor: 5,
  };
  assertEquals(await printed(notebook), new Map([[1, ""], [3, "a\n-\n1\nb"]]));
  assertEquals(committed(notebook), new Map([[1, ""], [3, "other"]]));
});

Deno.test("there are notebooks of recorded studies", () => {
  assert(STUDIES.length >= 7, STUDIES.map(([name]) => name).join(", "));
});

for (const [name, notebook] of STUDIES) {
  Deno.test(`${name}: what it shows of recorded results follows from them`, async () => {
    const now = await printed(notebook);
    // A notebook without outputs must at least run.
    if (isExecuted(notebook)) assertEquals(committed(notebook), now);
    for (const [number, text] of now) assert(text !== "", `cell ${number} prints nothing`);
  });

  Deno.test(`${name} opens with a question and the paper, and ends with findings and their limits`, () => {
    const { cells } = notebook;
    assertMatch(sourceText(cells[0]), /^# .*\n\n\*\*Question\.\*\* [^]*arXiv 2508\.09779/);
    assertMatch(sourceText(cells[1]), /await show\(\s*paperTable\(/);
    assertMatch(sourceText(cells.at(-2)!), /^await show\(\s*found[A-Z]\w+\(/);
    assertMatch(sourceText(cells.at(-1)!), /^What this cannot say:\n\n- /);
    for (const { number, cell } of codeCells(notebook)) {
      assertMatch(sourceText(cell), /^(await|const) /m, `cell ${number} shows nothing`);
    }
  });
}
