/**
 * Opening the GPU.
 *
 * @module
 */

import {
  adapterFacts,
  deviceRequest,
  GPU_FEATURES,
  type GpuFeature,
  SUBGROUP_MATRIX,
} from "./adapter.ts";
import { environmentOptions } from "./environment.ts";
import { Gpu, type GpuBehaviour } from "./gpu.ts";
import { paced } from "./pace.ts";
import { type AdapterQuery, findAdapter } from "./provider.ts";

/** How to open the GPU. */
export interface GpuOptions extends AdapterQuery, GpuBehaviour {
  /** Use this device, which stays the caller's: `dispose` does not destroy it. */
  readonly device?: GPUDevice;
  /**
   * Features to do without although the adapter has them: to see what a lesser device would do, or to
   * keep clear of a driver's bug. Default none.
   */
  readonly without?: readonly GpuFeature[];
}

/**
 * Opens the GPU: Dawn's best adapter, else the runtime's own (Deno's `navigator.gpu`, a browser's).
 *
 * Options that are not given are taken from the environment, where the program may read it:
 * `MOIIE_PROVIDER=deno`, `MOIIE_WITHOUT=subgroups,shader-f16`, `MOIIE_POISON=1`,
 * `MOIIE_VARIANTS=matmul=tiled`. So can all tests be run on another provider, on a lesser device, with
 * other kernels, or with a watch on reads of what nobody wrote.
 *
 * @throws Error when there is no adapter; the message says what each provider answered and the
 * remedy. RangeError for a feature, a time or a variable that makes no sense.
 */
export async function openGpu(options: GpuOptions = {}): Promise<Gpu> {
  const environment = environmentOptions();
  const { device, without = environment.without ?? [], hangSeconds } = options;
  const behaviour = {
    hangSeconds,
    poison: options.poison ?? environment.poison,
    variants: options.variants ?? environment.variants,
  };
  const unknown = without.filter((name) => !GPU_FEATURES.includes(name));
  if (unknown.length > 0) {
    throw new RangeError(
      `Cannot do without "${unknown.join('", "')}"; the features are ${GPU_FEATURES.join(", ")}.`,
    );
  }
  if (hangSeconds !== undefined && !(hangSeconds > 0)) {
    throw new RangeError(`hangSeconds is ${hangSeconds}: it must be a time above 0, or Infinity.`);
  }
  if (device) {
    const facts = adapterFacts(device, device.adapterInfo, without);
    return new Gpu(device, "given", facts, false, behaviour);
  }
  const { provider, adapter, passedOver } = await findAdapter({
    ...options,
    provider: options.provider ?? environment.provider,
    subgroupMatrix: options.subgroupMatrix ?? !without.includes(SUBGROUP_MATRIX),
  });
  if (passedOver.length > 0) {
    // It works, but much slower on a CPU driver, so it must not go unnoticed.
    const reasons = passedOver.map((answer) => answer.split("\n")[0]).join("; ");
    console.warn(`Using the WebGPU of ${provider}, since Dawn was not to be had (${reasons}).`);
  }
  const opened = await paced(() => adapter.requestDevice(deviceRequest(adapter, without)));
  const gpu = new Gpu(
    opened,
    provider,
    adapterFacts(opened, adapter.info, without),
    true,
    behaviour,
  );
  disposeAtEnd(gpu);
  return gpu;
}

/** Dawn can crash the process when a device is still open as its isolate (a test file, say) ends. */
function disposeAtEnd(gpu: Gpu): void {
  const close = () => gpu.dispose();
  globalThis.addEventListener?.("unload", close, { once: true });
  gpu.lost.then(() => globalThis.removeEventListener?.("unload", close));
}
