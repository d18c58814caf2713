import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { chooseGates, countGate, countTests, GATES, summaryTable } from "../../src/cli/ok.ts";

const TESTS = { name: "tests", args: [], tests: true };
const FORMAT = { name: "format", args: [] };

Deno.test("countTests() reads Deno's summary line", () => {
  assertEquals(countTests("a ... ok (3ms)\n\nok | 12 passed | 0 failed (2s)\n"), {
    passed: 12,
    failed: 0,
  });
  assertEquals(countTests("FAILED | 7 passed (3 steps) | 2 failed (1 step) | 1 ignored (2s)"), {
    passed: 7,
    failed: 2,
  });
});

Deno.test("countTests() takes the last summary when a test prints one of its own", () => {
  const output =
    "ok | 1 passed | 0 failed (1s)\nFAILED | 3 passed | 1 failed (2s)\n\nerror: Test failed";
  assertEquals(countTests(output), { passed: 3, failed: 1 });
});

Deno.test("countTests() is undefined when the tests did not come to a summary", () => {
  assertEquals(countTests("error: Type checking failed."), undefined);
});

Deno.test("countGate() counts a failure when tests crash, do not compile or are none", () => {
  assertEquals(countGate(TESTS, false, "Segmentation fault"), { passed: 0, failed: 1 });
  assertEquals(countGate(TESTS, true, ""), { passed: 0, failed: 1 });
  assertEquals(countGate(TESTS, true, "ok | 0 passed | 0 failed (1ms)"), { passed: 0, failed: 1 });
  assertEquals(countGate(TESTS, false, "ok | 5 passed | 0 failed (1s)"), { passed: 5, failed: 1 });
  assertEquals(countGate(TESTS, false, "FAILED | 5 passed | 3 failed (1s)"), {
    passed: 5,
    failed: 3,
  });
  assertEquals(countGate(TESTS, true, "ok | 5 passed | 0 failed (1s)"), { passed: 5, failed: 0 });
});

Deno.test("countGate() counts a gate without tests once", () => {
  assertEquals(countGate(FORMAT, true, "Checked 90 files"), { passed: 1, failed: 0 });
  assertEquals(countGate(FORMAT, false, "error"), { passed: 0, failed: 1 });
});

Deno.test("chooseGates() takes all, the named ones, or all but some", () => {
  assertEquals(chooseGates([]), [...GATES]);
  assertEquals(chooseGates(["tests", "lint"]).map(({ name }) => name), ["lint", "tests"]);
  const rest = chooseGates(["--without=tests,format"]).map(({ name }) => name);
  assertEquals(rest.length, GATES.length - 2);
  assertEquals(rest.includes("tests"), false);
});

Deno.test("chooseGates() refuses a name that is no gate", () => {
  assertThrows(() => chooseGates(["tset"]), RangeError, 'did you mean "tests"?');
  assertThrows(() => chooseGates(["--without=test"]), RangeError, 'did you mean "tests"?');
});

Deno.test("summaryTable() ends with the sum over all gates", () => {
  const table = summaryTable([
    { name: "format", passed: 1, failed: 0, seconds: 0.25 },
    { name: "tests", passed: 40, failed: 2, seconds: 12 },
  ]);
  assertMatch(table, /^format +1 +0 +0\.3$/m);
  assertEquals(table.split("\n").at(-1), "41 passed, 2 failed");
});
