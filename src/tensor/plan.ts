/**
 * Where every stored tensor lies: slots of memory shared by tensors that are not alive at the same
 * time. A plan says what is computed and in which order; it knows no device.
 */
import { bytesPerElement } from "./dtype.ts";
import type { Tensor } from "./graph.ts";
import { EFFECTS } from "./operation_kinds.ts";
import { schedule, type Step, stepReads } from "./schedule.ts";

/** A piece of a slot. */
export interface Place {
  /** Number of the slot. */
  readonly slot: number;
  /** First byte in the slot. */
  readonly offset: number;
}

/** One block of memory. */
export interface Slot {
  /** Size. */
  bytes: number;
  /** Must hold zeros before the first step (gaps between packed tensors). */
  clear: boolean;
  /** Holds a result, so it outlives the run. */
  result: boolean;
  /** The largest tensor it holds, for messages. */
  label: string;
}

/** Steps in order and the memory they work on. */
export interface Plan {
  /** What to compute. */
  readonly steps: readonly Step[];
  /** True for tensors held in memory. */
  readonly isStored: (t: Tensor) => boolean;
  /** The leaves that are read or changed. */
  readonly leaves: readonly Tensor[];
  /** The results. */
  readonly roots: readonly Tensor[];
  /** Place of every stored tensor that is not a leaf. */
  readonly places: ReadonlyMap<Tensor, Place>;
  /** Memory needed. */
  readonly slots: readonly Slot[];
}

/** Bytes to which packed tensors are aligned: what a WebGPU binding offset needs. */
export const ALIGNMENT = 256;

/** Bytes a tensor needs: whole words, since bindings and copies have multiples of 4. */
export function bytesOf(t: Tensor): number {
  return Math.ceil(Math.max(1, t.size) * bytesPerElement(t.dtype) / 4) * 4;
}

/** What a tensor is, for messages about its memory. */
function labelOf(t: Tensor): string {
  return t.name ? String(t) : `${t.node.op} ${t}`;
}

/** Plans the computation of `roots`. */
export function plan(roots: readonly Tensor[]): Plan {
  const { steps, isStored } = schedule(roots);
  const leaves = new Set<Tensor>();
  const lastUse = new Map<Tensor, number>();
  const packs = new Map<Tensor, { pack: Tensor; offset: number }>(); // part -> its place in a pack
  const run: Step[] = [];
  for (const step of steps) {
    if (step.node.op === "pack") {
      const offsets = step.node.attributes.offsets as number[];
      step.node.inputs.forEach((x, i) => {
        packs.set(x, { pack: step.node.outputs[0], offset: offsets[i] * bytesPerElement(x.dtype) });
      });
      continue;
    }
    for (const t of stepReads(step, isStored)) {
      if (t.node.op === "leaf") leaves.add(t);
      lastUse.set(t, run.length);
    }
    run.push(step);
  }
  for (const t of roots) if (t.node.op === "leaf") leaves.add(t);

  const slots: Slot[] = [];
  const places = new Map<Tensor, Place>();
  const results = new Set(roots);
  const free: number[] = [];
  const own = (t: Tensor, clear: boolean, result: boolean): number =>
    slots.push({ bytes: bytesOf(t), clear, result, label: labelOf(t) }) - 1;
  const take = (t: Tensor): number => {
    // The smallest free slot that is large enough, else the largest, grown.
    const bytes = bytesOf(t);
    free.sort((a, b) => slots[a].bytes - slots[b].bytes);
    const i = free.findIndex((s) => slots[s].bytes >= bytes);
    const at = i >= 0 ? free.splice(i, 1)[0] : free.pop();
    if (at === undefined) return own(t, false, false);
    if (slots[at].bytes < bytes) Object.assign(slots[at], { bytes, label: labelOf(t) });
    return at;
  };

  run.forEach((step, i) => {
    for (const t of EFFECTS.has(step.node.op) ? [] : step.writes) {
      const packed = packs.get(t);
      if (packed) {
        let whole = places.get(packed.pack);
        if (!whole) {
          whole = { slot: own(packed.pack, true, results.has(packed.pack)), offset: 0 };
          places.set(packed.pack, whole);
        }
        places.set(t, { slot: whole.slot, offset: packed.offset });
      } else if (results.has(t)) places.set(t, { slot: own(t, false, true), offset: 0 });
      else places.set(t, { slot: take(t), offset: 0 });
    }
    const ending = new Set([...stepReads(step, isStored), ...step.writes]);
    for (const t of ending) {
      const place = places.get(t);
      if (!place || results.has(t) || packs.has(t) || slots[place.slot].clear) continue;
      if ((lastUse.get(t) ?? i) <= i && !free.includes(place.slot)) free.push(place.slot);
    }
  });
  return { steps: run, isStored, leaves: [...leaves], roots, places, slots };
}
