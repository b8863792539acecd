"""The look of the report: one style sheet, in light and in dark."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1d2530; --soft: #5d6979; --rule: #dfe3e9;
  --accent: #2563a8; --heat: #2563a8; --bar: #7fa9d6; --good: #1d7a46; --bad: #b3372b; --track: #edf0f4;
  --s0: #2563a8; --s1: #d9822b; --s2: #2f8f5b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14181e; --card: #1c222b; --ink: #e4e9f0; --soft: #98a4b5; --rule: #313a47;
    --accent: #5b9be0; --heat: #3d79bb; --bar: #3f72a8; --good: #5cc48a; --bad: #f08478; --track: #272f3a;
    --s0: #6aa8ec; --s1: #f0a254; --s2: #62c792;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "PingFang SC", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 28px; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 0 0 4px; }
h3 { font-size: 15px; margin: 18px 0 6px; }
p { margin: 0 0 12px; }
.soft, .note { color: var(--soft); }
.note { font-size: 13.5px; max-width: 78ch; }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: 20px 22px; margin-top: 20px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; vertical-align: top; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--rule);
  overflow-wrap: break-word; }
th { font-weight: 600; color: var(--soft); font-size: 13px; overflow-wrap: normal; }
tr:last-child td { border-bottom: 0; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.best { font-weight: 700; }
.id { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 12.5px; }
.modules td { white-space: nowrap; }
td.id, td.long, .bars td:first-child { overflow-wrap: anywhere; }
td.id { max-width: 320px; }
.pairs td.id { max-width: none; }
.pairs th:first-child, .pairs td:first-child { width: 260px; }
tr.group td { padding-top: 16px; font-weight: 600; }
.up { color: var(--good); } .down { color: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 14px;
  margin-top: 20px; }
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 14px 18px; }
.tile b { display: block; font-size: 30px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tile > span { display: block; font-size: 13.5px; }
.bars td { vertical-align: middle; padding-top: 4px; padding-bottom: 4px; }
.bars td:first-child { width: 30%; }
.bars td.bar { width: 46%; padding-right: 18px; }
.track { position: relative; height: 16px; background: var(--track); border-radius: 3px; }
.track i { position: absolute; display: block; }
.fill { left: 0; top: 0; bottom: 0; background: var(--bar); border-radius: 3px; }
.chance { width: 2px; top: -3px; bottom: -3px; margin-left: -1px; background: var(--bad); }
.other { width: 9px; height: 9px; top: 3.5px; margin-left: -4.5px; border: 2px solid var(--ink);
  border-radius: 50%;
  background: var(--card); }
.legend { display: flex; flex-wrap: wrap; gap: 6px 20px; font-size: 13.5px; color: var(--soft);
  margin: 6px 0 10px; }
.legend span { display: inline-flex; align-items: center; gap: 7px; }
.swatch { display: inline-block; width: 18px; height: 10px; border-radius: 2px; background: var(--bar); }
.swatch.chance { position: static; width: 2px; height: 16px; margin: 0; background: var(--bad); }
.swatch.other { position: static; width: 9px; height: 9px; margin: 0; border-radius: 50%;
  background: var(--card); }
.swatch.s0 { height: 3px; background: var(--s0); } .swatch.s1 { height: 3px; background: var(--s1); }
.swatch.s2 { height: 3px; background: var(--s2); }
.swatch.mark { width: 0; height: 14px; background: none; border-left: 2px dashed var(--soft);
  border-radius: 0; }
svg { display: block; max-width: 100%; height: auto; font-size: 12px; fill: var(--ink); }
.wide > svg { max-width: none; }
svg .grid { stroke: var(--rule); }
svg .mark { stroke: var(--soft); stroke-dasharray: 5 4; stroke-width: 1.5; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .line.series-0 { stroke: var(--s0); } svg .line.series-1 { stroke: var(--s1); }
svg .line.series-2 { stroke: var(--s2); }
svg .dot.series-0 { fill: var(--s0); } svg .dot.series-1 { fill: var(--s1); }
svg .dot.series-2 { fill: var(--s2); }
svg .column { fill: var(--bar); }
svg .cell { fill: var(--heat); stroke: var(--rule); stroke-width: 0.5; }
svg .frame { fill: none; stroke: var(--soft); }
svg .on-shade { fill: #ffffff; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 18px; }
.errors { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 16px; }
figure { margin: 0; border: 1px solid var(--rule); border-radius: 8px; overflow: hidden; }
figure img, .blank { display: block; width: 100%; height: 150px; object-fit: contain; background: #0e1116; }
.blank { display: flex; align-items: center; justify-content: center; color: #98a4b5; font-size: 13px; }
figcaption { padding: 10px 12px 12px; font-size: 13.5px; overflow-wrap: anywhere; }
figcaption > div { unicode-bidi: isolate; }
figcaption .heading { font-weight: 600; }
details summary { cursor: pointer; color: var(--accent); padding: 8px 0; }
@media print { section, .tile, figure { break-inside: avoid; } body { background: #ffffff; } }
"""
