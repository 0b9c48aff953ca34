// The first screen, and the collapsed parts: each is built when it is opened first

function heatTable({ title, datasets, rows }) {
  const heads = [element("th", { scope: "col", class: "text" }, "coefficient"), ...datasets.map((name) => element("th", { scope: "col" }, name))];
  const lines = rows.map(({ sign, meaning, values }) =>
    element(
      "tr",
      {},
      element("th", { scope: "row", class: "text" }, `${sign} `, element("span", { class: "meaning" }, meaning)),
      ...values.map(([text, share]) => element("td", { style: `--heat: ${share}%` }, text)),
    ),
  );
  const table = element(
    "table",
    { class: "heat" },
    element("caption", {}, title),
    element("thead", {}, element("tr", {}, ...heads)),
    element("tbody", {}, ...lines),
  );
  return element("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": title }, table);
}

function partTables(part, inside) {
  const names = data.parts[part];
  if (["slices", "paper", "hallucination"].includes(part) && names.length > 1) inside.append(tableChoice(names, "Table"));
  else inside.append(...names.map(buildTable));
}

const BUILDERS = {
  hallucination(inside) {
    inside.querySelector("[data-charts]").append(...data.hallucination.map(drawChart));
    partTables("hallucination", inside);
  },
  verdicts,
  reliability: explorer,
  examples,
  training(inside) {
    inside.querySelector("[data-charts]").append(...data.charts.map(drawChart));
    inside.querySelector("[data-training-tables]").append(...data.parts.training.map(buildTable));
    inside.append(...data.heat.map(heatTable));
  },
};

const built = new Set();

function build(part) {
  if (built.has(part.id)) return;
  built.add(part.id);
  const inside = part.querySelector(".inside");
  (BUILDERS[part.id] ?? ((holder) => partTables(part.id, holder)))(inside);
}

const parts = [...document.querySelectorAll("details.part")];
for (const part of parts) part.addEventListener("toggle", () => part.open && build(part));

// A link to a part opens it.
function openLinked() {
  const part = parts.find(({ id }) => `#${id}` === location.hash);
  if (!part) return;
  build(part);
  part.open = true;
  part.scrollIntoView();
}
addEventListener("hashchange", openLinked);

// Closed parts are printed too.
let opened = [];
addEventListener("beforeprint", () => {
  parts.forEach(build);
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const details of opened) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of opened) details.open = false;
});

function mainTable() {
  const { tables, protocol, diagrams } = data.first;
  const place = document.querySelector("[data-main-table]");
  const pick = document.querySelector("[data-main-choice]");
  const select = pick.querySelector("select");
  const show = (name) => place.replaceChildren(buildTable(name));
  select.addEventListener("change", () => show(select.value));
  pick.hidden = tables.length === 1;
  pick.parentElement.classList.toggle("choice", !pick.hidden);
  show(tables[0]);
  const titles = new Map(data.reliability.models.map(({ id, title }) => [id, title]));
  const panels = diagrams.map((model) => drawPanel(titles.get(model), data.reliability.cells[model][protocol].all));
  document.querySelector("[data-main-panels]").prepend(...panels);
}

mainTable();
openLinked();
