/** How kernels without workgroup memory are launched. */
import type { Target } from "./bindings.ts";

/** Invocations of a workgroup on CPU drivers without subgroups: those of a vector register. */
const VECTOR = 8;

/** Workgroups on CPU drivers, which keep many cores busy, and the fewest turns that are worth one. */
const WORKGROUPS = 64, TURNS = 8;

/**
 * Width of a workgroup, and turns that it takes, for so many invocations. On a CPU driver a workgroup is
 * one vector, and has much to do: each costs as much as a hundred additions.
 *
 * @param target a CPU driver; one turn by wide workgroups without it
 */
export function launchOf(
  invocations: number,
  target: Target | undefined,
): { width: number; turns: number } {
  if (!target) return { width: 256, turns: 1 };
  const width = target.subgroup ?? VECTOR, vectors = Math.ceil(invocations / width);
  return { width, turns: Math.max(TURNS, Math.ceil(vectors / WORKGROUPS)) };
}
