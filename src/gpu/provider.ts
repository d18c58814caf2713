/**
 * Finding a WebGPU implementation: Dawn (`npm:webgpu`), Deno's own (wgpu), or the browser's.
 *
 * @module
 */

import { paced } from "./pace.ts";
import { adapterName, isSoftware } from "./adapter.ts";

/** Where a device comes from. */
export type ProviderName = "dawn" | "deno" | "browser";

/** What the search for an adapter may be told. */
export interface AdapterQuery {
  /** Only this provider. Default: Dawn, then the runtime's own. */
  readonly provider?: ProviderName;
  /** A part of the adapter's name; case and punctuation do not matter. */
  readonly adapter?: string;
  /** `true`: only an adapter that runs on the CPU; `false`: never one. Default: whatever is best. */
  readonly software?: boolean;
  /** Ask Dawn for subgroup matrices (tensor cores). Default true. */
  readonly subgroupMatrix?: boolean;
}

/** An adapter and the provider that offers it. */
export interface FoundAdapter {
  /** The provider. */
  readonly provider: ProviderName;
  /** The adapter. */
  readonly adapter: GPUAdapter;
  /** Providers that were tried before in vain, each with its answer. */
  readonly passedOver: readonly string[];
}

/** The remedy that every "no adapter" error ends with. */
export const NO_ADAPTER_REMEDY: string =
  "In a checkout of the repository, `deno task doctor` names what is missing and `deno task start` " +
  "installs a software driver. By hand: install the GPU maker's Vulkan driver, or on Debian and " +
  "Ubuntu `apt-get install libvulkan1 mesa-vulkan-drivers` (on Debian 12 with " +
  "`-t bookworm-backports`, because Dawn refuses its stock Mesa 22).";

/** Dawn's instances, by their flags. */
const dawnInstances = new Map<string, GPU>();
/**
 * Every instance ever made: one whose last reference is collected takes the process down with it.
 */
const keptAlive: GPU[] = [];

async function dawn(flags: string[]): Promise<GPU> {
  const key = flags.join(" ");
  let gpu = dawnInstances.get(key);
  if (gpu === undefined) {
    // Only here, so that users of another provider never load the native library.
    const { create } = await import("webgpu");
    gpu = create(flags) as unknown as GPU;
    dawnInstances.set(key, gpu);
    keptAlive.push(gpu);
  }
  return gpu;
}

/**
 * Lists Dawn's adapters by the names their drivers give.
 *
 * @throws Error when Dawn cannot be loaded.
 */
export async function dawnAdapters(): Promise<{ backend: string; name: string }[]> {
  // Dawn tells them only in the error about one that does not exist.
  const gpu = await dawn(["adapter=(list)"]);
  const found: { backend: string; name: string }[] = [];
  try {
    await paced(() => gpu.requestAdapter());
  } catch (error) {
    for (const [, backend, name] of String(error).matchAll(/backend: '(\w+)', name: '([^']+)'/g)) {
      found.push({ backend, name });
    }
  }
  // It would not see drivers that are installed later.
  dawnInstances.delete("adapter=(list)");
  return found;
}

/** Names are compared without case and punctuation, as Dawn itself spells them in two ways. */
function includesName(name: string, part: string): boolean {
  const plain = (text: string) => text.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
  return plain(name).includes(plain(part));
}

async function dawnAdapterNamed(part: string): Promise<string> {
  const names = (await dawnAdapters()).map(({ name }) => name);
  const name = names.find((name) => includesName(name, part));
  if (name !== undefined) return name;
  const known = names.length > 0 ? `; there is ${names.join(", ")}` : "";
  throw new Error(`no adapter named "${part}"${known}`);
}

function hasRuntimeOf(provider: ProviderName): boolean {
  const inDeno = "Deno" in globalThis;
  const native = inDeno || "process" in globalThis;
  if (provider === "dawn") return native;
  return provider === "deno" ? inDeno : !inDeno;
}

/**
 * Dawn would fill every new buffer with zeros before its first use. Buffers come from a pool here and
 * hold what was in them before, so nothing relies on that, and loading a model takes a quarter longer.
 */
const WITHOUT_ZEROS = "disable-dawn-features=lazy_clear_resource_on_first_use";
/** What is still experimental, subgroup matrices too, Dawn offers only so. */
const WITH_EXPERIMENTAL = "enable-dawn-features=allow_unsafe_apis";

/**
 * Unless told otherwise, Deno's WebGPU tries OpenGL drivers too. None of them runs the kernels, and
 * their library, once loaded, crashes now and then as the process ends.
 */
function withoutOpenGl(): void {
  const variable = "DENO_WEBGPU_BACKEND";
  if (Deno.build.os !== "linux") return;
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  if (state === "granted" && !Deno.env.has(variable)) Deno.env.set(variable, "vulkan");
}

async function gpuOf(provider: ProviderName, query: AdapterQuery): Promise<GPU> {
  if (provider === "dawn") {
    const flags = [WITHOUT_ZEROS];
    if (query.adapter) flags.push(`adapter=${await dawnAdapterNamed(query.adapter)}`);
    if (query.subgroupMatrix !== false) flags.push(WITH_EXPERIMENTAL);
    return await dawn(flags);
  }
  if (provider === "deno") withoutOpenGl();
  const gpu: GPU | undefined = globalThis.navigator?.gpu;
  if (!gpu) throw new Error("navigator.gpu does not exist here");
  return gpu;
}

async function request(provider: ProviderName, query: AdapterQuery): Promise<GPUAdapter> {
  const gpu = await gpuOf(provider, query);
  const adapter = await paced(() =>
    gpu.requestAdapter({
      powerPreference: "high-performance",
      forceFallbackAdapter: query.software === true,
    })
  );
  if (!adapter) {
    // An instance never looks for drivers again; a new one finds what was installed meanwhile.
    dawnInstances.clear();
    throw new Error("no adapter that it accepts");
  }
  const name = adapterName(adapter.info);
  // Dawn was told the name already.
  const fits = provider === "dawn" || includesName(name, query.adapter ?? "");
  if (!fits) throw new Error(`its adapter is "${name}", not one named "${query.adapter}"`);
  if (query.software !== undefined && query.software !== isSoftware(adapter.info)) {
    throw new Error(`its adapter "${name}" ${query.software ? "is hardware" : "runs on the CPU"}`);
  }
  return adapter;
}

/**
 * Finds an adapter: Dawn's first, then that of the runtime itself.
 *
 * @throws Error when no provider has a fitting adapter; the message says what each one answered and
 * how to remedy it.
 */
export async function findAdapter(query: AdapterQuery = {}): Promise<FoundAdapter> {
  const providers: ProviderName[] = query.provider
    ? [query.provider]
    : (["dawn", "deno", "browser"] as const).filter(hasRuntimeOf);
  const answers: string[] = [];
  for (const provider of providers) {
    try {
      return { provider, adapter: await request(provider, query), passedOver: answers };
    } catch (error) {
      answers.push(`${provider}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new Error(`No GPU adapter found (${answers.join("; ")}). ${NO_ADAPTER_REMEDY}`);
}
