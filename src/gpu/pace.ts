/**
 * Waiting for Dawn without burning a core.
 *
 * While a Dawn promise is open, dawn.node polls the driver from `globalThis.setImmediate` callbacks
 * that reschedule themselves. In Deno each turn of the event loop is then one poll: it takes a whole
 * core (from the software rasteriser, too) and fills the heap with finalizers whose collection stalls
 * the loop. So for as long as this library waits, and no longer, the polls are slowed: a short spin
 * for answers that come at once, then gaps that grow with the time waited, so that an answer is never
 * late by more than a small part of what it took. Timers count whole milliseconds; for less the thread
 * sleeps.
 *
 * @module
 */

/** The first polls of a wait run at full speed, which serves answers that come at once: so long, ms. */
const SPIN_MS = 0.2;
/** The gap between two polls, as a part of the time waited so far. */
const GAP = 1 / 16;
/** The shortest and the longest gap between two polls, and the shortest that a timer makes, in ms. */
const SHORTEST_GAP_MS = 0.1, LONGEST_GAP_MS = 4, SHORTEST_TIMER_MS = 1;

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
  if (waiting === 0 || !isNative(callback)) return original!(callback, ...args);
  const waited = performance.now() - began;
  if (waited < SPIN_MS) return original!(callback, ...args);
  const gap = Math.min(LONGEST_GAP_MS, Math.max(SHORTEST_GAP_MS, GAP * waited));
  if (gap < SHORTEST_TIMER_MS && sleep(gap)) return original!(callback, ...args);
  return setTimeout(callback, Math.max(SHORTEST_TIMER_MS, gap), ...args);
}

let never: Int32Array<SharedArrayBuffer> | undefined;
let canSleep = true;

/** Stops the thread for a part of a millisecond; false where it may not sleep (a browser's main). */
function sleep(ms: number): boolean {
  try {
    if (canSleep) Atomics.wait(never ??= new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  } catch {
    canSleep = false;
  }
  return canSleep;
}

function enter(): void {
  began = performance.now();
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
