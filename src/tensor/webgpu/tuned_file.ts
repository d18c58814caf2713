/** Which kernel variants were fastest, kept in a file between runs: by device, then by class. */
import { cacheFolder } from "../../gpu/mod.ts";

/** Raise it when kernels change so that old measurements mislead. */
const VERSION = 1;

type ByDevice = Record<string, Record<string, string>>;

/** The file's place unless another is named; undefined where there is no file system. */
export function tunedPath(): string | undefined {
  const folder = "Deno" in globalThis ? cacheFolder() : undefined;
  return folder && `${folder}/kernels.json`;
}

/** What was measured on one device. */
export class TunedFile {
  readonly #path: string | undefined;
  readonly #device: string;
  readonly #best: Map<string, string>;

  private constructor(path: string | undefined, device: string, best: Map<string, string>) {
    this.#path = path;
    this.#device = device;
    this.#best = best;
  }

  /**
   * Reads what is there; a file that is missing, broken or of another version counts as empty.
   *
   * @param path the file; without one, what is measured is kept in memory only
   * @param device name and driver: another driver is another device
   */
  static async open(path: string | undefined, device: string): Promise<TunedFile> {
    const known = path === undefined ? {} : await readAll(path);
    return new TunedFile(path, device, new Map(Object.entries(known[device] ?? {})));
  }

  /** The fastest variant of a class, if it was measured. */
  get(name: string): string | undefined {
    return this.#best.get(name);
  }

  /** Notes the fastest variant of a class. */
  set(name: string, variant: string): void {
    this.#best.set(name, variant);
  }

  /**
   * Writes what was noted, beside what others have written meanwhile. A file that cannot be written
   * costs a warning: the next run measures again.
   */
  async save(): Promise<void> {
    const path = this.#path;
    if (path === undefined) return;
    const temporary = `${path}.${crypto.randomUUID().slice(0, 8)}.part`;
    try {
      const devices = await readAll(path);
      devices[this.#device] = { ...devices[this.#device], ...Object.fromEntries(this.#best) };
      await Deno.mkdir(path.replace(/[^/\\]*$/, "") || ".", { recursive: true });
      await Deno.writeTextFile(temporary, JSON.stringify({ version: VERSION, devices }, null, 1));
      await Deno.rename(temporary, path);
    } catch (error) {
      await Deno.remove(temporary).catch(() => {});
      const reason = error instanceof Error ? error.message : error;
      console.warn(`Which kernels are fastest cannot be kept in ${path}: ${reason}`);
    }
  }
}

const isRecord = (x: unknown): x is Record<string, unknown> =>
  typeof x === "object" && x !== null && !Array.isArray(x);

async function readAll(path: string): Promise<ByDevice> {
  try {
    const file: unknown = JSON.parse(await Deno.readTextFile(path));
    if (!isRecord(file) || file.version !== VERSION || !isRecord(file.devices)) return {};
    return Object.fromEntries(
      Object.entries(file.devices).map(([device, best]) => [
        device,
        Object.fromEntries(
          Object.entries(isRecord(best) ? best : {}).filter((pair): pair is [string, string] =>
            typeof pair[1] === "string"
          ),
        ),
      ]),
    );
  } catch {
    return {}; // it can be measured again
  }
}
