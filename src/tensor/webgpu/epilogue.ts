/** Elementwise work that is done on a kernel's result before it is stored. */
import type { Step } from "../schedule.ts";
import type { Bindings } from "./bindings.ts";
import { Emitter } from "./emit.ts";

/** Statements and value of a step's epilogue, given the result as `result` and its place as `o`. */
export function epilogue(step: Step, b: Bindings): { statements: string; value: string } {
  const [out] = step.writes;
  const source = step.node.outputs[0];
  const e = new Emitter(
    (t) => t === out ? undefined : b.find(t),
    new Map([[source, "result"]]),
    "e",
  );
  const value = e.stored(step.epilogue ? e.at(step.epilogue, "o") : "result", out.dtype);
  return { statements: e.lines.join("\n    "), value };
}
