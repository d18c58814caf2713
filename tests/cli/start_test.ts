import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { HELP, resumeCommand, startOptions } from "../../src/cli/start_options.ts";
import { runCommand } from "./command.ts";

Deno.test("startOptions() has a default for everything", () => {
  const { seed, variant, ffn, steps, resume, out } = startOptions([])!;
  assertEquals([seed, variant, ffn.variant], [7, "moiie", "moiie"]);
  assertEquals([steps, resume, out], [{}, undefined, "runs"]);
});

Deno.test("startOptions() reads seed, variant, steps, run and folder", () => {
  const args = "--seed 3 --variant modality --steps 20,0 --resume old --out elsewhere".split(" ");
  const { seed, variant, ffn, steps, resume, out } = startOptions(args)!;
  assertEquals([seed, variant, ffn.variant], [3, "modality", "modality"]);
  assertEquals(steps, { connectorSteps: 20, instructionSteps: 0 });
  assertEquals([resume, out], ["old", "elsewhere"]);
  for (const name of ["moiie", "vanilla", "modality", "dense"]) {
    assertEquals(startOptions(["--variant", name])!.ffn.variant, name);
    assertStringIncludes(HELP, name);
  }
});

Deno.test("startOptions() gives nothing when help is wanted", () => {
  assertEquals(startOptions(["--help"]), undefined);
  assertEquals(startOptions(["-h", "--variant", "nonsense"]), undefined);
});

Deno.test("startOptions() throws when a value makes no sense", () => {
  const says = (args: string[], part: string) => {
    const { message } = assertThrows(() => startOptions(args), Error);
    assertStringIncludes(message, part);
  };
  says(["--variant", "moie"], 'unknown variant "moie"; did you mean "moiie"?');
  says(["--variant", "toString"], 'unknown variant "toString"');
  for (const steps of ["250", "1,2,3", "a,b", "10,", "1.5,2", "1e2,5", "9007199254740993,1"]) {
    says(["--steps", steps], `--steps ${steps}: want two whole numbers`);
  }
  says(["--steps=-1,5"], "--steps -1,5: want two whole numbers");
  for (const seed of ["x", "1.5", "", "1e3"]) says(["--seed", seed], "want a whole number");
  says(["--seeds", "7"], "--seeds");
  says(["extra"], "extra");
});

Deno.test("resumeCommand() repeats the options that a checkpoint belongs to", () => {
  const command = (...args: string[]) => resumeCommand(startOptions(args)!, "id");
  assertEquals(command(), "deno task start --seed 7 --variant moiie --resume id");
  const all = ["--seed", "3", "--variant", "dense", "--steps", "4,5", "--out", "x"];
  assertEquals(command(...all), `deno task start ${all.join(" ")} --resume id`);
});

/** Runs the command, which must end before it looks for a device. */
const start = (...args: string[]) => runCommand("start", ...args);

Deno.test("start prints its help and ends well when asked for it", async () => {
  const { code, stdout } = await start("--help");
  assertEquals([code, stdout.trim()], [0, HELP]);
});

Deno.test("start says what is wrong, without a stack trace, and fails when an option is wrong", async () => {
  const { code, stdout, stderr } = await start("--variant", "vanila");
  assertEquals([code, stdout], [2, ""]);
  assertStringIncludes(stderr, 'did you mean "vanilla"?');
  assertStringIncludes(stderr, HELP);
  assert(!stderr.includes(".ts:"), stderr);
});

Deno.test("start does not begin anew when there is nothing to resume", async () => {
  const out = await Deno.makeTempDir();
  const { code, stderr } = await start("--resume", "yesterday", "--out", out);
  assertEquals(code, 2);
  assertStringIncludes(stderr, `there is no ${out}/yesterday/checkpoint.safetensors`);
  assertEquals([...Deno.readDirSync(out)], []);
  await Deno.remove(out);
});
