import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  countCases,
  countSuite,
  providersTable,
  reasonAgainst,
  type Way,
} from "../../src/cli/providers.ts";
import type { ProviderReport } from "../../src/cli/probe.ts";

Deno.test("countCases() reads the last line of a conformance run", () => {
  const output = "1 passed, 0 failed\n...\n\n212 passed, 3 failed, 4 skipped\n";
  assertEquals(countCases(output), { passed: 212, failed: 3 });
  assertEquals(countCases("conformance: no such folder"), undefined);
});

Deno.test("countSuite() counts a failure when a suite crashes or checks nothing", () => {
  assertEquals(countSuite(true, { passed: 7, failed: 0 }), { passed: 7, failed: 0 });
  assertEquals(countSuite(false, { passed: 7, failed: 2 }), { passed: 7, failed: 2 });
  assertEquals(countSuite(false, { passed: 7, failed: 0 }), { passed: 7, failed: 1 });
  assertEquals(countSuite(false, undefined), { passed: 0, failed: 1 });
  assertEquals(countSuite(true, { passed: 0, failed: 0 }), { passed: 0, failed: 1 });
});

Deno.test("providersTable() ends with the sum and counts what is missing as no failure", () => {
  const missing = [{ name: "Dawn on SwiftShader", reason: "no driver" }];
  const results = [
    { name: "Dawn", suite: "tests", passed: 10, failed: 0, seconds: 4 },
    { name: "Deno's own", suite: "tests", passed: 9, failed: 1, seconds: 5 },
  ];
  const table = providersTable(results, missing);
  assertStringIncludes(table, "Dawn on SwiftShader   missing: no driver");
  assertEquals(table.split("\n").at(-1), "19 passed, 1 failed");
  assertEquals(providersTable([], missing).split("\n").at(-1), "0 passed, 1 failed");
});

Deno.test("reasonAgainst() says why a provider is not tested", () => {
  const swiftShader: Way = { name: "Dawn on SwiftShader", provider: "dawn", env: {} };
  const report = (name: string): ProviderReport => ({
    provider: "dawn",
    works: true,
    adapter: { name } as ProviderReport["adapter"],
  });
  assertEquals(reasonAgainst(swiftShader, report("SwiftShader Device (LLVM)")), undefined);
  assertEquals(reasonAgainst(swiftShader, report("llvmpipe")), "Dawn chose llvmpipe");
  assertEquals(reasonAgainst({ ...swiftShader, name: "Dawn" }, report("llvmpipe")), undefined);
  const broken = { provider: "deno", works: false, error: "no adapter\nmore" } as const;
  assertEquals(reasonAgainst(swiftShader, broken), "no adapter");
});
