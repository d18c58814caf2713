/**
 * `deno task providers [--get]`: runs a part of the tests on every WebGPU provider there is: Dawn on
 * its best adapter, Deno's own, and Dawn on SwiftShader, whose subgroups are smaller. Ends with
 * `N passed, N failed`. A provider that is missing is named and is no failure; `--get` gets
 * SwiftShader where it is missing and Debian's packages are in reach.
 *
 * @module
 */

import { countTests, offlineFlags, ROOT } from "./ok.ts";
import { probe, type ProviderReport } from "./probe.ts";
import { findSwiftShader, getSwiftShader } from "./swiftshader.ts";
import { run } from "./system.ts";

/** A way to come to a device. */
export interface Way {
  /** What it is called in the table. */
  readonly name: string;
  /** The provider. */
  readonly provider: "dawn" | "deno";
  /** What the environment must say. */
  readonly env: Readonly<Record<string, string>>;
}

/** What one suite came to on one provider. */
export interface SuiteResult {
  /** The provider's row. */
  readonly name: string;
  /** The suite. */
  readonly suite: string;
  /** Tests or cases that passed. */
  readonly passed: number;
  /** Those that failed; at least 1 if the process ended badly or checked nothing. */
  readonly failed: number;
  /** How long it took. */
  readonly seconds: number;
}

/** A suite: a command line for Deno, and how its output is counted. */
interface Suite {
  readonly name: string;
  readonly args: (flags: readonly string[]) => string[];
  readonly count: (output: string) => { passed: number; failed: number } | undefined;
}

/** Every kernel, in shapes that do and do not fit its tiles. */
const TEST_FILES = ["tests/tensor"];
/** Fewer random graphs than in the whole suite: the other providers are slow. */
const FEWER = { MOIIE_PROPERTY_CASES: "12" };

/** Suites are ended after this time, ms. */
const SUITE_TIMEOUT_MS = 400_000;

const SUITES: readonly Suite[] = [
  {
    name: "tests",
    args: (flags) => ["test", "-A", "--no-check", ...flags, ...TEST_FILES],
    count: countTests,
  },
  {
    name: "conformance ops",
    args: () => ["run", "-A", "--no-check", "src/cli/conformance.ts", "--only", "ops"],
    count: countCases,
  },
];

/** Reads the last line of a conformance run. */
export function countCases(output: string): { passed: number; failed: number } | undefined {
  const match = [...output.matchAll(/^(\d+) passed, (\d+) failed/gm)].at(-1);
  return match && { passed: Number(match[1]), failed: Number(match[2]) };
}

/**
 * What a suite's end amounts to.
 *
 * @param ok Whether its process ended with 0.
 * @param counts What it reported; undefined when it did not come to that.
 */
export function countSuite(
  ok: boolean,
  counts: { passed: number; failed: number } | undefined,
): { passed: number; failed: number } {
  const { passed, failed } = counts ?? { passed: 0, failed: 0 };
  return { passed, failed: ok && passed > 0 ? failed : Math.max(failed, 1) };
}

/** The closing table: a row for every suite on every provider, then what is missing, then the sum. */
export function providersTable(
  results: readonly SuiteResult[],
  missing: readonly { readonly name: string; readonly reason: string }[],
): string {
  const row = (name: string, suite: string, ...cells: (string | number)[]): string =>
    name.padEnd(22) + suite.padEnd(16) + cells.map((cell) => String(cell).padStart(9)).join("");
  const sum = (key: "passed" | "failed"): number =>
    results.reduce((total, result) => total + result[key], 0);
  // With no provider at all nothing was checked, and that is no success.
  const failed = results.length === 0 ? 1 : sum("failed");
  return [
    row("provider", "suite", "passed", "failed", "seconds"),
    ...results.map((it) => row(it.name, it.suite, it.passed, it.failed, it.seconds.toFixed(0))),
    ...missing.map(({ name, reason }) => `${name.padEnd(22)}missing: ${reason}`),
    "",
    `${sum("passed")} passed, ${failed} failed`,
  ].join("\n");
}

/** Why a way leads nowhere; undefined when its device computes. */
export function reasonAgainst(way: Way, report: ProviderReport): string | undefined {
  if (!report.works) return report.error?.split("\n")[0] ?? "no answer";
  const name = report.adapter?.name ?? "";
  if (way.name.includes("SwiftShader") && !/swiftshader/i.test(name)) return `Dawn chose ${name}`;
  return undefined;
}

async function allWays(get: boolean): Promise<{ ways: Way[]; noSwiftShader?: string }> {
  const ways: Way[] = [
    { name: "Dawn", provider: "dawn", env: {} },
    { name: "Deno's own", provider: "deno", env: {} },
  ];
  let manifest = await findSwiftShader();
  let reason = "no driver is installed; `deno task providers --get` gets one from Debian";
  if (!manifest && get) {
    try {
      manifest = await getSwiftShader(console.log);
    } catch (error) {
      reason = (error instanceof Error ? error.message : String(error)).replaceAll("\n", " ");
    }
  }
  if (!manifest) return { ways, noSwiftShader: reason };
  // The older name of the variable wins in older loaders.
  const env = { VK_DRIVER_FILES: manifest, VK_ICD_FILENAMES: manifest };
  ways.push({ name: "Dawn on SwiftShader", provider: "dawn", env });
  return { ways };
}

async function runSuite(way: Way, suite: Suite, flags: readonly string[]): Promise<SuiteResult> {
  const start = performance.now();
  const { ok, text } = await run(Deno.execPath(), suite.args(flags), {
    env: { ...way.env, ...FEWER, MOIIE_PROVIDER: way.provider, NO_COLOR: "1" },
    timeoutMs: SUITE_TIMEOUT_MS,
  });
  const counts = countSuite(ok, suite.count(text));
  if (counts.failed > 0) console.log(text.trimEnd());
  const seconds = (performance.now() - start) / 1000;
  return { name: way.name, suite: suite.name, ...counts, seconds };
}

async function main(args: readonly string[]): Promise<boolean> {
  const wrong = args.find((arg) => arg !== "--get");
  if (wrong !== undefined) {
    throw new RangeError(`providers: there is no option ${wrong}, only --get`);
  }
  Deno.chdir(ROOT);
  const flags = await offlineFlags();
  const { ways, noSwiftShader } = await allWays(args.includes("--get"));
  const results: SuiteResult[] = [];
  const missing: { name: string; reason: string }[] = [];
  for (const way of ways) {
    const report = await probe(way.provider, way.env);
    const reason = reasonAgainst(way, report);
    if (reason !== undefined) {
      missing.push({ name: way.name, reason });
      continue;
    }
    const { name, subgroups } = report.adapter!;
    console.log(`\n── ${way.name}: ${name}, subgroups ${subgroups?.max ?? "not usable"}`);
    for (const suite of SUITES) {
      const result = await runSuite(way, suite, flags);
      console.log(`${suite.name}: ${result.passed} passed, ${result.failed} failed`);
      results.push(result);
    }
  }
  if (noSwiftShader) missing.push({ name: "Dawn on SwiftShader", reason: noSwiftShader });
  console.log(`\n${providersTable(results, missing)}`);
  return results.length > 0 && results.every(({ failed }) => failed === 0);
}

if (import.meta.main) {
  try {
    if (!await main(Deno.args)) Deno.exit(1);
  } catch (error) {
    console.error(`providers: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}
