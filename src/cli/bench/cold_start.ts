/**
 * The time until the first training step of a transformer block is done in a process of its own,
 * without any shader cache: prints seconds.
 */
import { lab } from "../../tensor/mod.ts";
import { MODEL_JOBS } from "./model_jobs.ts";

const started = performance.now();
using session = await lab();
const work = await MODEL_JOBS.find((job) => job.name === "blk")!.prepare();
await work.run();
await session.gpu.idle();
console.log((performance.now() - started) / 1000);
work.dispose();
