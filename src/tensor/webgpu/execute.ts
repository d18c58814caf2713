/** Runs plans on a WebGPU device: buffers, bind groups and launches, made once and replayed. */
import type { BufferRange, Gpu, Launch } from "../../gpu/mod.ts";
import type { HostData } from "../dtype.ts";
import type { Storage, Tensor } from "../graph.ts";
import { ALIGNMENT, bytesOf, type Plan } from "../plan.ts";
import { EFFECTS, type Step } from "../schedule.ts";
import { lower, type Target } from "./lower.ts";

/** Memory of a tensor: a range of a device buffer. */
export class GpuStorage implements Storage {
  #released = false;
  /**
   * @param device the device that owns the buffer
   * @param range the bytes of this tensor
   * @param owned whether releasing gives the buffer back (false for parts of a larger one)
   * @param whole the storage this is a part of, kept alive by its parts
   */
  constructor(
    readonly device: Gpu,
    readonly range: BufferRange,
    readonly owned: boolean,
    readonly whole?: GpuStorage,
  ) {
    if (owned) reclaim.register(this, { device, buffer: range.buffer }, this);
  }

  /** Gives the buffer back to the pool. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    if (!this.owned) return;
    reclaim.unregister(this);
    this.device.release(this.range.buffer);
  }
}

/** Tensors that were dropped without dispose() give their memory back when they are collected. */
const reclaim = new FinalizationRegistry<{ device: Gpu; buffer: GPUBuffer }>(
  ({ device, buffer }) => device.release(buffer),
);

/** What the lowering needs to know about a device. */
export function targetOf(gpu: Gpu): Target {
  const { software, subgroups } = gpu.adapter;
  return {
    software,
    subgroup: subgroups && subgroups.min === subgroups.max ? subgroups.min : undefined,
  };
}

/** The bytes of a stored leaf, uploading host values first when needed. */
export function upload(gpu: Gpu, t: Tensor): GpuStorage {
  if (t.storage) {
    if (t.storage.device !== gpu) {
      throw new Error(`${t} lives on another device; copy its values with data() and tensor()`);
    }
    return t.storage as GpuStorage;
  }
  if (!t.host) throw new Error(`${t} has no values: a placeholder outside its compiled function?`);
  const storage = allocate(gpu, bytesOf(t), t.name ?? String(t));
  gpu.write(storage.range, t.host);
  t.storage = storage;
  t.host = undefined;
  return storage;
}

/** Fresh memory; its contents are undefined. */
export function allocate(gpu: Gpu, bytes: number, label: string): GpuStorage {
  return new GpuStorage(gpu, { buffer: gpu.acquire(bytes, label), offset: 0, size: bytes }, true);
}

/** False for a step that only writes tensors without elements. */
function hasWork({ node, writes }: Step): boolean {
  return EFFECTS.has(node.op) || writes.some((t) => t.size > 0);
}

/** A plan with its memory and launches: run it as often as you like. */
export class Program {
  readonly #gpu: Gpu;
  readonly #slots: readonly BufferRange[];
  readonly #uniforms: BufferRange | undefined;
  readonly #launches: Launch[];
  /** Leaves whose memory the launches are bound to. */
  readonly #bound: ReadonlyMap<Tensor, Storage>;
  /** Storage of each result, in the order of the plan's roots. */
  readonly results: readonly GpuStorage[];

  private constructor(
    gpu: Gpu,
    readonly plan: Plan,
    slots: readonly BufferRange[],
    uniforms: BufferRange | undefined,
    launches: Launch[],
    bound: ReadonlyMap<Tensor, Storage>,
    results: readonly GpuStorage[],
  ) {
    this.#gpu = gpu;
    this.#slots = slots;
    this.#uniforms = uniforms;
    this.#launches = launches;
    this.#bound = bound;
    this.results = results;
  }

  /**
   * Lowers a plan, compiles its kernels and binds its memory.
   *
   * @param target kernels for another kind of device run as well, only slower
   */
  static async create(
    gpu: Gpu,
    plan: Plan,
    target: Target = targetOf(gpu),
  ): Promise<Program> {
    const lowered = plan.steps.filter(hasWork).map((s) => lower(s, plan.isStored, target));
    await gpu.prepare(lowered.map((l) => l.kernel));

    const slots = plan.slots.map(({ bytes }, i) => ({
      buffer: gpu.acquire(bytes, `slot ${i}`),
      offset: 0,
      size: bytes,
    }));
    plan.slots.forEach((slot, i) => {
      if (slot.clear) gpu.write(slots[i], new Uint8Array(slot.bytes));
    });
    // All uniform blocks in one buffer, each at the alignment that a binding needs.
    const blocks = lowered.flatMap((l) => l.uniform ? [l.uniform] : []);
    let uniforms: BufferRange | undefined;
    if (blocks.length > 0) {
      const size = blocks.length * ALIGNMENT;
      uniforms = { buffer: gpu.acquire(size, "uniforms"), offset: 0, size };
      const all = new Uint32Array(size / 4);
      blocks.forEach((b, i) => all.set(b, i * ALIGNMENT / 4));
      gpu.write(uniforms, all);
    }
    const bound = new Map<Tensor, Storage>();
    for (const t of plan.leaves) bound.set(t, upload(gpu, t));
    const rangeOf = (t: Tensor): BufferRange => {
      const leaf = bound.get(t);
      if (leaf) return (leaf as GpuStorage).range;
      const place = plan.places.get(t);
      if (!place) throw new Error(`plan has no memory for ${t} (made by ${t.node.op})`);
      return { buffer: slots[place.slot].buffer, offset: place.offset, size: bytesOf(t) };
    };
    let block = 0;
    const launches = lowered.map(({ kernel, tensors, uniform }) => {
      const ranges = tensors.map(rangeOf);
      if (uniform) {
        ranges.push({
          buffer: uniforms!.buffer,
          offset: ALIGNMENT * block++,
          size: uniform.byteLength,
        });
      }
      return { kernel, pipeline: gpu.pipeline(kernel), group: gpu.bindGroup(kernel, ranges) };
    });
    const results = plan.roots.map((t) => {
      const leaf = bound.get(t);
      if (leaf) return leaf as GpuStorage;
      if (!plan.places.has(t) && t.size === 0) return allocate(gpu, 4, String(t)); // an effect
      return new GpuStorage(gpu, rangeOf(t), false);
    });
    return new Program(gpu, plan, slots, uniforms, launches, bound, results);
  }

  /** Number of dispatches of one run. */
  get dispatches(): number {
    return this.#launches.length;
  }

  /** True if every leaf still has the memory that the launches use. */
  isCurrent(): boolean {
    for (const [t, storage] of this.#bound) if (t.storage !== storage) return false;
    return true;
  }

  /** Submits the work; nothing is waited for. */
  run(): void {
    this.#gpu.submit(this.#launches);
  }

  /** Runs once with a time for every kernel. */
  async profile(): Promise<readonly { label: string; ms: number }[]> {
    return await this.#gpu.profiled(this.#launches);
  }

  /**
   * Gives the memory back.
   *
   * @param keepResults hand the results' memory over to the tensors that hold it
   */
  release(keepResults = false): GpuStorage[] {
    const kept: GpuStorage[] = [];
    if (keepResults) {
      const owner = new Map<GPUBuffer, GpuStorage>();
      this.results.forEach((r, i) => {
        const t = this.plan.roots[i];
        if (this.#bound.has(t) || r.owned) kept.push(r);
        else {
          const { buffer } = r.range;
          let s = owner.get(buffer);
          if (!s) owner.set(buffer, s = new GpuStorage(r.device, r.range, true));
          kept.push(s);
        }
      });
    }
    this.plan.slots.forEach((slot, i) => {
      if (!(keepResults && slot.result)) this.#gpu.release(this.#slots[i].buffer);
    });
    if (this.#uniforms) this.#gpu.release(this.#uniforms.buffer);
    return kept;
  }
}

/** Writes new values into a leaf's memory. */
export function overwrite(gpu: Gpu, t: Tensor, values: HostData): void {
  gpu.write(upload(gpu, t).range, values);
}
