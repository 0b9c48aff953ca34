// Tables: built from their cells, sorted, filtered, copied

// A cell is its text, or [its text, the number that it is sorted by]; an interval is set in lighter type.
function tableCell(cell, text) {
  const [shown, value] = Array.isArray(cell) ? cell : [cell, undefined];
  const node = element("td", { class: text ? "text" : "figure" });
  if (value !== undefined) node.dataset.v = value;
  const at = value === undefined ? -1 : shown.indexOf(" [");
  if (at < 0) node.append(shown);
  else node.append(`${shown.slice(0, at)} `, element("span", { class: "ends" }, shown.slice(at + 1)));
  return node;
}

function headRows({ groups, columns }) {
  const rows = [];
  if (groups.length) {
    const cells = groups.map(([group, width]) =>
      group ? element("th", { scope: "colgroup", colspan: width, class: "group" }, group) : element("td", { colspan: width }),
    );
    rows.push(element("tr", {}, ...cells));
  }
  const heads = columns.map(([heading, text]) =>
    element("th", { scope: "col", class: text ? "text" : "figure" }, element("button", { type: "button" }, heading)),
  );
  return [...rows, element("tr", {}, ...heads)];
}

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
    head.querySelector("button").addEventListener("click", () => {
      const ascending = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      sortRows(table, column, ascending);
      afterwards();
    });
  });
}

const FIRST_ROWS = 16; // of a longer table, until the reader asks for all
const FILTERED_ROWS = 12; // a table of fewer needs no filter

// The filter's field and the button for all rows; calls itself after each change, and is to be called after a sort.
function filterable(name, body, tools, more) {
  const field = element("input", { type: "search", placeholder: "words in a row", "aria-describedby": `count-${name}` });
  const count = element("span", { id: `count-${name}`, class: "count", role: "status" });
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
  if (total > FILTERED_ROWS) tools.prepend(element("label", {}, "Filter ", field), count);
  show();
  return show;
}

let texts = null; // table -> form -> text; parsed when something is copied first

function tableText(name, form) {
  texts ??= JSON.parse(document.getElementById("texts").textContent);
  return texts[name][form];
}

// Where the page may not write to the clipboard, the text is shown, selected, to be copied by hand.
async function copy(text, holder) {
  try {
    await navigator.clipboard.writeText(text);
    return "copied";
  } catch {
    const field = element("textarea", { readonly: "", "aria-label": "Text to copy", rows: 6 });
    field.value = text;
    holder.append(field);
    field.select();
    if (!document.execCommand("copy")) return "not allowed to copy: the text is selected below";
    field.remove();
    return "copied";
  }
}

function copyButtons(name) {
  const said = element("span", { class: "count", role: "status" });
  const holder = element("div", { class: "copy" }, element("span", {}, "Copy as"));
  for (const form of ["CSV", "LaTeX", "Markdown"]) {
    const button = element("button", { type: "button", "data-copy": form }, form);
    button.addEventListener("click", async () => {
      holder.querySelector("textarea")?.remove();
      const result = await copy(tableText(name, form), holder);
      said.textContent = result === "copied" ? `${form} copied` : result;
    });
    holder.append(button);
  }
  holder.append(said);
  return holder;
}

function buildTable(name) {
  const { title, rows, notes, ...head } = data.tables[name];
  const lines = rows.map((row) => element("tr", {}, ...row.map((cell, place) => tableCell(cell, head.columns[place][1]))));
  const body = element("tbody", {}, ...lines);
  const table = element("table", {}, element("caption", {}, element("span", {}, title)), element("thead", {}, ...headRows(head)), body);
  const tools = element("div", { class: "tools" }, copyButtons(name));
  const more = element("button", { type: "button", class: "more" });
  const scroll = element("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": title }, table);
  sortable(table, filterable(name, body, tools, more));
  const holder = element("div", { class: "table", id: `table-${name}` }, tools, scroll, more);
  if (notes.length) holder.append(noteText(notes));
  return holder;
}

function noteText(notes) {
  const text = element("p", {}, notes.join(" "));
  return element("details", { class: "notes" }, element("summary", {}, "Estimators and notes"), text);
}

// One of several tables at a time, chosen by its title.
function tableChoice(names, label) {
  const place = element("div");
  const select = element("select", {}, ...names.map((name) => element("option", { value: name }, data.tables[name].title)));
  const show = () => place.replaceChildren(buildTable(select.value));
  select.addEventListener("change", show);
  show();
  return element("div", {}, element("label", { class: "pick" }, label, select), place);
}
