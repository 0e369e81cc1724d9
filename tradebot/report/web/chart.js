"use strict";
// What the pages share: charts of lightweight-charts in the colours of the page, and marks drawn on candles.
const COLOURS = ["ground", "ink", "soft", "rule", "line", "other", "up", "down", "gap", "block", "break", "pool", "take", "stop", "target"];

function palette() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(COLOURS.map(name => [name, style.getPropertyValue("--" + name).trim()]));
}

const faded = (colour, share) => colour + Math.round(share * 255).toString(16).padStart(2, "0");

// A chart that wears the page's colours, in light and in dark; `dress` gives its series theirs.
function makeChart(element, options, dress) {
  const chart = LightweightCharts.createChart(element, {autoSize: true, ...options});
  function wear() {
    const colour = palette();
    chart.applyOptions({
      layout: {background: {color: colour.ground}, textColor: colour.soft, fontFamily: "system-ui, sans-serif",
        panes: {separatorColor: colour.rule}, attributionLogo: true},
      grid: {vertLines: {color: faded(colour.rule, .5)}, horzLines: {color: faded(colour.rule, .5)}},
      rightPriceScale: {borderColor: colour.rule}, timeScale: {borderColor: colour.rule},
    });
    dress(colour);
  }
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", wear);
  return {chart, wear};
}

// Up is hollow and down is full, so that they differ without colour.
const candleColours = colour => ({upColor: colour.ground, downColor: colour.down, borderUpColor: colour.up,
  borderDownColor: colour.down, wickUpColor: colour.up, wickDownColor: colour.down});

// Marks on candles, in the units of `place`, which gives the logical position of their x (0 is the first candle):
//   {zone: colour, from, to, top, bottom, touched, side}   an area, pale from `touched` on, its near edge lined
//   {level: colour, from, to, price, dash, text, side}     a line, named at `at` (else its end)
//   {dot: colour, at, price}, {cross: ...} and {tip: ..., side}   a point, a cross, and a triangle that points at it
class Marks {
  constructor(place) { this.place = place; this.marks = []; this.zones = 0; this.fewBars = 700; this.room = null; }
  attached({chart, series, requestUpdate}) { Object.assign(this, {chart, series, requestUpdate}); }
  // `room` is what the price scale must hold beside the candles: {minValue, maxValue}.
  set(marks, room = null) { this.marks = marks; this.room = room; this.requestUpdate?.(); }
  autoscaleInfo() { return this.room && {priceRange: this.room}; }
  // Zones lie behind the candles, all else before them.
  paneViews() {
    return [true, false].map(isZone => ({zOrder: () => isZone ? "bottom" : "top",
      renderer: () => ({draw: target => target.useMediaCoordinateSpace(scope => this.draw(scope, isZone))})}));
  }
  draw({context: pen, mediaSize}, isZone) {
    const scale = this.chart.timeScale(), first = scale.logicalToCoordinate(0);
    if (first === null) return;
    const colour = palette(), width = mediaSize.width, each = scale.logicalToCoordinate(1) - first, span = width / each;
    const x = at => first + this.place(at) * each;
    const y = price => this.series.priceToCoordinate(price);
    if (isZone) this.zones = 0;
    pen.font = "11px system-ui, sans-serif";
    for (const mark of this.marks) {
      if (Boolean(mark.zone) !== isZone) continue;
      const left = x(mark.from ?? mark.at), right = x(mark.to ?? mark.at);
      if (right < 0 || left > width) continue;
      this.zones += isZone;
      if (isZone) this.zone(pen, mark, x, y, colour);
      else if (mark.level) this.level(pen, mark, left, right, y(mark.price), colour, span);
      else this.point(pen, mark, left, y(mark.price), colour);
    }
    pen.globalAlpha = 1; pen.setLineDash([]);
  }
  zone(pen, mark, x, y, colour) {
    const top = y(mark.top), high = Math.max(1, y(mark.bottom) - top), end = mark.touched ?? mark.to;
    const paint = (from, to, alpha) => { pen.globalAlpha = alpha; pen.fillRect(x(from), top, Math.max(1, x(to) - x(from)), high); };
    pen.fillStyle = colour[mark.zone];
    paint(mark.from, end, .25);
    if (end < mark.to) paint(end, mark.to, .1);
    pen.globalAlpha = .8; pen.strokeStyle = colour[mark.side > 0 ? "up" : "down"]; pen.lineWidth = 1; pen.setLineDash([]);
    // A bullish zone is lined where price meets it first: at its top.
    this.stroke(pen, x(mark.from), x(end), mark.side > 0 ? top : top + high);
  }
  level(pen, mark, left, right, height, colour, span) {
    pen.globalAlpha = 1; pen.strokeStyle = pen.fillStyle = colour[mark.level]; pen.lineWidth = 1.4; pen.setLineDash(mark.dash ?? []);
    this.stroke(pen, left, right, height, mark.end === undefined ? height : this.series.priceToCoordinate(mark.end));
    if (mark.text && span < this.fewBars) {
      pen.textAlign = mark.align ?? "center";
      const at = {left: Math.max(left, 4), right, center: (left + right) / 2}[mark.align ?? "right"];
      this.write(pen, mark.text, at, height + (mark.side > 0 ? -5 : 13), colour);
    }
  }
  point(pen, mark, left, height, colour) {
    pen.globalAlpha = 1; pen.fillStyle = pen.strokeStyle = colour[mark.dot ?? mark.tip ?? mark.cross]; pen.setLineDash([]);
    pen.beginPath();
    if (mark.dot) pen.arc(left, height, mark.size ?? 3.5, 0, 7);
    else if (mark.cross) { pen.lineWidth = 2; for (const way of [1, -1]) { pen.moveTo(left - 4, height - 4 * way); pen.lineTo(left + 4, height + 4 * way); } }
    else { const tip = height - mark.side * (mark.gap ?? 4), size = mark.size ?? 3.5; pen.moveTo(left, tip); pen.lineTo(left - size, tip - mark.side * size * 1.7); pen.lineTo(left + size, tip - mark.side * size * 1.7); }
    if (mark.cross) pen.stroke(); else pen.fill();
    if (mark.text) { pen.textAlign = mark.align; pen.fillStyle = colour.ink; this.write(pen, mark.text, left + (mark.align === "left" ? 9 : -9), height + 4, colour); }
  }
  // With a rim in the colour of the ground, so that it can be read on candles.
  write(pen, text, at, height, colour) {
    pen.setLineDash([]); pen.lineWidth = 3; pen.lineJoin = "round"; pen.strokeStyle = colour.ground;
    pen.strokeText(text, at, height); pen.fillText(text, at, height);
  }
  stroke(pen, left, right, height, end) { pen.beginPath(); pen.moveTo(left, height); pen.lineTo(right, end ?? height); pen.stroke(); }
}

// Shows what was asked for, and again when the chart gets its size or another one, until somebody moves it.
function hold(element, chart, look) {
  let isTouched = false;
  for (const touch of ["wheel", "pointerdown", "keydown", "touchstart"]) element.addEventListener(touch, () => { isTouched = true; }, {capture: true, passive: true});
  chart.timeScale().subscribeSizeChange(() => { if (!isTouched) look(); });
  look();
}

// Arrow keys move and + and - zoom; the mouse and fingers are the library's.
function keys(element, chart) {
  element.addEventListener("keydown", event => {
    const scale = chart.timeScale(), range = scale.getVisibleLogicalRange();
    if (!range) return;
    const span = range.to - range.from, middle = (range.from + range.to) / 2;
    const to = {ArrowLeft: [range.from - span / 10, range.to - span / 10], ArrowRight: [range.from + span / 10, range.to + span / 10],
      "+": [middle - span * .4, middle + span * .4], "-": [middle - span * .625, middle + span * .625]}[event.key];
    if (to) { event.preventDefault(); scale.setVisibleLogicalRange({from: to[0], to: to[1]}); }
  });
}

const utc = ms => new Date(ms).toISOString().slice(0, 16).replace("T", " ");
