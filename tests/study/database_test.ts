import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import {
  type Claim,
  planStudy,
  type RunResult,
  STALE_SECONDS,
  StudyDatabase,
  studyNamed,
} from "../../src/study/mod.ts";
import { offlineFlags } from "../offline/flags.ts";

const PLANS = planStudy(studyNamed("ablations"), { seeds: [7], steps: 2 });
const [FLOOR, CONNECTOR, MODEL] = PLANS.map((p) => p.id);

const RESULT: RunResult = {
  seconds: 2,
  code: "abc",
  versions: { deno: "2" },
  adapter: "test device",
  metrics: [
    { name: "accuracy", family: "mean", split: "val", value: 0.5 },
    { name: "accuracy", family: "ocr", split: "val", value: 0.25, n: 4, correct: 1 },
  ],
  records: [0, 1].map((step) => (
    { stage: "1 first", step, loss: 2 - step, auxiliary: 0.1, gradientNorm: 1, learningRate: 1e-3 }
  )),
  routing: [{
    benchmark: "ocr",
    experts: PLANS[2].config.ffn.experts,
    layers: [{
      layer: 1,
      modalities: [
        { name: "image", tokens: 3, counts: [3, 0, 2, 1], chanceShared: 2 / 3 },
        { name: "text", tokens: 2, counts: [0, 2, 1, 1], chanceShared: 2 / 3 },
      ],
    }],
  }],
  weights: new Uint8Array([1, 2, 3]),
  extras: { paths: [[1, 2]] },
};

/** A file with planned runs, removed afterwards. */
async function withFolder(test: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function planned(path = ":memory:"): StudyDatabase {
  const database = new StudyDatabase(path);
  database.plan("ablations", PLANS);
  return database;
}

/** Changes a running run's row as time or another machine would. */
function disguise(path: string, change: string): void {
  const db = new DatabaseSync(path);
  db.exec(`UPDATE runs SET ${change} WHERE id = '${MODEL}'`);
  db.close();
}

Deno.test("plan() enters each run once, whichever study it belongs to", () => {
  using database = planned();
  database.plan("ablations", PLANS);
  database.plan("main", planStudy(studyNamed("main"), { seeds: [7], steps: 2 }));
  const ids = database.runs().map((r) => r.id);
  assertEquals(new Set(ids).size, ids.length);
  assertEquals(database.runs("ablations").map((r) => r.id), PLANS.map((p) => p.id));
  const main = database.runs("main").map((r) => r.id);
  assert(main.includes(MODEL) && main.includes(CONNECTOR) && !main.includes(PLANS[3].id));
  assertEquals(database.run(MODEL)!.config, JSON.parse(JSON.stringify(PLANS[2].config)));
});

Deno.test("finish() records a result that reads back as it was", () => {
  using database = planned();
  database.finish(database.claim(MODEL)!, RESULT);
  const run = database.run(MODEL)!;
  assertEquals([run.status, run.seconds, run.code, run.adapter], ["done", 2, "abc", "test device"]);
  assertEquals(run.versions, { deno: "2" });
  const plain = (x: unknown) => JSON.parse(JSON.stringify(x));
  assertEquals(plain(database.metrics(MODEL)), plain(RESULT.metrics));
  assertEquals(database.records(MODEL), [...RESULT.records!]);
  assertEquals(plain(database.routing(MODEL)), plain(RESULT.routing));
  assertEquals([...database.weights(MODEL)!], [1, 2, 3]);
  assertEquals(database.extras(MODEL), { paths: [[1, 2]] });
  database.setExtra(MODEL, "paths", "new");
  database.setExtra(MODEL, "drift", 0.5);
  assertEquals(database.extras(MODEL), { paths: "new", drift: 0.5 });
  assertEquals([database.metrics(FLOOR), database.weights(FLOOR)], [[], undefined]);
  assertEquals(database.claim(MODEL), undefined, "a finished run is not done again");
});

Deno.test("a run is claimed by one at a time, and can be given back or fail", () => {
  using database = planned();
  const first = database.claim(MODEL)!;
  assertEquals(database.claim(MODEL), undefined);
  database.release(first, 3);
  assertEquals(database.run(MODEL)!.status, "planned");
  const second = database.claim(MODEL)!;
  database.release(second, 4, "it broke");
  const { status, error, seconds } = database.run(MODEL)!;
  assertEquals([status, error, seconds], ["failed", "it broke", 7]);
  database.finish(database.claim(MODEL)!, RESULT);
  assertEquals(database.run(MODEL)!.error, undefined);
  assertThrows(() => database.claim("nonsense"), RangeError, "knows no run nonsense");
});

Deno.test("a run whose process is silent for long is taken over, and the old claim ends", async () => {
  await withFolder((folder) => {
    const path = `${folder}/study.db`;
    using database = planned(path);
    const old = database.claim(MODEL)!;
    database.beat(old);
    disguise(path, `heartbeat = heartbeat - ${STALE_SECONDS - 20}, host = 'elsewhere'`);
    assertEquals(database.claim(MODEL), undefined);
    disguise(path, "heartbeat = heartbeat - 40");
    const claim = database.claim(MODEL)!;
    for (const late of [() => database.beat(old), () => database.finish(old, RESULT)]) {
      assertStringIncludes(assertThrows(late, Error).message, "taken over by another process");
    }
    database.release(old, 1, "too late");
    assertEquals([database.run(MODEL)!.status, database.metrics(MODEL)], ["running", []]);
    database.finish(claim, RESULT);
  });
});

/** A process that claims a run, says so and does not end. */
async function child(...args: string[]) {
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--quiet",
      "--no-lock",
      ...await offlineFlags(),
      new URL("claim_child.ts", import.meta.url).href,
      ...args,
    ],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
}

Deno.test("the run of a killed process is taken over at once, that of a living one is not", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/study.db`;
    using database = planned(path);
    const process = await child("hold", path, MODEL);
    const reader = process.stdout.getReader();
    const said = new TextDecoder().decode((await reader.read()).value);
    assertStringIncludes(said, "holding");
    assertEquals(database.claim(MODEL), undefined);
    process.kill("SIGKILL");
    await process.status;
    await reader.cancel();
    assertEquals(database.run(MODEL)!.status, "running");
    assertEquals(database.claim(MODEL)?.id, MODEL);
  });
});

Deno.test("two processes on one file do every run, and none twice", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/study.db`;
    const seeds = Array.from({ length: 12 }, (_, i) => i);
    const plans = planStudy(studyNamed("ablations"), { seeds, steps: 2 });
    using database = new StudyDatabase(path);
    database.plan("ablations", plans);
    const children = await Promise.all([child("work", path), child("work", path)]);
    const outputs = await Promise.all(children.map((c) => c.output()));
    const done = outputs.map(({ code, stdout }) => {
      assertEquals(code, 0);
      return new TextDecoder().decode(stdout).trim().split("\n").filter(Boolean);
    });
    assertEquals(done.flat().sort(), plans.map((p) => p.id).sort());
    assert(database.runs().every((r) => r.status === "done"));
  });
});

Deno.test("merge() takes what is finished elsewhere, with all that belongs to it, and keeps the rest", async () => {
  await withFolder((folder) => {
    const paths = ["a", "b"].map((name) => `${folder}/${name}.db`);
    const [a, b] = paths.map(planned);
    const claims: Claim[] = [
      a.claim(MODEL)!,
      a.claim(FLOOR)!,
      b.claim(CONNECTOR)!,
      b.claim(FLOOR)!,
    ];
    [a, a, b, b].forEach((database, i) => {
      database.finish(claims[i], { ...RESULT, adapter: database === a ? "device a" : "device b" });
    });
    b.claim(PLANS[3].id);
    b.plan("main", planStudy(studyNamed("main"), { seeds: [7], steps: 2 }));
    b.close();
    assertEquals(a.merge(paths[1]), { taken: 1, kept: 1 });
    assertEquals(a.merge(paths[1]), { taken: 0, kept: 2 });
    assertEquals(a.run(CONNECTOR)!.adapter, "device b");
    assertEquals(a.run(FLOOR)!.adapter, "device a");
    assertEquals([...a.weights(CONNECTOR)!], [1, 2, 3]);
    assertEquals(a.records(CONNECTOR), [...RESULT.records!]);
    assertEquals(a.run(PLANS[3].id)!.status, "planned", "another file's claims do not count here");
    assert(a.runs("main").length > 0);
    assertThrows(() => a.merge(`${folder}/none.db`), Deno.errors.NotFound);
    a.close();
  });
});

Deno.test("StudyDatabase adds the tables that an older file lacks", async () => {
  await withFolder((folder) => {
    const path = `${folder}/study.db`;
    planned(path).close();
    const db = new DatabaseSync(path);
    db.exec("DROP TABLE extras");
    db.close();
    using database = new StudyDatabase(path);
    database.finish(database.claim(MODEL)!, RESULT);
    assertEquals(database.extras(MODEL), { paths: [[1, 2]] });
  });
});

Deno.test("StudyDatabase throws RangeError when the file is of another version", async () => {
  await withFolder((folder) => {
    const path = `${folder}/study.db`;
    const db = new DatabaseSync(path);
    db.exec("PRAGMA user_version = 99");
    db.close();
    assertThrows(() => new StudyDatabase(path), RangeError, "tables of version 99");
  });
});
