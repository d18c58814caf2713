/**
 * How answers of VQA data sets are made equal and compared with those of ten people.
 *
 * Follows `vqaEval.py` of https://github.com/GT-Vision-Lab/VQA, and `m4c_evaluator.py` (from
 * facebookresearch/mmf), which LLaVA uses for TextVQA. Their quirks are kept.
 *
 * @module
 */

/** Words that are written with the apostrophe left out (one of them, where there are several). */
const CONTRACTED = (
  "ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't " +
  "haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't " +
  "mightn't've might've mustn't must've needn't not've o'clock oughtn't 'ow's'at shan't she'd've " +
  "should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've " +
  "someone'll someone's something'd something'd've something'll that's there'd there'd've " +
  "there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't " +
  "what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's " +
  "who've why'll why're why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've " +
  "you'd you'd've you'll you're you've"
).split(" ");

/** What people write, and what it stands for. */
const CONTRACTIONS: ReadonlyMap<string, string> = new Map([
  ...CONTRACTED.flatMap((word) =>
    [...word].flatMap((character, i): [string, string][] =>
      character === "'" ? [[word.slice(0, i) + word.slice(i + 1), word]] : []
    )
  ),
  // The published table has this one the wrong way round.
  ["somebody'd", "somebodyd"],
]);

const NUMBERS: ReadonlyMap<string, string> = new Map([
  ["none", "0"],
  ...["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    .map((word, number): [string, string] => [word, String(number)]),
]);

const ARTICLES = new Set(["a", "an", "the"]);

const PUNCTUATION = [...';/[]"{}()=+\\_-><@`,?!'];

/**
 * Punctuation becomes nothing where it stands beside a blank, or anywhere if the answer has a comma
 * in a number; else a blank. Full stops go, those before a digit stay.
 */
function withoutPunctuation(text: string): string {
  const commaInNumber = /\d,\d/.test(text);
  let result = text;
  for (const mark of PUNCTUATION) {
    const beside = text.includes(`${mark} `) || text.includes(` ${mark}`);
    result = result.replaceAll(mark, beside || commaInNumber ? "" : " ");
  }
  // The published scripts pass a flag as the number of replacements: the first 32 stops are cut.
  let stops = 0;
  return result.replace(/\.(?!\d)/g, (stop) => stops++ < 32 ? "" : stop);
}

function withoutArticles(text: string): string {
  return text.toLowerCase().split(/\s+/)
    .filter((word) => word !== "")
    .map((word) => NUMBERS.get(word) ?? word)
    .filter((word) => !ARTICLES.has(word))
    .map((word) => CONTRACTIONS.get(word) ?? word)
    .join(" ");
}

/** An answer as VQAv2 compares it. */
export function vqaAnswer(text: string): string {
  return withoutArticles(withoutPunctuation(text.replace(/[\n\t]/g, " ").trim()));
}

/** An answer as the evaluator of M4C compares it. */
export function m4cAnswer(text: string): string {
  const plain = text.toLowerCase().replace(/[,?]/g, "").replaceAll("'s", " 's").trim();
  return withoutArticles(withoutPunctuation(plain.replace(/[\n\t]/g, " ").trim()));
}

/**
 * How far an answer agrees with people's: 1 where three of the others say the same, averaged over
 * leaving out each of them once.
 */
export function agreement(answer: string, people: readonly string[]): number {
  const same = people.filter((one) => one === answer).length, n = people.length;
  if (n === 0) return 0;
  const left = Math.min(1, (same - 1) / 3), others = Math.min(1, same / 3);
  return (same > 0 ? same * left + (n - same) * others : 0) / n;
}

/** The accuracy of an answer to a question of VQAv2, from 0 to 1. */
export function vqaAccuracy(text: string, people: readonly string[]): number {
  const differ = new Set(people).size > 1;
  return agreement(vqaAnswer(text), differ ? people.map(withoutPunctuation) : people);
}

/** The accuracy of an answer to a question of TextVQA, from 0 to 1. */
export function m4cAccuracy(text: string, people: readonly string[]): number {
  return agreement(m4cAnswer(text), people.map(m4cAnswer));
}
