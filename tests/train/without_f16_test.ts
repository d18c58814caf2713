import { assertStringIncludes, assertThrows } from "@std/assert";
import { modelParameters } from "../../src/models/mod.ts";
import { lab } from "../../src/tensor/mod.ts";
import { AdamW, trainingStep } from "../../src/train/mod.ts";
import { smallest } from "./shared.ts";

const session = await lab({ without: ["shader-f16"] });
globalThis.addEventListener("unload", () => session.dispose());

Deno.test("trainingStep() in f16 throws and names the adapter when it has no 16-bit floats", () => {
  const model = smallest();
  const optimizer = new AdamW([{ name: "all", parameters: modelParameters(model) }]);
  const { message } = assertThrows(
    () => trainingStep(model, optimizer, { precision: "f16" }),
    Error,
  );
  for (const part of [session.gpu.adapter.name, "shader-f16", 'precision "f32"']) {
    assertStringIncludes(message, part);
  }
  optimizer.dispose();
});
