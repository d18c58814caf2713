/**
 * Waiting for Dawn without burning a core.
 *
 * While a Dawn promise is open, dawn.node polls the driver from `globalThis.setImmediate` callbacks
 * that reschedule themselves. In Deno each turn of the event loop is then one poll: it takes a whole
 * core (from the software rasteriser, too) and fills the heap with finalizers whose collection stalls
 * the loop. So for as long as this library waits, and no longer, the polls are slowed: a short spin
 * for answers that come at once, then timers with growing gaps.
 *
 * @module
 */

/** Polls run at full speed for this long after a wait begins, in ms. */
const SPIN_MS = 0.3;
/** The longest gap between two polls, in ms. */
const LONGEST_GAP_MS = 4;

type Immediate = (callback: (...args: unknown[]) => void, ...args: unknown[]) => unknown;
type Scope = { setImmediate?: Immediate };

const scope = globalThis as unknown as Scope;
let waiting = 0;
let began = 0;
let original: Immediate | undefined;

/** Dawn's poll is a native function; callbacks of anybody else keep their own pace. */
function isNative(callback: unknown): boolean {
  return typeof callback === "function" &&
    Function.prototype.toString.call(callback).endsWith("{ [native code] }");
}

function pacedImmediate(callback: (...args: unknown[]) => void, ...args: unknown[]): unknown {
  const elapsed = performance.now() - began;
  if (elapsed < SPIN_MS || !isNative(callback)) return original!(callback, ...args);
  return setTimeout(callback, Math.min(LONGEST_GAP_MS, 1 + elapsed / 50), ...args);
}

function enter(): void {
  if (waiting++ > 0 || typeof scope.setImmediate !== "function") return;
  original = scope.setImmediate;
  began = performance.now();
  scope.setImmediate = pacedImmediate;
}

function leave(): void {
  if (--waiting > 0 || original === undefined) return;
  // Somebody may have replaced the global meanwhile; then it is theirs.
  if (scope.setImmediate === pacedImmediate) scope.setImmediate = original;
  original = undefined;
}

/**
 * Runs `start`, which must begin a wait for the GPU and return its promise, with Dawn's polling
 * slowed until the promise settles. `globalThis.setImmediate` is restored when the last of several
 * overlapping waits ends. Where the runtime has no `setImmediate` (browsers) it only calls `start`.
 *
 * @param start Begins the wait, for example `() => queue.onSubmittedWorkDone()`.
 * @returns What the promise resolves to.
 */
export async function paced<T>(start: () => Promise<T>): Promise<T> {
  enter();
  try {
    return await start();
  } finally {
    leave();
  }
}
