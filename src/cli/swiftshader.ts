/**
 * SwiftShader, a software Vulkan driver of Google's: finding one that is installed, and getting one.
 *
 * @module
 */

import { defaultCacheDir } from "../data/emoji_vqa/cache.ts";
import { aptGet } from "./apt.ts";
import { lastLines, run } from "./system.ts";

/** The file by which the Vulkan loader knows it. */
const MANIFEST = "vk_swiftshader_icd.json";
const LIBRARY = "libvk_swiftshader.so";

/** Where browsers and packages put it. */
const FOLDERS = [
  "/usr/lib/chromium",
  "/usr/lib64/chromium-browser",
  "/usr/lib/chromium-browser",
  "/opt/google/chrome",
  "/opt/chromium.org/chromium",
  "/opt/microsoft/msedge",
];

/** Debian's package with the driver; nothing else of it is needed. */
const PACKAGE = "chromium-common";

async function isFile(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch {
    return false;
  }
}

/** Where a driver that was got lies; undefined when the user has no folder for caches. */
function ownFolder(): string | undefined {
  const cache = defaultCacheDir();
  return cache && `${cache}/swiftshader`;
}

/**
 * The manifest of an installed SwiftShader, for `VK_DRIVER_FILES`: the one that `SWIFTSHADER_ICD`
 * names, that of a browser, or one that was got; undefined when there is none.
 */
export async function findSwiftShader(): Promise<string | undefined> {
  const named = Deno.env.get("SWIFTSHADER_ICD");
  if (named) return await isFile(named) ? named : undefined;
  const own = ownFolder();
  for (const folder of own ? [...FOLDERS, own] : FOLDERS) {
    const path = `${folder}/${MANIFEST}`;
    if (await isFile(path)) return path;
  }
  // Wherever else the package manager put it.
  const { ok, stdout } = await run("dpkg-query", ["--listfiles", PACKAGE]);
  const listed = ok ? stdout.split("\n").find((line) => line.endsWith(`/${MANIFEST}`)) : undefined;
  return listed && await isFile(listed) ? listed : undefined;
}

/**
 * Gets SwiftShader out of Debian's package, about 32 MB to download, without installing anything:
 * its two files go to the user's cache folder. Needs no root when apt knows its packages.
 *
 * @returns The manifest.
 * @throws Error when there is no such package, or it cannot be fetched.
 */
export async function getSwiftShader(log: (line: string) => void): Promise<string> {
  const target = ownFolder();
  if (!target) throw new Error("There is no folder for it: set MOIIE_CACHE or HOME.");
  const folder = await Deno.makeTempDir({ prefix: "swiftshader-" });
  try {
    log(`Getting SwiftShader out of the package ${PACKAGE}`);
    const download = () => sh(`cd "${folder}" && apt-get -q download ${PACKAGE}`);
    let fetched = await download();
    if (!fetched.ok && Deno.uid() === 0) {
      await aptGet(["update"]);
      fetched = await download();
    }
    if (!fetched.ok) throw new Error(`apt-get download ${PACKAGE}: ${lastLines(fetched.text, 2)}`);
    const unpacked = await sh(
      `cd "${folder}" && dpkg-deb --fsys-tarfile ${PACKAGE}_*.deb | ` +
        `tar -x ./usr/lib/chromium/${LIBRARY} ./usr/lib/chromium/${MANIFEST}`,
    );
    if (!unpacked.ok) {
      throw new Error(`${PACKAGE} is not as expected: ${lastLines(unpacked.text, 2)}`);
    }
    await Deno.mkdir(target, { recursive: true });
    // The manifest last: it is by this file that the driver is found.
    for (const name of [LIBRARY, MANIFEST]) {
      const part = `${target}/${name}.${crypto.randomUUID()}.part`;
      await Deno.copyFile(`${folder}/usr/lib/chromium/${name}`, part);
      await Deno.rename(part, `${target}/${name}`);
    }
    return `${target}/${MANIFEST}`;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function sh(command: string): Promise<{ ok: boolean; text: string }> {
  return await run("sh", ["-c", command], { timeoutMs: 300_000 });
}
