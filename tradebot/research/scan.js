"use strict";
const data = JSON.parse(document.getElementById("data-scan").textContent);
const [open, high, low, close] = data.bars, count = data.ts.length;
const element = document.getElementById("chart"), read = document.getElementById("read");
const boxes = [...document.querySelectorAll("input")];
const SWINGS_BELOW = 1500;
let series = null;

const {chart, wear} = makeChart(element, {crosshair: {mode: 0}, timeScale: {timeVisible: true, minBarSpacing: .001}},
  colour => series.applyOptions(candleColours(colour)));
series = chart.addSeries(LightweightCharts.CandlestickSeries, {priceLineVisible: false, lastValueVisible: false});
const marks = new Marks(bar => bar);
series.attachPrimitive(marks);
series.setData(data.ts.map((ts, bar) => ({time: Math.floor(ts / 1000), open: open[bar], high: high[bar], low: low[bar], close: close[bar]})));
const digits = Math.min(10, Math.max(0, ...close.slice(-200).map(price => (String(price).split(".")[1] ?? "").length)));
series.applyOptions({priceFormat: {type: "price", precision: digits, minMove: 10 ** -digits}});
wear();

function patterns(span) {
  const shown = name => boxes.some(box => box.value === name && box.checked), found = [];
  for (const [family, side, from, , touched, to, top, bottom] of data.zones)
    if (shown(family ? "blocks" : "gaps"))
      found.push({zone: family ? "block" : "gap", side, from: from - .5, to: to + .5, touched: touched < 0 ? undefined : touched + .5, top, bottom});
  if (shown("pools")) for (const [side, from, to, price, members] of data.pools)
    found.push({level: "pool", from, to, price, side, dash: [2, 3], text: "x" + members, align: "right"});
  if (shown("breaks")) for (const [isChange, side, from, to, price] of data.breaks)
    found.push({level: "break", from, to, price, side, dash: isChange ? [] : [6, 3], text: isChange ? "CHoCH" : "BOS", align: "center"});
  if (shown("takes")) for (const [isRun, side, from, to, price, members] of data.takes) {
    found.push({level: "take", from, to, price, side: isRun ? side : -side, dash: [1, 3], text: (isRun ? "run" : "sweep") + (members > 1 ? " x" + members : ""), align: "right"});
    if (!isRun) found.push({dot: "take", at: to, price});
  }
  if (shown("swings") && span < SWINGS_BELOW) for (const [side, bar, price] of data.swings) found.push({tip: "ink", at: bar, price, side});
  return found;
}

function range() {
  const found = chart.timeScale().getVisibleLogicalRange() ?? {from: 0, to: -1};
  return [Math.round(found.from), Math.round(found.to) + 1];
}

function seen() {
  const [from, to] = range();
  marks.set(patterns(to - from));
  requestAnimationFrame(() => requestAnimationFrame(note));
}

// For those who test the page: what is on the screen, once it is drawn.
function note() {
  const [from, to] = range();
  Object.assign(document.body.dataset, {bars: Math.max(0, Math.min(count, to) - Math.max(0, from)), zones: marks.zones, from, to});
}

function say(param) {
  const bar = param?.logical === undefined ? count - 1 : Math.min(Math.max(Math.round(param.logical), 0), count - 1);
  read.textContent = bar < 0 ? "no bars"
    : `bar ${data.first + bar}  ${utc(data.ts[bar])} UTC  open ${open[bar]}  high ${high[bar]}  low ${low[bar]}  close ${close[bar]}`;
}

const look = (from, to) => chart.timeScale().setVisibleLogicalRange({from, to: to - 1});
keys(element, chart);
chart.subscribeCrosshairMove(say);
chart.timeScale().subscribeVisibleLogicalRangeChange(seen);
element.addEventListener("dblclick", () => look(0, count));
for (const box of boxes) box.addEventListener("change", seen);
// A link can name a view: #from=100&to=300, in bars of this page.
const asked = new URLSearchParams(location.hash.slice(1)), from = Number(asked.get("from")) || 0;
hold(element, chart, () => {
  if (asked.has("from")) look(from, Number(asked.get("to")) || from + 250);
  else look(Math.max(0, count - 250), Math.max(count, 10));
});
say(); seen();
