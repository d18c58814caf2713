/**
 * Options from environment variables, so that all tests can be run on another kind of device.
 *
 * @module
 */

import type { GpuFeature } from "./adapter.ts";
import type { ProviderName } from "./provider.ts";

/** What the environment can say about the device. */
export interface EnvironmentOptions {
  /** `MOIIE_PROVIDER`. */
  readonly provider?: ProviderName;
  /** `MOIIE_WITHOUT`, names with commas between them. */
  readonly without?: readonly GpuFeature[];
  /** `MOIIE_POISON`, "1" for yes. */
  readonly poison?: boolean;
  /** `MOIIE_VARIANTS`, `family=variant` with commas between them. */
  readonly variants?: Readonly<Record<string, string>>;
}

const PROVIDERS: readonly string[] = ["dawn", "deno", "browser"] satisfies ProviderName[];

/**
 * A variable's value, where the program may read it and it is not empty; nobody is asked for a
 * permission.
 */
export function environmentVariable(variable: string): string | undefined {
  if (!("Deno" in globalThis)) {
    const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
    return process?.env?.[variable] || undefined;
  }
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" ? Deno.env.get(variable) || undefined : undefined;
}

/**
 * The options that the environment gives.
 *
 * @throws RangeError when a variable names a provider that does not exist, or cannot be read.
 */
export function environmentOptions(
  get: (variable: string) => string | undefined = environmentVariable,
): EnvironmentOptions {
  const provider = get("MOIIE_PROVIDER") || undefined;
  if (provider !== undefined && !PROVIDERS.includes(provider)) {
    throw new RangeError(`MOIIE_PROVIDER is "${provider}", not one of ${PROVIDERS.join(", ")}.`);
  }
  const without = get("MOIIE_WITHOUT")?.split(",").map((name) => name.trim()).filter(Boolean);
  return {
    provider: provider as ProviderName | undefined,
    without: without as GpuFeature[] | undefined,
    poison: get("MOIIE_POISON") === "1" || undefined,
    variants: parseVariants(get("MOIIE_VARIANTS")),
  };
}

function parseVariants(text: string | undefined): Record<string, string> | undefined {
  const pairs = text?.split(",").map((part) => part.trim().split("=")).filter(([name]) => name);
  if (pairs?.some((pair) => pair.length !== 2 || !pair[1])) {
    throw new RangeError(`MOIIE_VARIANTS is "${text}", not like "matmul=tiled,reduce=many".`);
  }
  return pairs && pairs.length > 0 ? Object.fromEntries(pairs) : undefined;
}
