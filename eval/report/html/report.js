"use strict";

// The page works without this script but for its drawings: tables, answers and verdicts are plain HTML.
const SVG = "http://www.w3.org/2000/svg";
const data = JSON.parse(document.getElementById("data").textContent);
const tip = document.getElementById("tip");

// Text from records only ever becomes an attribute or a text node, never markup.
function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function drawn(parent, name, attributes = {}, text = null) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== null) node.textContent = text;
  parent.append(node);
  return node;
}

const fixed = (value, digits = 3) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const percent = (share) => (share > 0 && share < 0.005 ? "<1" : Math.round(100 * share)) + " %";
const range = (ends) => (ends && ends[0] !== null ? ` [${fixed(ends[0])}, ${fixed(ends[1])}]` : "");

function showTip(text, box) {
  tip.textContent = text;
  tip.hidden = false;
  const width = document.documentElement.clientWidth;
  const left = Math.min(Math.max(box.left + box.width / 2 - tip.offsetWidth / 2, 8), width - tip.offsetWidth - 8);
  const above = box.top - tip.offsetHeight - 8;
  tip.style.left = `${left + scrollX}px`;
  tip.style.top = `${(above > 0 ? above : box.bottom + 8) + scrollY}px`;
}

function hideTip() {
  tip.hidden = true;
}

addEventListener("keydown", (event) => {
  if (event.key === "Escape") hideTip();
});

// Reliability diagrams

const PLOT = { left: 32, right: 274, top: 8, bottom: 198, shareTop: 212, shareBottom: 256 };
const x = (value) => PLOT.left + value * (PLOT.right - PLOT.left);
const y = (value) => PLOT.bottom - value * (PLOT.bottom - PLOT.top);

function binText([k, n, confidence, correct, low, high], total) {
  const gap = confidence - correct;
  const direction = gap > 0 ? `over-confident by ${fixed(gap)}` : gap < 0 ? `under-confident by ${fixed(-gap)}` : "no gap";
  return [
    `bin ${fixed(k / data.reliability.bins, 1)} to ${fixed((k + 1) / data.reliability.bins, 1)}`,
    `n = ${n.toLocaleString("en")} (${percent(n / total)})`,
    `mean confidence ${fixed(confidence)}`,
    `accuracy ${fixed(correct)} [${fixed(low)}, ${fixed(high)}]`,
    direction,
  ].join("\n");
}

function drawBin(svg, bin, total, highest) {
  const [k, n, confidence, correct, low, high] = bin;
  const text = binText(bin, total);
  const width = (PLOT.right - PLOT.left) / data.reliability.bins;
  const left = PLOT.left + k * width;
  const group = drawn(svg, "g", { class: "bin", tabindex: -1, role: "img", "aria-label": text.replaceAll("\n", ", ") });
  const agreed = Math.min(confidence, correct);
  const above = Math.max(confidence, correct);
  const inset = { x: left + 0.75, width: width - 1.5 };
  drawn(group, "rect", { class: "bar", ...inset, y: y(agreed), height: PLOT.bottom - y(agreed) });
  const side = confidence > correct ? "over" : "under";
  drawn(group, "rect", { class: `gap ${side}`, ...inset, y: y(above), height: y(agreed) - y(above) });
  const middle = left + width / 2;
  drawn(group, "line", { class: "whisker", x1: middle, x2: middle, y1: y(low), y2: y(high) });
  drawn(group, "line", { class: "level", x1: left + 0.75, x2: left + width - 0.75, y1: y(correct), y2: y(correct) });
  const height = (n / highest) * (PLOT.shareBottom - PLOT.shareTop - 10);
  drawn(group, "rect", { class: "bar", ...inset, y: PLOT.shareBottom - height, height });
  const share = { x: middle, y: PLOT.shareBottom - height - 2.5, "text-anchor": "middle", style: "font-size:7.5px" };
  drawn(group, "text", share, percent(n / total).replace(" %", ""));
  drawn(group, "rect", { class: "hit", x: left, width, y: PLOT.top, height: PLOT.shareBottom - PLOT.top });
  const show = () => showTip(text, group.getBoundingClientRect());
  for (const name of ["mouseenter", "focus"]) group.addEventListener(name, show);
  for (const name of ["mouseleave", "blur"]) group.addEventListener(name, hideTip);
  return group;
}

// One stop of the Tab key a diagram; the arrow keys move within it.
function moveWithArrows(groups) {
  if (groups.length) groups[0].setAttribute("tabindex", 0);
  groups.forEach((group, place) => {
    group.addEventListener("keydown", (event) => {
      const moves = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: groups.length - 1 };
      const next = groups[moves[event.key]];
      if (!next) return;
      event.preventDefault();
      group.setAttribute("tabindex", -1);
      next.setAttribute("tabindex", 0);
      next.focus();
    });
  });
}

function drawPanel(title, cell) {
  const panel = element("div", { class: "panel" }, element("h3", {}, title));
  if (!cell) {
    panel.append(element("p", { class: "none" }, "no such answers"));
    return panel;
  }
  const failures = cell.parse_failures ? `, ${cell.parse_failures.toLocaleString("en")} unread` : "";
  panel.append(
    element(
      "p",
      { class: "values" },
      element("b", {}, `ECE ${fixed(cell.ece)}`),
      `${range(cell.ece_interval)} · AUROC ${fixed(cell.auroc)} · n = ${cell.n.toLocaleString("en")}${failures}`,
    ),
  );
  const label = `Reliability of ${title}, ECE ${fixed(cell.ece)}`;
  const svg = drawn(panel, "svg", { viewBox: "0 0 280 288", role: "group", "aria-label": label });
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    drawn(svg, "line", { class: "grid", x1: PLOT.left, x2: PLOT.right, y1: y(tick), y2: y(tick) });
    if (tick !== 0.25 && tick !== 0.75) {
      drawn(svg, "text", { x: PLOT.left - 5, y: y(tick) + 3.5, "text-anchor": "end" }, String(tick));
      drawn(svg, "text", { x: x(tick), y: PLOT.shareBottom + 13, "text-anchor": "middle" }, String(tick));
    }
  }
  const turned = { x: -y(0.5), y: 9, "text-anchor": "middle", transform: "rotate(-90)" };
  drawn(svg, "text", turned, "accuracy");
  drawn(svg, "text", { ...turned, x: -(PLOT.shareTop + PLOT.shareBottom) / 2 }, "share, %");
  drawn(svg, "text", { x: x(0.5), y: PLOT.shareBottom + 27, "text-anchor": "middle" }, "confidence");
  const total = cell.bins.reduce((sum, bin) => sum + bin[1], 0);
  const highest = Math.max(...cell.bins.map((bin) => bin[1]), 1);
  moveWithArrows(cell.bins.map((bin) => drawBin(svg, bin, total, highest)));
  drawn(svg, "line", { class: "axis", x1: PLOT.left, x2: PLOT.right, y1: PLOT.bottom, y2: PLOT.bottom });
  drawn(svg, "line", { class: "axis", x1: PLOT.left, x2: PLOT.right, y1: PLOT.shareBottom, y2: PLOT.shareBottom });
  drawn(svg, "line", { class: "diagonal", x1: x(0), y1: y(0), x2: x(1), y2: y(1), "pointer-events": "none" });
  return panel;
}

function reliability() {
  const { models, protocols, slices, cells } = data.reliability;
  const form = document.querySelector("[data-controls]");
  const panels = document.querySelector("[data-panels]");
  for (const { id, title } of protocols) form.protocol.append(element("option", { value: id }, title));
  if (protocols.some(({ id }) => id === "verbal")) form.protocol.value = "verbal";
  const groups = new Map();
  for (const { id, group, title } of slices) {
    const option = element("option", { value: id }, title);
    if (!group) form.slice.append(option);
    else {
      if (!groups.has(group)) groups.set(group, form.slice.appendChild(element("optgroup", { label: group })));
      groups.get(group).append(option);
    }
  }
  const chips = document.querySelector("[data-models]");
  // Checkpoints of a run start switched off: there may be dozens.
  const whole = models.some(({ id }) => !id.includes("@"));
  for (const { id, title } of models) {
    const box = element("input", { type: "checkbox", value: id });
    box.checked = !whole || !id.includes("@");
    chips.append(element("label", {}, box, element("span", {}, title)));
  }
  const draw = () => {
    hideTip();
    const chosen = models.filter(({ id }) => [...chips.querySelectorAll("input")].find((box) => box.value === id).checked);
    panels.replaceChildren(
      ...chosen.map(({ id, title }) => drawPanel(title, cells[id]?.[form.protocol.value]?.[form.slice.value])),
    );
  };
  form.addEventListener("change", draw);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  draw();
}

// Line charts: training curves and checkpoints

const CHART = { left: 42, right: 410, top: 8, bottom: 184, width: 420 };

// Ticks from 0 to a round number above the value.
function ticksTo(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  const tops = [[1, 5], [1.5, 3], [2, 4], [3, 3], [4, 4], [5, 5], [6, 3], [8, 4], [10, 5]];
  const [top, parts] = tops.find(([factor]) => factor * unit >= value * 1.02) ?? [20, 4];
  return Array.from({ length: parts + 1 }, (_, k) => (top * unit * k) / parts);
}

// Whether a place gets a label: round steps if the labels are numbers, else every so many.
function labelled(names) {
  const numbers = names.map((name) => Number(name.replaceAll(",", "")));
  if (numbers.some(Number.isNaN) || names.length <= 8) {
    const every = Math.ceil(names.length / 8);
    return names.map((_, place) => place % every === 0);
  }
  const span = numbers[numbers.length - 1] - numbers[0];
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].find((size) => span / size <= 8) ?? span;
  return numbers.map((number) => number % step === 0);
}

function path(values, placeX, placeY) {
  let line = "";
  values.forEach((value, place) => {
    if (value === null) return;
    const starts = place === 0 || values[place - 1] === null;
    line += `${starts ? "M" : "L"}${placeX(place).toFixed(1)} ${placeY(value).toFixed(1)}`;
  });
  return line;
}

function drawChart(chart) {
  const values = chart.lines.flatMap((line) => [...line.values, ...(line.raw ?? [])]).filter((value) => value !== null);
  const ticks = chart.share ? [0, 0.25, 0.5, 0.75, 1] : ticksTo(Math.max(...values, 0.01));
  const top = ticks[ticks.length - 1];
  const last = Math.max(chart.x.length - 1, 1);
  const placeX = (place) => CHART.left + ((CHART.right - CHART.left) * place) / last;
  const placeY = (value) => CHART.bottom - ((CHART.bottom - CHART.top) * value) / top;
  const figure = element("div", { class: "chart" }, element("h3", {}, chart.title), element("p", { class: "values" }, chart.note));
  const shown = (value) => (chart.share ? percent(value) : fixed(value));
  const label = `${chart.title}. ${chart.lines.map((l) => `${l.label} ${fixed(l.values.findLast((v) => v !== null))} at the end`).join(", ")}. Arrow keys read the values.`;
  const svg = drawn(figure, "svg", { viewBox: "0 0 420 222", role: "img", tabindex: 0, "aria-label": label });
  for (const tick of ticks) {
    drawn(svg, "line", { class: "grid", x1: CHART.left, x2: CHART.right, y1: placeY(tick), y2: placeY(tick) });
    const text = chart.share ? percent(tick) : String(Number(tick.toPrecision(3)));
    drawn(svg, "text", { x: CHART.left - 6, y: placeY(tick) + 3.5, "text-anchor": "end" }, text);
  }
  const named = labelled(chart.x);
  chart.x.forEach((name, place) => {
    if (!named[place]) return;
    drawn(svg, "text", { x: placeX(place), y: CHART.bottom + 14, "text-anchor": "middle" }, name);
  });
  drawn(svg, "text", { x: (CHART.left + CHART.right) / 2, y: CHART.bottom + 32, "text-anchor": "middle" }, chart.xTitle);
  drawn(svg, "line", { class: "axis", x1: CHART.left, x2: CHART.right, y1: CHART.bottom, y2: CHART.bottom });
  const cursor = drawn(svg, "line", { class: "cursor", y1: CHART.top, y2: CHART.bottom, visibility: "hidden" });
  for (const line of chart.lines) {
    const stroke = `var(--s${line.colour % 5})`;
    const dashed = line.dashed ? " dashed" : "";
    if (line.raw) drawn(svg, "path", { class: `curve raw${dashed}`, d: path(line.raw, placeX, placeY), style: `stroke:${stroke}` });
    drawn(svg, "path", { class: `curve${dashed}`, d: path(line.values, placeX, placeY), style: `stroke:${stroke}` });
    if (chart.x.length <= 12) {
      line.values.forEach((value, place) => {
        if (value !== null) drawn(svg, "circle", { cx: placeX(place), cy: placeY(value), r: 2.8, style: `fill:${stroke}` });
      });
    }
  }
  const legend = chart.lines.map((line) =>
    element("span", {}, element("i", { class: `stroke${line.dashed ? " dashed" : ""}`, style: `border-color:var(--s${line.colour % 5})` }), line.label),
  );
  figure.append(element("p", { class: "legend", "aria-hidden": "true" }, ...legend));

  let at = chart.x.length - 1;
  const show = () => {
    cursor.setAttribute("x1", placeX(at));
    cursor.setAttribute("x2", placeX(at));
    cursor.setAttribute("visibility", "visible");
    const lines = chart.lines.map((line) => `${line.label}: ${line.values[at] === null ? "–" : shown(line.values[at])}`);
    showTip([`${chart.xTitle} ${chart.x[at]}`, ...lines].join("\n"), cursor.getBoundingClientRect());
  };
  const hide = () => {
    cursor.setAttribute("visibility", "hidden");
    hideTip();
  };
  svg.addEventListener("mousemove", (event) => {
    const box = svg.getBoundingClientRect();
    const inside = ((event.clientX - box.left) * CHART.width) / box.width;
    at = Math.min(Math.max(Math.round(((inside - CHART.left) / (CHART.right - CHART.left)) * last), 0), chart.x.length - 1);
    show();
  });
  svg.addEventListener("keydown", (event) => {
    const moves = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: chart.x.length - 1 };
    if (chart.x[moves[event.key]] === undefined) return;
    event.preventDefault();
    at = moves[event.key];
    show();
  });
  svg.addEventListener("focus", show);
  svg.addEventListener("mouseleave", hide);
  svg.addEventListener("blur", hide);
  return figure;
}

function charts() {
  document.querySelector("[data-charts]")?.append(...data.charts.map(drawChart));
}

// Tables

function sortRows(table, column, ascending) {
  const body = table.tBodies[0];
  const key = (row) => row.cells[column].dataset.v;
  const rows = [...body.rows];
  const numeric = rows.some((row) => key(row) !== undefined);
  const compare = numeric
    ? (a, b) => Number(key(a)) - Number(key(b))
    : (a, b) => a.cells[column].textContent.localeCompare(b.cells[column].textContent, "en", { numeric: true });
  const empty = (row) => (numeric ? key(row) === undefined : row.cells[column].textContent.trim() === "–");
  const known = rows.filter((row) => !empty(row)).sort((a, b) => (ascending ? compare(a, b) : compare(b, a)));
  body.append(...known, ...rows.filter(empty)); // what is unknown stays last, whichever way
}

function sortable(table, afterwards) {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, column) => {
    const label = head.querySelector("[data-sort]");
    const button = element("button", { type: "button" }, label.textContent);
    label.replaceWith(button);
    button.addEventListener("click", () => {
      const ascending = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      sortRows(table, column, ascending);
      afterwards();
    });
  });
}

const FIRST_ROWS = 16; // of a longer table, until the reader asks for all

function filterable(holder) {
  const body = holder.querySelector("tbody");
  const more = holder.querySelector("[data-more]");
  const field = holder.querySelector("[data-filter]");
  const count = holder.querySelector("[data-count]");
  const total = body.rows.length;
  let all = total <= FIRST_ROWS + 4;
  const show = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const row of body.rows) {
      const text = row.textContent.toLowerCase();
      const matches = words.every((word) => text.includes(word));
      found += matches ? 1 : 0;
      row.hidden = !matches || (!all && found > FIRST_ROWS);
    }
    count.textContent = words.length ? `${found} of ${total} rows` : "";
    more.hidden = all || found <= FIRST_ROWS;
    more.textContent = `Show all ${found} rows`;
  };
  more.addEventListener("click", () => {
    all = true;
    show();
  });
  field.addEventListener("input", show);
  holder.querySelector("[data-tools]").hidden = total <= 12;
  show();
  return show;
}

function tables() {
  for (const holder of document.querySelectorAll("[data-table]")) {
    sortable(holder.querySelector("table"), filterable(holder));
  }
  for (const choice of document.querySelectorAll("[data-choice]")) {
    const select = choice.querySelector("[data-choice-of]");
    const show = () => {
      for (const option of select.options) document.getElementById(option.value).hidden = option.value !== select.value;
    };
    choice.querySelector("[data-tools]").hidden = false;
    select.addEventListener("change", show);
    show();
  }
}

// Answers

function examples() {
  const form = document.querySelector("[data-example-filter]");
  if (!form) return;
  const all = [...document.querySelectorAll(".example")];
  const count = document.querySelector("[data-example-count]");
  const show = () => {
    let shown = 0;
    for (const example of all) {
      const { dataset, reason } = example.dataset;
      example.hidden = Boolean((form.dataset.value && form.dataset.value !== dataset) || (form.reason.value && form.reason.value !== reason));
      shown += example.hidden ? 0 : 1;
    }
    count.textContent = `${shown} of ${all.length} questions`;
  };
  form.addEventListener("change", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  show();
}

// Closed parts are printed too.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const details of opened) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of opened) details.open = false;
});

reliability();
charts();
tables();
examples();
