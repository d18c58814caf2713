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

/** The first polls of a wait run at full speed, which serves answers that come at once. */
const SPIN_POLLS = 4;
/** The longest gap between two polls, in ms. */
const LONGEST_GAP_MS = 4;

type Immediate = (callback: (...args: unknown[]) => void, ...args: unknown[]) => unknown;
type Scope = { setImmediate?: Immediate };

const scope = globalThis as unknown as Scope;
let waiting = 0;
let began = 0;
let polls = 0;
let original: Immediate | undefined;

/** Dawn's poll is a native function; callbacks of anybody else keep their own pace. */
function isNative(callback: unknown): boolean {
  return typeof callback === "function" &&
    Function.prototype.toString.call(callback).endsWith("{ [native code] }");
}

function pacedImmediate(callback: (...args: unknown[]) => void, ...args: unknown[]): unknown {
  if (waiting === 0 || !isNative(callback) || polls++ < SPIN_POLLS) {
    return original!(callback, ...args);
  }
  const elapsed = performance.now() - began;
  return setTimeout(callback, Math.min(LONGEST_GAP_MS, 1 + elapsed / 50), ...args);
}

function enter(): void {
  began = performance.now();
  polls = 0;
  if (waiting++ > 0 || typeof scope.setImmediate !== "function") return;
  if (scope.setImmediate !== pacedImmediate) original = scope.setImmediate;
  scope.setImmediate = pacedImmediate;
}

function leave(): void {
  // Somebody may have replaced the global meanwhile; then it is theirs.
  if (--waiting === 0 && scope.setImmediate === pacedImmediate) scope.setImmediate = original;
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
