// A contact sheet: cards, filters with counts, pages, and answers that the browser keeps and saves as CSV.
//
// work:    {id, judge, attributes: [{name, called, classes, words, swatches, said}],
//           photographs: [{name, shown, picture: [address, width, height] or null, labels, sure}]}
// answers: place of a photograph → a class an attribute, NONE for "can't tell"; who looks gives one by one

const work = JSON.parse(document.getElementById("work").textContent);
const { attributes, photographs } = work;
const PAGE = 500;
const NONE = -1;
const LOOKED = [["not yet looked at", ""], ["right", "✓ right"], ["corrected", "✎ corrected"]];
const kept = `swatchbook sheet ${work.id}`;
const answers = restored();
const all = photographs.map((_, k) => k);
const least = photographs.map(({ sure }) => Math.min(...sure.filter((each) => each !== null), 1));

const place = (id) => document.getElementById(id);
const form = place("asked");
const list = place("cards");
const editor = place("editor");
let found = all;
let page = 0;

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// ---- what is known of a photograph ---------------------------------------------------------------------

/** 0 not yet looked at, 1 right, 2 corrected. */
function lookedAt(k) {
  if (!answers.has(k)) return 0;
  return answers.get(k).every((label, a) => label === photographs[k].labels[a]) ? 1 : 2;
}

function sureness(k, of) {
  return of < 0 ? least[k] : photographs[k].sure[of] ?? 0;
}

function wordOf(a, label) {
  return label === NONE ? "no label" : attributes[a].words[label];
}

function swatchOf(a, label) {
  const colours = attributes[a].swatches;
  if (!colours || label === NONE) return [];
  const square = make("i", { className: "swatch" });
  square.style.background = colours[label];
  return [square, " "];
}

// ---- filters -------------------------------------------------------------------------------------------

const facets = [
  ...attributes.map((attribute, a) => ({
    title: attribute.called,
    said: attribute.said,
    value: (k) => photographs[k].labels[a],
    choices: [NONE, ...attribute.classes.keys()].map((label) => ({
      label, words: wordOf(a, label), swatch: () => swatchOf(a, label),
    })),
  })),
  {
    title: "Looked at",
    said: "",
    value: lookedAt,
    choices: LOOKED.map(([words], label) => ({ label, words, swatch: () => [] })),
  },
];

const of = make("select", { id: "of" }, make("option", { value: "-1", textContent: "the least sure label" }),
  ...attributes.map(({ called }, a) => make("option", { value: String(a), textContent: called })));
const [from, to] = [["from", "0"], ["to", "1"]].map(([name, value]) =>
  make("input", { type: "number", min: "0", max: "1", step: "0.05", defaultValue: value, ariaLabel: `Confidence ${name}` }));
const called = make("input", { type: "search", id: "called", ariaLabel: "Part of the file's name" });

function drawFilters() {
  for (const facet of facets) {
    const present = new Set([...all.map(facet.value), ...facet === facets.at(-1) ? LOOKED.keys() : []]);
    facet.boxes = facet.choices.filter(({ label }) => present.has(label))
      .map((choice) => {
        const box = make("input", { type: "checkbox", value: String(choice.label) });
        const count = make("span", { className: "count" });
        const row = make("label", { className: "facet" }, box, ...choice.swatch(), choice.words, count);
        return { label: choice.label, box, count, row };
      });
    const absent = facet.choices.filter(({ label }) => label !== NONE && !present.has(label)).map(({ words }) => words);
    form.append(make("fieldset", {}, make("legend", { textContent: facet.title }),
      ...facet.said ? [make("p", { className: "said", textContent: `${facet.said}.` })] : [],
      ...facet.boxes.map(({ row }) => row),
      ...absent.length ? [make("p", { className: "said", textContent: `None: ${absent.join(", ")}.` })] : []));
  }
  form.append(
    make("fieldset", {}, make("legend", { textContent: "Confidence" }), make("label", {}, "of ", of),
      make("div", { className: "between" }, "from ", from, " to ", to)),
    make("fieldset", {}, make("legend", { textContent: "File name" }), called),
    make("button", { type: "reset", textContent: "Clear all filters" }));
}

/** The photographs that every filter but one facet's lets through. */
function through(but = null) {
  const [least_, most] = [Number(from.value || 0), Number(to.value || 1)];
  const part = called.value.trim().toLowerCase();
  const asked = facets.filter((facet) => facet !== but)
    .map((facet) => [facet, new Set(facet.boxes.filter(({ box }) => box.checked).map(({ label }) => label))])
    .filter(([, labels]) => labels.size);
  return all.filter((k) => {
    const sure = sureness(k, Number(of.value));
    return sure >= least_ && sure <= most
      && (!part || photographs[k].shown.toLowerCase().includes(part))
      && asked.every(([facet, labels]) => labels.has(facet.value(k)));
  });
}

function countFacets() {
  for (const facet of facets) {
    const counts = new Map();
    for (const k of through(facet)) counts.set(facet.value(k), (counts.get(facet.value(k)) ?? 0) + 1);
    for (const { label, count, row } of facet.boxes) {
      count.textContent = (counts.get(label) ?? 0).toLocaleString("en");
      row.classList.toggle("none", !counts.has(label));
    }
  }
}

// ---- cards ---------------------------------------------------------------------------------------------

const byName = (k, m) => k - m; // they come by path
const ORDERS = [
  ["least sure label first", (k, m) => least[k] - least[m] || byName(k, m)],
  ["surest first", (k, m) => least[m] - least[k] || byName(k, m)],
  ...attributes.map(({ called: name }, a) => [`${name.toLowerCase()}, least sure first`,
    (k, m) => sureness(k, a) - sureness(m, a) || byName(k, m)]),
  ...attributes.map(({ called: name }, a) => [`${name.toLowerCase()} by label`,
    (k, m) => photographs[k].labels[a] - photographs[m].labels[a] || sureness(k, a) - sureness(m, a)
      || byName(k, m)]),
  ["file name", byName],
];

function show() {
  found = through().sort(ORDERS[Number(place("order").value)][1]);
  page = 0;
  countFacets();
  draw();
}

function draw() {
  const shown = found.slice(page * PAGE, (page + 1) * PAGE);
  list.replaceChildren(...shown.map(card));
  list.querySelector("button")?.setAttribute("tabindex", "0");
  place("found").textContent = found.length === all.length
    ? `${all.length.toLocaleString("en")} photographs`
    : `${found.length.toLocaleString("en")} of ${all.length.toLocaleString("en")} photographs`;
  const pages = Math.ceil(found.length / PAGE);
  place("pages").hidden = pages < 2;
  place("page").textContent = `Page ${page + 1} of ${pages}`;
  place("before").disabled = page === 0;
  place("after").disabled = page >= pages - 1;
}

function pictureOf({ picture, shown }) {
  if (!picture) return make("span", { className: "lost", textContent: "can no longer be read" });
  const [src, width, height] = picture;
  return make("img", { src, width, height, alt: `Photograph ${shown}`, decoding: "async" });
}

function card(k) {
  const photograph = photographs[k];
  const given = answers.get(k);
  const rows = attributes.map((_, a) => {
    const label = given ? given[a] : photograph.labels[a];
    const changed = label !== photograph.labels[a];
    const word = given && label === NONE ? "can't tell" : wordOf(a, label);
    const sure = changed ? "yours" : photograph.sure[a]?.toFixed(2) ?? "";
    const words = make("span", { className: changed ? "given" : label === NONE ? "none" : "" },
      ...swatchOf(a, label), word);
    return make("span", { className: "label" }, words, make("span", { className: "sure", textContent: sure }));
  });
  const [, mark] = LOOKED[lookedAt(k)];
  const button = make("button", { type: "button", title: photograph.shown, tabIndex: -1 }, pictureOf(photograph),
    ...rows, ...mark ? [make("span", { className: "looked", textContent: mark })] : []);
  button.dataset.place = k;
  return make("li", { className: ["", "right", "corrected"][lookedAt(k)] }, button);
}

function redraw(k) {
  const old = list.querySelector(`[data-place="${k}"]`);
  const fresh = card(k);
  const focused = old === document.activeElement;
  fresh.firstChild.tabIndex = old.tabIndex;
  old.parentElement.replaceWith(fresh);
  if (focused) fresh.firstChild.focus();
}

function focusOn(button) {
  if (!button) return;
  for (const other of list.querySelectorAll('button[tabindex="0"]')) other.tabIndex = -1;
  button.tabIndex = 0;
  button.focus();
}

// ---- answers -------------------------------------------------------------------------------------------

function restored() {
  try {
    const read = Object.entries(JSON.parse(localStorage.getItem(kept)) ?? {}).map(([k, labels]) => [Number(k), labels]);
    const fits = read.every(([k, labels]) => k in photographs && Array.isArray(labels)
      && labels.length === attributes.length && labels.every((label, a) => Number.isInteger(label)
        && label >= NONE && label < attributes[a].classes.length));
    return new Map(fits ? read : []);
  } catch {
    return new Map();
  }
}

let unsaved = false;

function answer(k, labels) {
  if (labels) answers.set(k, labels);
  else answers.delete(k);
  try {
    localStorage.setItem(kept, JSON.stringify(Object.fromEntries(answers)));
  } catch {
    unsaved = true; // this tab alone holds them
  }
  redraw(k);
  tell();
}

function tell() {
  countFacets();
  place("save").disabled = answers.size === 0;
  place("save").textContent = answers.size
    ? `Save ${answers.size.toLocaleString("en")} answer${answers.size > 1 ? "s" : ""} as CSV` : "Save answers as CSV";
  place("forget").hidden = answers.size === 0;
}

function asCsv() {
  const rows = [...answers.keys()].sort(byName).map((k) => [photographs[k].name, work.judge,
    ...answers.get(k).map((label, a) => label === NONE ? "" : attributes[a].classes[label])]);
  return [["path", "annotator", ...attributes.map(({ name }) => name)], ...rows.map((row) => row.map(guard))]
    .map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

function saveCsv() {
  const file = new Blob([asCsv()], { type: "text/csv;charset=utf-8" });
  const link = make("a", { href: URL.createObjectURL(file), download: "corrections.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  unsaved = false;
}

// ---- one photograph, to correct it ---------------------------------------------------------------------

function open(k) {
  const photograph = photographs[k];
  const given = answers.get(k) ?? photograph.labels;
  place("editor-photograph").replaceChildren(pictureOf(photograph),
    make("div", { className: "name" }, make("bdi", { textContent: photograph.shown })));
  place("editor-labels").replaceChildren(...attributes.map((attribute, a) => {
    const choices = make("select", {}, make("option", { value: String(NONE), textContent: "can't tell" }),
      ...attribute.words.map((words, label) => make("option", { value: String(label), textContent: words })));
    choices.value = String(given[a]);
    const sure = photograph.sure[a] === null ? "" : `, confidence ${photograph.sure[a].toFixed(2)}`;
    const was = `labeller: ${wordOf(a, photograph.labels[a])}${sure}`;
    return make("label", {}, attribute.called, choices, make("span", { className: "was", textContent: was }));
  }));
  editor.dataset.place = k;
  editor.showModal();
  editor.querySelector("select")?.focus();
}

function close(save) {
  const k = Number(editor.dataset.place);
  const labels = [...editor.querySelectorAll("select")].map(({ value }) => Number(value));
  editor.close();
  if (save) answer(k, labels);
  const here = list.querySelector(`[data-place="${k}"]`);
  focusOn(save ? here.parentElement.nextElementSibling?.firstChild ?? here : here);
}

editor.addEventListener("close", () => place("editor-photograph").replaceChildren());
editor.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  close(true);
});
editor.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.target.id === "leave") return;
  event.preventDefault(); // in a list of choices it would open the list
  close(true);
});
place("leave").addEventListener("click", () => close(false));

// ---- keys and buttons ----------------------------------------------------------------------------------

/** The card beside another; above and below are those of the nearest left edge. */
function beside(button, key) {
  const buttons = [...list.querySelectorAll("button")];
  const at = buttons.indexOf(button);
  const tops = buttons.map((each) => each.offsetTop);
  const columns = tops.filter((top) => top === tops[0]).length;
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + columns, ArrowUp: at - columns,
    Home: 0, End: buttons.length - 1 }[key];
  return buttons[to];
}

list.addEventListener("keydown", (event) => {
  const button = event.target.closest("button");
  if (!button || event.ctrlKey || event.metaKey || event.altKey) return;
  const k = Number(button.dataset.place);
  if (/^(Arrow|Home$|End$)/.test(event.key)) {
    event.preventDefault();
    focusOn(beside(button, event.key));
  } else if (event.key.toLowerCase() === "r") {
    answer(k, [...photographs[k].labels]);
    focusOn(beside(list.querySelector(`[data-place="${k}"]`), "ArrowRight"));
  } else if (event.key.toLowerCase() === "u" && answers.has(k)) {
    answer(k, null);
  }
});
list.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) open(Number(button.dataset.place));
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || editor.open || event.target.matches("input, select")) return;
  event.preventDefault();
  unfold(true);
  form.querySelector("input").focus();
});

function unfold(open) {
  form.classList.toggle("open", open);
  place("unfold").setAttribute("aria-expanded", String(open));
  place("unfold").textContent = open ? "Hide filters" : "Show filters";
}

function turn(by) {
  page += by;
  draw();
  place("photographs").scrollIntoView();
  focusOn(list.querySelector("button"));
}

place("unfold").addEventListener("click", () => unfold(!form.classList.contains("open")));
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", show);
form.addEventListener("reset", () => setTimeout(show)); // the fields are empty only after it
place("order").append(...ORDERS.map(([words], k) => make("option", { value: String(k), textContent: words })));
place("order").addEventListener("change", show);
place("before").addEventListener("click", () => turn(-1));
place("after").addEventListener("click", () => turn(1));
place("save").addEventListener("click", saveCsv);
place("forget").addEventListener("click", () => {
  const places = [...answers.keys()];
  if (!confirm(`Forget ${places.length} answers on this sheet?`)) return;
  answers.clear();
  localStorage.removeItem(kept);
  draw();
  tell();
});
addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});

drawFilters();
show();
tell();
