/**
 * `deno task doctor`: says what was found of GPU, drivers, Deno and Jupyter, what is missing, and
 * how to get it. Exits with 1 when training is impossible. `--json` prints the findings as JSON.
 *
 * @module
 */

import config from "../../deno.json" with { type: "json" };
import { type AdapterFacts, formatBytes } from "../gpu/mod.ts";
import { jupyterStatus } from "./jupyter_status.ts";
import { probe, type ProviderReport } from "./probe.ts";
import { driverCommands, jupyterCommands } from "./setup.ts";
import { inspectSystem, readText, run, type System } from "./system.ts";

/** The oldest Deno whose notebook kernel and WebGPU are good enough. */
const OLDEST_DENO = "2.9.0";
/** Packages that figures are drawn with. */
const FIGURE_PACKAGES = ["plotly.js-cartesian-dist-min", "happy-dom", "@resvg/resvg-wasm"] as const;

/** One finding. */
export interface Check {
  /** What was looked for. */
  readonly name: string;
  /** "ok"; "missing": training or notebooks do without; "broken": nothing trains like that. */
  readonly state: "ok" | "missing" | "broken";
  /** What was found, one fact a line. */
  readonly found: readonly string[];
  /** What to do, one step a line; empty when all is well. */
  readonly remedy: readonly string[];
}

/** All findings. */
export interface Diagnosis {
  /** Whether models can be trained here. */
  readonly trains: boolean;
  /** The verdict in one sentence. */
  readonly verdict: string;
  /** The findings, in the order in which they matter. */
  readonly checks: readonly Check[];
  /** What Dawn can do. */
  readonly dawn: ProviderReport;
  /** What Deno's own WebGPU can do. */
  readonly deno: ProviderReport;
}

/** Compares dotted version numbers: negative when `a` is older than `b`. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => text.split(/[.+-]/, 3).map(Number));
  for (let i = 0; i < 3; i++) {
    const difference = (left[i] || 0) - (right[i] || 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function ok(name: string, ...found: string[]): Check {
  return { name, state: "ok", found, remedy: [] };
}

/** Deno's version. */
export function checkDeno(version: string): Check {
  if (compareVersions(version, OLDEST_DENO) >= 0) return ok("Deno", version);
  return {
    name: "Deno",
    state: "broken",
    found: [`${version}, older than ${OLDEST_DENO}`],
    remedy: ["deno upgrade"],
  };
}

/** An adapter's abilities in three lines. */
export function describeAdapter(adapter: AdapterFacts): string[] {
  const { subgroups, limits } = adapter;
  const driver = adapter.driver ? ` (${adapter.driver})` : "";
  const abilities = [
    adapter.software ? "software: runs on the CPU, slow" : "hardware",
    subgroups
      ? `subgroups of ${subgroups.min}${subgroups.max > subgroups.min ? `-${subgroups.max}` : ""}`
      : "no subgroups",
    adapter.f16 ? "f16" : "no f16",
    adapter.timestamps ? "timestamps" : "no timestamps",
    ...adapter.matrixUnits.map(({ operands, m, n, k }) => `${operands} matrices ${m}×${k}×${n}`),
  ];
  const sizes = [
    `buffer ${formatBytes(limits.maxBufferSize)}`,
    `storage binding ${formatBytes(limits.maxStorageBufferBindingSize)}`,
    `workgroup ${limits.maxComputeInvocationsPerWorkgroup} invocations, ` +
    `${formatBytes(limits.maxComputeWorkgroupStorageSize)}`,
    `${limits.maxStorageBuffersPerShaderStage} storage buffers`,
  ];
  return [adapter.name + driver, abilities.join(", "), `limits: ${sizes.join(", ")}`];
}

/** The finding about a provider. One provider that works is enough to train. */
export function checkProvider(
  report: ProviderReport,
  other: ProviderReport,
  commands: readonly string[],
): Check {
  const name = report.provider === "dawn" ? "GPU by Dawn" : "GPU by Deno";
  if (report.works && report.adapter) {
    const others = (report.adapters ?? []).length > 1
      ? [`all adapters: ${report.adapters?.join("; ")}`]
      : [];
    return ok(name, ...describeAdapter(report.adapter), ...others);
  }
  const found = (report.error ?? "no answer").split("\n").map((line) => line.trim());
  const needed = !other.works;
  // Deno's own is the second choice: without it nothing is lost where Dawn works.
  const remedy = needed || report.provider === "dawn" ? commands : [];
  return { name, state: needed ? "broken" : "missing", found, remedy };
}

/** The Vulkan loader (Linux only). */
function checkLoader(commands: readonly string[]): Check {
  try {
    Deno.dlopen("libvulkan.so.1", {}).close();
    return ok("Vulkan loader", "libvulkan.so.1");
  } catch {
    const found = ["libvulkan.so.1 cannot be loaded"];
    return { name: "Vulkan loader", state: "missing", found, remedy: commands };
  }
}

/** The Vulkan drivers that the loader would offer (Linux only). */
async function checkDrivers(commands: readonly string[]): Promise<Check> {
  const name = "Vulkan drivers";
  const forced = Deno.env.get("VK_DRIVER_FILES") ?? Deno.env.get("VK_ICD_FILENAMES");
  const files = forced ? forced.split(":") : await driverFiles();
  const found: string[] = [];
  for (const file of files) {
    const library = /"library_path"\s*:\s*"([^"]+)"/.exec(await readText(file) ?? "")?.[1];
    if (library) found.push(`${file.split("/").at(-1)}: ${library.split("/").at(-1)}`);
  }
  if (found.length > 0) return ok(name, ...found);
  const where = forced ? `none in VK_DRIVER_FILES=${forced}` : "no driver is installed";
  const remedy = forced ? ["unset VK_DRIVER_FILES VK_ICD_FILENAMES"] : commands;
  return { name, state: "missing", found: [where], remedy };
}

async function driverFiles(): Promise<string[]> {
  const home = Deno.env.get("HOME") ?? "";
  const folders = ["/etc", "/usr/local/share", "/usr/share", `${home}/.local/share`];
  const files: string[] = [];
  for (const folder of folders) {
    const path = `${folder}/vulkan/icd.d`;
    try {
      for await (const { name } of Deno.readDir(path)) {
        if (name.endsWith(".json")) files.push(`${path}/${name}`);
      }
    } catch {
      // No such folder.
    }
  }
  return files.sort();
}

async function checkJupyter(system: System): Promise<Check[]> {
  const { nbconvert, kernel } = await jupyterStatus();
  const install = "deno jupyter --install --force";
  const tool: Check = nbconvert ? ok("Jupyter", `nbconvert ${nbconvert}`) : {
    name: "Jupyter",
    state: "missing",
    found: ["`jupyter nbconvert` does not run; `deno task notebooks` needs it"],
    remedy: jupyterCommands(system),
  };
  if (kernel?.usable) return [tool, ok("Deno kernel", kernel.path)];
  const found = kernel
    ? [`${kernel.path} starts ${kernel.program || "nothing"}, which is not there`]
    : ["not installed"];
  return [tool, { name: "Deno kernel", state: "missing", found, remedy: [install] }];
}

/** Whether the packages for figures are in the cache or can be fetched. */
async function checkFigures(): Promise<Check> {
  const specifiers = FIGURE_PACKAGES.map((name) => config.imports[name]);
  const { ok: fetched, text } = await run(Deno.execPath(), [
    "cache",
    "--quiet",
    "--no-lock",
    "--no-config",
    ...specifiers,
  ], { timeoutMs: 180_000 });
  if (fetched) return ok("Figures", ...specifiers.map((specifier) => specifier.slice(4)));
  return {
    name: "Figures",
    state: "missing",
    found: text.split("\n").filter(Boolean).slice(0, 3),
    remedy: [`deno cache ${specifiers.join(" ")}`],
  };
}

/** Whether downloads and results can be stored. */
async function checkFolders(): Promise<Check> {
  const name = "Folders";
  const info = await run(Deno.execPath(), ["info", "--json"]);
  const folders = [Deno.cwd()];
  if (info.ok) folders.push(String(JSON.parse(info.stdout).denoDir));
  const found: string[] = [];
  const remedy: string[] = [];
  for (const folder of folders) {
    try {
      await Deno.remove(await Deno.makeTempFile({ dir: folder, prefix: ".doctor-" }));
      found.push(`${folder} is writable`);
    } catch (error) {
      found.push(`${folder}: ${error instanceof Error ? error.message : error}`);
      remedy.push(folder === Deno.cwd() ? `chmod u+w ${folder}` : "export DENO_DIR=~/.cache/deno");
    }
  }
  return { name, state: remedy.length > 0 ? "missing" : "ok", found, remedy };
}

/** Looks at everything. Takes some seconds; installs nothing. */
export async function diagnose(): Promise<Diagnosis> {
  const system = await inspectSystem();
  const commands = await driverCommands(system);
  const [dawn, deno, jupyter, figures, folders] = await Promise.all([
    probe("dawn"),
    probe("deno"),
    checkJupyter(system),
    checkFigures(),
    checkFolders(),
  ]);
  const memory = Deno.systemMemoryInfo();
  const machine = `${navigator.hardwareConcurrency} processors, ${
    formatBytes(memory.total)
  } memory`;
  const checks = [checkDeno(Deno.version.deno), ok("System", system.name, machine)];
  if (system.os === "linux") checks.push(checkLoader(commands), await checkDrivers(commands));
  checks.push(checkProvider(dawn, deno, commands), checkProvider(deno, dawn, commands));
  checks.push(...jupyter, figures, folders);
  const best = dawn.works ? dawn : deno.works ? deno : undefined;
  const trains = best !== undefined && !checks.some(({ state }) => state === "broken");
  return { trains, verdict: verdictOf(best, trains, checks), checks, dawn, deno };
}

function verdictOf(
  best: ProviderReport | undefined,
  trains: boolean,
  checks: readonly Check[],
): string {
  if (!trains) return "Training is impossible here until what is broken is repaired.";
  const provider = best?.provider === "dawn" ? "Dawn" : "Deno's own WebGPU";
  const speed = best?.adapter?.software ? " (software: fine for the miniature models)" : "";
  const gaps = checks.filter(({ state }) => state === "missing").map(({ name }) => name);
  const rest = gaps.length > 0 ? ` Missing, not needed to train: ${gaps.join(", ")}.` : "";
  return `Training works on ${best?.adapter?.name} through ${provider}${speed}.${rest}`;
}

/** The findings as aligned text: state, name, facts, and arrows before what to do. */
export function formatDiagnosis({ checks, verdict }: Diagnosis): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const indent = " ".repeat(11 + width);
  const told = new Set<string>();
  const rows = checks.flatMap(({ name, state, found, remedy }) => {
    const all = remedy.join("\n");
    const again = told.has(all) && remedy.length > 0;
    told.add(all);
    const steps = again
      ? ["-> as above"]
      : remedy.map((step) => `-> ${step.replaceAll("\n", `\n${indent}   `)}`);
    const [first = "", ...rest] = [...found, ...steps];
    const head = `${state.padEnd(7)}  ${name.padEnd(width)}  ${first}`;
    return [head, ...rest.map((line) => indent + line)];
  });
  return [...rows, "", verdict].join("\n");
}

if (import.meta.main) {
  const diagnosis = await diagnose();
  const json = Deno.args.includes("--json");
  console.log(json ? JSON.stringify(diagnosis, null, 2) : formatDiagnosis(diagnosis));
  if (!diagnosis.trains) Deno.exit(1);
}
