/** The ten digits as words that are spoken. */
import type { Random } from "../../tensor/random.ts";
import { drawVoice, type Phone, speak, type Voice } from "./speech.ts";

/** Names of the digits. */
export const DIGIT_WORDS: readonly string[] = [
  "zero",
  "one",
  "two",
  "three",
  "four",
  "five",
  "six",
  "seven",
  "eight",
  "nine",
];

/** Samples of every clip: 48 frames of a log-mel spectrogram, half a second. */
export const CLIP_SAMPLES: number = 256 + 47 * 80;

type Formants = readonly [number, number, number];

/** Vowels: Peterson and Barney 1952, men; gliding ones and consonants after Klatt 1980, tables II, III. */
const FORMANTS = {
  iy: [270, 2290, 3010],
  ih: [390, 1990, 2550],
  eh: [530, 1840, 2480],
  ah: [640, 1190, 2390],
  ao: [570, 840, 2410],
  uw: [300, 870, 2240],
  ow: [540, 1100, 2300],
  owEnd: [450, 900, 2300],
  ay: [660, 1200, 2550],
  ayEnd: [400, 1880, 2500],
  ey: [480, 1720, 2520],
  eyEnd: [330, 2020, 2600],
  r: [310, 1060, 1380],
  w: [290, 610, 2150],
  n: [280, 1340, 2470],
  v: [220, 1100, 2080],
  z: [240, 1390, 2530],
  s: [320, 1390, 2530],
  f: [340, 1100, 2080],
  th: [320, 1290, 2540],
  t: [400, 1600, 2600],
  k: [300, 1990, 2850],
} as const satisfies Record<string, Formants>;

const vowel = (formants: Formants, seconds: number, to?: Formants): Phone => ({
  seconds,
  formants,
  to,
  voice: 1,
  noise: 0,
  centre: 2000,
});

const consonant = (
  formants: Formants,
  seconds: number,
  sound: { voice?: number; noise?: number; centre?: number },
): Phone => ({ seconds, formants, voice: 0, noise: 0, centre: 3000, ...sound });

/** Silence while the mouth is closed, then a burst. */
const stop = (formants: Formants, centre: number): Phone[] => [
  consonant(formants, 0.035, {}),
  consonant(formants, 0.03, { noise: 0.8, centre }),
];

const F = FORMANTS;
const N = (seconds: number) => consonant(F.n, seconds, { voice: 0.4 });
const V = consonant(F.v, 0.05, { voice: 0.25, noise: 0.1, centre: 2600 });
const R = consonant(F.r, 0.06, { voice: 0.8 });
const S = (seconds: number) => consonant(F.s, seconds, { noise: 0.7, centre: 3600 });

/** The sounds of each digit. */
const PHONES: readonly (readonly Phone[])[] = [
  [
    consonant(F.z, 0.07, { voice: 0.2, noise: 0.4, centre: 3500 }),
    vowel(F.iy, 0.08),
    R,
    vowel(F.ow, 0.14, F.owEnd),
  ],
  [consonant(F.w, 0.07, { voice: 0.8 }), vowel(F.ah, 0.15), N(0.1)],
  [...stop(F.t, 3500), vowel(F.uw, 0.22)],
  [consonant(F.th, 0.08, { noise: 0.2, centre: 3000 }), R, vowel(F.iy, 0.2)],
  [consonant(F.f, 0.09, { noise: 0.25, centre: 2600 }), vowel(F.ao, 0.16), R],
  [consonant(F.f, 0.08, { noise: 0.25, centre: 2600 }), vowel(F.ay, 0.2, F.ayEnd), V],
  [S(0.1), vowel(F.ih, 0.08), ...stop(F.k, 1900), S(0.1)],
  [S(0.09), vowel(F.eh, 0.09), V, vowel(F.eh, 0.05), N(0.09)],
  [vowel(F.ey, 0.17, F.eyEnd), ...stop(F.t, 3400)],
  [N(0.07), vowel(F.ay, 0.2, F.ayEnd), N(0.09)],
];

/** A voice of a split; no voice belongs to two splits. @param number its number, from 0 */
export function voiceOf(random: Random, split: string, number: number): Voice {
  return drawVoice(random.fork(`voice/${split}/${number}`));
}

/**
 * A spoken digit as a clip of {@linkcode CLIP_SAMPLES}: the word, begun anywhere that leaves room for it,
 * as loud as chance has it, with noise 15 to 30 dB below it.
 *
 * @throws {RangeError} if there is no such digit.
 */
export function spokenDigit(digit: number, voice: Voice, random: Random): Float32Array {
  const phones = PHONES[digit];
  if (!phones) throw new RangeError(`spokenDigit: ${digit} is no digit from 0 to 9`);
  const word = speak(phones, voice, random).subarray(0, CLIP_SAMPLES);
  const start = random.int(CLIP_SAMPLES - word.length + 1);
  const level = 0.3 + 0.6 * random.uniform();
  const power = word.reduce((sum, x) => sum + x * x, 0) / word.length;
  const hiss = Math.sqrt(power) * 10 ** (-(15 + 15 * random.uniform()) / 20);
  const clip = random.normals(CLIP_SAMPLES, 0, hiss);
  word.forEach((x, i) => clip[start + i] += x);
  return clip.map((x) => level * x);
}
