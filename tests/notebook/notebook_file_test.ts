import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { checkFormat, checkNotebooks, joinCells } from "../../src/cli/check_notebooks.ts";
import {
  type Cell,
  judge,
  type Notebook,
  type Output,
  readNotebook,
  tidy,
  writeNotebook,
} from "../../src/cli/notebook_file.ts";
import { findNotebooks, hasNbconvert, runNotebook } from "../../src/cli/notebooks.ts";

function notebook(...cells: Cell[]): Notebook {
  return {
    cells,
    metadata: {
      kernelspec: { display_name: "Deno", language: "typescript", name: "deno" },
      language_info: { name: "typescript", version: "9.9" },
      other: 1,
    },
    nbformat: 4,
    nbformat_minor: 5,
  };
}

function code(source: string, outputs: Output[] = [], metadata = {}): Cell {
  return { cell_type: "code", id: "c", metadata, source, outputs, execution_count: 1 };
}

function display(...types: string[]): Output {
  return {
    output_type: "display_data",
    data: Object.fromEntries(types.map((type) => [type, "x"])),
    metadata: {},
  };
}

/** A folder inside of the project, so that import maps hold; removed afterwards. */
async function inProject(run: (folder: string) => Promise<void>): Promise<void> {
  const cache = new URL("../../.cache/", import.meta.url).pathname;
  await Deno.mkdir(cache, { recursive: true });
  const folder = await Deno.makeTempDir({ dir: cache });
  try {
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("judge() is content when every promised output is there", () => {
  const verdict = judge(notebook(
    code("const x = 1;"),
    code("await show(x);", [display("text/plain")]),
    code("f();", [display("image/png")], { moiie: { expects: ["image/png"] } }),
    code("// show(x)"),
  ));
  assertEquals(verdict, { errors: [], missing: [] });
});

Deno.test("judge() names the cell when an output was lost", () => {
  const { missing } = judge(notebook(
    code("for (const x of xs) await show(x);"),
    code("await show(a);\nawait show(b);", [display("text/plain")]),
    code("await show(x);", [display("text/plain")], { moiie: { expects: ["image/png"] } }),
  ));
  assertEquals(missing, [
    "cell 1: 0 outputs displayed, 1 promised",
    "cell 2: 1 outputs displayed, 2 promised",
    "cell 3: no output of type image/png",
  ]);
});

Deno.test("judge() gives the traceback without colours when a cell failed", () => {
  const error = {
    output_type: "error",
    ename: "RangeError",
    evalue: "too far",
    traceback: ["\x1b[31mRangeError\x1b[0m: too far", "    at cell"],
  };
  const { errors } = judge(notebook(code("x", [error])));
  assertEquals(errors.length, 1);
  assertStringIncludes(errors[0], "cell 1: RangeError: too far");
  assertEquals(errors[0].includes("\x1b"), false);
});

Deno.test("tidy() strips what changes with every run and keeps what readers see", () => {
  const cell = code("await show(x);\nf();", [
    { output_type: "stream", name: "stdout", text: "a\nb" },
    { output_type: "stream", name: "stdout", text: ["c\n", "\x1b[33md\x1b[39m\n"] },
    display("image/png", "text/html", "text/plain"),
    display("text/html"),
  ], { execution: { "iopub.status.busy": "now" }, moiie: { expects: [] } });
  const { cells: [tidied], metadata } = tidy(notebook(cell));
  assertEquals(metadata, {
    kernelspec: { display_name: "Deno", language: "typescript", name: "deno" },
    language_info: { name: "typescript" },
  });
  assertEquals(tidied.metadata, { moiie: { expects: [] } });
  assertEquals(tidied.source, ["await show(x);\n", "f();"]);
  assertEquals(tidied.outputs!.map((output) => output.text ?? Object.keys(output.data!)), [
    ["a\n", "bc\n", "d\n"],
    ["image/png", "text/plain"],
    ["text/html"],
  ]);
  assertEquals(tidy(tidy(notebook(cell))), tidy(notebook(cell)));
});

Deno.test("writeNotebook() writes what readNotebook() reads, formatted for the gate", async () => {
  await inProject(async (folder) => {
    const path = `${folder}/n.ipynb`;
    const original = tidy(notebook(code('const x: string = "a";')));
    await writeNotebook(path, original);
    assertEquals(await readNotebook(path), original);
    assertEquals(await checkFormat([path], `${folder}/copies`), []);
    await Deno.remove(`${folder}/copies`, { recursive: true });
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["n.ipynb"]);
    await Deno.writeTextFile(path, "{}");
    await assertRejects(() => readNotebook(path), SyntaxError, "nbformat");
  });
});

Deno.test("findNotebooks() takes names with and without ending", async () => {
  await inProject(async (folder) => {
    for (const name of ["b.ipynb", "a.ipynb", "c.txt"]) {
      await Deno.writeTextFile(`${folder}/${name}`, "{}");
    }
    assertEquals(findNotebooks([], folder), [`${folder}/a.ipynb`, `${folder}/b.ipynb`]);
    assertEquals(findNotebooks(["b"], folder), [`${folder}/b.ipynb`]);
    assertEquals(findNotebooks([`${folder}/a.ipynb`], "."), [`${folder}/a.ipynb`]);
    assertThrows(
      () => findNotebooks(["z"], folder),
      Deno.errors.NotFound,
      "There are: a.ipynb, b.ipynb",
    );
  });
});

Deno.test("checkFormat() finds cells that are not formatted, and mends them when asked", async () => {
  await inProject(async (folder) => {
    const path = `${folder}/n.ipynb`;
    await writeNotebook(path, tidy(notebook(code("const x = 'a'"))));
    assertEquals(await checkFormat([path], `${folder}/copies`), [path]);
    assertEquals(await checkFormat([path], `${folder}/copies`, true), [path]);
    assertEquals(await checkFormat([path], `${folder}/copies`), []);
    assertEquals((await readNotebook(path)).cells[0].source, ['const x = "a";']);
  });
});

Deno.test("checkNotebooks() finds a type error in a cell and names the notebook", async () => {
  await inProject(async (folder) => {
    const path = `${folder}/wrong.ipynb`;
    const good = notebook(code("const n: number = await Promise.resolve(1);"));
    await writeNotebook(path, good);
    assertEquals(await checkNotebooks([path], folder), "");
    await writeNotebook(path, notebook(...good.cells, code("const s: string = n + 1;")));
    const problems = await checkNotebooks([path], folder);
    assertStringIncludes(problems, "TS2322");
    assertStringIncludes(problems, "wrong.ts");
    assertStringIncludes(joinCells(await readNotebook(path)), "// cell 2");
  });
});

Deno.test({
  name: "runNotebook() keeps the outputs of good notebooks and the text of failing ones",
  ignore: !await hasNbconvert(),
  async fn() {
    await inProject(async (folder) => {
      const log: string[] = [];
      const options = {
        quick: true,
        write: true,
        log: (line: string): void => void log.push(line),
      };
      const module = new URL("../../src/notebook/mod.ts", import.meta.url).href;
      const path = `${folder}/good.ipynb`;
      await writeNotebook(
        path,
        notebook(code(
          `import { show } from "${module}";\nawait show(Deno.env.get("MOIIE_QUICK"));`,
        )),
      );
      assert(await runNotebook(path, options), log.join("\n"));
      const [output] = (await readNotebook(path)).cells[0].outputs!;
      assertEquals(output.data, { "text/plain": ["1"] });

      const bad = notebook(code('throw new RangeError("too far");'));
      await writeNotebook(path, bad);
      assertEquals(await runNotebook(path, options), false);
      assertStringIncludes(log.join("\n"), "cell 1: RangeError: too far");
      assertEquals(await readNotebook(path), bad);
    });
  },
});
