import { assertEquals, assertLessOrEqual, assertRejects, assertThrows } from "@std/assert";
import { placeholder, takeMemory, tensor, writePart } from "../../src/tensor/mod.ts";
import { session } from "../nn/shared.ts";

Deno.test("takeMemory() and writePart() refuse what does not fit", async () => {
  const t = placeholder([6], "f32", "t");
  assertThrows(() => writePart(t, 0, new Float32Array(1)), TypeError, "no device memory");
  await takeMemory([t]);
  await assertRejects(() => takeMemory([t]), TypeError, "without values");
  await assertRejects(() => takeMemory([tensor([1])]), TypeError, "without values");
  writePart(t, 0, new Float32Array([0, 1, 2, 3, 4, 5]));
  writePart(t, 2, new Float32Array([7, 8]));
  assertEquals(await t.data(), new Float32Array([0, 1, 7, 8, 4, 5]));
  assertThrows(() => writePart(t, 5, new Float32Array(2)), RangeError, "elements 5 to 7");
  assertThrows(() => writePart(t, 0, new Int32Array(1)), TypeError, "Int32Array");
  const { maxStorageBufferBindingSize: most } = session.gpu.adapter.limits;
  const huge = placeholder([most / 4 + 1], "f32", "huge");
  const before = session.memory().live;
  await assertRejects(
    () => takeMemory([placeholder([4], "f32"), huge]),
    RangeError,
    `${most} bytes`,
  );
  assertLessOrEqual(session.memory().live, before);
});
