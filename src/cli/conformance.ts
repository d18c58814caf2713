/**
 * Compares with numbers made by PyTorch: `deno task conformance [DIR] [--only GROUP[/CASE]]
 * [--provider dawn|deno] [--variant all|FAMILY=NAME,…] [--verbose]`. The folder is in the format of `fixtures/torch`, whose
 * `index.json` says what every tensor is and how near a result has to come; shapes and values may be
 * any. With `--variant` other kernels are used than those that suit the device: named ones, or, with
 * `all`, first the usual ones and then one after the other all that the device can run. Ends with `N passed, N failed, N skipped` and fails if a case does.
 *
 * @module
 */
import { parseArgs } from "node:util";
import type { ProviderName } from "../gpu/mod.ts";
import { lab } from "../tensor/mod.ts";
import { type Case, Skip } from "./conformance/case.ts";
import { allCases } from "./conformance/cases.ts";
import { type Comparison, GPU_ATOL_FACTOR, GPU_RTOL } from "./conformance/compare.ts";
import { openFolder } from "./conformance/folder.ts";

/** What came of a case. */
export interface Outcome {
  /** Group of the case. */
  readonly group: string;
  /** Name of the case. */
  readonly name: string;
  /** Whether all its results were near enough. */
  readonly status: "passed" | "failed" | "skipped";
  /** Why it was skipped or could not be computed. */
  readonly reason?: string;
  /** Its results. */
  readonly comparisons: readonly Comparison[];
}

/** Runs one case; whatever goes wrong becomes its outcome. */
export async function runCase(it: Case): Promise<Outcome> {
  const { group, name } = it;
  try {
    const comparisons = await it.run();
    const passed = comparisons.length > 0 && comparisons.every((c) => c.passed);
    const reason = comparisons.length === 0 ? "nothing was compared" : undefined;
    return { group, name, status: passed ? "passed" : "failed", reason, comparisons };
  } catch (error) {
    const status = error instanceof Skip ? "skipped" : "failed";
    const reason = error instanceof Error ? error.message : String(error);
    return { group, name, status, reason, comparisons: [] };
  }
}

/** Whether a case is meant by `--only`: the end of its group, then perhaps its name. */
function isMeant({ group, name }: Case, only: string | undefined): boolean {
  if (only === undefined) return true;
  return [group, `${group}/${name}`].some((path) => path === only || path.endsWith(`/${only}`)) ||
    group.startsWith(`${only}/`);
}

function describe({ group, name, status, reason, comparisons }: Outcome, verbose: boolean): string {
  const lines: string[] = [];
  if (status !== "passed" || verbose) {
    lines.push(`${status.padEnd(7)} ${group}/${name}${reason ? `: ${reason}` : ""}`);
  }
  for (const c of comparisons) {
    if (!c.passed || verbose) {
      lines.push(`        ${c.passed ? "ok " : "BAD"} ${c.name}: ${c.message}`);
    }
  }
  return lines.join("\n");
}

/** Passed, failed and skipped cases of every group, as lines of a table. */
export function summary(outcomes: readonly Outcome[]): string[] {
  const groups = [...new Set(outcomes.map((o) => o.group))];
  const width = Math.max(5, ...groups.map((g) => g.length));
  const row = (name: string, ...cells: (string | number)[]) =>
    [name.padEnd(width), ...cells.map((c) => String(c).padStart(9))].join(" ");
  return [
    row("group", "passed", "failed", "skipped", "allowance"),
    ...groups.map((group) => {
      const mine = outcomes.filter((o) => o.group === group);
      const count = (status: string) => mine.filter((o) => o.status === status).length;
      const allowed = mine.flatMap((o) => o.comparisons).filter((c) => c.allowance).length;
      return row(group, count("passed"), count("failed"), count("skipped"), allowed);
    }),
  ];
}

/** Options of {@linkcode conformance}. */
export interface ConformanceOptions {
  /** A group, or GROUP/CASE; default all. */
  only?: string;
  /** Where the device comes from. */
  provider?: ProviderName;
  /** `all`, or kernel variants as in `matmul=tiled,reduce=many`; default those that suit the device. */
  variant?: string;
  /** Prints every comparison. */
  verbose?: boolean;
}

/** Kernel variants by family. */
type Variants = Readonly<Record<string, string>>;

/** The sets of variants that are meant by `--variant`. */
async function variantsMeant(
  { variant, provider }: ConformanceOptions,
): Promise<(Variants | undefined)[]> {
  if (variant === undefined) return [undefined];
  if (variant !== "all") {
    const pairs = variant.split(",").map((pair) => pair.trim().split("="));
    if (pairs.some((pair) => pair.length !== 2)) {
      throw new RangeError(
        `--variant is "all" or like "matmul=tiled,reduce=many", not "${variant}"`,
      );
    }
    return [Object.fromEntries(pairs)];
  }
  using session = await lab({ provider });
  const others = Object.entries(session.variants()).flatMap(([family, names]) =>
    names.slice(1).map((name) => ({ [family]: name }))
  );
  return [undefined, ...others];
}

/** Runs the cases of a folder and prints what came of them. Returns whether none failed. */
export async function conformance(
  path: string,
  options: ConformanceOptions = {},
  print: (line: string) => void = console.log,
): Promise<boolean> {
  const { only, provider, verbose = false } = options;
  const cases = allCases(openFolder(path)).filter((c) => isMeant(c, only));
  if (cases.length === 0) {
    throw new RangeError(`${path} has no case ${only ?? ""}; name a group or GROUP/CASE`);
  }
  print(
    `Allowed: |got - want| <= atol + rtol |want| of the index; results that div, sqrt, exp, log or ` +
      `a function like them takes part in, ${GPU_ATOL_FACTOR} atol and rtol ${GPU_RTOL} ` +
      `(column "allowance": tensors that needed it), since GPUs compute these with an error of ` +
      `their own.`,
  );
  if (cases.some(({ group }) => /(^|\/)(models|moiie_official)\//.test(group))) {
    print(
      `Of published models everything that a file holds, except at positions of padding: hidden ` +
        `states, attention probabilities, logits, losses, routing, generated tokens, gradients, ` +
        `weights after AdamW.`,
    );
  }
  const all: Outcome[] = [];
  const counted = (outcomes: Outcome[]) =>
    ["passed", "failed", "skipped"]
      .map((status) => `${outcomes.filter((o) => o.status === status).length} ${status}`).join(
        ", ",
      );
  for (const variants of await variantsMeant(options)) {
    using session = await lab({ provider, variants });
    const which = Object.entries(variants ?? {}).map((pair) => pair.join(" ")).join(", ");
    print(`\n${cases.length} cases of ${path} on ${session}${which && ` with ${which}`}`);
    const outcomes: Outcome[] = [];
    for (const it of cases) {
      const outcome = await runCase(it);
      outcomes.push(outcome);
      const text = describe(outcome, verbose);
      if (text) print(text);
    }
    all.push(...outcomes);
    if (which) print(`with ${which}: ${counted(outcomes)}`);
    else {
      print("");
      for (const line of summary(outcomes)) print(line);
    }
  }
  print(`\n${counted(all)}`);
  return all.every(({ status }) => status !== "failed");
}

async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      only: { type: "string" },
      provider: { type: "string" },
      variant: { type: "string" },
      verbose: { type: "boolean" },
    },
  });
  const { provider } = values;
  if (provider !== undefined && provider !== "dawn" && provider !== "deno") {
    throw new RangeError(`--provider is "dawn" or "deno", not "${provider}"`);
  }
  if (positionals.length > 1) throw new RangeError(`one folder at a time, not ${positionals}`);
  const [path = "fixtures/torch"] = positionals;
  return await conformance(path, { ...values, provider }) ? 0 : 1;
}

if (import.meta.main) {
  try {
    Deno.exitCode = await main(Deno.args);
  } catch (error) {
    console.error(`conformance: ${error instanceof Error ? error.message : error}`);
    Deno.exitCode = 1;
  }
}
