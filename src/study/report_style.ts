/** How reports look: on screens of any width, in the dark, and on paper. */

/** Figures are drawn on white, so in the dark they stand on a white card. */
export const STYLE: string = `
:root {
  color-scheme: light dark;
  --paper: #fdfdfc; --ink: #1d1f21; --soft: #5a6068; --rule: #d9dcde; --card: #ffffff;
  --right: #00694d; --wrong: #a63b00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #1a1c1e; --ink: #e6e7e8; --soft: #a3aab1; --rule: #3b4046; --card: #222528;
    --right: #4cc9a0; --wrong: #ff9a5c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, "Segoe UI", "DejaVu Sans", sans-serif;
}
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .75rem; text-wrap: balance; }
h2 {
  font-size: 1.25rem; margin: 2.75rem 0 .75rem; padding-top: 1rem;
  border-top: 1px solid var(--rule);
}
h3 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p, section > ul { max-width: 44rem; margin: .5rem 0; }
section > ul { padding-left: 1.25rem; }
section > ul li { margin: .3rem 0; }
code { font: .9em ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
a { color: inherit; }
nav ul {
  list-style: none; margin: 1.75rem 0 0; padding: 1rem 0 0; border-top: 1px solid var(--rule);
  columns: 18rem; column-gap: 2rem;
}
nav li { margin: 0 0 .35rem; break-inside: avoid; }
.lead { font-size: 1.1rem; }
dl, dd { margin: 0; }
.facts {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr));
  gap: .75rem 1.5rem; margin: 1.75rem 0;
}
.facts dt, .gallery dt, .label { color: var(--soft); font-size: .8rem; }
.facts dd { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
figure { margin: 1rem 0; }
figure img {
  display: block; max-width: 100%; height: auto; background: #fff; border-radius: 4px;
}
figcaption, .caption, .count { color: var(--soft); font-size: .9rem; margin-top: .5rem; }
.scroll, .wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .9rem .35rem 0; text-align: left; border-bottom: 1px solid var(--rule); }
thead th { border-bottom: 2px solid var(--ink); font-weight: 600; vertical-align: bottom; }
th.number, td.number { text-align: right; white-space: nowrap; }
td.short, tbody th.short { white-space: nowrap; }
.dense { font-size: .8rem; }
.dense th, .dense td { padding-right: .55rem; }
.gallery {
  list-style: none; margin: 1rem 0; padding: 0; display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr));
}
.gallery li {
  background: var(--card); border: 1px solid var(--rule); border-radius: 6px; padding: .75rem;
  display: flex; flex-direction: column; break-inside: avoid;
}
.gallery p { margin: .35rem 0 0; }
.gallery dl {
  display: grid; grid-template-columns: auto 1fr; gap: .1rem .6rem; align-items: baseline;
  margin: .4rem 0;
}
.gallery dd { overflow-wrap: anywhere; }
.pixels { width: 100%; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated; }
.question { font-weight: 600; line-height: 1.35; }
.gallery .verdict { margin-top: auto; font-weight: 600; }
.right .verdict { color: var(--right); }
.wrong .verdict { color: var(--wrong); }
.wrong { border-style: dashed; }
tbody th { font-weight: 400; min-width: 6.5rem; }
summary { cursor: pointer; }
.code { border-top: 1px solid var(--rule); margin-top: 2.75rem; padding-top: 1rem; }
.code > summary { font-size: 1.1rem; font-weight: 600; }
pre {
  overflow-x: auto; background: var(--card); border: 1px solid var(--rule); border-radius: 6px;
  padding: 1rem; font: .85rem/1.5 ui-monospace, "DejaVu Sans Mono", monospace;
}
@media (max-width: 40rem) {
  main { padding: 1.5rem 1rem 3rem; }
  h1 { font-size: 1.5rem; }
  table { font-size: .9rem; }
  /* Smaller than this, the texts in figures cannot be read: one scrolls instead. */
  .wide > img { max-width: none; width: 38rem; }
}
@media print {
  :root {
    color-scheme: light;
    --paper: #fff; --ink: #000; --soft: #444; --rule: #bbb; --card: #fff;
    --right: #004d38; --wrong: #8a3100;
  }
  body { font-size: 11pt; }
  main { max-width: none; padding: 0; }
  h2, h3 { break-after: avoid; }
  nav { display: none; }
  .scroll { overflow: visible; }
  table { font-size: 8pt; }
  th, td { padding-right: .5rem; }
  th.number, td.number { white-space: normal; }
  figure, tr { break-inside: avoid; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
}
`;
