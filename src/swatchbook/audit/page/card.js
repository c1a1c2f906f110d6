// The card: every element of the judge, made once. Texts of others (file names, notes, classes) enter as text
// only, never as markup.

const FREE_LETTERS = "abcdehijklopqrvwxy"; // the others are commands
const HELP = [
  ["1 – 9, 0, a, b …", "choose the class with that key, and move on to the next question"],
  ["t", "can’t tell"],
  ["m", "several: no single class is right"],
  ["← →", "image before, image after"],
  ["↑ ↓", "question before, question after"],
  ["u", "undo the last answer"],
  ["s", "skip this image for now"],
  ["g", "go to the first image that is not finished"],
  ["n", "write a note; Enter ends it"],
  ["z", "zoom; Shift and an arrow move the zoomed image"],
  ["?", "this help"],
];

/** An element; `text` is set as text, `on` holds listeners, the rest are attributes. */
function make(tag, { text, on = {}, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

function button(text, run, attributes = {}) {
  return make("button", { type: "button", text, on: { click: run }, ...attributes });
}

const words = (name) => name.replaceAll("_", " ");

function keyOfClass(k) {
  return k < 9 ? String(k + 1) : k === 9 ? "0" : (FREE_LETTERS[k - 10] ?? "");
}

/** Choices of an attribute in the order of its buttons: {label, text, key}. */
function choicesOf(work, a) {
  const classes = work.attributes[a].classes.map((label, k) => ({
    label, text: words(label), key: keyOfClass(k),
  }));
  return [...classes,
    { label: work.cannot_tell, text: "can’t tell", key: "t" },
    { label: work.several, text: "several", key: "m" }];
}

let judges = 0; // a page or notebook may hold several; ids must differ

function build(root, work, actions) {
  const id = `judge-${(judges += 1)}`;
  const questions = work.attributes.map((_, a) => buildQuestion(work, a, id));
  const view = { questions, ...buildTop(actions), ...buildPicture(), ...buildFoot() };
  view.help = buildHelp(id);
  view.note = make("input", { type: "text", maxlength: 500, dir: "auto", autocomplete: "off" });
  view.name = make("bdi", { class: "judge-name" });
  view.warning = make("div", { class: "judge-warning", role: "alert", hidden: "" });
  view.said = make("p", { class: "judge-said", "aria-live": "polite" });
  view.card = make("div", { class: "judge-card" },
    make("div", { class: "judge-picture" }, view.zoom),
    make("div", { class: "judge-questions" },
      ...questions.map((question) => question.group),
      make("label", { class: "judge-note", text: "Note " }, view.note),
      make("details", { class: "judge-file" },
        make("summary", { text: "File name (it may give an answer away)" }), view.name)));
  view.goOn = button("Go to the first unfinished image", () => {}, { class: "judge-main" });
  const verdict = make("h2", {});
  const doneActions = actions.map(({ label, run }) => button(label, run));
  view.finish = make("div", { class: "judge-finish", hidden: "" }, verdict,
    make("div", { class: "judge-finish-actions" }, view.goOn, ...doneActions));
  view.finishMain = () => (view.goOn.hidden && doneActions.length ? doneActions[0] : view.goOn);
  view.drawFinish = (open) => {
    verdict.textContent = open === 0 ? "All images are finished."
      : `${open} ${open === 1 ? "image is" : "images are"} not finished.`;
    view.goOn.hidden = open === 0;
  };
  view.bar.max = work.names.length;
  view.root = make("section", {
    class: "judge", tabindex: "-1", "aria-label": "Judge the images", lang: "en",
    "data-lm-suppress-shortcuts": "true", // JupyterLab would take the keys for its own commands
  }, view.top, view.warning, view.card, view.finish, view.foot, view.said, view.help);
  root.classList.add("judge-host"); // how much room there is decides the layout
  root.replaceChildren(view.root);
  return view;
}

function buildTop(actions) {
  const bar = make("progress", { class: "judge-bar", "aria-label": "Finished images", value: 0 });
  const position = make("strong", { class: "judge-position" });
  const progress = make("span", { class: "judge-progress" });
  const person = make("bdi", { class: "judge-person" });
  const helpButton = button("Help", () => {}, { "aria-keyshortcuts": "?", class: "judge-quiet" });
  const menu = make("div", { class: "judge-menu" }, person,
    ...actions.map(({ label, run }) => button(label, run, { class: "judge-quiet" })), helpButton);
  const menuButton = button("Menu", () => {}, { class: "judge-quiet judge-more", "aria-expanded": "false" });
  const top = make("header", { class: "judge-top" }, bar,
    make("p", { class: "judge-where" }, position, " ", progress), menuButton, menu);
  return { bar, position, progress, person, helpButton, menuButton, top };
}

function buildPicture() {
  const image = make("img", { class: "judge-image", draggable: "false" });
  const zoom = make("button", {
    type: "button", class: "judge-zoom", "aria-pressed": "false", "aria-label": "Zoom the photograph",
    "aria-keyshortcuts": "z",
  }, image);
  return { image, zoom };
}

function buildQuestion(work, a, id) {
  const { name } = work.attributes[a];
  const answer = make("span", { class: "judge-answer" });
  const given = make("span", { class: "judge-labelled" });
  const heading = make("button", {
    type: "button", class: "judge-heading", id: `${id}-heading-${a}`, "aria-controls": `${id}-choices-${a}`,
  }, make("span", { text: words(name) }), answer, given);
  const buttons = choicesOf(work, a).map(({ label, text, key }) => ({
    label,
    element: make("button", {
      type: "button", class: "judge-choice", "aria-pressed": "false",
      ...(key ? { "aria-keyshortcuts": key } : {}),
    }, make("kbd", { text: key, "aria-hidden": "true" }), make("span", { text })),
  }));
  const choices = make("div", { class: "judge-choices", id: `${id}-choices-${a}` },
    ...buttons.map(({ element }) => element));
  const group = make("div", {
    class: "judge-question", role: "group", "aria-labelledby": `${id}-heading-${a}`,
  }, heading, choices);
  return { group, heading, answer, given, buttons };
}

function buildFoot() {
  const previous = button("← Back", () => {}, { "aria-keyshortcuts": "ArrowLeft" });
  const undo = button("Undo", () => {}, { "aria-keyshortcuts": "u" });
  const noteButton = button("Note", () => {}, { "aria-keyshortcuts": "n" });
  const skip = button("Skip", () => {}, { "aria-keyshortcuts": "s" });
  const next = button("Next →", () => {}, { "aria-keyshortcuts": "ArrowRight" });
  const foot = make("nav", { class: "judge-foot", "aria-label": "Images" },
    previous, undo, noteButton, skip, next);
  return { previous, undo, noteButton, skip, next, foot };
}

function buildHelp(id) {
  const rows = HELP.map(([key, text]) =>
    make("div", {}, make("dt", {}, make("kbd", { text: key })), make("dd", { text })));
  const help = make("dialog", { class: "judge-dialog", "aria-labelledby": `${id}-help` },
    make("h2", { id: `${id}-help`, text: "Keys", tabindex: "-1", autofocus: "" }), make("dl", {}, ...rows),
    make("p", { text: "Judge what you see, not what you guess. Every key is saved at once." }));
  help.append(button("Close", () => help.close(), { class: "judge-main" }));
  return help;
}
