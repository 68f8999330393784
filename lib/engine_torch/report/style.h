// The style sheet of the report. It holds neither '<' nor '&', so that it may stand in a document that is XML as well.
// Colours: blue for training and for what is right, orange for validation and for what is wrong (told apart by all
// kinds of colour vision); text on them keeps a contrast of 4.5 to 1. Lines also differ by their dashes.
#pragma once

#include <string_view>

namespace trainyard::report {

inline constexpr std::string_view kStyle = R"css(
:root {
  color-scheme: light dark;
  --page: #ffffff; --panel: #f5f7f9; --ink: #1c2128; --soft: #59636e; --rule: #d5dbe1;
  --blue: #0b63a5; --orange: #b84300; --hit: 11 99 165; --miss: 224 98 16;
  --good: #1a7f37; --bad: #c21e2b; --warn: #8a5a00; --warnpanel: #fff6dd; --badpanel: #ffecec;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #12161c; --panel: #1b212a; --ink: #e4e9ef; --soft: #9aa6b2; --rule: #333c47;
    --blue: #62b0f0; --orange: #f59a52; --hit: 64 148 219; --miss: 226 112 36;
    --good: #4cc36a; --bad: #ff7b7b; --warn: #e8b54a; --warnpanel: #2a2413; --badpanel: #32191c;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body {
  margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 2.5rem) 3rem; max-width: 74rem;
  background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  overflow-wrap: anywhere;
}
h1 { font-size: 1.65rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .75rem; padding-top: .4rem; break-after: avoid; }
h3 { font-size: .95rem; margin: 0 0 .4rem; break-after: avoid; }
p { margin: .4rem 0 .8rem; }
a { color: var(--blue); }
caption { text-align: left; color: var(--soft); font-size: .85rem; padding-bottom: .5rem; }
header .top { display: flex; flex-wrap: wrap; align-items: center; gap: .4rem .9rem; }
header p { color: var(--soft); margin: .25rem 0 0; }
nav { margin: .9rem 0 0; font-size: .9rem; }
nav a { margin-right: 1.1rem; text-underline-offset: .2em; }
.badge { border: 1.5px solid; border-radius: 1rem; padding: .05rem .7rem; font-size: .85rem; font-weight: 600; white-space: nowrap; }
.completed { color: var(--good); } .stopped, .canceled { color: var(--warn); } .failed { color: var(--bad); }
.note { border-left: 4px solid var(--warn); background: var(--warnpanel); padding: .6rem .9rem; margin: 1rem 0 0; border-radius: 0 .4rem .4rem 0; }
.note.error { border-color: var(--bad); background: var(--badpanel); }
.note h3 { margin: 0 0 .2rem; } .note ul { margin: 0; padding-left: 1.2rem; }
.note pre { margin: 0; white-space: pre-wrap; font: .85rem/1.45 ui-monospace, Menlo, Consolas, monospace; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .7rem; margin: 1.2rem 0 0; padding: 0; }
.tiles div { background: var(--panel); border-radius: .6rem; padding: .7rem .9rem; break-inside: avoid; }
.tiles dt { font-size: .82rem; color: var(--soft); }
.tiles dd { margin: 0; }
.tiles .value { font-size: 1.5rem; line-height: 1.3; font-weight: 650; font-variant-numeric: tabular-nums; }
.tiles .more { font-size: .82rem; color: var(--soft); }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: 1rem; }
figure { margin: 0; }
.chart { border: 1px solid var(--rule); border-radius: .6rem; padding: .6rem .6rem .2rem; break-inside: avoid; }
.chart figcaption { font-size: .9rem; padding: 0 .3rem .2rem; }
.chart svg { display: block; width: 100%; height: auto; }
.key { color: var(--soft); margin-left: .7rem; white-space: nowrap; }
.key::before { content: ""; display: inline-block; width: 1.4em; vertical-align: .28em; margin-right: .35em; border-top: 2.5px solid var(--blue); }
.k1::before { border-top: 2.5px dashed var(--orange); }
.scale { color: var(--soft); margin-left: .7rem; font-size: .82rem; }
.grid path { stroke: var(--rule); fill: none; }
.grid text { fill: var(--soft); font-size: 11.5px; font-variant-numeric: tabular-nums; }
.tx { text-anchor: middle; } .ty { text-anchor: end; }
.bestname { fill: var(--soft); font-size: 11.5px; }
.line { fill: none; stroke: var(--blue); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.line.c1 { stroke: var(--orange); stroke-dasharray: 6 4; }
.band { fill: var(--blue); opacity: .22; } .band.c1 { fill: var(--orange); }
.dots { fill: var(--blue); } .dots.c1 { fill: var(--orange); }
.points { fill: none; stroke: var(--blue); stroke-width: 5; stroke-linecap: round; opacity: .45; }
.best { stroke: var(--soft); stroke-width: 1.3; stroke-dasharray: 3 3; fill: none; }
.strips rect { fill: transparent; } .strips rect:hover { fill: rgb(var(--hit) / .14); }
.scroll { overflow-x: auto; max-width: 100%; }
.scroll:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; }
table { border-collapse: collapse; font-size: .9rem; }
th { font-weight: 600; text-align: left; }
.list { width: 100%; }
.list th, .list td { padding: .32rem .6rem; border-bottom: 1px solid var(--rule); vertical-align: top; }
.list tbody th { font-weight: 500; min-width: 7rem; }
.list thead th { color: var(--soft); border-bottom-width: 2px; vertical-align: bottom; }
.list tfoot th, .list tfoot td { border-bottom: 0; color: var(--soft); font-weight: 500; }
.list .number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.meter span { display: inline-block; min-width: 5.2rem; padding: 0 .3rem; text-align: right;
  background: linear-gradient(to right, rgb(var(--hit) / .25) calc(var(--share, 0) * 100%), transparent 0) no-repeat;
  border-left: 1px solid var(--rule); print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.meter.miss span { background-image: linear-gradient(to right, rgb(var(--miss) / .3) calc(var(--share, 0) * 100%), transparent 0); }
.pair { display: flex; flex-wrap: wrap; gap: 2rem 3rem; align-items: flex-start; }
.block { flex: 0 1 auto; min-width: min(100%, 20rem); max-width: 100%; } .block.wide { flex: 1 1 24rem; }
.hint { color: var(--soft); font-size: .85rem; max-width: 28rem; margin: 0 0 .5rem; }
.matrix { font-variant-numeric: tabular-nums; border-collapse: separate; border-spacing: 2px; }
.matrix td { min-width: 2.1rem; height: 2.1rem; padding: 0 .3rem; text-align: center; border-radius: .25rem; }
.matrix td.none { color: var(--soft); background: var(--panel); }
.matrix td.hit { background: rgb(var(--hit) / calc(.1 + .4 * var(--share, 0))); }
.matrix td.miss { background: rgb(var(--miss) / calc(.14 + .5 * var(--share, 0))); font-weight: 600; }
.matrix td.hit.none { background: rgb(var(--hit) / .1); }
.matrix td { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.matrix th { font-weight: 500; padding: .1rem .4rem; max-width: 11rem; min-width: 3.2rem; }
.matrix th[scope=row] { text-align: right; min-width: 5.5rem; position: sticky; left: 0; background: var(--page); }
.matrix th[scope=col] { text-align: center; vertical-align: bottom; }
.matrix th.axis { color: var(--soft); font-size: .82rem; } .matrix th.axis[scope=col] { text-align: right; }
.matrix .sum { color: var(--soft); }
.turned th[scope=col] { padding: .4rem 0; min-width: 0; }
.turned th[scope=col] span { writing-mode: vertical-rl; transform: rotate(180deg); display: inline-block; max-height: 10rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.mistakes { list-style: none; margin: 0; padding: 0; display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(10rem, 45%), 1fr)); }
.mistakes li { break-inside: avoid; }
.mistakes img, .nopicture { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; background: var(--panel); border-radius: .5rem; }
.mistakes img { height: auto; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.mistakes .tiny { image-rendering: pixelated; }
.nopicture { padding: .7rem; font-size: .78rem; color: var(--soft); overflow: hidden; }
.mistakes figcaption { font-size: .88rem; line-height: 1.4; margin-top: .35rem; }
.row { display: block; color: var(--soft); } .row b { color: var(--ink); } .row .wrong { color: var(--orange); } .sure { float: right; color: var(--ink); margin-left: .4rem; font-variant-numeric: tabular-nums; }
.path { display: block; color: var(--soft); font: .75rem/1.4 ui-monospace, Menlo, Consolas, monospace; unicode-bidi: plaintext; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); gap: 1.2rem 2rem; }
.facts section { break-inside: avoid; }
.facts table { width: 100%; }
.facts th, .facts td { padding: .25rem 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
.facts th { font-weight: 400; color: var(--soft); padding-right: 1rem; width: 42%; }
.facts td { unicode-bidi: plaintext; text-align: left; font-variant-numeric: tabular-nums; }
.facts .default { color: var(--soft); }
details { margin-top: 1rem; } summary { cursor: pointer; color: var(--blue); }
details .scroll { margin-top: .6rem; }
.chosen th, .chosen td { background: rgb(var(--hit) / .12); }
footer { margin-top: 3rem; padding-top: .8rem; border-top: 1px solid var(--rule); color: var(--soft); font-size: .82rem; }
@media (max-width: 34rem) {
  body { padding-top: 1rem; }
  h1 { font-size: 1.35rem; }
  .tiles { grid-template-columns: repeat(2, 1fr); gap: .5rem; }
  .tiles .value { font-size: 1.25rem; }
  .meter span { min-width: 2.9rem; padding: 0 .15rem; }
  .list { font-size: .85rem; } .list th, .list td { padding: .32rem .25rem; }
  .list tbody th { min-width: 5.5rem; }
}
@media print {
  @page { margin: 13mm; }
  html { font-size: 11.5px; }
  body { padding: 0; max-width: none; }
  h2 { margin-top: 1.6rem; }
  nav, details { display: none; }
  .tiles { grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); } .tiles .value { font-size: 1.25rem; }
  .charts { grid-template-columns: repeat(3, 1fr); gap: .6rem; }
  .grid text, .bestname { font-size: 13.5px; }
  .scroll { overflow: visible; }
  tr { break-inside: avoid; }
  #mistakes p { break-after: avoid; }
  .mistakes { grid-template-columns: repeat(6, 1fr); gap: .8rem; }
  .facts { display: block; columns: 3; } .facts section { margin-bottom: 1rem; }
}
)css";

}  // namespace trainyard::report
