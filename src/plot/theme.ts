/**
 * How figures look: readable without colour (dashes, marker shapes, hatching), with a palette
 * that colour-blind readers can tell apart, on white, in one font.
 *
 * Palette: Okabe and Ito, "Color Universal Design" (2008).
 *
 * @module
 */

import type { Json, Layout } from "./figure.ts";

/** Font of every figure. Static pictures are drawn with the same family. */
export const FONT_FAMILY = "DejaVu Sans";

/** Colour of texts and axes. */
export const INK = "#222222";

/** Colour of secondary lines: raw values, reference levels. */
export const MUTED = "#767676";

/** The Okabe–Ito palette, strongest contrasts first; yellow is left out (too pale on white). */
export const PALETTE: readonly string[] = [
  "#0072B2",
  "#D55E00",
  "#009E73",
  "#CC79A7",
  "#E69F00",
  "#56B4E9",
  "#000000",
];

/** Line patterns, in the order of {@linkcode PALETTE}. */
export const DASHES: readonly string[] = [
  "solid",
  "dash",
  "dot",
  "dashdot",
  "longdash",
  "longdashdot",
];

/** Marker shapes, in the order of {@linkcode PALETTE}. */
export const MARKERS: readonly string[] = [
  "circle",
  "square",
  "diamond",
  "triangle-up",
  "cross",
  "x",
  "star",
];

/** Bar hatchings, in the order of {@linkcode PALETTE}; `""` is a plain fill. */
export const HATCHES: readonly string[] = ["", "/", "x", ".", "\\", "-", "+"];

/** How one series is drawn: four independent marks, so that any one of them is enough. */
export interface SeriesStyle {
  /** Line or fill colour, `#rrggbb`. */
  readonly color: string;
  /** Plotly line pattern. */
  readonly dash: string;
  /** Plotly marker shape. */
  readonly marker: string;
  /** Plotly bar hatching. */
  readonly hatch: string;
}

/**
 * Style of the n-th series of a figure.
 *
 * @param index Position of the series, from 0. Styles repeat only after 42 series, because the
 * lists have different lengths.
 * @returns Its colour, dash, marker and hatching.
 */
export function seriesStyle(index: number): SeriesStyle {
  return {
    color: PALETTE[index % PALETTE.length],
    dash: DASHES[index % DASHES.length],
    marker: MARKERS[index % MARKERS.length],
    hatch: HATCHES[index % HATCHES.length],
  };
}

const GROUP_STYLES: Readonly<Record<string, { color: string; hatches: readonly string[] }>> = {
  shared: { color: "#009E73", hatches: ["", ".", "x", "+"] },
  vision: { color: "#0072B2", hatches: ["/", "-", "x", "+"] },
  language: { color: "#D55E00", hatches: ["\\", "|", "x", "+"] },
  audio: { color: "#CC79A7", hatches: ["x", ".", "+", "-"] },
};

/**
 * Style of an expert: its group gives the colour, its place in the group the hatching and the
 * lightness.
 *
 * @param group `"vision"`, `"language"`, `"audio"`, `"shared"`, or any other name.
 * @param member Place of the expert in its group, from 0.
 * @param fallback Series number used for the colour of groups with other names.
 * @returns The style of the expert.
 */
export function expertStyle(group: string, member: number, fallback = 0): SeriesStyle {
  const known = GROUP_STYLES[group];
  const base = seriesStyle(known ? member : fallback);
  return {
    ...base,
    color: lighten(known?.color ?? base.color, Math.min(0.6, 0.3 * member)),
    hatch: known ? known.hatches[member % known.hatches.length] : base.hatch,
  };
}

/** Mixes `#rrggbb` with white; `amount` 0 keeps the colour, 1 gives white. */
function lighten(color: string, amount: number): string {
  const mixed = [1, 3, 5].map((start) => {
    const channel = parseInt(color.slice(start, start + 2), 16);
    return Math.round(channel + (255 - channel) * amount).toString(16).padStart(2, "0");
  });
  return `#${mixed.join("")}`;
}

/**
 * Marker attributes of a hatched bar.
 *
 * @param style Style of the bar.
 * @returns A plotly `marker`: the colour, white hatching over it, a thin dark outline.
 */
export function barMarker(style: SeriesStyle): Json {
  return {
    color: style.color,
    line: { color: INK, width: 0.6 },
    pattern: {
      shape: style.hatch,
      fillmode: "overlay",
      fgcolor: "#ffffff",
      bgcolor: style.color,
      size: 6,
      solidity: 0.25,
    },
  };
}

/** Attributes of an axis: a name, and whatever plotly takes besides. */
export interface AxisOptions {
  /** Name of the axis, with its unit. */
  readonly title: string;
  /** Any further plotly attribute. */
  readonly [attribute: string]: Json | undefined;
}

/**
 * An axis in the theme: named, outside ticks, light grid.
 *
 * @param options Its name and further plotly attributes, which win over the theme.
 * @returns A plotly axis.
 */
export function axis(options: AxisOptions): Readonly<Record<string, Json | undefined>> {
  const { title, ...rest } = options;
  return {
    title: { text: title, standoff: 10 },
    showline: true,
    linecolor: INK,
    ticks: "outside",
    ticklen: 4,
    tickcolor: INK,
    gridcolor: "#e6e6e6",
    zeroline: false,
    automargin: true,
    // Plotly hides labels by a test that needs a browser's layout.
    ticklabeloverflow: "allow",
    ...rest,
  };
}

/** Title and size of a figure; see {@linkcode baseLayout}. */
export interface LayoutOptions {
  /** Title. */
  readonly title: string;
  /** Smaller lines below it: what the reader needs to read the marks; broken to fit the width. */
  readonly subtitle?: string;
  /** Room between these lines and the plot in CSS pixels, for the titles of panels; 0 by default. */
  readonly headroom?: number;
  /** Width in CSS pixels; 720 by default. */
  readonly width?: number;
  /** Height in CSS pixels; 400 by default. */
  readonly height?: number;
  /** Any further plotly attribute. */
  readonly [attribute: string]: Json | undefined;
}

/**
 * The layout that every figure starts from.
 *
 * @param options Title, size and further plotly attributes, which win over the theme.
 * @returns A plotly layout.
 */
export function baseLayout(options: LayoutOptions): Layout {
  const { title, subtitle, headroom: _used, width = 720, height = 400, ...rest } = options;
  const caption = subtitle ? wrapText(subtitle, width - 24) : [];
  const extra = LINE_HEIGHT * Math.max(0, caption.length - 1);
  return {
    title: {
      // Lines of smaller text, because older plotly versions have no subtitles.
      text: [
        title,
        ...caption.map((line) => `<span style="font-size:11px;color:#555555">${line}</span>`),
      ].join("<br>"),
      x: 0.012,
      xanchor: "left",
      xref: "container",
      y: 1 - (26 + extra / 2) / height,
      yanchor: "middle",
      yref: "container",
      font: { size: 16 },
    },
    width,
    height,
    font: { family: FONT_FAMILY, size: 12, color: INK },
    paper_bgcolor: "#ffffff",
    plot_bgcolor: "#ffffff",
    margin: { l: 64, r: 24, t: topMargin(options), b: 60 },
    legend: { x: 1.02, xanchor: "left", y: 1, yanchor: "top", tracegroupgap: 0 },
    ...rest,
  };
}

/**
 * Pixels between the upper edge of a figure and its plots; figures of panels add it to their
 * height.
 *
 * @param options What {@linkcode baseLayout} gets.
 * @returns Height of title, subtitle and headroom in CSS pixels.
 */
export function topMargin(options: LayoutOptions): number {
  const { subtitle, headroom = 0, width = 720 } = options;
  if (!subtitle) return 56 + headroom;
  return 76 + headroom + LINE_HEIGHT * (wrapText(subtitle, width - 24).length - 1);
}

/** Distance of two lines of a title: plotly takes 1.3 times the font size of its first line. */
const LINE_HEIGHT = 20.8;

/** Mean advance of a letter of the 11-pixel subtitle, with some reserve. */
const LETTER = 6.4;

/** Breaks a text at spaces into lines of at most `width` CSS pixels. */
function wrapText(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && (last.length + 1 + word.length) * LETTER <= width) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else lines.push(word);
  }
  return lines;
}
