/** Power spectra of short frames: a fast Fourier transform, small enough to read. */

/**
 * Power spectrum |X_k|² of a real frame, k from 0 to n / 2 (radix 2, Cooley and Tukey 1965, in place, in
 * double precision).
 *
 * @param frame as many values as a power of 2
 * @throws {RangeError} if their number is none.
 */
export function powerSpectrum(frame: ArrayLike<number>): Float64Array {
  const n = frame.length;
  if (n < 2 || (n & (n - 1)) !== 0) {
    throw new RangeError(`powerSpectrum() needs a power of 2 of values, got ${n}; pad with zeros`);
  }
  const re = reversed(frame), im = new Float64Array(n);
  for (let size = 2; size <= n; size *= 2) {
    const half = size / 2;
    for (let k = 0; k < half; k++) {
      const angle = -2 * Math.PI * k / size, c = Math.cos(angle), s = Math.sin(angle);
      for (let i = k; i < n; i += size) {
        const j = i + half;
        const oddRe = c * re[j] - s * im[j], oddIm = c * im[j] + s * re[j];
        re[j] = re[i] - oddRe;
        im[j] = im[i] - oddIm;
        re[i] += oddRe;
        im[i] += oddIm;
      }
    }
  }
  const power = new Float64Array(n / 2 + 1);
  for (let k = 0; k <= n / 2; k++) power[k] = re[k] * re[k] + im[k] * im[k];
  return power;
}

/** Values in the order of their places' bits read backwards. */
function reversed(frame: ArrayLike<number>): Float64Array {
  const n = frame.length, values = new Float64Array(n);
  // j counts as i does, but carries from the highest bit downwards.
  for (let i = 0, j = 0; i < n; i++) {
    values[i] = frame[j];
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j |= bit;
  }
  return values;
}
