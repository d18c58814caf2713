/**
 * Tries the GPU in a process of its own: a driver that crashes takes only that process down, and
 * drivers installed a moment ago are found.
 *
 * @module
 */

import { type AdapterFacts, dawnAdapters, type Kernel, openGpu } from "../gpu/mod.ts";
import { lastLines, run } from "./system.ts";

/** What one provider can do here. */
export interface ProviderReport {
  /** The provider. */
  readonly provider: "dawn" | "deno";
  /** Whether a kernel ran and computed the right numbers. */
  readonly works: boolean;
  /** The adapter that it chose. */
  readonly adapter?: AdapterFacts;
  /** The optional features that the device was opened with. */
  readonly features?: readonly string[];
  /** The names of all adapters that it could choose (Dawn only). */
  readonly adapters?: readonly string[];
  /** What went wrong. */
  readonly error?: string;
}

/** Marks the report among whatever the drivers print. */
const MARK = "@gpu-report ";

const COUNT: Kernel = {
  label: "count",
  code: `
@group(0) @binding(0) var<storage, read_write> x: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) { x[id.x] = id.x * id.x; }`,
  bindings: ["write"],
  workgroups: [1, 1, 1],
};

/**
 * Asks a provider, in a child process, to run a kernel.
 *
 * @param env Added to the environment, to name a driver for example.
 */
export async function probe(
  provider: "dawn" | "deno",
  env: Readonly<Record<string, string>> = {},
): Promise<ProviderReport> {
  const args = ["run", "-A", "--quiet", "--no-lock"];
  // From a checkout, the pinned packages; elsewhere the package's own specifiers do.
  const here = new URL(import.meta.url);
  if (here.protocol === "file:") {
    args.push("--config", new URL("../../deno.json", here).pathname);
  }
  // The first run may have to download Dawn.
  const { text } = await run(Deno.execPath(), [...args, here.href, provider], {
    env: { ...env },
    timeoutMs: 300_000,
  });
  const line = text.split("\n").find((line) => line.startsWith(MARK));
  const words = driverWords(text.split("\n").filter((line) => !line.startsWith(MARK)));
  if (!line) return { provider, works: false, error: `the probe ended early: ${words}` };
  const report: ProviderReport = JSON.parse(line.slice(MARK.length));
  if (report.works || words === "") return report;
  return { ...report, error: `${report.error}\n${words}` };
}

/** What the drivers said, without Dawn's notes on where in its source it said so. */
function driverWords(lines: readonly string[]): string {
  const said = lines.filter((line) => !/^\s+at |^Warning: maxDynamic/.test(line));
  return lastLines([...new Set(said)].join("\n"), 6);
}

/** Runs a kernel here; never throws. */
async function tryProvider(provider: "dawn" | "deno"): Promise<ProviderReport> {
  let adapters: string[] | undefined;
  try {
    if (provider === "dawn") {
      adapters = (await dawnAdapters()).map(({ backend, name }) => `${name} (${backend})`);
    }
    using gpu = await openGpu({ provider });
    const { adapter } = gpu;
    const features = [...gpu.device.features as unknown as Iterable<string>].sort();
    const buffer = gpu.acquire(256, "count");
    const range = { buffer, offset: 0, size: 256 };
    const group = gpu.bindGroup(COUNT, [range]);
    gpu.submit([{ kernel: COUNT, pipeline: gpu.pipeline(COUNT), group }]);
    const got = new Uint32Array(await gpu.read(buffer, 0, 256));
    const wrong = got.findIndex((value, i) => value !== i * i);
    const report = { provider, adapter, features, adapters };
    if (wrong < 0) return { ...report, works: true };
    const error = `the driver computes ${wrong} * ${wrong} = ${got[wrong]}`;
    return { ...report, works: false, error };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    // The remedy is the caller's part; here only what was found.
    const answer = /^No GPU adapter found \(\w+: ([^]*?)\)\. /.exec(message)?.[1] ?? message;
    return { provider, works: false, adapters, error: answer };
  }
}

if (import.meta.main) {
  const report = await tryProvider(Deno.args[0] === "deno" ? "deno" : "dawn");
  console.log(`\n${MARK}${JSON.stringify(report)}`);
}
