/**
 * Downloads that can be cut and go on: into a file `NAME.ETAG.part`, resumed with a range, checked by
 * size and hash, then renamed. There is never half a file under the name itself.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import { dirname } from "node:path";

/** What a hub says about a file before it sends it. */
export interface RemoteFile {
  /** Where it is. */
  readonly url: string;
  /** Bytes; undefined if the hub does not say. */
  readonly size?: number;
  /** The hub's word for this version of it: a SHA-256 (large files), the SHA-1 of a git blob, or other. */
  readonly etag: string;
}

/** How to download. */
export interface DownloadOptions {
  /** Headers of every request. */
  readonly headers: Readonly<Record<string, string>>;
  /** How often a cut connection is made anew in a row without a byte gained. Default 5. */
  readonly retries?: number;
  /** Milliseconds before the first new attempt; each next one waits twice as long. Default 500. */
  readonly pause?: number;
  /** Told now and then how many bytes are there. */
  readonly progress?: (done: number, total: number | undefined) => void;
}

/** Redirects that are followed. */
const MOST_REDIRECTS = 10;

/** A refusal that another attempt would not change. */
class Refusal extends Error {}

/** The error for a status that is no success. */
function statusError(response: Response, url: string): Error {
  const { status } = response;
  if (status === 404) return new Deno.errors.NotFound(`${url} is not there (404)`);
  if (status === 401 || status === 403) {
    return new Refusal(
      `${url} is not for everyone (${status}): accept the model's terms on its page, and give your ` +
        `token in the environment variable HF_TOKEN`,
    );
  }
  const text = `${url} answered ${status} ${response.statusText}`;
  return status >= 500 || status === 429 ? new Error(text) : new Refusal(text);
}

/** Whether another attempt may help. */
const mayPass = (error: unknown): boolean =>
  !(error instanceof Refusal || error instanceof Deno.errors.NotFound);

/** Tries again while that may help. `gained` tells whether the last attempt got anywhere. */
async function withRetries<T>(
  { retries = 5, pause = 500 }: DownloadOptions,
  attempt: () => Promise<T>,
  gained: () => boolean = () => false,
): Promise<T> {
  for (let failures = 0;;) {
    try {
      return await attempt();
    } catch (error) {
      failures = gained() ? 1 : failures + 1;
      if (!mayPass(error) || failures > retries) throw error;
      await new Promise((resolve) => setTimeout(resolve, pause * 2 ** (failures - 1)));
    }
  }
}

/** Asks a hub for a small JSON document. @throws {Deno.errors.NotFound} if there is none. */
export async function fetchJson(url: string, options: DownloadOptions): Promise<unknown> {
  return await withRetries(options, async () => {
    const response = await fetch(url, { headers: options.headers });
    if (!response.ok) {
      await response.body?.cancel();
      throw statusError(response, url);
    }
    const text = await response.text();
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new Refusal(`${url} did not answer with JSON`, { cause });
    }
  });
}

/** Asks a hub about a file. @throws {Deno.errors.NotFound} if there is none. */
export async function askAbout(url: string, options: DownloadOptions): Promise<RemoteFile> {
  return await withRetries(options, async () => {
    let at = url;
    for (let i = 0; i <= MOST_REDIRECTS; i++) {
      // Large files are redirected to another host; what the hub itself says about them counts. A
      // token is for the hub alone.
      const mine = new URL(at).origin === new URL(url).origin ? options.headers : {};
      const headers = { ...mine, "accept-encoding": "identity" };
      const response = await fetch(at, { method: "HEAD", redirect: "manual", headers });
      await response.body?.cancel();
      const { headers: said, status } = response;
      if (status >= 400) throw statusError(response, at);
      const linked = said.get("x-linked-etag"), next = said.get("location");
      if (status < 300 || linked) {
        const etag = linked ?? said.get("etag");
        const length = said.get("x-linked-size") ?? (linked ? null : said.get("content-length"));
        if (!etag) throw new Refusal(`${at} has no etag: is ${new URL(url).host} a hub?`);
        const size = length === null ? undefined : Number(length);
        return { url, size, etag: etag.replace(/^W\//, "").replaceAll('"', "") };
      }
      if (!next) throw new Refusal(`${at} answered ${status} without saying where to go`);
      at = new URL(next, at).href;
    }
    throw new Refusal(`${url} was redirected more than ${MOST_REDIRECTS} times`);
  });
}

/** The hash that an etag is of; undefined if it is of none. */
function hashOf({ etag, size }: RemoteFile): Hash | undefined {
  if (/^[0-9a-f]{64}$/.test(etag)) return createHash("sha256");
  if (!/^[0-9a-f]{40}$/.test(etag) || size === undefined) return undefined;
  return createHash("sha1").update(`blob ${size}\0`);
}

/** Bytes of a file; 0 if there is none. */
function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

/** Puts a file's bytes into a hash. */
async function digest(path: string, hash: Hash): Promise<string> {
  using file = await Deno.open(path);
  const bytes = new Uint8Array(2 ** 20);
  for (let count; (count = await file.read(bytes)) !== null;) hash.update(bytes.subarray(0, count));
  return hash.digest("hex");
}

/** Appends what is missing of a part; throws where the connection ends early. */
async function fetchRest(
  remote: RemoteFile,
  part: string,
  { headers, progress }: DownloadOptions,
): Promise<void> {
  const { url, size } = remote;
  let have = sizeOf(part);
  if (size !== undefined && have > size) {
    await Deno.remove(part);
    have = 0;
  }
  if (have > 0 && have === size) return;
  const range = have > 0 ? { range: `bytes=${have}-` } : undefined;
  const response = await fetch(url, {
    headers: { ...headers, "accept-encoding": "identity", ...range },
  });
  const { status, body } = response;
  const goesOn = status === 206 &&
    response.headers.get("content-range")?.startsWith(`bytes ${have}-`);
  if (!goesOn && status !== 200) {
    await body?.cancel();
    // Whatever lies there is of no use to this server; the next attempt begins anew.
    if (status === 416 || status === 206) {
      await Deno.remove(part);
      throw new Error(`${url} cannot go on from byte ${have}`);
    }
    throw statusError(response, url);
  }
  using file = await Deno.open(part, {
    write: true,
    create: true,
    append: goesOn,
    truncate: !goesOn,
  });
  if (!goesOn) have = 0;
  for await (const bytes of body ?? []) {
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    have += bytes.length;
    if (size !== undefined && have > size) break; // the check below says so
    progress?.(have, size);
  }
  await file.sync();
  if (size !== undefined && have < size) {
    throw new Error(`${url} ended after ${have} of ${size} bytes`);
  }
}

/**
 * Downloads a file, going on where an earlier attempt was cut.
 *
 * @param path where it goes; its folder is made
 * @throws {Error} if the connection fails for good (what came is kept for the next attempt), or size or
 * hash are not what the hub said (nothing is kept). @throws {Deno.errors.NotFound} if it is not there.
 */
export async function download(
  remote: RemoteFile,
  path: string,
  options: DownloadOptions,
): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  const part = `${path}.${remote.etag.replace(/[^\w-]/g, "_").slice(0, 64)}.part`;
  let before = sizeOf(part);
  await withRetries(options, () => fetchRest(remote, part, options), () => {
    const now = sizeOf(part), gained = now > before;
    before = now;
    return gained;
  });
  const hash = hashOf(remote), size = sizeOf(part);
  const found = hash ? await digest(part, hash) : remote.etag;
  if ((remote.size !== undefined && size !== remote.size) || found !== remote.etag) {
    await Deno.remove(part);
    throw new Error(
      `${remote.url} is damaged: ${size} bytes with checksum ${found}, but the hub says ` +
        `${remote.size ?? "any number of"} bytes with ${remote.etag}; nothing was kept, try again`,
    );
  }
  await Deno.rename(part, path);
}
