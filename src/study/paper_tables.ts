/**
 * The paper's results as data (arXiv 2508.09779): what a reproduction is printed beside. Scores are
 * in percent as printed; the paper gives neither seeds nor intervals.
 *
 * @module
 */

/** Benchmarks of tables 1 and 3 and of the appendix, in the order of their columns. */
export const PAPER_BENCHMARKS = [
  "mmbench",
  "gqa",
  "vqav2",
  "mmvet",
  "seed_i",
  "pope",
  "hallub",
  "textvqa",
  "docvqa",
  "chartqa",
  "ai2d",
  "mmmu",
  "mathvista",
] as const;

/** A benchmark of the paper. */
export type PaperBenchmark = typeof PAPER_BENCHMARKS[number] | "sciqa_img";

/** Scores by benchmark; those that are not reported are missing. */
export type PaperScores = Readonly<Partial<Record<PaperBenchmark, number>>>;

/** An architecture of the paper. */
export type PaperModel = "Dense" | "Vanilla MoE" | "Modality MoE" | "MoIIE";

/** A row of table 1 or of the appendix. */
export interface PaperComparison {
  /** The architecture. */
  readonly model: PaperModel;
  /** Millions of samples of the second stage. */
  readonly millions: number;
  /** The language model. */
  readonly language: "Phi-3-mini" | "LLaMA3-8B";
  /** The vision encoder. */
  readonly vision: "SigLIP-So400m-384" | "CLIP-L-336";
  /** Scores on 13 benchmarks. */
  readonly scores: PaperScores;
  /** Their mean, as printed. */
  readonly average: number;
}

/** A row of table 2. */
export interface PaperMixture {
  /** The model. */
  readonly model: string;
  /** Billions of parameters that a token uses; undefined if not reported. */
  readonly activated?: number;
  /** Billions of parameters. */
  readonly total: number;
  /** Scores on up to 9 benchmarks. */
  readonly scores: PaperScores;
}

/** A row of table 3. */
export interface PaperPipeline {
  /** Name of the pipeline, as printed. */
  readonly method: string;
  /** Number of stages. */
  readonly stages: number;
  /** Scores on 13 benchmarks. */
  readonly scores: PaperScores;
  /** Their mean, as printed. */
  readonly average: number;
}

/** A row of table 4. */
export interface PaperAblation {
  /** What was changed. */
  readonly aspect: string;
  /** The paper's own choice. */
  readonly original: string;
  /** The other one. */
  readonly ablated: string;
  /** Scores on 7 benchmarks. */
  readonly scores: PaperScores;
  /** Their mean, as printed. */
  readonly average: number;
  /** Difference of the mean to the paper's own choice, as printed. */
  readonly difference: number;
}

/** A row of table 6. */
export interface PaperExpertAnalysis {
  /** The experts kept as the only feed-forward network. */
  readonly kept: "language" | "vision" | "shared";
  /** Scores on 3 benchmarks. */
  readonly scores: PaperScores;
}

/** A point of figure 3. */
export interface PaperDataScale {
  /** The architecture. */
  readonly model: PaperModel;
  /** Millions of samples of the second stage. */
  readonly millions: number;
  /** Scores that were read off the figure because no table has them. */
  readonly scores: PaperScores;
  /** Mean of the figure's 7 benchmarks. */
  readonly average: number;
}

/** A row of table 5. */
export interface PaperSetting {
  /** What is set. */
  readonly setting: string;
  /** In stage 1. */
  readonly "stage 1": string;
  /** In stage 2. */
  readonly "stage 2": string;
}

/** What figure 6 shows of one benchmark, as far as the text says it. */
export interface PaperActivation {
  /** The benchmark. */
  readonly benchmark: string;
  /** What it is about. */
  readonly about: string;
  /** How the use of the experts changes with depth. */
  readonly depth: string;
}

/** What figure 4 shows, as far as the text says it. */
export interface PaperRouting {
  /** Which tokens. */
  readonly tokens: string;
  /** In which layers. */
  readonly layers: string;
  /** What the experts do there. */
  readonly experts: string;
}

/** Reads a table written as text: the columns' names, then the rows; `-` is what is not reported. */
function readTable<T>(text: string): T[] {
  const [head, ...lines] = text.trim().split("\n").map((l) => l.split("|").map((c) => c.trim()));
  const benchmarks: readonly string[] = [...PAPER_BENCHMARKS, "sciqa_img"];
  const numbers = ["millions", "activated", "total", "stages", "average", "difference"];
  return lines.map((cells) => {
    const row: Record<string, unknown> = {}, scores: Record<string, number> = {};
    head.forEach((name, i) => {
      const cell = cells[i];
      if (cell === "-") return;
      if (benchmarks.includes(name)) scores[name] = Number(cell);
      else row[name] = numbers.includes(name) ? Number(cell) : cell;
    });
    return { ...row, scores } as T;
  });
}

/** Table 1: the architectures on two amounts of data and two language models. */
export const PAPER_TABLE_1: readonly PaperComparison[] = readTable(`
model        | millions |   language |            vision | mmbench |  gqa | vqav2 | mmvet | seed_i | pope | hallub | textvqa | docvqa | chartqa | ai2d | mmmu | mathvista | average
Dense        |        2 | Phi-3-mini | SigLIP-So400m-384 |    74.4 | 62.7 |  81.6 |  42.9 |   70.2 | 86.2 |   28.3 |    65.1 |   41.9 |    53.2 | 64.3 | 41.3 |      30.8 |    57.1
Vanilla MoE  |        2 | Phi-3-mini | SigLIP-So400m-384 |    75.1 | 62.8 |  81.5 |  42.8 |   70.6 | 86.3 |   28.8 |    65.1 |   42.2 |    53.1 | 65.2 | 40.6 |      29.9 |    57.2
Modality MoE |        2 | Phi-3-mini | SigLIP-So400m-384 |    75.1 | 62.9 |  81.7 |  41.0 |   71.0 | 86.2 |   29.3 |    66.0 |   42.7 |    53.1 | 65.5 | 40.4 |      31.0 |    57.4
MoIIE        |        2 | Phi-3-mini | SigLIP-So400m-384 |    75.3 | 63.2 |  81.8 |  42.8 |   71.2 | 86.6 |   30.5 |    65.4 |   42.9 |    53.3 | 65.9 | 41.3 |      31.9 |    57.9
Dense        |      2.7 | Phi-3-mini | SigLIP-So400m-384 |    75.0 | 63.4 |  81.6 |  41.1 |   70.1 | 87.0 |   31.7 |    64.6 |   48.2 |    57.5 | 73.7 | 40.1 |      31.0 |    58.8
Vanilla MoE  |      2.7 | Phi-3-mini | SigLIP-So400m-384 |    75.2 | 63.3 |  81.4 |  42.2 |   70.6 | 87.2 |   30.8 |    65.2 |   47.8 |    57.2 | 74.7 | 42.2 |      31.2 |    59.1
Modality MoE |      2.7 | Phi-3-mini | SigLIP-So400m-384 |    73.9 | 63.5 |  81.7 |  40.1 |   70.4 | 87.1 |   32.9 |    65.7 |   48.9 |    58.8 | 74.1 | 40.4 |      31.3 |    59.1
MoIIE        |      2.7 | Phi-3-mini | SigLIP-So400m-384 |    75.9 | 64.1 |  82.0 |  42.7 |   71.8 | 87.2 |   30.7 |    66.9 |   48.5 |    58.8 | 75.9 | 42.4 |      32.5 |    60.0
Dense        |        2 |  LLaMA3-8B | SigLIP-So400m-384 |    74.8 | 64.8 |  82.2 |  47.9 |   72.1 | 86.6 |   30.1 |    67.2 |   43.4 |    54.0 | 76.6 | 41.1 |      30.9 |    59.4
Vanilla MoE  |        2 |  LLaMA3-8B | SigLIP-So400m-384 |    75.5 | 64.5 |  82.1 |  46.0 |   71.6 | 86.3 |   33.0 |    67.3 |   43.8 |    54.7 | 76.2 | 40.7 |      30.6 |    59.4
Modality MoE |        2 |  LLaMA3-8B | SigLIP-So400m-384 |    75.6 | 64.3 |  82.3 |  46.3 |   72.3 | 86.7 |   35.0 |    67.6 |   44.9 |    55.4 | 76.7 | 41.6 |      31.2 |    60.0
MoIIE        |        2 |  LLaMA3-8B | SigLIP-So400m-384 |    75.7 | 64.9 |  82.3 |  47.5 |   73.0 | 87.0 |   36.5 |    67.9 |   44.7 |    56.0 | 76.9 | 42.8 |      32.2 |    60.6
`);

/** Table 2: models with mixture-of-experts language models. */
export const PAPER_TABLE_2: readonly PaperMixture[] = readTable(`
model      | activated | total | textvqa |  gqa | vqav2 | pope | mmbench | mmvet | mmmu | mathvista | sciqa_img
SPHINX-X   |         - |    40 |    68.0 | 63.8 |  81.1 | 89.6 |    71.3 |  40.9 | 31.1 |      42.7 |      74.5
MGM        |      13.5 |    40 |    69.2 |    - |     - |    - |    75.6 |  45.8 | 41.8 |      41.8 |         -
CuMO       |      13.5 |    40 |    66.0 | 63.8 |  81.8 | 85.7 |    75.3 |  48.7 | 45.0 |      38.2 |      77.9
MoIIE-A5B  |       5.5 |     7 |    69.5 | 63.4 |  82.5 | 87.1 |    77.8 |  42.6 | 43.6 |      46.4 |      90.1
MoIIE-A11B |      11.3 |    16 |    70.5 | 64.5 |  82.9 | 87.3 |    77.2 |  47.3 | 42.7 |      46.0 |      89.4
`);

/** Table 3: three stages and two. Its two-stage row is not the MoIIE row of table 1. */
export const PAPER_TABLE_3: readonly PaperPipeline[] = readTable(`
method           | stages | mmbench |  gqa | vqav2 | mmvet | seed_i | pope | hallub | textvqa | docvqa | chartqa | ai2d | mmmu | mathvista | average
Pretrain-SFT-MoE |      3 |    75.6 | 63.1 |  81.6 |  41.2 |   70.3 | 86.9 |   31.0 |    64.8 |   48.2 |    56.2 | 63.8 | 39.3 |      31.3 |    57.9
Pretrain-SFT&MoE |      2 |    75.7 | 63.5 |  81.8 |  42.7 |   71.2 | 87.2 |   32.1 |    65.3 |   49.6 |    58.8 | 65.3 | 41.9 |      32.5 |    59.0
`);

/** Table 4: ablations; the last row is the paper's own choice. */
export const PAPER_TABLE_4: readonly PaperAblation[] = readTable(`
aspect                   |    original |  ablated | textvqa | mmbench |  gqa | mmmu | pope | mmvet | seed_i | average | difference
number of experts        |           4 |        8 |    65.1 |    75.6 | 63.4 | 42.2 | 86.5 |  43.0 |   71.2 |    63.9 |        0.2
experts balance (8)      |    2V+2L+4S | 3V+3L+2S |    65.4 |    75.0 | 63.4 | 41.1 | 86.8 |  41.3 |   71.6 |    63.5 |       -0.2
location                 | interleaved |     full |    65.8 |    75.8 | 63.1 | 40.3 | 87.0 |  42.6 |   70.6 |    63.6 |       -0.1
load balance coefficient |       0.001 |     0.01 |    65.5 |    75.4 | 63.2 | 39.0 | 86.4 |  42.0 |   70.7 |    63.2 |       -0.5
ours (MoIIE-A5B)         |             |          |    65.4 |    75.3 | 63.2 | 41.3 | 86.6 |  42.8 |   71.1 |    63.7 |          0
`);

/**
 * Table 5: how the paper trains. What it leaves out is from its published scripts; the vision encoder's
 * rate is that of the scripts that these were made from.
 */
export const PAPER_TABLE_5: readonly PaperSetting[] = readTable(`
setting               | stage 1             | stage 2
trained               | connector           | everything, experts included
data                  | 2 M captions        | 1.3 M to 2.7 M instructions
global batch          | 256                 | 128
steps                 | about 7,800         | about 10,200 to 21,100
learning rate         | 1e-3                | 2e-5; vision encoder 2e-6
schedule              | cosine, warm-up 3 % | cosine, warm-up 3 %
optimizer             | AdamW, no decay     | AdamW, no decay
balancing coefficient |                     | 0.001
`);

/** Table 6: dense models made of one group of experts. */
export const PAPER_TABLE_6: readonly PaperExpertAnalysis[] = readTable(`
kept     | mmbench | textvqa | mmmu
language |    72.9 |    63.1 | 41.5
vision   |    73.6 |      64 |   41
shared   |    74.1 |    63.1 | 41.3
`);

/**
 * Figure 3, read off to about 0.05: the mean of its 7 benchmarks by amount of data, and the scores at
 * 1.3 M, which no table has.
 */
export const PAPER_FIGURE_3: readonly PaperDataScale[] = readTable(`
model        | millions | mmbench |   gqa |  pope | docvqa | mmmu | mmvet | seed_i | average
Dense        |      1.3 |    73.7 | 62.06 | 86.08 |   35.3 | 41.0 |  36.9 |  70.39 |   57.92
Vanilla MoE  |      1.3 |   72.93 | 62.34 | 85.52 |   35.6 | 41.0 |  37.8 |  70.55 |   57.97
Modality MoE |      1.3 |   73.65 | 62.31 | 86.29 |   36.1 | 40.9 |  38.6 |  71.02 |   58.42
MoIIE        |      1.3 |    73.5 |  62.3 | 86.42 |   36.5 | 40.7 |  38.3 |  70.54 |    58.3
Dense        |        2 |       - |     - |     - |      - |    - |     - |      - |   59.95
Dense        |      2.7 |       - |     - |     - |      - |    - |     - |      - |    60.7
Vanilla MoE  |        2 |       - |     - |     - |      - |    - |     - |      - |   60.05
Vanilla MoE  |      2.7 |       - |     - |     - |      - |    - |     - |      - |    61.2
Modality MoE |        2 |       - |     - |     - |      - |    - |     - |      - |    59.9
Modality MoE |      2.7 |       - |     - |     - |      - |    - |     - |      - |    60.6
MoIIE        |        2 |       - |     - |     - |      - |    - |     - |      - |    60.4
MoIIE        |      2.7 |       - |     - |     - |      - |    - |     - |      - |    61.8
`);

/** Figure 4, token pathways on the test set of MME, in the words of the text: it prints no numbers. */
export const PAPER_FIGURE_4: readonly PaperRouting[] = readTable(`
tokens | layers         | experts
image  | shallow        | mostly V
text   | shallow        | mostly L
both   | deep           | more and more S
both   | 9th MoE layer  | meet at S1
both   | 12th MoE layer | meet at S2
`);

/** Figure 6, activated experts by layer on four benchmarks, in the words of the text. */
export const PAPER_FIGURE_6: readonly PaperActivation[] = readTable(`
benchmark      | about          | depth
MME            | general        | less V, more S
TextVQA        | OCR            | less V, more S
MMVP           | visual-centric | less V, more S
HallusionBench | hallucination  | less V, more S
`);

/** Table of the appendix: another vision encoder, and more data. */
export const PAPER_APPENDIX: readonly PaperComparison[] = readTable(`
model        | millions |   language |            vision | mmbench |  gqa | vqav2 | mmvet | seed_i | pope | hallub | textvqa | docvqa | chartqa | ai2d | mmmu | mathvista | average
Dense        |      2.7 | Phi-3-mini |        CLIP-L-336 |    74.5 | 63.0 |  81.3 |  40.9 |   69.9 | 86.5 |   31.2 |    64.1 |   47.7 |    57.1 | 73.2 | 39.6 |      30.6 |    58.4
Vanilla MoE  |      2.7 | Phi-3-mini |        CLIP-L-336 |    74.6 | 63.1 |  81.1 |  41.0 |   69.7 | 86.5 |   30.9 |    64.3 |   47.5 |    57.0 | 74.0 | 40.5 |      31.0 |    58.5
Modality MoE |      2.7 | Phi-3-mini |        CLIP-L-336 |    74.0 | 63.0 |  81.5 |  39.7 |   69.5 | 86.6 |   32.3 |    64.4 |   48.1 |    57.7 | 73.7 | 40.1 |      31.3 |    58.6
MoIIE        |      2.7 | Phi-3-mini |        CLIP-L-336 |    75.5 | 63.6 |  82.0 |  41.9 |   70.7 | 87.1 |   31.7 |    65.1 |   48.2 |    58.0 | 75.1 | 41.8 |      32.5 |    59.5
Dense        |        4 | Phi-3-mini | SigLIP-So400m-384 |    76.2 | 64.6 |  82.5 |  42.3 |   71.4 | 88.1 |   32.4 |    66.1 |   49.4 |    58.8 | 75.0 | 41.3 |      32.1 |    60.0
Vanilla MoE  |        4 | Phi-3-mini | SigLIP-So400m-384 |    76.4 | 64.9 |  82.9 |  42.9 |   71.6 | 88.9 |   33.8 |    66.2 |   50.2 |    59.7 | 75.8 | 43.0 |      33.3 |    60.7
Modality MoE |        4 | Phi-3-mini | SigLIP-So400m-384 |    75.1 | 64.7 |  82.7 |  41.9 |   71.3 | 88.0 |   35.3 |    67.4 |   50.8 |    59.0 | 75.3 | 41.8 |      32.5 |    60.4
MoIIE        |        4 | Phi-3-mini | SigLIP-So400m-384 |    77.0 | 65.2 |  83.4 |  44.3 |   72.4 | 89.7 |   36.0 |    69.9 |   51.0 |    59.9 | 77.4 | 43.5 |      35.3 |    61.9
`);
