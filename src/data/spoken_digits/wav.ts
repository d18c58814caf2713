/** Sounds as WAV files, which every browser plays. */

/**
 * A mono sound as a WAV file of 16-bit samples (RIFF, PCM).
 *
 * @param samples from -1 to 1; what is beyond is cut
 * @param rate samples a second
 * @throws {RangeError} if the rate is no positive whole number.
 */
export function encodeWav(samples: ArrayLike<number>, rate: number): Uint8Array<ArrayBuffer> {
  if (!Number.isSafeInteger(rate) || rate < 1) {
    throw new RangeError(`encodeWav: ${rate} samples a second must be a positive whole number`);
  }
  const size = 2 * samples.length, bytes = new Uint8Array(44 + size);
  const view = new DataView(bytes.buffer);
  const word = (at: number, text: string) => bytes.set(new TextEncoder().encode(text), at);
  word(0, "RIFF");
  view.setUint32(4, 36 + size, true);
  word(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // bytes of the format chunk
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true); // bytes a second
  view.setUint16(32, 2, true); // bytes of a sample
  view.setUint16(34, 16, true); // bits of a sample
  word(36, "data");
  view.setUint32(40, size, true);
  for (let i = 0; i < samples.length; i++) {
    const x = Math.max(-1, Math.min(1, samples[i]));
    view.setInt16(44 + 2 * i, Math.round(32767 * x), true);
  }
  return bytes;
}
