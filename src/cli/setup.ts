/**
 * `deno task setup`: installs what is missing to train and to run notebooks: a software GPU driver
 * where there is no GPU, Jupyter's nbconvert, the Deno kernel.
 *
 * @module
 */

import { addSource, aptGet, missingSource } from "./apt.ts";
import { jupyterStatus } from "./jupyter_status.ts";
import { probe } from "./probe.ts";
import { inspectSystem, lastLines, run, type System } from "./system.ts";

/** Receives one line of progress. */
export type Log = (line: string) => void;

const DRIVER_PACKAGES = ["libvulkan1", "mesa-vulkan-drivers"];
/** Executing a notebook needs no more; the recommended pandoc is for PDF and the like. */
const JUPYTER_PACKAGES = ["--no-install-recommends", "jupyter-nbconvert"];

/** The suite whose Mesa Dawn accepts, where the release's own is too old. */
export function driverSuite(system: Pick<System, "codename">): string | undefined {
  return system.codename === "bookworm" ? "bookworm-backports" : undefined;
}

/** The command lines that install a software Vulkan driver by hand. */
export async function driverCommands(system: System): Promise<string[]> {
  if (system.os === "darwin") return ["softwareupdate --all --install   # Metal comes with macOS"];
  if (system.os === "windows") return ["winget upgrade --all   # and the GPU maker's own driver"];
  if (!system.apt) {
    return {
      fedora: ["sudo dnf install vulkan-loader mesa-vulkan-drivers"],
      arch: ["sudo pacman -S vulkan-icd-loader vulkan-swrast"],
      opensuse: ["sudo zypper install libvulkan1 libvulkan_lvp"],
    }[system.id.split("-")[0]] ??
      [`install the Vulkan loader and Mesa's lavapipe on ${system.name}`];
  }
  const sudo = system.root ? "" : "sudo ";
  const suite = driverSuite(system);
  const commands: string[] = [];
  if (suite) {
    const source = await missingSource(system.codename, suite).catch(() => undefined);
    if (source) {
      commands.push(`${sudo}tee ${source.path} <<'END'\n${source.text.trimEnd()}\nEND`);
    }
  }
  const target = suite ? `-t ${suite} ` : "";
  commands.push(`${sudo}apt-get update`);
  commands.push(`${sudo}apt-get install -y ${target}${DRIVER_PACKAGES.join(" ")}`);
  return commands;
}

/** The command lines that install Jupyter by hand. */
export function jupyterCommands(system: System): string[] {
  if (!system.apt) return ["python3 -m pip install --user jupyter"];
  const sudo = system.root ? "" : "sudo ";
  return [`${sudo}apt-get update`, `${sudo}apt-get install -y ${JUPYTER_PACKAGES.join(" ")}`];
}

/**
 * Makes sure that a GPU, or software that stands in for one, can be opened. On Debian and Ubuntu, as
 * root, installs Mesa's software driver; elsewhere logs the command lines to run.
 *
 * @param log Receives progress.
 * @throws Error when nothing can be opened in the end; the message holds the reason and the remedy.
 */
export async function ensureGpu(log: Log): Promise<void> {
  const first = await probe("dawn");
  if (first.works) {
    log(`GPU: ${first.adapter?.name} through Dawn`);
    return;
  }
  log(`Dawn found no GPU: ${first.error?.split("\n")[0]}`);
  const system = await inspectSystem();
  let failure: unknown;
  if (system.apt && system.root) {
    failure = await installDriver(system, log);
    const second = await probe("dawn");
    if (second.works) {
      log(`GPU: ${second.adapter?.name} through Dawn`);
      return;
    }
    log(`Dawn still refuses: ${second.error?.split("\n")[0]}`);
  }
  const commands = (await driverCommands(system)).map((line) => line.replaceAll(/^/gm, "  "));
  const own = await probe("deno");
  if (own.works) {
    log(`GPU: ${own.adapter?.name} through Deno's own WebGPU (slower: no subgroups)`);
    if (!system.root || !system.apt) log(`For Dawn, run:\n${commands.join("\n")}`);
    return;
  }
  const reason = failure instanceof Error ? failure.message : first.error;
  throw new Error(
    `No GPU can be opened on ${system.name}, not even in software: ${reason}\n` +
      `To install a software driver, run:\n${commands.join("\n")}\n` +
      "then `deno task doctor` to see the result.",
    { cause: failure },
  );
}

/** Installs Mesa's software driver, from backports where needed; returns what failed. */
async function installDriver(system: System, log: Log): Promise<unknown> {
  const suite = driverSuite(system);
  if (suite) {
    try {
      const source = await missingSource(system.codename, suite);
      if (source) {
        log(`Adding the package source ${source.path}`);
        await addSource(source);
      } else {
        await aptGet(["update"]);
      }
      log(`Installing ${DRIVER_PACKAGES.join(", ")} from ${suite}`);
      await aptGet(["install", "-y", "-t", suite, ...DRIVER_PACKAGES]);
      return undefined;
    } catch (error) {
      log(`${suite} cannot be used: ${error instanceof Error ? error.message : error}`);
      log(`Falling back to the driver of ${system.codename}, which only Deno's own WebGPU accepts`);
    }
  }
  try {
    if (!suite) await aptGet(["update"]);
    log(`Installing ${DRIVER_PACKAGES.join(", ")}`);
    await aptGet(["install", "-y", ...DRIVER_PACKAGES]);
    return undefined;
  } catch (error) {
    log(error instanceof Error ? error.message : String(error));
    return error;
  }
}

/**
 * Makes sure that notebooks can be run headless: Jupyter's nbconvert and the Deno kernel. Installs
 * nbconvert on Debian and Ubuntu as root, and the kernel for the current user.
 *
 * @param log Receives progress.
 * @throws Error when one cannot be installed; the message holds the command lines to run.
 */
export async function ensureJupyter(log: Log): Promise<void> {
  let status = await jupyterStatus();
  if (!status.nbconvert) {
    const system = await inspectSystem();
    const remedy = `Run:\n${jupyterCommands(system).map((line) => `  ${line}`).join("\n")}`;
    if (!system.apt || !system.root) {
      throw new Error(`Jupyter's nbconvert is not installed. ${remedy}`);
    }
    log("Installing jupyter-nbconvert");
    await aptGet(["update"]);
    await aptGet(["install", "-y", ...JUPYTER_PACKAGES]);
    status = await jupyterStatus();
    if (!status.nbconvert) throw new Error(`nbconvert was installed but does not run. ${remedy}`);
  }
  log(`Jupyter: nbconvert ${status.nbconvert}`);
  if (!status.kernel?.usable) {
    log("Installing the Deno kernel for this user");
    const { ok, text } = await run(Deno.execPath(), ["jupyter", "--install", "--force"]);
    if (!ok) throw new Error(`deno jupyter --install failed:\n${lastLines(text)}`);
    status = await jupyterStatus();
    if (!status.kernel?.usable) {
      throw new Error("The Deno kernel was installed, but Jupyter does not find it.");
    }
  }
  log(`Deno kernel: ${status.kernel?.path}`);
}

if (import.meta.main) {
  const log: Log = (line) => console.log(line);
  let failed = false;
  for (const step of [ensureGpu, ensureJupyter]) {
    try {
      await step(log);
    } catch (error) {
      failed = true;
      console.error(error instanceof Error ? error.message : error);
    }
  }
  if (failed) Deno.exit(1);
}
