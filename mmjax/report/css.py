"""The page's one style sheet: light or dark as the reader's system is, wide or narrow."""

CSS = """
:root { color-scheme: light dark; --paper: #f7f6f3; --card: #ffffff; --ink: #1d232c; --muted: #5b6573; --line:
  #dfe2e6; --soft: #f0efeb; --accent: #2f7fc1; --good: #23744a; --bad: #b03a2e; --good-soft: #e3f2e9; --bad-soft:
  #fae8e5; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171c; --card: #1c2027; --ink: #e7eaee; --muted: #a3adba; --line: #343b45; --soft: #242932;
    --accent: #6bb1ea; --good: #74cf9c; --bad: #f0897c; --good-soft: #1c3327; --bad-soft: #3d2321; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", "Noto Sans", sans-serif; -webkit-text-size-adjust: 100%; }
main, header.top, footer { max-width: 1160px; margin: 0 auto; padding: 0 24px; }
header.top { padding-top: 44px; }
h1 { font-size: 2.1rem; line-height: 1.15; letter-spacing: -.02em; margin: 0; font-weight: 680; overflow-wrap:
  anywhere; }
h1 small { font-weight: 400; color: var(--muted); font-size: .62em; letter-spacing: 0; margin-left: .35em; }
h2 { font-size: 1.28rem; letter-spacing: -.01em; margin: 0 0 14px; font-weight: 640; }
h3 { font-size: 1rem; margin: 22px 0 10px; font-weight: 620; }
section { margin: 44px 0; }
p { margin: 0 0 12px; max-width: 76ch; }
.meta { display: flex; flex-wrap: wrap; gap: 4px 18px; color: var(--muted); margin: 10px 0 0; font-size: .92rem; }
.state { display: inline-block; padding: 0 10px; border-radius: 99px; background: var(--soft); color: var(--ink); }
.state.done { background: var(--good-soft); color: var(--good); }
.state.stopped { background: var(--bad-soft); color: var(--bad); }
nav { display: flex; flex-wrap: wrap; gap: 4px 16px; margin-top: 16px; font-size: .92rem; }
a { color: var(--accent); text-underline-offset: 2px; text-decoration-thickness: 1px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 14px; margin: 0 0 18px; }
.tile, .card, .panel, figure.plot { background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
.tile { padding: 14px 16px; }
.tile b { display: block; font-size: 1.75rem; font-weight: 640; letter-spacing: -.02em; line-height: 1.25;
  font-variant-numeric: tabular-nums; }
.tile span { color: var(--muted); font-size: .88rem; }
.panel { padding: 6px 16px; overflow-x: auto; }
.panel + .panel { margin-top: 12px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .94rem; }
caption { text-align: left; color: var(--muted); font-size: .88rem; padding: 6px 0 8px; }
th, td { text-align: left; padding: 8px 12px 8px 0; border-top: 1px solid var(--line); vertical-align: top; }
thead th { border-top: 0; color: var(--muted); font-weight: 500; font-size: .86rem; }
tbody th { font-weight: 560; }
.num { text-align: right; white-space: nowrap; }
.num + td, .num + th { padding-left: 28px; }
.quiet { color: var(--muted); }
table.grid .num + td, table.grid .num + th { padding-left: 8px; }
table.grid thead th { white-space: normal; vertical-align: bottom; }
.good { color: var(--good); }
.bad { color: var(--bad); }
code, pre, .mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; font-size:
  .87em; }
pre { background: var(--soft); border-radius: 8px; padding: 12px 14px; overflow-x: auto; margin: 6px 0 16px; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(330px, 100%), 1fr)); gap: 14px; }
.plots.wide { grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); }
figure { margin: 0; }
figure.plot { padding: 12px 12px 10px; color: var(--muted); }
figure.plot svg, .spectrogram svg { display: block; width: 100%; height: auto; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
.plots.wide figure.plot svg { max-height: 640px; }
.plots.wide figure.large { grid-column: 1 / -1; min-width: 0; overflow-x: auto; }
.plots.wide figure.large svg { max-height: none; min-width: 900px; }
.plots .panel { align-self: start; }
figcaption { color: var(--muted); font-size: .84rem; line-height: 1.4; margin-top: 6px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(500px, 100%), 1fr)); gap: 16px; }
.card { padding: 14px 16px 16px; min-width: 0; display: flex; flex-direction: column; gap: 12px; }
.card header { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; font-size: .88rem; color:
  var(--muted); }
.card header b { color: var(--ink); font-weight: 600; margin-right: auto; }
.chip { border-radius: 99px; padding: 1px 10px; font-size: .82rem; }
.chip.good { background: var(--good-soft); }
.chip.bad { background: var(--bad-soft); }
.media { display: flex; flex-wrap: wrap; gap: 12px; align-items: flex-start; }
.pictures { display: flex; flex-wrap: wrap; gap: 12px; flex: 0 1 auto; }
.pictures figure { width: 150px; }
.pictures img { display: block; width: 100%; height: auto; border-radius: 8px; background: var(--soft); }
.pictures.words { gap: 8px; }
.pictures.words figure { width: 92px; text-align: center; }
.pictures.words figcaption { margin-top: 2px; overflow-wrap: anywhere; }
.pictures.words figcaption.bad { font-weight: 600; text-decoration: underline wavy; }
.card.attention { margin-bottom: 12px; }
.sounds { flex: 1 1 250px; min-width: 0; display: grid; gap: 10px; }
.spectrogram { color: var(--muted); }
audio { display: block; width: 100%; height: 36px; margin-top: 4px; }
.heads { display: grid; gap: 12px; }
.head h4 { margin: 0 0 2px; font-size: .88rem; font-weight: 600; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 4px 18px; }
.pair h5 { margin: 0; font-size: .78rem; font-weight: 500; color: var(--muted); }
.bars { list-style: none; margin: 2px 0 0; padding: 0; font-size: .84rem; font-variant-numeric: tabular-nums; }
.bars li { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 0 8px; line-height: 1.35; margin-bottom:
  4px; }
.bars span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bars i { grid-column: 1 / -1; height: 3px; border-radius: 2px; background: linear-gradient(var(--bar), var(--bar))
  0 0 / var(--share) 100% no-repeat var(--soft); }
.bars li { --bar: var(--muted); }
.bars li.hit { --bar: var(--good); font-weight: 600; }
.bars li.miss { --bar: var(--bad); font-weight: 600; }
.texts { margin: 0; font-size: .92rem; display: grid; gap: 4px 14px; align-items: baseline; grid-template-columns:
  fit-content(40%) minmax(0, 1fr); }
.texts dt { color: var(--muted); font-size: .8rem; overflow-wrap: anywhere; }
.texts dd { margin: 0; overflow-wrap: anywhere; white-space: pre-line; }
.cards.small { grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr)); }
.cards + p, .cards + h3 { margin-top: 22px; }
.found { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: 10px; font-size: .82rem;
  font-variant-numeric: tabular-nums; }
.found img, .query img { display: block; width: 84px; height: 84px; object-fit: contain; border-radius: 6px;
  background: var(--soft); }
.found.picture { display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); gap: 10px 8px; }
.found.picture img { width: 100%; height: auto; aspect-ratio: 1; }
.found li { color: var(--muted); min-width: 0; }
.found li.hit { color: var(--good); font-weight: 600; }
.found li.hit img { outline: 2px solid var(--good); outline-offset: 1px; }
.found.text, .found.sound { display: grid; gap: 0; width: 100%; }
.found.text li, .found.sound li { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 14px; align-items:
  center; padding: 4px 0; border-top: 1px solid var(--line); }
.found.text li:first-child, .found.sound li:first-child { border-top: 0; }
.found.text li > :first-child { color: var(--ink); font-weight: 400; overflow-wrap: anywhere; }
.found.text li.hit > :first-child { color: inherit; font-weight: 600; }
.found.text li.apart { border-top: 2px dotted var(--line); }
.query { min-width: 0; flex: 1 1 0; overflow-wrap: anywhere; }
.beside { display: flex; gap: 14px; align-items: flex-start; }
.beside > img { flex: none; width: 112px; height: 112px; object-fit: contain; border-radius: 6px;
  background: var(--soft); }
.drawn { gap: 8px; font-size: .92rem; overflow-wrap: anywhere; }
.strip { display: flex; gap: 8px; align-items: flex-start; }
.strip figure { min-width: 0; }
.strip img { display: block; width: 100%; height: auto; border-radius: 6px; background: var(--soft); }
.note { border-left: 3px solid var(--accent); padding: 2px 0 2px 14px; margin: 0 0 8px; }
.note.problem { border-color: var(--bad); }
.empty { color: var(--muted); font-style: italic; }
details { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 10px 16px;
  margin-top: 14px; }
summary { cursor: pointer; font-weight: 560; }
details[open] summary { margin-bottom: 10px; }
.config { columns: 2 420px; column-gap: 36px; font-size: .9rem; }
.config div { break-inside: avoid; margin-bottom: 16px; }
.config h3 { margin: 0 0 2px; }
.config table { font-size: .86rem; }
.config td, .config th { padding: 3px 10px 3px 0; overflow-wrap: anywhere; font-weight: 400; }
.config th { color: var(--muted); width: 42%; }
footer { color: var(--muted); font-size: .85rem; padding-bottom: 40px; }
@media (max-width: 560px) {
  main, header.top, footer { padding-left: 14px; padding-right: 14px; }
  h1 { font-size: 1.6rem; }
  header.top { padding-top: 26px; }
  section { margin: 34px 0; }
  .pictures, .pictures figure:only-child { width: 100%; }
  .pictures figure { flex: 1 1 120px; }
  .pictures.words figure { flex: 0 0 72px; }
  .pictures figure:only-child img { max-width: 240px; margin: 0 auto; }
  .stack thead { display: none; }
  .stack tr { display: block; border-top: 1px solid var(--line); padding: 6px 0; }
  .stack tr.more { border-top: 0; }
  .stack th, .stack td { display: flex; justify-content: space-between; gap: 14px; border: 0; padding: 2px 0;
    text-align: right; }
  .stack th { justify-content: flex-start; }
  .stack td[data-label]::before { content: attr(data-label); color: var(--muted); font-weight: 400; }
}
@media print { details { display: block; } .card, figure.plot { break-inside: avoid; } }
"""
