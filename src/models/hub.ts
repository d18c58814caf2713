/**
 * Checkpoints from a hub: `owner/name` or `owner/name@revision`, kept in a cache folder. Downloads
 * resume and are checked; with `offline` only the cache is used.
 *
 * @module
 */
import { join } from "node:path";
import { cacheFolder, environmentVariable } from "../gpu/mod.ts";
import { jsonObject } from "./checkpoint_files.ts";
import { isWeightFileName } from "./checkpoint_folder.ts";
import { askAbout, download, type DownloadOptions, fetchJson } from "./hub_download.ts";

/** Options of {@linkcode hubCheckpoint}; what is missing is taken from the environment. */
export interface HubOptions {
  /**
   * Folder that keeps the files. Default the environment variable `MOIIE_HUB_CACHE`, else
   * `moiie-lab/hub` in the user's cache folder.
   */
  readonly cache?: string;
  /** Use only what the cache has. Default whether `MOIIE_OFFLINE` is "1". */
  readonly offline?: boolean;
  /** Address of the hub. Default `HF_ENDPOINT`, else `https://huggingface.co`. */
  readonly endpoint?: string;
  /** Token for models that ask for one, sent to the hub alone. Default `HF_TOKEN`. */
  readonly token?: string;
  /** Attempts and pauses when a connection is cut; see `DownloadOptions`. */
  readonly retry?: Pick<DownloadOptions, "retries" | "pause">;
  /** Told now and then how much of a file is there. */
  readonly onDownload?: (file: string, done: number, total: number | undefined) => void;
}

/** The small files of a checkpoint, as far as there are any. */
const SMALL = [
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "preprocessor_config.json",
];
const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";

/** A model on a hub. */
export interface HubId {
  /** Who published it. */
  readonly owner: string;
  /** Its name. */
  readonly name: string;
  /** Branch, tag or commit. Default `main`. */
  readonly revision: string;
}

const PART = "[A-Za-z0-9](?:[\\w.-]{0,95})";
const ID = new RegExp(`^(${PART})/(${PART})(?:@(\\w[\\w./-]{0,199}))?$`);

/** Reads `owner/name` or `owner/name@revision`; undefined if a text is no such name. */
export function hubId(text: string): HubId | undefined {
  const found = ID.exec(text);
  if (!found || text.includes("..")) return undefined;
  const [, owner, name, revision = "main"] = found;
  return { owner, name, revision };
}

function defaultCache(): string {
  const folder = cacheFolder();
  if (folder) return join(folder, "hub");
  throw new Error("there is no folder for downloads: set MOIIE_HUB_CACHE, or the option `cache`");
}

/**
 * The folder of a hub's checkpoint: from the cache, or downloaded now.
 *
 * In the cache, `OWNER--NAME/COMMIT` holds the files, and `OWNER--NAME/refs/REVISION` names the commit
 * once all of them are there. A revision that is in the cache is asked about anew unless it is a
 * commit itself; where the hub cannot be reached, the cache serves.
 *
 * @param id `owner/name` or `owner/name@revision`
 * @throws {SyntaxError} if the id is none. @throws {Deno.errors.NotFound} if the hub or, offline, the
 * cache has no such model, or it has no safetensors weights. @throws {Error} if a download fails.
 */
export async function hubCheckpoint(id: string, options: HubOptions = {}): Promise<string> {
  const parsed = hubId(id);
  if (!parsed) {
    throw new SyntaxError(`${JSON.stringify(id)} is no "owner/name" or "owner/name@revision"`);
  }
  const { owner, name, revision } = parsed;
  const cache = options.cache ?? environmentVariable("MOIIE_HUB_CACHE") ?? defaultCache();
  const home = join(cache, `${owner}--${name}`);
  const ref = join(home, "refs", encodeURIComponent(revision));
  const kept = keptFolder(home, ref);
  const offline = options.offline ?? environmentVariable("MOIIE_OFFLINE") === "1";
  if (kept && (offline || /^[0-9a-f]{40}$/.test(revision))) return kept;
  if (offline) {
    throw new Deno.errors.NotFound(
      `${id} is not in the cache ${cache}, and downloads are off (offline); load it once with a ` +
        `connection, or set MOIIE_HUB_CACHE to where it is`,
    );
  }
  const hub = new Hub(parsed, options);
  let listed: Listed;
  try {
    listed = await hub.list(kept ? 0 : undefined);
  } catch (error) {
    // Of the hub's answers only that there is none lets the cache serve.
    if (kept && error instanceof TypeError) return kept;
    throw error;
  }
  const folder = join(home, listed.commit);
  await hub.fetchAll(listed, folder);
  await Deno.mkdir(join(home, "refs"), { recursive: true });
  const temporary = `${ref}.${crypto.randomUUID().slice(0, 8)}.part`;
  await Deno.writeTextFile(temporary, listed.commit);
  await Deno.rename(temporary, ref);
  return folder;
}

/** The folder that a reference in the cache names, if both are there. */
function keptFolder(home: string, ref: string): string | undefined {
  try {
    const commit = Deno.readTextFileSync(ref);
    if (!/^[0-9a-f]{7,64}$/.test(commit)) return undefined;
    const folder = join(home, commit);
    return Deno.statSync(folder).isDirectory ? folder : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** What a hub says about a model. */
interface Listed {
  readonly commit: string;
  readonly files: ReadonlySet<string>;
}

/** One model on a hub. */
class Hub {
  readonly #id: HubId;
  readonly #options: HubOptions;
  readonly #endpoint: string;
  readonly #download: DownloadOptions;

  constructor(id: HubId, options: HubOptions) {
    this.#id = id;
    this.#options = options;
    const endpoint = options.endpoint ?? environmentVariable("HF_ENDPOINT") ??
      "https://huggingface.co";
    this.#endpoint = endpoint.replace(/\/+$/, "");
    const token = options.token ?? environmentVariable("HF_TOKEN");
    this.#download = {
      ...options.retry,
      headers: token ? { authorization: `Bearer ${token}` } : {},
    };
  }

  /** The model's commit and files. @param retries how often a failed connection is tried again */
  async list(retries: number | undefined): Promise<Listed> {
    const { owner, name, revision } = this.#id;
    const url = `${this.#endpoint}/api/models/${owner}/${name}/revision/${
      encodeURIComponent(revision)
    }`;
    const options = { ...this.#download, ...(retries !== undefined && { retries }) };
    const answer = await fetchJson(url, options) as Record<string, unknown> | null;
    const commit = answer?.sha, siblings = answer?.siblings;
    if (
      typeof commit !== "string" || !/^[0-9a-f]{7,64}$/.test(commit) || !Array.isArray(siblings)
    ) {
      throw new SyntaxError(`${url} names no commit and files: is ${this.#endpoint} a hub?`);
    }
    const files = siblings.map((file) => file?.rfilename).filter((file) =>
      typeof file === "string"
    );
    return { commit, files: new Set(files) };
  }

  /** Downloads what a checkpoint needs and is not there yet. */
  async fetchAll({ commit, files }: Listed, folder: string): Promise<void> {
    const { owner, name } = this.#id;
    if (!files.has(SINGLE) && !files.has(INDEX)) {
      throw new Deno.errors.NotFound(
        `${owner}/${name} has no safetensors weights among its ${files.size} files`,
      );
    }
    for (const file of SMALL) if (files.has(file)) await this.#fetch(file, commit, folder);
    if (!files.has(INDEX)) return await this.#fetch(SINGLE, commit, folder);
    await this.#fetch(INDEX, commit, folder);
    const source = join(folder, INDEX);
    const { weight_map: map } = jsonObject(Deno.readTextFileSync(source), source);
    const shards = new Set(Object.values(map ?? {}));
    for (const shard of shards) {
      if (!isWeightFileName(shard)) {
        throw new RangeError(`${source} names a weight file ${JSON.stringify(shard)}`);
      }
      await this.#fetch(shard, commit, folder);
    }
  }

  async #fetch(file: string, commit: string, folder: string): Promise<void> {
    const path = join(folder, file);
    try {
      await Deno.stat(path); // only whole, checked files have this name
      return;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    const { owner, name } = this.#id, { onDownload } = this.#options;
    const url = `${this.#endpoint}/${owner}/${name}/resolve/${commit}/${encodeURIComponent(file)}`;
    const options = {
      ...this.#download,
      progress: (done: number, total: number | undefined) => onDownload?.(file, done, total),
    };
    await download(await askAbout(url, options), path, options);
  }
}
