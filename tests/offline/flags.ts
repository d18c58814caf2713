/**
 * Prints the extra flag that `deno test` and `deno check` need where JSR cannot be reached: an
 * import map made from `deno.json` in which every `jsr:` import points at its stand-in in this
 * folder. Prints nothing where JSR answers.
 *
 *     deno test -A $(deno run -A tests/offline/flags.ts)
 *
 * The answer can be handed down in the environment variable `MOIIE_JSR` (`reached` or `missing`),
 * so that a run of many steps asks once.
 *
 * @module
 */

/** The name of the environment variable that carries the probe's answer. */
export const ANSWER = "MOIIE_JSR";

/** How long JSR may take to answer before it counts as out of reach, in milliseconds. */
const PATIENCE = 8000;

/** The part of `deno.json` that matters here. */
export interface Config {
  /** Bare names and what they stand for. */
  imports: Record<string, string>;
}

/** The targets of all imports that come from JSR. */
export function jsrImports(config: Config): string[] {
  return Object.values(config.imports).filter((target) => target.startsWith("jsr:"));
}

/**
 * Whether the packages can be had, from JSR or from the cache. Downloading in a process of its own
 * leaves the lock file alone and can be ended where the network swallows packets.
 *
 * @param specifiers `jsr:` specifiers.
 * @param patience Milliseconds to wait.
 * @param env Added to the environment of the process.
 */
export async function jsrAnswers(
  specifiers: string[],
  patience: number = PATIENCE,
  env: Record<string, string> = {},
): Promise<boolean> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["cache", "--quiet", "--no-lock", ...specifiers],
    env,
    stdin: "null",
    stdout: "null",
    stderr: "null",
    signal: AbortSignal.timeout(patience),
  }).output();
  return success;
}

/**
 * The import map that means the same as the imports of `deno.json`, except that JSR packages are
 * replaced by the file of their name in this folder.
 *
 * @param config The contents of `deno.json`.
 * @param root The URL of the folder that holds it.
 */
export function standInMap(config: Config, root: URL): Config {
  const imports: Record<string, string> = {};
  for (const [name, target] of Object.entries(config.imports)) {
    if (target.startsWith("jsr:")) {
      imports[name] = new URL(`./${name.split("/").pop()}.ts`, import.meta.url).href;
    } else if (target.startsWith("npm:")) {
      imports[name] = target;
      // deno.json covers a package's own files by itself; a plain import map has to say so.
      imports[`${name}/`] = target.replace("npm:", "npm:/") + "/";
    } else {
      imports[name] = new URL(target, root).href;
    }
  }
  return { imports };
}

/**
 * The flags for this machine: none, or one `--import-map`. Sets {@linkcode ANSWER} for the
 * processes started from this one.
 */
export async function offlineFlags(): Promise<string[]> {
  const root = new URL("../../", import.meta.url);
  const config: Config = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  const answer = Deno.env.get(ANSWER) ??
    (await jsrAnswers(jsrImports(config)) ? "reached" : "missing");
  Deno.env.set(ANSWER, answer);
  if (answer === "reached") return [];
  console.error("JSR is out of reach: the tests use the stand-ins in tests/offline.");
  const map = JSON.stringify(standInMap(config, root));
  return [`--import-map=data:application/json,${encodeURIComponent(map)}`];
}

if (import.meta.main) {
  console.log((await offlineFlags()).join(" "));
}
