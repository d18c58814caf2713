/**
 * A process that works on a study's file, for the tests of claims: `hold FILE RUN` claims a run and
 * stays; `work FILE` does every run that it can get and prints their ids.
 */
import { StudyDatabase } from "../../src/study/mod.ts";

const [task, path, id] = Deno.args;
using database = new StudyDatabase(path);
if (task === "hold") {
  if (!database.claim(id)) throw new Error(`${id} cannot be had`);
  console.log("holding");
  await new Promise((resolve) => setTimeout(resolve, 60_000));
} else {
  for (const run of database.runs()) {
    const claim = database.claim(run.id);
    if (!claim) continue;
    await new Promise((resolve) => setTimeout(resolve, 5));
    database.finish(claim, { seconds: 0, metrics: [] });
    console.log(run.id);
  }
}
