/**
 * Compiled kernels, cached, and the bind group layouts they share.
 *
 * @module
 */

import { STAGE_COMPUTE } from "./constants.ts";
import { compileError } from "./errors.ts";
import type { BindingKind, Kernel } from "./kernel.ts";

/** Pipelines compiled at the same time; more only adds memory. */
const PARALLEL_COMPILES = 8;

interface Layout {
  readonly group: GPUBindGroupLayout;
  readonly pipeline: GPUPipelineLayout;
}

const BUFFER_TYPE: Record<BindingKind, GPUBufferBindingType> = {
  read: "read-only-storage",
  write: "storage",
  uniform: "uniform",
};

/** Called with an error that surfaces later than the call that caused it. */
export type LateError = (error: Promise<Error | undefined>) => void;

/** The pipelines of one device, by code, constants and bindings. */
export class PipelineCache {
  /** Pipelines ever created. */
  created = 0;
  readonly #device: GPUDevice;
  readonly #late: LateError;
  readonly #byKernel = new WeakMap<Kernel, GPUComputePipeline>();
  readonly #byKey = new Map<string, GPUComputePipeline>();
  readonly #compiling = new Map<string, Promise<void>>();
  readonly #shaders = new Map<string, GPUShaderModule>();
  readonly #layouts = new Map<string, Layout>();

  /** @param late Receives errors of pipelines that were created synchronously. */
  constructor(device: GPUDevice, late: LateError) {
    this.#device = device;
    this.#late = late;
  }

  /** The bind group layout of every kernel with these bindings. */
  groupLayout(bindings: readonly BindingKind[]): GPUBindGroupLayout {
    return this.#layout(bindings).group;
  }

  /** The pipeline of a kernel, compiled now if it is new. */
  get(kernel: Kernel): GPUComputePipeline {
    const known = this.#lookup(kernel);
    if (known) return known;
    const device = this.#device;
    device.pushErrorScope("validation");
    const shader = this.#shader(kernel);
    const pipeline = device.createComputePipeline(this.#descriptor(kernel, shader));
    const scope = device.popErrorScope();
    this.#late(scope.then((error) => error ? compileError(kernel, shader, error) : undefined));
    this.#store(kernel, pipeline);
    return pipeline;
  }

  /**
   * Compiles the kernels that are new, several at a time.
   *
   * @throws Error of the first kernel that does not compile, after all have been tried.
   */
  async prepare(kernels: readonly Kernel[]): Promise<void> {
    const waiting = kernels.filter((kernel) => !this.#lookup(kernel));
    const failures: unknown[] = [];
    const worker = async () => {
      for (let kernel = waiting.shift(); kernel; kernel = waiting.shift()) {
        try {
          await this.#compileOnce(kernel);
        } catch (error) {
          failures.push(error);
        }
      }
    };
    await Promise.all(Array.from({ length: PARALLEL_COMPILES }, worker));
    if (failures.length === 0) return;
    if (failures.length > 1 && failures[0] instanceof Error) {
      failures[0].message += `\n(${failures.length - 1} more of ${kernels.length} kernels failed)`;
    }
    throw failures[0];
  }

  async #compileOnce(kernel: Kernel): Promise<void> {
    if (this.#lookup(kernel)) return;
    const key = keyOf(kernel);
    let compiling = this.#compiling.get(key);
    if (!compiling) {
      compiling = this.#compile(kernel).finally(() => this.#compiling.delete(key));
      this.#compiling.set(key, compiling);
    }
    await compiling;
  }

  async #compile(kernel: Kernel): Promise<void> {
    const device = this.#device;
    // The scope keeps the module's own error out of `uncapturederror`; the pipeline reports it, too.
    device.pushErrorScope("validation");
    const shader = this.#shader(kernel);
    const descriptor = this.#descriptor(kernel, shader);
    const scope = device.popErrorScope();
    const compiled = device.createComputePipelineAsync(descriptor);
    const [result] = await Promise.allSettled([compiled, scope]);
    if (result.status === "rejected") throw await compileError(kernel, shader, result.reason);
    this.#store(kernel, result.value);
  }

  #lookup(kernel: Kernel): GPUComputePipeline | undefined {
    let pipeline = this.#byKernel.get(kernel);
    if (!pipeline) {
      pipeline = this.#byKey.get(keyOf(kernel));
      if (pipeline) this.#byKernel.set(kernel, pipeline);
    }
    return pipeline;
  }

  #store(kernel: Kernel, pipeline: GPUComputePipeline): void {
    this.created++;
    this.#byKernel.set(kernel, pipeline);
    this.#byKey.set(keyOf(kernel), pipeline);
  }

  #shader({ code, label }: Kernel): GPUShaderModule {
    let shader = this.#shaders.get(code);
    if (!shader) {
      shader = this.#device.createShaderModule({ code, label });
      this.#shaders.set(code, shader);
    }
    return shader;
  }

  #descriptor(kernel: Kernel, module: GPUShaderModule): GPUComputePipelineDescriptor {
    return {
      label: kernel.label,
      layout: this.#layout(kernel.bindings).pipeline,
      compute: { module, entryPoint: "main", constants: { ...kernel.constants } },
    };
  }

  #layout(bindings: readonly BindingKind[]): Layout {
    const label = bindings.join(",");
    let layout = this.#layouts.get(label);
    if (!layout) {
      const entries = bindings.map((kind, binding) => ({
        binding,
        visibility: STAGE_COMPUTE,
        buffer: { type: BUFFER_TYPE[kind] },
      }));
      const group = this.#device.createBindGroupLayout({ label, entries });
      const pipeline = this.#device.createPipelineLayout({ label, bindGroupLayouts: [group] });
      layout = { group, pipeline };
      this.#layouts.set(label, layout);
    }
    return layout;
  }
}

function keyOf(kernel: Kernel): string {
  const constants = Object.entries(kernel.constants ?? {}).sort(([a], [b]) => a < b ? -1 : 1);
  return `${kernel.bindings.join()}|${
    constants.map((pair) => pair.join("=")).join()
  }|${kernel.code}`;
}
