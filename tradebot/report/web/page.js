"use strict";
const $ = id => document.getElementById(id);
const read = name => JSON.parse($("data-" + name).textContent);
// Bars and trades may be many megabytes: they are read when the first screen stands.
const page = {curve: read("curve"), series: []};
let trades = [];
const seconds = ms => Math.floor(ms / 1000);
const money = new Intl.NumberFormat("en", {minimumFractionDigits: 2, maximumFractionDigits: 2});
const percent = value => (value < 0 ? "-" : "") + Math.abs(value).toFixed(Math.abs(value) < 1 ? 2 : 1) + " %";

// Equity above, under water below ---------------------------------------------------------------------------------------

function equityChart(element) {
  const {equity, underwater, held} = page.curve;
  let series = [];
  const {chart, wear} = makeChart(element, {
    rightPriceScale: {minimumWidth: 74}, timeScale: {timeVisible: true, secondsVisible: false, minBarSpacing: .001},
    handleScroll: {vertTouchDrag: false}, crosshair: {mode: 0},
  }, colour => {
    const [own, other, under] = series;
    own.applyOptions({color: colour.line});
    other?.applyOptions({color: colour.other});
    under.applyOptions({lineColor: colour.down, topColor: faded(colour.down, .1), bottomColor: faded(colour.down, .35)});
  });
  const quiet = {priceLineVisible: false, priceFormat: {type: "custom", minMove: .01, formatter: money.format}};
  const own = chart.addSeries(LightweightCharts.LineSeries, {...quiet, lineWidth: 2, title: "equity"});
  const other = held.length ? chart.addSeries(LightweightCharts.LineSeries, {...quiet, lineWidth: 2, lineStyle: 2, title: "holding"}) : null;
  const under = chart.addSeries(LightweightCharts.AreaSeries, {...quiet, lineWidth: 1, invertFilledArea: true, title: "under water",
    priceFormat: {type: "custom", minMove: .01, formatter: percent}}, 1);
  series = [own, other, under];
  own.setData(equity.map(([time, value]) => ({time, value})));
  other?.setData(held.map(([time, value]) => ({time, value})));
  under.setData(underwater.map(([time, value]) => ({time, value})));
  chart.panes()[0].setStretchFactor(3); chart.panes()[1].setStretchFactor(1);
  wear();
  hold(element, chart, () => chart.timeScale().fitContent());
  const say = param => {
    const at = one => one && param?.seriesData?.get(one)?.value, last = list => list[list.length - 1]?.[1];
    const shown = param?.time ? [utc(param.time * 1000), at(own), at(other), at(under)]
      : [utc((equity[equity.length - 1]?.[0] ?? 0) * 1000), last(equity), last(held), last(underwater)];
    const parts = [["equity", shown[1], money.format], ["holding", shown[2], money.format], ["under water", shown[3], percent]];
    $("equity-read").textContent = shown[0] + " UTC" + parts.filter(([, value]) => value !== undefined && value !== null)
      .map(([name, value, form]) => "   " + name + " " + form(value)).join("");
  };
  chart.subscribeCrosshairMove(say); say();
  $("holding").parentElement.hidden = !other;
  $("holding").addEventListener("change", event => other?.applyOptions({visible: event.target.checked}));
  keys(element, chart);
}

// Bars, from segments that are unpacked when they are looked at -------------------------------------------------------------

const USUAL = [1, 5, 15, 30, 60, 120, 240, 360, 720, 1440, 4 * 1440, 7 * 1440].map(minutes => minutes * 60000);
const MOST_RAW = 300000, FEW = 400, MANY = 3000;

async function unpack(series, segment) {
  const packed = Uint8Array.from(atob(segment.data), letter => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer()), count = segment.bars;
  const column = number => {
    const at = number * count * 4, found = new Int32Array(count);
    for (let i = 0; i < count; i++) found[i] = bytes[at + i] | bytes[at + count + i] << 8 | bytes[at + 2 * count + i] << 16 | bytes[at + 3 * count + i] << 24;
    return found;
  };
  const [steps, opens, bodies, highs, lows] = [0, 1, 2, 3, 4].map(column), scale = 10 ** series.digits;
  const bars = {ts: new Float64Array(count), o: new Float64Array(count), h: new Float64Array(count), l: new Float64Array(count), c: new Float64Array(count)};
  let ts = segment.from, close = 0;
  for (let i = 0; i < count; i++) {
    const open = close + opens[i];
    ts += steps[i] * series.timeframe_ms; close = open + bodies[i];
    bars.ts[i] = ts; bars.o[i] = open / scale; bars.c[i] = close / scale;
    bars.h[i] = (Math.max(open, close) + highs[i]) / scale; bars.l[i] = (Math.min(open, close) - lows[i]) / scale;
  }
  return bars;
}

async function candles(series, from, to, step) {
  if (step >= series.step_ms && step !== series.timeframe_ms)
    return series.overview.map(([ts, open, high, low, close]) => ({time: seconds(ts), open, high, low, close}));
  const wanted = series.segments.filter(segment => segment.to >= from && segment.from <= to);
  const found = [];
  for (const segment of wanted) {
    segment.bars_ ??= await unpack(series, segment);
    const {ts, o, h, l, c} = segment.bars_;
    for (let i = 0; i < ts.length; i++) {
      if (ts[i] < from || ts[i] > to) continue;
      const time = seconds(Math.floor(ts[i] / step) * step), last = found[found.length - 1];
      if (last && last.time === time) { last.high = Math.max(last.high, h[i]); last.low = Math.min(last.low, l[i]); last.close = c[i]; }
      else found.push({time, open: o[i], high: h[i], low: l[i], close: c[i]});
    }
  }
  return found;
}

function stepFor(series, span) {
  const steps = [series.timeframe_ms, ...USUAL.filter(step => step > series.timeframe_ms && step % series.timeframe_ms === 0)];
  const step = steps.find(one => span / one <= 1200) ?? steps[steps.length - 1];
  return Math.min(span * 3 / series.timeframe_ms > MOST_RAW ? Math.max(step, series.step_ms) : step, series.step_ms);
}

const named = ms => ms % 86400000 === 0 ? ms / 86400000 + "d" : ms % 3600000 === 0 ? ms / 3600000 + "h" : ms % 60000 === 0 ? ms / 60000 + "m" : ms / 1000 + "s";

// The candles around a trade ---------------------------------------------------------------------------------------------

class TradeChart {
  constructor(element) {
    this.loaded = []; this.times = []; this.asked = 0; this.selected = null;
    const {chart, wear} = makeChart(element, {
      rightPriceScale: {minimumWidth: 74}, handleScroll: {vertTouchDrag: false}, crosshair: {mode: 0},
      timeScale: {timeVisible: true, secondsVisible: false, minBarSpacing: .05, rightOffset: 0},
    }, colour => this.series.applyOptions(candleColours(colour)));
    this.chart = chart;
    this.series = chart.addSeries(LightweightCharts.CandlestickSeries, {priceLineVisible: false, lastValueVisible: false});
    this.marks = new Marks(ms => this.place(ms));
    this.series.attachPrimitive(this.marks);
    wear();
    keys(element, chart);
    chart.timeScale().subscribeVisibleLogicalRangeChange(() => { clearTimeout(this.timer); this.timer = setTimeout(() => this.follow(), 120); });
    chart.subscribeCrosshairMove(param => this.say(param));
  }
  // The logical position of a moment: between two candles where it lies between their openings.
  place(ms) {
    const at = ms / 1000, times = this.times, count = times.length, each = this.step / 1000;
    if (!count) return 0;
    if (at <= times[0]) return (at - times[0]) / each;
    if (at >= times[count - 1]) return count - 1 + (at - times[count - 1]) / each;
    let low = 0, high = count - 1;
    while (high - low > 1) { const middle = low + high >> 1; if (times[middle] <= at) low = middle; else high = middle; }
    return low + Math.min(1, (at - times[low]) / (times[high] - times[low]));
  }
  moment(logical) {
    const times = this.times, count = times.length, each = this.step / 1000, low = Math.min(Math.max(Math.floor(logical), 0), count - 1);
    const next = low + 1 < count ? times[low + 1] - times[low] : each;
    return (times[low] + (logical - low) * (logical < 0 || logical > count - 1 ? each : next)) * 1000;
  }
  async show(symbol, from, to, force = true) {
    const series = page.series.find(one => one.symbol === symbol), ticket = ++this.asked;
    const span = Math.max(to - from, 1), step = stepFor(series, span), room = span;
    const reach = step >= series.step_ms && step !== series.timeframe_ms ? [-Infinity, Infinity] : [from - room, to + room];
    const found = await candles(series, reach[0], reach[1], step);
    if (ticket !== this.asked || !found.length) return;
    Object.assign(this, {meta: series, step, reach, times: found.map(candle => candle.time)});
    this.series.applyOptions({priceFormat: {type: "price", precision: series.digits, minMove: 10 ** -series.digits}});
    this.series.setData(found);
    this.chart.timeScale().setVisibleLogicalRange({from: this.place(from), to: this.place(to)});
    this.mark(from, to);
    this.say();
    Object.assign(document.body.dataset, {candles: found.length, step});
  }
  follow() {
    const range = this.chart.timeScale().getVisibleLogicalRange();
    if (!range || !this.meta || !this.times.length) return;
    const from = this.moment(range.from), to = this.moment(range.to), wanted = stepFor(this.meta, to - from);
    const seen = (to - from) / this.step, first = this.meta.segments[0].from, last = this.meta.segments[this.meta.segments.length - 1].to;
    const isFit = wanted === this.step || (seen > 250 && seen < 2500);
    const isHeld = (from >= this.reach[0] || this.reach[0] <= first) && (to <= this.reach[1] || this.reach[1] >= last);
    if (isFit && isHeld) { this.mark(from, to); this.say(); }
    else this.show(this.meta.symbol, from, to);
  }
  mark(from, to) {
    const here = trades.filter(trade => trade.symbol === this.meta.symbol && trade.entry_ts <= to && trade.exit_ts >= from);
    this.inView = here.length;
    // A crowd would hide the candles: of hundreds the entries alone are drawn, of thousands none.
    const marks = here.length <= FEW ? here.flatMap(trade => this.marksOf(trade))
      : here.length <= MANY ? here.map(trade => ({dot: "line", size: 1.5, at: this.centre(trade.entry_ts), price: Number(trade.entry_price)})) : [];
    if (this.selected?.symbol === this.meta.symbol) marks.push(...this.plan(this.selected));
    const plan = this.selected?.symbol === this.meta.symbol && this.selected.entry_ts <= to && this.selected.exit_ts >= from
      ? [this.selected.stop, ...this.selected.targets].filter(Boolean).map(Number) : [];
    this.marks.set(marks, plan.length ? {minValue: Math.min(...plan), maxValue: Math.max(...plan)} : null);
  }
  centre(ms) { return Math.floor(ms / this.step) * this.step; }
  marksOf(trade) {
    const way = trade.side === "long" ? 1 : -1, tone = way > 0 ? "up" : "down", isIt = trade === this.selected;
    const entry = this.centre(trade.entry_ts), exit = this.centre(trade.exit_ts);
    return [
      {level: trade.net >= 0 ? "up" : "down", from: entry, to: exit, price: Number(trade.entry_price), end: Number(trade.exit_price), dash: trade.net >= 0 ? [] : [4, 3]},
      {tip: tone, at: entry, price: Number(trade.entry_price), side: -way, size: isIt ? 7 : 4.5, gap: 3, text: isIt ? trade.side : "", align: "right"},
      {cross: "ink", at: exit, price: Number(trade.exit_price), side: way, text: isIt ? trade.exit_reason : "", align: "left"},
    ];
  }
  // What the trade was entered on: its stop and targets as first placed, and the prices of its pattern.
  plan(trade) {
    const entry = this.centre(trade.entry_ts), exit = Math.max(this.centre(trade.exit_ts), entry + this.step * 6), before = entry - this.step * 24;
    const way = trade.side === "long" ? 1 : -1, {top, bottom, ...rest} = trade.levels;
    const marks = Object.entries(rest).map(([name, price]) => ({level: "break", from: before, to: exit, price: Number(price), dash: [2, 3], text: trade.pattern + " " + name, side: 1, align: "left"}));
    if (top && bottom) marks.unshift({zone: "gap", from: before, to: exit, top: Number(top), bottom: Number(bottom), side: way});
    if (trade.stop) marks.push({level: "stop", from: entry, to: exit, price: Number(trade.stop), dash: [7, 4], text: "stop", side: -way, align: "right"});
    for (const price of trade.targets) marks.push({level: "target", from: entry, to: exit, price: Number(price), dash: [7, 4], text: "target", side: way, align: "right"});
    return marks;
  }
  say(param) {
    if (!this.meta) return;
    const bar = param?.seriesData?.get(this.series), step = named(this.step);
    const what = this.step === this.meta.timeframe_ms ? `every bar, ${step}` : `candles of ${step}, made of bars of ${this.meta.timeframe}; zoom in to see each`;
    const crowd = this.inView > FEW ? `; of ${this.inView.toLocaleString("en")} trades in view ${this.inView > MANY ? "none is drawn" : "only the entries are drawn"}` : "";
    $("candle-read").textContent = bar ? `${utc(param.time * 1000)} UTC   open ${bar.open}   high ${bar.high}   low ${bar.low}   close ${bar.close}`
      : `${this.meta.symbol}: ${what}${crowd}`;
  }
  whole(symbol) {
    const {segments} = page.series.find(one => one.symbol === symbol);
    return this.show(symbol, segments[0].from, segments[segments.length - 1].to);
  }
  focus(trade) {
    this.selected = trade;
    const meta = page.series.find(one => one.symbol === trade.symbol && one.bars);
    if (!meta) { $("candle-read").textContent = "no bars of " + trade.symbol + " are kept"; return; }
    const long = Math.max(trade.exit_ts - trade.entry_ts, meta.timeframe_ms * 30);
    return this.show(trade.symbol, trade.entry_ts - long * 1.2, trade.exit_ts + long * .8);
  }
}

// The list of trades -----------------------------------------------------------------------------------------------------

// By place, not by a loop over the keys: there may be tens of thousands of them.
const tradesOf = rows => rows.map(([symbol, strategy, side, qty, entry_ts, entry_price, exit_ts, exit_price, exit_reason, gross_pnl, fees, funding,
  net_pnl, mae, mfe, stop, targets, pattern, levels, regime], at) => ({number: at + 1, net: Number(net_pnl), symbol, strategy, side, qty, entry_ts,
  entry_price, exit_ts, exit_price, exit_reason, gross_pnl, fees, funding, net_pnl, mae, mfe, stop, targets, pattern, levels, regime}));
const PAGE = 25;
// What a phone shows without scrolling comes first.
const COLUMNS = [["number", "#"], ["exit_ts", "Closed (UTC)"], ["symbol", "Symbol"], ["side", "Side"], ["net_pnl", "Net P&L"], ["exit_reason", "By"],
  ["strategy", "Strategy"], ["qty", "Quantity"], ["entry_ts", "Opened (UTC)"], ["entry_price", "Entry"], ["exit_price", "Exit"], ["mae", "MAE"], ["mfe", "MFE"]];
const TEXTS = new Set(["symbol", "strategy", "side", "exit_reason"]);
const view = {sort: "number", way: 1, first: 0, shown: []};
let tradeChart = null;

function make(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(name, value);
  return element;
}
// A mean price may have many digits; those of the list are enough to tell, the text above has them all.
const short = text => String(Number(Number(text).toPrecision(8)));
const cellText = (trade, key) => key.endsWith("_ts") ? utc(trade[key]) 
  : ["net_pnl", "mae", "mfe"].includes(key) ? money.format(Number(trade[key]))
  : ["qty", "entry_price", "exit_price"].includes(key) ? short(trade[key]) : String(trade[key]);

function filters() {
  for (const select of document.querySelectorAll("#filters select[data-key]")) {
    for (const value of [...new Set(trades.map(trade => trade[select.dataset.key]))].sort()) select.append(make("option", value, {value}));
  }
  $("filters").addEventListener("change", list);
}

function list() {
  const chosen = [...document.querySelectorAll("#filters select")].filter(select => select.value);
  const fits = (trade, select) => select.dataset.key ? trade[select.dataset.key] === select.value : select.value === "won" ? trade.net > 0 : trade.net < 0;
  const value = trade => TEXTS.has(view.sort) ? trade[view.sort] : Number(trade[view.sort]);
  view.shown = trades.filter(trade => chosen.every(select => fits(trade, select)));
  if (view.sort !== "number") {
    const sorted = view.shown.map(trade => [value(trade), trade]).sort(([a, first], [b, second]) => a < b ? -1 : a > b ? 1 : first.number - second.number);
    view.shown = sorted.map(([, trade]) => trade);
  }
  if (view.way < 0) view.shown.reverse();
  view.first = 0;
  rows();
}

function rows() {
  const body = $("rows"), end = Math.min(view.first + PAGE, view.shown.length);
  body.replaceChildren(...view.shown.slice(view.first, end).map(trade => {
    const row = make("tr", "", {"data-number": trade.number, "aria-selected": trade === tradeChart?.selected ? "true" : "false"});
    for (const [key] of COLUMNS) {
      const tone = key === "net_pnl" && trade.net ? (trade.net > 0 ? "good" : "bad") : TEXTS.has(key) ? "name" : null;
      const cell = make("td", key === "number" ? "" : cellText(trade, key), {class: tone});
      if (key === "number") cell.append(make("button", trade.number, {type: "button", "aria-label": "show trade " + trade.number}));
      row.append(cell);
    }
    return row;
  }));
  const net = view.shown.reduce((sum, trade) => sum + trade.net, 0);
  $("count").textContent = view.shown.length ? `${view.first + 1} to ${end} of ${view.shown.length.toLocaleString("en")} trades, net ${money.format(net)}` : "no trade fits";
  $("before").disabled = view.first === 0; $("after").disabled = end >= view.shown.length;
  document.body.dataset.rows = end - view.first;
}

function head() {
  const row = $("head");
  row.replaceChildren(...COLUMNS.map(([key, name]) => {
    const cell = make("th", "", {scope: "col", class: TEXTS.has(key) ? "name" : null, "aria-sort": view.sort === key ? (view.way > 0 ? "ascending" : "descending") : null});
    const button = make("button", name + (view.sort === key ? (view.way > 0 ? " ▲" : " ▼") : ""), {type: "button"});
    button.addEventListener("click", () => { view.way = view.sort === key ? -view.way : 1; view.sort = key; head(); list(); });
    cell.append(button);
    return cell;
  }));
}

function choose(trade) {
  if (!trade) return;
  const at = view.shown.indexOf(trade);
  if (at >= 0) view.first = Math.floor(at / PAGE) * PAGE;
  tradeChart.focus(trade);
  rows();
  const more = [trade.pattern && `pattern ${trade.pattern}`, trade.stop && `stop ${trade.stop}`, trade.targets.length && `target ${trade.targets.join(", ")}`,
    trade.regime.length && `market ${trade.regime.join(" and ").replaceAll("_", " ")}`].filter(Boolean);
  $("trade").textContent = `Trade ${trade.number} of ${trades.length}: ${trade.strategy} ${trade.side} ${trade.qty} ${trade.symbol} from ${utc(trade.entry_ts)} at ${trade.entry_price} to ${utc(trade.exit_ts)} at ${trade.exit_price}, by ${trade.exit_reason}. `
    + `Net ${money.format(trade.net)}: gross ${money.format(Number(trade.gross_pnl))}, fees ${money.format(Number(trade.fees))}, funding ${money.format(Number(trade.funding))}. At worst -${money.format(Number(trade.mae))}, at best ${money.format(Number(trade.mfe))}.`
    + (more.length ? ` Entered on: ${more.join(", ")}.` : "");
  document.body.dataset.trade = trade.number;
  // A page within a notebook has no address.
  if (origin !== "null") history.replaceState(null, "", "#trade=" + trade.number);
}

function neighbour(way) {
  const at = view.shown.indexOf(tradeChart.selected);
  choose(view.shown[Math.min(Math.max(at + way, 0), view.shown.length - 1)]);
}

function tradeList() {
  filters(); head();
  $("rows").addEventListener("click", event => choose(trades[Number(event.target.closest("tr")?.dataset.number) - 1]));
  $("before").addEventListener("click", () => { view.first -= PAGE; rows(); });
  $("after").addEventListener("click", () => { view.first += PAGE; rows(); });
  $("previous").addEventListener("click", () => neighbour(-1));
  $("next").addEventListener("click", () => neighbour(1));
  const symbols = page.series.filter(one => one.bars).map(one => one.symbol);
  for (const symbol of symbols) {
    const button = make("button", "All of " + symbol, {type: "button"});
    button.addEventListener("click", () => tradeChart.whole(symbol));
    $("wholes").append(button);
  }
  list();
  const asked = trades[Number(new URLSearchParams(location.hash.slice(1)).get("trade")) - 1];
  if (asked) choose(asked); else if (trades.length) choose(trades[trades.length - 1]); else if (symbols.length) tradeChart.whole(symbols[0]);
}

if ($("equity") && page.curve.equity.length > 1) equityChart($("equity"));
// Two frames later the first screen has been painted.
if ($("candles")) requestAnimationFrame(() => requestAnimationFrame(() => {
  page.series = read("series");
  trades = tradesOf(read("trades"));
  tradeChart = new TradeChart($("candles"));
  tradeList();
  document.body.dataset.ready = Math.round(performance.now());
}));
