/** Learning-rate schedules: factors on the base rate, as transformers.optimization defines them. */

/** Factor on the base learning rate at a step, counted from 0. */
export type Schedule = (step: number) => number;

/** Linear from 0 over the warm-up, then constant. */
export function constantWithWarmup(warmup: number): Schedule {
  return (step) => step < warmup ? step / Math.max(1, warmup) : 1;
}

/** Linear from 0 over the warm-up, then linear to 0 at `total`. */
export function linearWithWarmup(warmup: number, total: number): Schedule {
  return (step) =>
    step < warmup
      ? step / Math.max(1, warmup)
      : Math.max(0, (total - step) / Math.max(1, total - warmup));
}

/**
 * Linear from 0 over the warm-up, then a cosine to `least` at `total`.
 *
 * @param cycles waves of the cosine; 0.5 falls once
 * @param least factor at the bottom of the cosine
 */
export function cosineWithWarmup(
  warmup: number,
  total: number,
  cycles = 0.5,
  least = 0,
): Schedule {
  return (step) => {
    if (step < warmup) return step / Math.max(1, warmup);
    const progress = (step - warmup) / Math.max(1, total - warmup);
    const wave = 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * progress));
    return Math.max(0, wave * (1 - least) + least);
  };
}
