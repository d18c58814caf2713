/**
 * Where files that can be made again are kept.
 *
 * @module
 */
import { environmentVariable } from "./environment.ts";

/**
 * The folder for files that can be made again: `MOIIE_CACHE`, else `moiie-lab` in the user's cache
 * folder; undefined when the environment names none or may not be read.
 */
export function cacheFolder(): string | undefined {
  const own = environmentVariable("MOIIE_CACHE");
  if (own) return own;
  const home = environmentVariable("HOME") ?? environmentVariable("USERPROFILE");
  const base = environmentVariable("XDG_CACHE_HOME") ?? environmentVariable("LOCALAPPDATA") ??
    (home && `${home}/.cache`);
  return base && `${base}/moiie-lab`;
}
