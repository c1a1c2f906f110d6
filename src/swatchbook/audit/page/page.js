// The judge as a page of its own: answers live in the browser's storage and leave as a CSV file.

const work = readWork(document.getElementById("work").textContent);
const place = document.getElementById("judge");
const listed = `swatchbook audit ${work.sample}`;
const placeOf = (annotator) => `${listed} ${annotator}`;
let judge = null;
let unsaved = false; // whether answers are in this tab only

function readWork(text) {
  const read = JSON.parse(text);
  // File names can carry the folder, and the folder the answer; nobody should read it in the source by chance.
  const bytes = Uint8Array.from(atob(read.names), (letter) => letter.charCodeAt(0));
  return { ...read, names: JSON.parse(new TextDecoder().decode(bytes)) };
}

/** A stored object; null where there is none, it cannot be read or it is damaged. */
function load(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

function store(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

/** Who has judged here: {last, annotators}. */
function people() {
  const known = load(listed);
  return known && Array.isArray(known.annotators) ? known : { last: null, annotators: [] };
}

function save(state) {
  const kept = store(placeOf(state.annotator), state);
  unsaved = !kept;
  judge.warn("storage", kept ? null
    : "This browser does not keep the answers: its storage is full or forbidden. They are in this tab only.",
  kept ? [] : [{ label: "Save CSV now", run: saveCsv }]);
}

function saveCsv() {
  const state = judge.state();
  const file = new Blob([toCsv(work, state)], { type: "text/csv;charset=utf-8" });
  const name = answersFile(state.annotator).replace(/^answers/, work.given ? "corrections" : "answers");
  const link = make("a", { href: URL.createObjectURL(file), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  unsaved = false;
}

function open(annotator) {
  const known = people();
  const kept = load(placeOf(annotator));
  const damaged = kept !== null && !fits(work, kept);
  if (damaged) store(`${placeOf(annotator)} damaged`, kept);
  start(kept && !damaged ? kept : newState(work, annotator));
  store(listed, { last: annotator, annotators: [...new Set([...known.annotators, annotator])] });
  judge.warn("damaged", damaged ? "The stored answers were damaged; they are set aside and you start anew." : null);
}

function start(state) {
  judge?.stop();
  judge = startJudge(place, work, {
    picture: (k) => Promise.resolve(work.pictures[work.shown[k]]),
    save,
    keys: document,
    actions: [
      { label: "Save CSV", run: saveCsv },
      { label: "Load CSV", run: () => chooser.click() },
      { label: "Change person", run: askName },
    ],
  }, state);
  save(state);
}

// ---- who judges --------------------------------------------------------------------------------------

const asked = document.getElementById("who");
const nameField = document.getElementById("annotator");
const nameProblemText = document.getElementById("annotator-problem");

function askName() {
  nameProblemText.textContent = "";
  nameField.value = "";
  document.getElementById("annotators").replaceChildren(
    ...people().annotators.map((name) => make("option", { value: name })));
  asked.showModal();
}

// Answers without a name could not be told apart; a browser lets "cancel" be prevented only once.
asked.addEventListener("close", () => {
  if (!judge) askName();
});
document.getElementById("who-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = nameField.value.trim().normalize("NFC");
  const problem = nameProblem(name);
  nameProblemText.textContent = problem ?? "";
  nameField.setAttribute("aria-invalid", String(Boolean(problem)));
  if (problem) return;
  asked.close();
  open(name);
});

// ---- going on with a file ----------------------------------------------------------------------------

const chooser = make("input", { type: "file", accept: ".csv,text/csv", hidden: "", "aria-label": "Answers file" });
document.body.append(chooser);
chooser.addEventListener("change", async () => {
  const [file] = chooser.files;
  chooser.value = "";
  if (file) takeFile(file.name, await file.text());
});

/** Take answers over from a file: its answers win, what it leaves blank stays. */
function takeFile(name, text) {
  try {
    const given = fromCsv(work, text);
    open(given.annotator);
    start(merged(judge.state(), given));
    judge.warn("file", null);
  } catch (error) {
    judge.warn("file", `“${name}” is not taken over: ${error.message}`);
  }
}

function merged(here, given) {
  const entries = here.entries.map((entry, k) => ({
    labels: entry.labels.map((label, a) => given.entries[k].labels[a] || label),
    note: given.entries[k].note || entry.note,
    seconds: Math.max(given.entries[k].seconds, entry.seconds),
  }));
  const state = { ...here, entries, undo: [] };
  state.at = firstOpen(state);
  state.active = state.at < entries.length ? firstUnanswered(entries[state.at]) : 0;
  return state;
}

// The same person in two tabs: the tab in the background follows, or its next key would undo the other's.
addEventListener("storage", (event) => {
  if (!judge || event.key !== placeOf(judge.state().annotator)) return;
  const other = load(event.key);
  if (fits(work, other)) judge.replace(other);
});
addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});

const { last } = people();
if (last) open(last);
else askName();
