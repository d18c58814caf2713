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

const n = (seconds: number): Phone => consonant(FORMANTS.n, seconds, { voice: 0.4 });
const s = (seconds: number): Phone => consonant(FORMANTS.s, seconds, { noise: 0.7, centre: 3600 });
const f = (seconds: number): Phone => consonant(FORMANTS.f, seconds, { noise: 0.25, centre: 2600 });
const r: Phone = consonant(FORMANTS.r, 0.06, { voice: 0.8 });
const v: Phone = consonant(FORMANTS.v, 0.05, { voice: 0.25, noise: 0.1, centre: 2600 });
const w: Phone = consonant(FORMANTS.w, 0.07, { voice: 0.8 });
const z: Phone = consonant(FORMANTS.z, 0.07, { voice: 0.2, noise: 0.4, centre: 3500 });
const th: Phone = consonant(FORMANTS.th, 0.08, { noise: 0.2, centre: 3000 });
const { iy, ih, eh, ah, ao, uw, ow, owEnd, ay, ayEnd, ey, eyEnd, t, k } = FORMANTS;

/** The sounds of each digit. */
const PHONES: Readonly<Record<string, readonly Phone[]>> = {
  zero: [z, vowel(iy, 0.08), r, vowel(ow, 0.14, owEnd)],
  one: [w, vowel(ah, 0.15), n(0.1)],
  two: [...stop(t, 3500), vowel(uw, 0.22)],
  three: [th, r, vowel(iy, 0.2)],
  four: [f(0.09), vowel(ao, 0.16), r],
  five: [f(0.08), vowel(ay, 0.2, ayEnd), v],
  six: [s(0.1), vowel(ih, 0.08), ...stop(k, 1900), s(0.1)],
  seven: [s(0.09), vowel(eh, 0.09), v, vowel(eh, 0.05), n(0.09)],
  eight: [vowel(ey, 0.17, eyEnd), ...stop(t, 3400)],
  nine: [n(0.07), vowel(ay, 0.2, ayEnd), n(0.09)],
};

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
  const phones = PHONES[DIGIT_WORDS[digit]];
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
