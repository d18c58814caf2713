import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { ROOT } from "./tree.ts";

/** What a made-up `deno task` prints, and how it ends. */
type Task = [output: string, status?: number];

const GOOD: Record<string, Task> = {
  start: ["trained\n3 passed, 0 failed"],
  test: ["a ... ok\n\nok | 40 passed (2 steps) | 0 failed (3s)\n"],
  setup: ["Jupyter: nbconvert 6.5.3"],
  ok: ["gate passed\n\n8 passed, 0 failed"],
  notebooks: ["2 passed, 0 failed"],
  conformance: ["1 passed, 0 failed\nmore\n700 passed, 0 failed, 35 skipped"],
};

/** Runs .ci/run with an `npx` that prints the given outputs instead of running anything. */
async function runCi(
  tasks: Record<string, Task>,
): Promise<{ code: number; output: string; last: string }> {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, [output, status = 0]] of Object.entries(tasks)) {
      await Deno.writeTextFile(
        `${folder}/${name}`,
        `cat <<'END'\n${output}\nEND\nexit ${status}\n`,
      );
    }
    // Called as `npx --yes deno@VERSION task NAME …`.
    await Deno.writeTextFile(`${folder}/npx`, `#!/bin/sh\nexec sh "${folder}/$4"\n`, {
      mode: 0o755,
    });
    const { code, stdout } = await new Deno.Command("bash", {
      args: [".ci/run"],
      cwd: ROOT,
      env: { PATH: `${folder}:${Deno.env.get("PATH")}`, HOME: "", DENO_DIR: "" },
      stderr: "inherit",
    }).output();
    const output = new TextDecoder().decode(stdout);
    return { code, output, last: output.trimEnd().split("\n").at(-1)! };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const ignore = Deno.build.os === "windows"; // Needs bash and coreutils.

Deno.test({
  name: ".ci/run adds up the reports of all steps, README's commands first",
  ignore,
  fn: async () => {
    const { code, output, last } = await runCi(GOOD);
    assertEquals([code, last], [0, "753 passed, 0 failed"]);
    const steps = [...output.matchAll(/^══ npx --yes deno@[\d.]+ task (.*)$/gm)].map(([, it]) =>
      it
    );
    assertEquals(steps, [
      "start",
      "test",
      "setup",
      "ok --without=tests",
      "notebooks --quick",
      "conformance fixtures/torch",
    ]);
    assertMatch(output, / 40 passed +0 failed +\d+ s {3}npx --yes deno@[\d.]+ task test$/m);
  },
});

Deno.test({
  name: ".ci/run fails when a step reports failures, and still runs the others",
  ignore,
  fn: async () => {
    const { code, last } = await runCi({
      ...GOOD,
      test: ["FAILED | 39 passed | 1 failed (3s)\n\nerror: Test failed", 1],
    });
    assertEquals([code, last], [1, "752 passed, 1 failed"]);
  },
});

Deno.test({
  name: ".ci/run fails when a step does not exist, does not report, crashes or checks nothing",
  ignore,
  fn: async () => {
    const { start: _missing, ...others } = GOOD;
    const missing = await runCi(others);
    assertEquals([missing.code, missing.last], [1, "750 passed, 1 failed"]);

    const { setup: _unprepared, ...prepared } = GOOD;
    const unprepared = await runCi(prepared);
    assertEquals([unprepared.code, unprepared.last], [1, "753 passed, 1 failed"]);

    const silent = await runCi({ ...GOOD, notebooks: ["done"] });
    assertEquals([silent.code, silent.last], [1, "751 passed, 1 failed"]);
    assertStringIncludes(silent.output, "did not report");

    const crashed = await runCi({ ...GOOD, start: ["3 passed, 0 failed", 139] });
    assertEquals([crashed.code, crashed.last], [1, "753 passed, 1 failed"]);
    assertStringIncludes(crashed.output, "ended with status 139");

    const empty = await runCi({ ...GOOD, conformance: ["0 passed, 0 failed"] });
    assertEquals([empty.code, empty.last], [1, "53 passed, 1 failed"]);
  },
});
