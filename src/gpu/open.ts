/**
 * Opening the GPU.
 *
 * @module
 */

import { adapterFacts, deviceRequest } from "./adapter.ts";
import { Gpu } from "./gpu.ts";
import { paced } from "./pace.ts";
import { type AdapterQuery, findAdapter } from "./provider.ts";

/** How to open the GPU. */
export interface GpuOptions extends AdapterQuery {
  /** Use this device, which stays the caller's: `dispose` does not destroy it. */
  readonly device?: GPUDevice;
}

/**
 * Opens the GPU: Dawn's best adapter, else the runtime's own (Deno's `navigator.gpu`, a browser's).
 *
 * @throws Error when there is no adapter; the message says what each provider answered and the
 * remedy.
 */
export async function openGpu(options: GpuOptions = {}): Promise<Gpu> {
  const { device } = options;
  if (device) {
    const facts = adapterFacts(device, device.adapterInfo);
    return new Gpu(device, "given", facts, false);
  }
  const { provider, adapter, passedOver } = await findAdapter(options);
  if (passedOver.length > 0) {
    // It works, but much slower on a CPU driver, so it must not go unnoticed.
    const reasons = passedOver.map((answer) => answer.split("\n")[0]).join("; ");
    console.warn(`Using the WebGPU of ${provider}, since Dawn was not to be had (${reasons}).`);
  }
  const opened = await paced(() => adapter.requestDevice(deviceRequest(adapter)));
  const gpu = new Gpu(opened, provider, adapterFacts(opened, adapter.info), true);
  disposeAtEnd(gpu);
  return gpu;
}

/** Dawn can crash the process when a device is still open as its isolate (a test file, say) ends. */
function disposeAtEnd(gpu: Gpu): void {
  const close = () => gpu.dispose();
  globalThis.addEventListener?.("unload", close, { once: true });
  gpu.lost.then(() => globalThis.removeEventListener?.("unload", close));
}
