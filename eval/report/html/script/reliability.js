// Reliability diagrams

const PLOT = { left: 32, right: 274, top: 8, bottom: 198, shareTop: 212, shareBottom: 256 };
const MARGIN = 0.045; // of the scale, on both sides: room for a bar at 0 and at 1
const x = (value) => PLOT.left + ((value + MARGIN) / (1 + 2 * MARGIN)) * (PLOT.right - PLOT.left);
const y = (value) => PLOT.bottom - value * (PLOT.bottom - PLOT.top);

// Of the bars at the bins' mean confidences: narrower where two would overlap. As in eval/figures/reliability.py.
function barWidths(means) {
  return means.map((mean, place) => {
    const gaps = [means[place - 1], means[place + 1]].filter((other) => other !== undefined).map((other) => Math.abs(other - mean));
    return Math.min(0.08, 0.9 * Math.min(...gaps, 1));
  });
}

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

function drawBin(svg, bin, share, total, highest) {
  const [, n, confidence, correct, low, high] = bin;
  const text = binText(bin, total);
  const width = Math.max(x(share) - x(0), 2);
  const middle = x(confidence);
  const across = { x: middle - width / 2, width };
  const group = drawn(svg, "g", { class: "bin", tabindex: -1, role: "img", "aria-label": text.replaceAll("\n", ", ") });
  const agreed = Math.min(confidence, correct);
  const above = Math.max(confidence, correct);
  const side = confidence > correct ? "over" : "under";
  drawn(group, "rect", { class: "bar", ...across, y: y(agreed), height: y(0) - y(agreed) });
  drawn(group, "rect", { class: `gap ${side}`, ...across, y: y(above), height: y(agreed) - y(above) });
  drawn(group, "line", { class: "whisker", x1: middle, x2: middle, y1: y(low), y2: y(high) });
  drawn(group, "line", { class: "level", x1: across.x, x2: across.x + width, y1: y(correct), y2: y(correct) });
  const height = (n / highest) * (PLOT.shareBottom - PLOT.shareTop - 10);
  drawn(group, "rect", { class: "bar", ...across, y: PLOT.shareBottom - height, height });
  const label = { x: middle, y: PLOT.shareBottom - height - 2.5, "text-anchor": "middle", style: "font-size:7.5px" };
  drawn(group, "text", label, percent(n / total).replace(" %", ""));
  const hit = Math.max(width, 6);
  drawn(group, "rect", { class: "hit", x: middle - hit / 2, width: hit, y: PLOT.top, height: PLOT.shareBottom - PLOT.top });
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

function calibrationError(cell) {
  if (cell.ece_debiased === undefined) return ["ECE", cell.ece, cell.ece_interval];
  return ["ECE, debiased", cell.ece_debiased, cell.ece_debiased_interval];
}

function drawPanel(title, cell) {
  const panel = element("div", { class: "panel" }, element("h3", {}, title));
  if (!cell) {
    panel.append(element("p", { class: "none" }, "no such answers"));
    return panel;
  }
  const [name, ece, interval] = calibrationError(cell);
  const failures = cell.parse_failures ? `, ${cell.parse_failures.toLocaleString("en")} unread` : "";
  panel.append(
    element(
      "p",
      { class: "values" },
      element("b", {}, `${name} ${fixed(ece)}`),
      `${range(interval)} · AUROC ${fixed(cell.auroc)} · n\u00a0=\u00a0${cell.n.toLocaleString("en")}${failures}`,
    ),
  );
  const label = `Reliability of ${title}, ${name} ${fixed(ece)}`;
  const svg = drawn(panel, "svg", { viewBox: "0 0 280 288", role: "group", "aria-label": label });
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    drawn(svg, "line", { class: "grid", x1: PLOT.left, x2: PLOT.right, y1: y(tick), y2: y(tick) });
    if (tick !== 0.25 && tick !== 0.75) {
      drawn(svg, "text", { x: PLOT.left - 5, y: y(tick) + 3.5, "text-anchor": "end" }, String(tick));
      drawn(svg, "text", { x: x(tick), y: PLOT.shareBottom + 13, "text-anchor": "middle" }, String(tick));
    }
  }
  const turned = { x: -y(0.5), y: 7, "text-anchor": "middle", transform: "rotate(-90)" };
  drawn(svg, "text", turned, "accuracy");
  drawn(svg, "text", { ...turned, x: -(PLOT.shareTop + PLOT.shareBottom) / 2 }, "share, %");
  drawn(svg, "text", { x: x(0.5), y: PLOT.shareBottom + 27, "text-anchor": "middle" }, "confidence");
  const total = cell.bins.reduce((sum, bin) => sum + bin[1], 0);
  const highest = Math.max(...cell.bins.map((bin) => bin[1]), 1);
  const widths = barWidths(cell.bins.map((bin) => bin[2]));
  moveWithArrows(cell.bins.map((bin, place) => drawBin(svg, bin, widths[place], total, highest)));
  drawn(svg, "line", { class: "axis", x1: PLOT.left, x2: PLOT.right, y1: PLOT.bottom, y2: PLOT.bottom });
  drawn(svg, "line", { class: "axis", x1: PLOT.left, x2: PLOT.right, y1: PLOT.shareBottom, y2: PLOT.shareBottom });
  drawn(svg, "line", { class: "diagonal", x1: x(0), y1: y(0), x2: x(1), y2: y(1), "pointer-events": "none" });
  return panel;
}

// Any model, protocol and slice.
function explorer(inside) {
  const { models, protocols, slices, cells } = data.reliability;
  const form = inside.querySelector("[data-controls]");
  const panels = inside.querySelector("[data-panels]");
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
  const chips = inside.querySelector("[data-models]");
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
  draw();
}
