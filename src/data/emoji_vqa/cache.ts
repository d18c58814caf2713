/**
 * The file in which a generated data set is kept.
 *
 * Layout, little-endian: magic (8 bytes), format version (u32), bytes of metadata (u32), bytes of
 * pixels (u64), SHA-256 of metadata and pixels (32 bytes), metadata (JSON), pixels.
 *
 * @module
 */

/** What the file holds. */
export interface CacheContent {
  /** Plain data. */
  metadata: unknown;
  /** All pixels of all splits, one after the other. */
  pixels: Uint8Array<ArrayBuffer>;
}

const MAGIC = "MOIIEVQA", VERSION = 1, HEADER = 56;

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** SHA-256 of a text, in hexadecimal. */
export async function hashText(text: string): Promise<string> {
  return (await sha256(new TextEncoder().encode(text))).toHex();
}

/** Packs content into the bytes of a file. */
export async function encodeCache(
  { metadata, pixels }: CacheContent,
): Promise<Uint8Array<ArrayBuffer>> {
  const json = new TextEncoder().encode(JSON.stringify(metadata));
  const bytes = new Uint8Array(HEADER + json.length + pixels.length);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(MAGIC));
  view.setUint32(8, VERSION, true);
  view.setUint32(12, json.length, true);
  view.setBigUint64(16, BigInt(pixels.length), true);
  bytes.set(json, HEADER);
  bytes.set(pixels, HEADER + json.length);
  bytes.set(await sha256(bytes.subarray(HEADER)), 24);
  return bytes;
}

/**
 * Unpacks the bytes of a file.
 *
 * @throws SyntaxError when they are not exactly what {@linkcode encodeCache} wrote, saying how
 */
export async function decodeCache(bytes: Uint8Array<ArrayBuffer>): Promise<CacheContent> {
  if (bytes.length < HEADER) {
    throw new SyntaxError(`${bytes.length} bytes are fewer than a header of ${HEADER}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (new TextDecoder().decode(bytes.subarray(0, 8)) !== MAGIC) {
    throw new SyntaxError(`the file does not begin with ${MAGIC}`);
  }
  const version = view.getUint32(8, true);
  if (version !== VERSION) {
    throw new SyntaxError(`the file has format version ${version}, this library reads ${VERSION}`);
  }
  const jsonEnd = HEADER + view.getUint32(12, true);
  const end = BigInt(jsonEnd) + view.getBigUint64(16, true);
  if (end !== BigInt(bytes.length)) {
    throw new SyntaxError(`the file has ${bytes.length} bytes, its header says ${end}`);
  }
  const digest = await sha256(bytes.subarray(HEADER));
  if (digest.some((byte, i) => byte !== bytes[24 + i])) {
    throw new SyntaxError("the content does not match its SHA-256");
  }
  return {
    metadata: JSON.parse(new TextDecoder().decode(bytes.subarray(HEADER, jsonEnd))),
    pixels: bytes.subarray(jsonEnd),
  };
}

/**
 * Reads a cache file; undefined when there is none.
 *
 * @throws SyntaxError when it is damaged or something else
 */
export async function readCache(path: string): Promise<CacheContent | undefined> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  return await decodeCache(bytes);
}

/** Writes a cache file under a temporary name and renames it, so that no half of one is ever seen. */
export async function writeCache(path: string, content: CacheContent): Promise<void> {
  const temporary = `${path}.${crypto.randomUUID()}.part`;
  try {
    await Deno.writeFile(temporary, await encodeCache(content), { createNew: true });
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
}

/**
 * The folder for files that can be made again: `MOIIE_CACHE`, else `moiie-lab` in the user's cache
 * folder; undefined when the environment names none.
 */
export function defaultCacheDir(): string | undefined {
  const own = Deno.env.get("MOIIE_CACHE");
  if (own) return own;
  const home = Deno.env.get("HOME") ?? Deno.env.get("USERPROFILE");
  const base = Deno.env.get("XDG_CACHE_HOME") || Deno.env.get("LOCALAPPDATA") ||
    (home && `${home}/.cache`);
  return base ? `${base}/moiie-lab` : undefined;
}
