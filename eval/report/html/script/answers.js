// Example answers, and the verdicts' little plots

function meter({ confidence, meter: text }) {
  const holder = element("p", { class: "meter" });
  if (confidence !== null) {
    const svg = drawn(holder, "svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
    drawn(svg, "rect", { class: "track", width: 100, height: 10 });
    drawn(svg, "rect", { class: "fill", width: 100 * confidence, height: 10 });
  }
  holder.append(element("span", {}, text));
  return holder;
}

function answer(shown) {
  const holder = element("div", { class: `answer ${shown.kind}` }, element("h4", {}, shown.model), meter(shown));
  if (!shown.claims.length) holder.append(element("p", { class: "raw" }, shown.text));
  else {
    const claims = shown.claims.map(([kind, text, tag]) =>
      element("li", { class: `claim ${kind}` }, element("span", { class: "claim-text" }, text), " ", element("span", { class: "tag" }, tag)),
    );
    holder.append(element("ol", {}, ...claims));
  }
  return holder;
}

function example(shown) {
  const question = element("div", { class: "question" });
  if (shown.picture) {
    const [src, width, height] = shown.picture;
    question.append(element("img", { src, width, height, alt: shown.alt, class: width < 160 ? "tiny" : "photo" }));
  }
  question.append(element("h3", {}, shown.question), element("p", { class: "meta" }, shown.meta));
  if (shown.reference) {
    question.append(element("p", { class: "reference" }, element("span", {}, "Reference"), ` ${shown.reference}`));
  }
  const answers = element("div", { class: "answers" }, ...shown.answers.map(answer));
  return element("article", { class: "example" }, question, answers);
}

function examples(inside) {
  const form = inside.querySelector("[data-example-filter]");
  const count = inside.querySelector("[data-example-count]");
  const all = data.examples.map((shown) => ({ ...shown, node: example(shown) }));
  inside.querySelector("[data-examples]").append(...all.map(({ node }) => node));
  const show = () => {
    const chosen = ({ dataset, reason }) =>
      (!form.dataset.value || form.dataset.value === dataset) && (!form.reason.value || form.reason.value === reason);
    for (const shown of all) shown.node.hidden = !chosen(shown);
    count.textContent = `${all.filter(chosen).length} of ${all.length} questions`;
  };
  form.addEventListener("change", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  show();
}

function verdictRow({ verdict, phrase, numbers, plot, ends }) {
  const words = element("span", {}, `${phrase} `, element("span", { class: "values" }, numbers));
  const row = element("li", { class: verdict }, element("span", { class: "badge" }, verdict), words);
  if (plot) {
    const label = `Interval of the difference: ${ends}`;
    const svg = drawn(row, "svg", { class: "forest", viewBox: "0 0 200 24", role: "img", "aria-label": label });
    drawn(svg, "line", { class: "zero", x1: 100, x2: 100, y1: 2, y2: 22 });
    drawn(svg, "line", { class: "ends", x1: plot[1], x2: plot[2], y1: 12, y2: 12 });
    drawn(svg, "circle", { class: "point", cx: plot[0], cy: 12, r: 4 });
  }
  return row;
}

function verdicts(inside) {
  data.verdicts.forEach(({ headline, groups }, place) => {
    const holder = element("details", { class: "verdicts" }, element("summary", {}, headline));
    holder.open = place === 0;
    for (const { title, rows } of groups) {
      holder.append(element("h3", {}, title), element("ul", {}, ...rows.map(verdictRow)));
    }
    inside.append(holder);
  });
}
