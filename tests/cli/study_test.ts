import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { HELP, studyCommand, type StudyOptions } from "../../src/cli/study_options.ts";
import { pagePath } from "../../src/cli/study_print.ts";
import { gatherResults, STUDIES, StudyDatabase } from "../../src/study/mod.ts";
import { runCommand } from "./command.ts";
import { recorded } from "../study/recorded.ts";

function options(...args: string[]): StudyOptions {
  const command = studyCommand(args);
  assert(command?.command === "study");
  return command.options;
}

Deno.test("studyCommand() has a default for everything but the name", () => {
  const { study, ...rest } = options("ablations");
  assertEquals(study.name, "ablations");
  assertEquals(rest, {
    scale: "tiny",
    seeds: [7, 8, 9, 10, 11],
    steps: undefined,
    shard: { number: 1, of: 1 },
    db: ".cache/study/tiny.db",
    keep: false,
    list: false,
    export: undefined,
    from: undefined,
    report: undefined,
  });
  for (const { name } of STUDIES) {
    assertEquals(options(name).study.name, name);
    assertStringIncludes(HELP, name);
  }
});

Deno.test("studyCommand() reads seeds, variants, shares and places", () => {
  assertEquals(options("main", "--seeds", "2").seeds, [7, 8]);
  assertEquals(options("main", "--seeds", "3,1,3").seeds, [3, 1]);
  assertEquals(options("main", "--seeds", "7,").seeds, [7]);
  const { variants } = options("main", "--only", "vanilla,dense").study;
  assertEquals(variants.map((v) => v.name), ["dense", "vanilla"]);
  assertEquals(options("main", "--shard", "2/3").shard, { number: 2, of: 3 });
  assertEquals(options("main", "--scale", "small", "--resume").db, ".cache/study/small.db");
  assertEquals(options("main", "--steps", "5", "--db", "x.db").steps, 5);
  assertEquals(studyCommand(["status", "--db", "x.db"]), { command: "status", db: "x.db" });
  assertEquals(
    studyCommand(["merge", "a.db", "b.db", "--into", "c.db"]),
    { command: "merge", from: ["a.db", "b.db"], into: "c.db" },
  );
  assertEquals(
    studyCommand(["analyse", "--only", "moiie,vanilla", "--limit", "9", "--export", "x.json"]),
    {
      command: "analyse",
      options: {
        db: ".cache/study/tiny.db",
        only: ["moiie", "vanilla"],
        limit: 9,
        export: "x.json",
      },
    },
  );
  assertEquals([studyCommand([]), studyCommand(["main", "--help"])], [undefined, undefined]);
});

Deno.test("studyCommand() throws when a value makes no sense", () => {
  const says = (line: string, part: string) => {
    const { message } = assertThrows(() => studyCommand(line.split(" ")), Error);
    assertStringIncludes(message, part);
  };
  says("ablation", 'did you mean "ablations"?');
  says("main --only vanila", 'did you mean "vanilla"?');
  says("main --only moiie-full", "not in the study main, which has moiie, dense");
  says("main --scale tinny", 'did you mean "tiny"?');
  for (const seeds of ["0", "x", "1.5", ","]) says(`main --seeds ${seeds}`, `--seeds ${seeds}`);
  for (const shard of ["0/2", "3/2", "2", "1/2/3"]) says(`main --shard ${shard}`, "--shard");
  says("main --steps 0", "--steps 0: want a whole number of at least 1");
  says("main scale", "one study at a time");
  says("merge a.db", "merge: want files");
  says("main --seed 3", "--seed");
});

const study = (...args: string[]) => runCommand("study", ...args);

async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("study prints the tables of finished runs without a device, from any of its files", async () => {
  await withFolder(async (folder) => {
    const answers = { moiie: { 7: 60, 8: 62 }, "moiie-full": { 7: 62, 8: 64.5 } };
    const paths = ["a", "b"].map((name) => `${folder}/${name}.db`);
    recorded({ moiie: answers.moiie }, { path: paths[0] }).close();
    recorded(answers, { path: paths[1] }).close();
    const merged = await study("merge", ...paths, "--into", `${folder}/all.db`);
    assertEquals(merged.code, 0, merged.stderr);
    assertStringIncludes(merged.stdout, `${paths[1]}: 2 runs taken, 5 were here already`);
    const args = ["ablations", "--seeds", "2", "--only", "moiie,moiie-full"];
    const place = `${folder}/results`;
    const first = await study(...args, "--db", `${folder}/all.db`, "--export", place);
    assertEquals(first.code, 0, first.stderr);
    assertStringIncludes(first.stdout, "+2.3 (-0.9 to +5.4), no difference shown");
    assertStringIncludes(first.stdout, `written: ${place}/study_tiny_llvmpipe.json`);
    for (const from of [place, `${place}/study_tiny_llvmpipe.json`, `${folder}/all.db`]) {
      const { code, stdout, stderr } = await study("ablations", "--from", from);
      assertEquals(code, 0, stderr);
      assertStringIncludes(stdout, "+2.3 (-0.9 to +5.4), no difference shown");
      assert(!stdout.includes("page: "), stdout);
    }
    const page = `${folder}/pages/paper.html`;
    const written = await study("paper", "--from", place, "--report", page);
    assertEquals(written.code, 0, written.stderr);
    assertEquals(written.stdout.trimEnd().split("\n").at(-1), `page: ${page}`);
    assertStringIncludes(
      await Deno.readTextFile(page),
      "<td>+2.3 (-0.9 to +5.4), no difference shown</td>",
    );
    const status = await study("status", "--db", `${folder}/all.db`);
    assertMatch(status.stdout, /moiie-full +2 +0 +0 +0/);
    const list = await study(...args, "--db", paths[0], "--list");
    assertMatch(list.stdout, /moiie-full +7 +planned/);
    const none = await study("paper", "--from", place, "--scale", "small");
    assertEquals([none.code, none.stdout], [1, ""]);
    assertStringIncludes(none.stderr, "no results at scale small, but at tiny");
    await Deno.mkdir(`${folder}/empty`);
    const empty = await study("paper", "--from", `${folder}/empty`);
    assertEquals([empty.code, empty.stdout], [1, ""]);
    assertStringIncludes(empty.stderr, `deno task study NAME --export ${folder}/empty`);
    const missing = await study("status", "--db", `${folder}/nothing.db`);
    assertEquals(missing.code, 1);
  });
});

Deno.test("pagePath() keeps scales, devices and smoke runs apart", () => {
  const page = (steps: number | undefined, device: string) => {
    using database = recorded({ moiie: { 7: 60 } }, { steps, device });
    const ids = database.runs().filter((r) => r.status === "done").map((r) => r.id);
    return pagePath(STUDIES.at(-1)!, gatherResults(database, { ids }));
  };
  assertEquals(page(undefined, "llvmpipe-llvm-15.0.6"), "runs/study_tiny_llvmpipe/paper.html");
  assertEquals(page(2, "NVIDIA H100"), "runs/study_tiny_nvidia_h100_smoke/paper.html");
});

Deno.test("study explains itself when the command line is wrong", async () => {
  const { code, stdout, stderr } = await study("ablation");
  assertEquals([code, stdout], [2, ""]);
  assertStringIncludes(stderr, 'did you mean "ablations"?');
  assertStringIncludes(stderr, "deno task study NAME");
});

Deno.test("study trains, answers, records and prints", async () => {
  await withFolder(async (folder) => {
    const db = `${folder}/new/study.db`;
    const { code, stdout, stderr } = await study(
      ...["ablations", "--only", "moiie", "--seeds", "7,", "--steps", "2", "--db", db],
    );
    assertEquals(code, 0, stderr);
    assertMatch(stdout, /SMOKE RUN: 2 steps a stage/); // before
    assertMatch(stdout, /SMOKE RUN, a few steps and questions/); // with the tables
    assertMatch(stdout, /MoIIE \(1V\+1L\+2S\) +1 +\d+\.\d/);
    using database = new StudyDatabase(db);
    const runs = database.runs();
    assertEquals(runs.map((r) => [r.kind, r.status]), [
      ["floor", "done"],
      ["connector", "done"],
      ["model", "done"],
    ]);
    assertEquals(Object.keys(runs[2].versions ?? {}), ["deno", "lab", "dawn"]);
    assertEquals(database.records(runs[2].id).length, 2);
  });
});
