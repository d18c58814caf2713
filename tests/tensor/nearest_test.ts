import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { nearest, unknownName } from "../../src/tensor/nearest.ts";

Deno.test("nearest() finds the option meant when letters are swapped, missing or in capitals", () => {
  const options = ["tiny", "small", "full"];
  assertEquals(nearest("tniy", options), "tiny");
  assertEquals(nearest("smal", options), "small");
  assertEquals(nearest("FULL", options), "full");
  assertEquals(nearest("x", []), undefined);
  const error = unknownName("scale", "tniy", options);
  assert(error instanceof RangeError);
  assertStringIncludes(error.message, 'did you mean "tiny"?');
  assertStringIncludes(error.message, "tiny, small, full");
});
