"use strict";
const data = JSON.parse(document.getElementById("content").textContent);
const [open, high, low, close] = data.bars;
const count = data.ts.length;
const canvas = document.getElementById("chart");
const pen = canvas.getContext("2d");
const read = document.getElementById("read");
const boxes = [...document.querySelectorAll("input")];
const AXIS = 70, FOOT = 22, FEWEST = 10;
// What is seen: bars from view.from up to view.to, fractions of bars included.
const view = {from: Math.max(0, count - 250), to: Math.max(count, FEWEST)};
let width = 0, height = 0, top_ = 1, bottom = 0, mouse = null;

// The colours of the page's style, read once a drawing.
const NAMES = ["ink", "rule", "up", "down", "gap", "block", "break", "pool", "take"];
let colours = {};
function mix() {
  const style = getComputedStyle(document.documentElement);
  colours = Object.fromEntries(NAMES.map(name => [name, style.getPropertyValue("--" + name).trim()]));
}
const colour = name => colours[name];
const shown = name => boxes.some(box => box.value === name && box.checked);
const x = bar => (bar - view.from) / (view.to - view.from) * (width - AXIS);
const y = price => 6 + (top_ - price) / (top_ - bottom) * (height - FOOT - 12);
const barAt = px => Math.floor(view.from + px / (width - AXIS) * (view.to - view.from));
const when = bar => new Date(data.ts[bar]).toISOString().slice(0, 16).replace("T", " ");
const written = price => String(Number(price.toPrecision(8)));

function clamp() {
  const span = Math.min(Math.max(view.to - view.from, FEWEST), Math.max(count, FEWEST) * 1.05);
  view.from = span >= count ? (count - span) / 2 : Math.min(Math.max(view.from, -span / 2), count - span / 2);
  view.to = view.from + span;
}

function scale() {
  top_ = -Infinity; bottom = Infinity;
  for (let i = Math.max(0, Math.floor(view.from)); i < Math.min(count, Math.ceil(view.to)); i++) {
    if (high[i] > top_) top_ = high[i];
    if (low[i] < bottom) bottom = low[i];
  }
  if (!(top_ > bottom)) { const level = Number.isFinite(bottom) ? bottom : 1; top_ = level * 1.01; bottom = level * 0.99; }
  const room = (top_ - bottom) * 0.05; top_ += room; bottom -= room;
}

function grid() {
  pen.strokeStyle = colour("rule"); pen.fillStyle = colour("ink"); pen.lineWidth = 1; pen.textAlign = "left";
  const rough = (top_ - bottom) / 8, unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(times => times * unit).find(size => size >= rough);
  for (let n = Math.ceil(bottom / step); n * step < top_; n++) {
    line(0, y(n * step), width - AXIS, y(n * step)); pen.fillText(written(n * step), width - AXIS + 6, y(n * step) + 4);
  }
  const every = Math.max(1, Math.ceil((view.to - view.from) / ((width - AXIS) / 130)));
  pen.textAlign = "center";
  for (let i = Math.ceil(Math.max(0, view.from) / every) * every; i < Math.min(count, view.to); i += every) {
    line(x(i + .5), 0, x(i + .5), height - FOOT); pen.fillText(when(i), x(i + .5), height - 7);
  }
}

function line(x0, y0, x1, y1) { pen.beginPath(); pen.moveTo(x0, y0); pen.lineTo(x1, y1); pen.stroke(); }

function zones() {
  let drawn = 0;
  for (const [family, side, from, known, touched, to, high_, low_] of data.zones) {
    if (to < view.from || from > view.to || !shown(family ? "blocks" : "gaps")) continue;
    const paint = (a, b, alpha) => {
      pen.globalAlpha = alpha;
      pen.fillRect(x(a), y(high_), Math.max(1, x(b) - x(a)), Math.max(1, y(low_) - y(high_)));
    };
    pen.fillStyle = colour(family ? "block" : "gap");
    if (touched < 0) paint(from, to + 1, .28); else { paint(from, touched + 1, .28); paint(touched + 1, to + 1, .1); }
    // A bullish zone is lined where price meets it first: at its top.
    pen.globalAlpha = .8; pen.strokeStyle = colour(side > 0 ? "up" : "down"); pen.lineWidth = 1;
    const edge = y(side > 0 ? high_ : low_); line(x(from), edge, x(Math.min(to, touched < 0 ? to : touched) + 1), edge);
    drawn++;
  }
  pen.globalAlpha = 1;
  return drawn;
}

function candles() {
  const wide = (width - AXIS) / (view.to - view.from), body = Math.max(1, Math.min(wide * .7, 18));
  const first = Math.max(0, Math.floor(view.from)), last = Math.min(count, Math.ceil(view.to));
  // Where several bars share a pixel they are drawn as one.
  const each = Math.max(1, Math.floor(1 / wide));
  for (let i = first; i < last; i += each) {
    let h = high[i], l = low[i]; const end = Math.min(last, i + each);
    for (let j = i + 1; j < end; j++) { h = Math.max(h, high[j]); l = Math.min(l, low[j]); }
    const o = open[i], c = close[end - 1], middle = x(i + each / 2);
    pen.strokeStyle = pen.fillStyle = colour(c >= o ? "up" : "down"); pen.lineWidth = 1;
    line(middle, y(h), middle, y(l));
    if (wide > 2) pen.fillRect(middle - body / 2, y(Math.max(o, c)), body, Math.max(1, y(Math.min(o, c)) - y(Math.max(o, c))));
  }
  return Math.max(0, last - first);
}

function label(text, bar, price, side) {
  if (view.to - view.from > 700) return;
  pen.textAlign = "center"; pen.fillText(text, x(bar + .5), y(price) + (side > 0 ? -5 : 13));
}

function level(name, from, to, price, dash) {
  pen.strokeStyle = pen.fillStyle = colour(name); pen.lineWidth = 1.2; pen.setLineDash(dash);
  line(x(from + .5), y(price), x(to + .5), y(price)); pen.setLineDash([]);
}

function patterns() {
  const isSeen = (from, to) => to >= view.from && from <= view.to;
  if (shown("pools")) for (const [side, from, to, price, members] of data.pools) if (isSeen(from, to)) {
    level("pool", from, to, price, [2, 3]); label("x" + members, to, price, side);
  }
  if (shown("breaks")) for (const [isChange, side, from, to, price] of data.breaks) if (isSeen(from, to)) {
    level("break", from, to, price, isChange ? [] : [6, 3]); label(isChange ? "CHoCH" : "BOS", (from + to) / 2, price, side);
  }
  if (shown("takes")) for (const [isRun, side, from, to, price, members] of data.takes) if (isSeen(from, to)) {
    level("take", from, to, price, [1, 3]);
    if (!isRun) { pen.beginPath(); pen.arc(x(to + .5), y(price), 3.5, 0, 7); pen.fill(); }
    label((isRun ? "run" : "sweep") + (members > 1 ? " x" + members : ""), to, price, isRun ? side : -side);
  }
  if (shown("swings") && view.to - view.from < 1500) for (const [side, bar, price] of data.swings) if (isSeen(bar, bar)) {
    pen.fillStyle = colour("ink"); const tip = y(price) - side * 4, middle = x(bar + .5);
    pen.beginPath(); pen.moveTo(middle, tip); pen.lineTo(middle - 3.5, tip - side * 6); pen.lineTo(middle + 3.5, tip - side * 6);
    pen.fill();
  }
}

function pointer() {
  const at = mouse ? barAt(mouse[0]) : count - 1, bar = Math.min(Math.max(at, 0), count - 1);
  if (bar < 0) { read.textContent = "no bars"; return; }
  read.textContent = `bar ${data.first + bar}  ${when(bar)} UTC  open ${open[bar]}  high ${high[bar]}  low ${low[bar]}  close ${close[bar]}`;
  if (!mouse || mouse[0] > width - AXIS || mouse[1] > height - FOOT) return;
  pen.strokeStyle = colour("ink"); pen.globalAlpha = .35; pen.lineWidth = 1;
  line(mouse[0], 0, mouse[0], height - FOOT); line(0, mouse[1], width - AXIS, mouse[1]);
  pen.globalAlpha = 1; pen.textAlign = "left"; pen.fillStyle = colour("ink");
  const price = top_ - (mouse[1] - 6) / (height - FOOT - 12) * (top_ - bottom);
  pen.fillText(written(price), width - AXIS + 6, mouse[1] - 3);
}

function draw() {
  const ratio = window.devicePixelRatio || 1;
  width = canvas.clientWidth; height = canvas.clientHeight;
  canvas.width = width * ratio; canvas.height = height * ratio;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0); pen.font = "11px system-ui, sans-serif";
  mix(); clamp(); scale(); grid();
  pen.save(); pen.beginPath(); pen.rect(0, 0, width - AXIS, height - FOOT); pen.clip();
  const drawnZones = zones(), drawnBars = candles();
  patterns(); pen.restore(); pointer();
  // For those who test the page: what is on the screen.
  Object.assign(document.body.dataset, {bars: drawnBars, zones: drawnZones, from: Math.round(view.from), to: Math.round(view.to)});
}

let isAsked = false;
function ask() { if (!isAsked) { isAsked = true; requestAnimationFrame(() => { isAsked = false; draw(); }); } }

function zoom(times, px) {
  const fixed = view.from + px / (width - AXIS) * (view.to - view.from);
  const span = Math.min(Math.max((view.to - view.from) * times, FEWEST), Math.max(count, FEWEST) * 1.05);
  const share = (fixed - view.from) / (view.to - view.from);
  view.from = fixed - share * span; view.to = view.from + span; ask();
}
function move(bars) { view.from += bars; view.to += bars; ask(); }

canvas.addEventListener("wheel", event => { event.preventDefault(); zoom(1.0015 ** event.deltaY, event.offsetX); }, {passive: false});
canvas.addEventListener("pointerdown", event => canvas.setPointerCapture(event.pointerId));
canvas.addEventListener("pointermove", event => {
  if (event.buttons & 1) move(-event.movementX / (width - AXIS) * (view.to - view.from));
  mouse = [event.offsetX, event.offsetY]; ask();
});
canvas.addEventListener("pointerleave", () => { mouse = null; ask(); });
canvas.addEventListener("dblclick", () => { view.from = 0; view.to = count; ask(); });
window.addEventListener("keydown", event => {
  const span = view.to - view.from;
  const act = {ArrowLeft: () => move(-span / 10), ArrowRight: () => move(span / 10),
    "+": () => zoom(.8, (width - AXIS) / 2), "-": () => zoom(1.25, (width - AXIS) / 2)}[event.key];
  if (act) { event.preventDefault(); act(); }
});
window.addEventListener("resize", ask);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", ask);
for (const box of boxes) box.addEventListener("change", ask);
// A link can name a view: #from=100&to=300, in bars of this page.
const asked = new URLSearchParams(location.hash.slice(1));
if (asked.has("from")) { view.from = Number(asked.get("from")) || 0; view.to = Number(asked.get("to")) || view.from + 250; }
draw();
