/**
 * The whole gate: `deno task ok [GATE…] [--without=GATE,…]`. Runs every check that a change has to
 * pass, one after the other, shows the output of those that fail, and ends with the sum
 * `N passed, N failed`, in which tests count one by one and every other gate once.
 *
 * @module
 */
import config from "../../deno.json" with { type: "json" };
import { unknownName } from "../tensor/nearest.ts";

/** One check: a command line for Deno. */
export interface Gate {
  /** Its name on the command line and in the table. */
  readonly name: string;
  /** Arguments of `deno`; `FLAGS` stands for the flags that replace JSR where it is missing. */
  readonly args: readonly string[];
  /** Whether it runs tests, which are counted. */
  readonly tests?: boolean;
}

/** What came of a gate. */
export interface GateResult {
  /** The gate's name. */
  readonly name: string;
  /** Tests that passed; 1 for a gate without tests. */
  readonly passed: number;
  /** Tests that failed; at least 1 if the gate failed for whatever reason. */
  readonly failed: number;
  /** How long it took. */
  readonly seconds: number;
}

const FLAGS = "FLAGS";
const ENTRY_POINTS = Object.values(config.exports);
/** The checkout's root. */
export const ROOT: URL = new URL("../../", import.meta.url);

/** All gates, the quick ones first. */
export const GATES: readonly Gate[] = [
  { name: "format", args: ["fmt", "--check"] },
  { name: "lint", args: ["lint"] },
  { name: "types", args: ["check", "--quiet", FLAGS, "mod.ts", "src", "kernels", "tests"] },
  { name: "notebooks", args: ["run", "-A", "src/cli/check_notebooks.ts"] },
  {
    name: "guide",
    args: ["check", "--quiet", "--doc-only", FLAGS, "README.md", "CONTRIBUTING.md"],
  },
  { name: "docs", args: ["doc", "--lint", ...ENTRY_POINTS] },
  // Asks JSR nothing as long as no published file imports from it. Without JSR in reach such an
  // import fails here, so this gate is as strict offline as online.
  { name: "publish", args: ["publish", "--dry-run", "--allow-dirty"] },
  { name: "examples", args: ["test", "-A", "--doc", FLAGS, "mod.ts", "src"], tests: true },
  { name: "tests", args: ["run", "-A", "tests/run.ts"], tests: true },
];

/**
 * Reads the counts off the summary line of `deno test`, as in
 * `ok | 12 passed (3 steps) | 0 failed (2s)`, or of `tests/run.ts`, as in `12 passed, 0 failed`.
 *
 * @param output What was printed.
 * @returns The counts, or undefined if it did not come to a summary.
 */
export function countTests(output: string): { passed: number; failed: number } | undefined {
  const line = /(?:^|\| )(\d+) passed(?:,| (?:\([^)]*\) )?\|) (\d+) failed/;
  const summary = output.split("\n").findLast((text) => line.test(text));
  const match = summary?.match(line);
  return match ? { passed: Number(match[1]), failed: Number(match[2]) } : undefined;
}

/**
 * What a gate's end amounts to. A gate that fails counts as at least one failure: tests that do not
 * compile or a process that crashes never reach a summary, and a run of no tests checks nothing.
 *
 * @param gate The gate.
 * @param success Whether its process ended with 0.
 * @param output What it printed.
 */
export function countGate(
  gate: Gate,
  success: boolean,
  output: string,
): { passed: number; failed: number } {
  const counts = gate.tests ? countTests(output) : { passed: Number(success), failed: 0 };
  const passed = counts?.passed ?? 0;
  const failed = counts?.failed ?? 0;
  return { passed, failed: success && passed > 0 ? failed : Math.max(failed, 1) };
}

/**
 * The gates to run.
 *
 * @param args Names of gates to run (by default all), and `--without=NAME,…`.
 * @throws {RangeError} if there is no gate of a name.
 */
export function chooseGates(args: readonly string[]): Gate[] {
  const names = GATES.map(({ name }) => name);
  const without = args.filter((arg) => arg.startsWith("--without="))
    .flatMap((arg) => arg.slice("--without=".length).split(","));
  const wanted = args.filter((arg) => !arg.startsWith("--without="));
  for (const name of [...wanted, ...without]) {
    if (!names.includes(name)) throw unknownName("gate", name, names);
  }
  return GATES.filter(({ name }) =>
    !without.includes(name) && (wanted.length === 0 || wanted.includes(name))
  );
}

/**
 * The closing table, and the sum below it.
 *
 * @param results One row each.
 */
export function summaryTable(results: readonly GateResult[]): string {
  const row = (cells: (string | number)[]): string => {
    const [name, ...numbers] = cells.map(String);
    return name.padEnd(10) + numbers.map((cell) => cell.padStart(9)).join("");
  };
  const sum = (key: "passed" | "failed"): number =>
    results.reduce((total, result) => total + result[key], 0);
  return [
    row(["gate", "passed", "failed", "seconds"]),
    ...results.map((it) => row([it.name, it.passed, it.failed, it.seconds.toFixed(1)])),
    "",
    `${sum("passed")} passed, ${sum("failed")} failed`,
  ].join("\n");
}

/** Runs Deno and gathers what it prints on both channels, in the order in which it comes. */
async function runDeno(args: string[]): Promise<{ success: boolean; output: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let output = "";
  const gather = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) output += text;
  };
  await Promise.all([gather(child.stdout), gather(child.stderr)]);
  const { success } = await child.status;
  return { success, output };
}

/** The flags that the tests need on this machine; asks JSR once for all gates. */
export async function offlineFlags(): Promise<string[]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "tests/offline/flags.ts"],
    cwd: ROOT,
    stderr: "inherit",
  }).output();
  const flags = new TextDecoder().decode(stdout).trim();
  // The tests start processes that ask again; see tests/offline/flags.ts.
  Deno.env.set("MOIIE_JSR", flags === "" ? "reached" : "missing");
  return flags === "" ? [] : [flags];
}

async function main(): Promise<void> {
  const gates = chooseGates(Deno.args);
  const flags = await offlineFlags();
  const results: GateResult[] = [];
  for (const gate of gates) {
    console.log(`\n── ${gate.name}: deno ${gate.args.join(" ")}`);
    const start = performance.now();
    const { success, output } = await runDeno(
      gate.args.flatMap((arg) => arg === FLAGS ? flags : [arg]),
    );
    const counts = countGate(gate, success, output);
    const seconds = (performance.now() - start) / 1000;
    if (counts.failed > 0) console.log(output.trimEnd());
    console.log(counts.failed > 0 ? "failed" : "passed");
    results.push({ name: gate.name, ...counts, seconds });
  }
  console.log(`\n${summaryTable(results)}`);
  if (results.some(({ failed }) => failed > 0)) Deno.exit(1);
}

if (import.meta.main) await main();
