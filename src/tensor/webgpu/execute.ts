/** Runs plans on a WebGPU device: buffers, bind groups and launches, made once and replayed. */
import { type BufferRange, formatBytes, type Gpu, type Launch } from "../../gpu/mod.ts";
import type { HostData } from "../dtype.ts";
import type { Storage, Tensor } from "../graph.ts";
import { ALIGNMENT, bytesOf, type Plan } from "../plan.ts";
import { EFFECTS } from "../operation_kinds.ts";
import type { Step } from "../schedule.ts";
import type { Lowered } from "./bindings.ts";
import { lower, type Target } from "./lower.ts";
import { TunedFile } from "./tuned_file.ts";
import { Tuner } from "./tuner.ts";
import { checkForced } from "./variants.ts";

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

/**
 * What the lowering needs to know about a device.
 *
 * @throws {RangeError} if the device was opened with kernel variants that there are not.
 */
export function targetOf(gpu: Gpu): Target {
  const { software, subgroups, f16, matrixUnits, limits, name } = gpu.adapter;
  const { maxComputeWorkgroupStorageSize: workgroupBytes } = limits;
  const subgroup = subgroups && subgroups.min === subgroups.max ? subgroups.min : undefined;
  const target: Target = {
    software,
    subgroup,
    f16,
    workgroupBytes,
    // Their kernel must know how many lanes share a matrix.
    matrixUnits: subgroup ? matrixUnits : [],
    name,
    forced: {},
  };
  return { ...target, forced: checkForced(gpu.variants, target) };
}

/** Tuners of the devices that have one. */
const tuners = new WeakMap<Gpu, Tuner>();

/** Lets a device choose kernel variants by measuring them. */
export async function tune(gpu: Gpu, path: string | undefined): Promise<void> {
  const { name, driver } = gpu.adapter;
  const file = await TunedFile.open(path, `${name}, ${driver}`);
  tuners.set(gpu, new Tuner(gpu, targetOf(gpu), file));
}

async function tunedTarget(gpu: Gpu, plan: Plan): Promise<Target> {
  const target = targetOf(gpu), tuner = tuners.get(gpu);
  if (!tuner || target.forced.matmul !== undefined) return target;
  await tuner.prepare(plan);
  return { ...target, best: (product) => tuner.best(product) };
}

/** The bytes of a stored leaf, uploading host values first when needed. */
export function upload(gpu: Gpu, t: Tensor): GpuStorage {
  if (t.storage) {
    if (t.storage.device !== gpu) {
      throw new Error(
        `${t} lives on another device, which may be closed or lost; read its values there with ` +
          `data() and make a new tensor of them, or restore a checkpoint`,
      );
    }
    return t.storage as GpuStorage;
  }
  if (!t.host) throw new Error(`${t} has no values: a placeholder outside its compiled function?`);
  const storage = allocate(gpu, bytesOf(t), t.name ?? String(t), t.owner);
  gpu.write(storage.range, t.host);
  t.storage = storage;
  t.host = undefined;
  return storage;
}

/** Fresh memory; its contents are undefined. */
export function allocate(
  gpu: Gpu,
  bytes: number,
  label: string,
  owner: string = "tensor",
): GpuStorage {
  const buffer = gpu.acquire(bytes, label, owner);
  return new GpuStorage(gpu, { buffer, offset: 0, size: bytes }, true);
}

/** False for a step that only writes tensors without elements. */
export function hasWork({ node, writes }: Step): boolean {
  return EFFECTS.has(node.op) || writes.some((t) => t.size > 0);
}

/** Memory of a leaf, by the leaf of the plan. */
export type LeafStorage = (leaf: Tensor) => GpuStorage;

/**
 * A plan as compiled kernels, bound to no memory yet. Binding gives a {@linkcode Program}; one
 * executable serves any number of programs, one after the other or together.
 */
export class Executable {
  readonly #lowered: readonly Lowered[];
  /** Uniform blocks of all kernels, each at the alignment that a binding needs. */
  readonly #uniforms: Uint32Array;

  private constructor(readonly gpu: Gpu, readonly plan: Plan, lowered: readonly Lowered[]) {
    this.#lowered = lowered;
    const blocks = lowered.flatMap((l) => l.uniform ? [l.uniform] : []);
    this.#uniforms = new Uint32Array(blocks.length * ALIGNMENT / 4);
    blocks.forEach((b, i) => this.#uniforms.set(b, i * ALIGNMENT / 4));
  }

  /**
   * Lowers a plan and compiles its kernels.
   *
   * @param target by default the device, with the variants that its tuner finds fastest; kernels for
   * another kind of device run as well, only slower
   * @throws {RangeError} if a tensor is larger than the device can bind.
   */
  static async create(gpu: Gpu, plan: Plan, target?: Target): Promise<Executable> {
    checkSizes(gpu, plan);
    target ??= await tunedTarget(gpu, plan);
    const lowered = plan.steps.filter(hasWork).map((s) => lower(s, plan.isStored, target));
    await gpu.prepare(lowered.map((l) => l.kernel));
    return new Executable(gpu, plan, lowered);
  }

  /**
   * Takes memory for everything but the leaves and binds it.
   *
   * @throws {Error} if the device has not that much memory, with who holds it.
   */
  async bind(leafStorage: LeafStorage): Promise<Program> {
    const { gpu, plan } = this;
    const wanted = plan.slots.map(({ bytes, label }) => ({ bytes, label, owner: "plan" }));
    const { byteLength } = this.#uniforms;
    if (byteLength > 0) wanted.push({ bytes: byteLength, label: "uniforms", owner: "plan" });
    const buffers = await gpu.acquireAll(wanted);
    const slots = plan.slots.map(({ bytes, clear }, i) => {
      const slot = { buffer: buffers[i], offset: 0, size: bytes };
      if (clear) gpu.write(slot, new Uint8Array(bytes));
      return slot;
    });
    const uniforms = byteLength > 0 ? buffers.at(-1) : undefined;
    if (uniforms) gpu.write(uniforms, this.#uniforms);
    let bound: Map<Tensor, GpuStorage>;
    try {
      bound = new Map(plan.leaves.map((t) => [t, leafStorage(t)]));
    } catch (error) {
      for (const buffer of buffers) gpu.release(buffer);
      throw error;
    }
    const rangeOf = (t: Tensor): BufferRange => {
      const leaf = bound.get(t);
      if (leaf) return leaf.range;
      const place = plan.places.get(t);
      if (!place) throw new Error(`plan has no memory for ${t} (made by ${t.node.op})`);
      return { buffer: slots[place.slot].buffer, offset: place.offset, size: bytesOf(t) };
    };
    let block = 0;
    const launches = this.#lowered.map(({ kernel, tensors, uniform }) => {
      const ranges = tensors.map(rangeOf);
      if (uniform) {
        const offset = ALIGNMENT * block++;
        ranges.push({ buffer: uniforms!, offset, size: uniform.byteLength });
      }
      return { kernel, pipeline: gpu.pipeline(kernel), group: gpu.bindGroup(kernel, ranges) };
    });
    const results = plan.roots.map((t) => {
      const leaf = bound.get(t);
      if (leaf) return leaf;
      if (!plan.places.has(t) && t.size === 0) return allocate(gpu, 4, String(t)); // an effect
      return new GpuStorage(gpu, rangeOf(t), false);
    });
    return new Program(gpu, plan, slots, uniforms, launches, bound, results);
  }
}

/** Refuses tensors that no kernel could bind, by name and size. */
function checkSizes(gpu: Gpu, plan: Plan): void {
  const { maxStorageBufferBindingSize, maxBufferSize } = gpu.adapter.limits;
  const most = Math.min(maxStorageBufferBindingSize, maxBufferSize);
  for (const t of [...plan.leaves, ...plan.places.keys()]) {
    if (bytesOf(t) <= most) continue;
    const maker = t.node.op === "leaf" ? "" : `, the result of ${t.node.op},`;
    throw new RangeError(
      `${t}${maker} needs ${bytesOf(t)} bytes (${formatBytes(bytesOf(t))}), but ` +
        `${gpu.adapter.name} binds at most ${most} bytes (${formatBytes(most)}) at once; use a ` +
        `smaller batch, or split the tensor with narrow() and join the results`,
    );
  }
}

/** An executable with its memory: run it as often as you like. */
export class Program {
  readonly #gpu: Gpu;
  readonly #slots: readonly BufferRange[];
  readonly #uniforms: GPUBuffer | undefined;
  readonly #launches: Launch[];
  /** Leaves whose memory the launches are bound to. */
  readonly #bound: ReadonlyMap<Tensor, Storage>;
  /** Storage of each result, in the order of the plan's roots. */
  readonly results: readonly GpuStorage[];

  /** Use {@linkcode Executable.bind}. */
  constructor(
    gpu: Gpu,
    readonly plan: Plan,
    slots: readonly BufferRange[],
    uniforms: GPUBuffer | undefined,
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

  /** Submits the work together with the reading of ranges; see `Gpu.startRead()`. */
  runAndRead(ranges: readonly BufferRange[]): () => Promise<ArrayBuffer[]> {
    return this.#gpu.startRead(ranges, this.#launches);
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
          if (!s) {
            owner.set(buffer, s = new GpuStorage(r.device, r.range, true));
            this.#gpu.assign(buffer, t.owner ?? "tensor");
          }
          kept.push(s);
        }
      });
    }
    this.plan.slots.forEach((slot, i) => {
      if (!(keepResults && slot.result)) this.#gpu.release(this.#slots[i].buffer);
    });
    if (this.#uniforms) this.#gpu.release(this.#uniforms);
    return kept;
  }
}

/** Writes new values into a leaf's memory. */
export function overwrite(gpu: Gpu, t: Tensor, values: HostData): void {
  gpu.write(upload(gpu, t).range, values);
}
