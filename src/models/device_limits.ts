/** What a device can hold. */
import { currentSession, type Session } from "../tensor/mod.ts";

/** The limits that a memory plan is judged by. */
export interface DeviceLimits {
  /** Its name. */
  readonly name: string;
  /** Bytes that a kernel can bind as one tensor. */
  readonly binding: number;
  /** Bytes of memory; WebGPU tells it of no device, so it is known only of software devices. */
  readonly memory?: number;
}

/** Limits of an open session's device; a software device has the memory that the machine has free. */
export function limitsOf({ gpu }: Session): DeviceLimits {
  const { name, software, limits } = gpu.adapter;
  const binding = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  const memory = software ? freeMemory() : undefined;
  return memory === undefined ? { name, binding } : { name, binding, memory };
}

/** Limits of the current session's device; undefined if none is open. */
export function sessionLimits(): DeviceLimits | undefined {
  let session: Session;
  try {
    session = currentSession();
  } catch {
    return undefined;
  }
  return limitsOf(session);
}

/** Bytes of main memory that are free, where the program may ask. */
function freeMemory(): number | undefined {
  if (!("Deno" in globalThis)) return undefined;
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "systemMemoryInfo" });
  return state === "granted" ? Deno.systemMemoryInfo().available : undefined;
}
