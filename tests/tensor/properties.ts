/**
 * Random graphs in any number: `deno task properties [--cases=N] [--seed=N] [--case=N]`. Prints what
 * fails as it is found, with the number that runs it again, and ends with `N passed, N failed`.
 *
 * @module
 */
import { BATCH, checkCases } from "./property_check.ts";

/** Reads `--name N` and `--name=N`. */
function options(args: readonly string[]): Record<"cases" | "seed" | "case", number | undefined> {
  const found = { cases: undefined, seed: undefined, case: undefined } as Record<
    string,
    number | undefined
  >;
  const words = args.flatMap((a) => a.split("="));
  for (let i = 0; i < words.length; i += 2) {
    const name = words[i].replace(/^--/, ""), value = Number(words[i + 1]);
    if (!(name in found) || !Number.isInteger(value) || value < 0) {
      throw new RangeError(
        `properties: "${words[i]} ${words[i + 1]}"; want --cases, --seed or --case and a number`,
      );
    }
    found[name] = value;
  }
  return found;
}

const given = options(Deno.args), seed = given.seed ?? 0, cases = given.cases ?? 10_000;
const first = given.case ?? 0, count = given.case === undefined ? cases : 1;
const start = performance.now();
let failed = 0;
for (let n = first; n < first + count; n += BATCH) {
  const failures = await checkCases(seed, n, Math.min(BATCH, first + count - n));
  failed += failures.length;
  for (const text of failures) console.log(`${text}\n`);
  const done = n + BATCH - first;
  if (done % 500 === 0 && done < count) {
    const seconds = Math.round((performance.now() - start) / 1000);
    console.log(`${done} of ${count} cases, ${failed} failed, ${seconds} s`);
  }
}
console.log(`${count - failed} passed, ${failed} failed`);
Deno.exit(failed > 0 ? 1 : 0);
