/**
 * Runs the tests: `deno task test [ARGS of deno test]`. Without arguments the files are dealt to
 * several `deno test` processes, one for each two cores and at least two, since most of the time goes
 * into compiling kernels, which a software driver does on one core. Each file's lines stay together.
 * Ends with "N passed, N failed".
 *
 * @module
 */
import { countTests } from "../src/cli/ok.ts";
import { offlineFlags } from "./offline/flags.ts";

const root = new URL("../", import.meta.url);

/** All test files below a folder, in order. */
async function testFiles(folder: URL): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = new URL(name + (isDirectory ? "/" : ""), folder);
    if (isDirectory) files.push(...await testFiles(path));
    else if (name.endsWith("_test.ts")) files.push(path.href.slice(root.href.length));
  }
  return files.sort();
}

/** Passes lines on in blocks: what belongs to one test file, or comes after the last. */
function inBlocks(write: (block: string) => void): WritableStream<string> {
  let rest = "", block = "";
  return new WritableStream({
    write(text) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        if (/running \d+ tests? from/.test(line)) {
          write(block);
          block = "";
        }
        block += `${line}\n`;
      }
    },
    close() {
      write(block + rest);
    },
  });
}

/** What a process reported. */
type Outcome = NonNullable<ReturnType<typeof countTests>>;

async function runFiles(args: readonly string[], files: readonly string[]): Promise<Outcome> {
  let last = "";
  const print = (block: string) => block && console.log(block.replace(/\n$/, ""));
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args, ...files],
    cwd: root,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const [{ code }] = await Promise.all([
    child.status,
    child.stdout.pipeThrough(new TextDecoderStream()).pipeTo(
      inBlocks((block) => print(last = block)),
    ),
    child.stderr.pipeThrough(new TextDecoderStream()).pipeTo(inBlocks(print)),
  ]);
  const { passed, failed } = countTests(last) ?? { passed: 0, failed: 0 };
  // A process that ends badly without a failed test (it crashed, say) is a failure, too.
  return { passed, failed: Math.max(failed, code === 0 ? 0 : 1) };
}

const args = ["test", "-A", ...await offlineFlags()];
if (Deno.args.length > 0) {
  const child = new Deno.Command(Deno.execPath(), { args: [...args, ...Deno.args], cwd: root });
  Deno.exit((await child.spawn().status).code);
}
const files = await testFiles(new URL("tests/", root));
const processes = Math.max(2, Math.floor(navigator.hardwareConcurrency / 2));
const hands = Array.from(
  { length: processes },
  (_, hand) => files.filter((_, i) => i % processes === hand),
);
const outcomes = await Promise.all(hands.map((hand) => runFiles(args, hand)));
const sum = (key: keyof Outcome) => outcomes.reduce((n, outcome) => n + outcome[key], 0);
console.log(`\n${sum("passed")} passed, ${sum("failed")} failed`);
Deno.exit(sum("failed") === 0 ? 0 : 1);
