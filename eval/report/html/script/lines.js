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
