// The judge: one card an image, every attribute on it, all of it by keyboard; what keys and buttons do.
//
// host: {picture(k) → Promise of an address, save(state, k), keys: where keys are heard,
//        actions: [{label, run}]}

const IDLE_SECONDS = 60; // a longer pause was not spent on the image
const ZOOM_STEP = 20; // per cent of the image that Shift and an arrow move
function minutes(seconds) {
  if (seconds < 60) return "under 1 min left";
  const whole = Math.round(seconds / 60);
  return whole < 100 ? `about ${whole} min left` : `about ${(whole / 60).toFixed(1)} h left`;
}

/** What a key press means, whatever the keyboard: digits also where they need Shift, letters in capitals. */
function keyName(event) {
  const digit = /^Digit(\d)$/.exec(event.code ?? "");
  if (digit && !event.shiftKey && !/^\d$/.test(event.key)) return digit[1];
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}

/** Build the judge inside `root` and start it; gives {warn, replace, stop, state}. */
function startJudge(root, work, host, state) {
  const view = build(root, work, host.actions ?? []);
  let since = performance.now();
  let drawn = null;

  const count = work.names.length;
  const finished = () => state.at >= count;

  /** Book the time since the last event on the image in sight. */
  function bookTime() {
    const now = performance.now();
    const spent = Math.min((now - since) / 1000, IDLE_SECONDS);
    since = now;
    if (!finished() && !document.hidden) state.entries[state.at].seconds += spent;
  }

  function keep(k, said) {
    host.save(state, k);
    draw();
    view.top.scrollIntoView({ block: "nearest" }); // back to the picture, from a note or in a notebook
    if (said) view.said.textContent = said;
  }

  function goTo(k, active) {
    bookTime();
    const from = state.at;
    state.at = Math.max(0, Math.min(count, k));
    state.active = active ?? (finished() ? 0 : firstUnanswered(state.entries[state.at]));
    unzoom();
    keep(from, where());
    if (finished()) view.finishMain().focus({ preventScroll: true });
  }

  function where() {
    if (finished()) return `All images seen. ${countDone(state)} of ${count} finished.`;
    return `Image ${state.at + 1} of ${count}. ${words(work.attributes[state.active].name)}?`;
  }

  function choose(a, label) {
    if (finished()) return;
    bookTime();
    const k = state.at;
    setLabel(state, k, a, label);
    // Where labels are corrected, what is not asked about has its answer already.
    const next = work.asked ? work.asked[k].indexOf(true, a + 1) : a + 1;
    if (next < 0 || next === work.attributes.length) return goTo(nextOpen(state, k));
    state.active = next;
    keep(k, `${words(work.attributes[a].name)}: ${words(label)}. ${words(work.attributes[next].name)}?`);
  }

  function undo() {
    bookTime();
    const k = undoLabel(state);
    unzoom();
    keep(k ?? state.at, k === null ? "There is nothing to undo." : `Undone. ${where()}`);
  }

  function activate(a) {
    if (finished()) return;
    state.active = (a + work.attributes.length) % work.attributes.length;
    keep(state.at, where());
  }

  // ---- zoom ----
  const zoomed = () => view.zoom.getAttribute("aria-pressed") === "true";
  let centre = [50, 50];

  function unzoom() {
    view.zoom.setAttribute("aria-pressed", "false");
  }

  function aim(x, y) {
    centre = [x, y].map((v) => Math.max(0, Math.min(100, v)));
    view.image.style.transformOrigin = `${centre[0]}% ${centre[1]}%`;
  }

  function toggleZoom(event) {
    if (finished()) return;
    view.zoom.setAttribute("aria-pressed", String(!zoomed()));
    if (event?.clientX) follow(event);
    else aim(50, 50);
  }

  function follow(event) {
    if (!zoomed()) return;
    const box = view.zoom.getBoundingClientRect();
    aim(((event.clientX - box.left) / box.width) * 100, ((event.clientY - box.top) / box.height) * 100);
  }

  // ---- keys ----
  const commands = {
    ArrowLeft: () => goTo(state.at - 1),
    ArrowRight: () => goTo(state.at + 1),
    ArrowUp: () => activate(state.active - 1),
    ArrowDown: () => activate(state.active + 1),
    u: undo,
    s: () => goTo(state.at + 1),
    g: () => goTo(firstOpen(state)),
    n: () => view.note.focus(),
    z: () => toggleZoom(),
    "?": () => view.help.showModal(),
    Escape: unzoom,
  };
  const pans = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const repeats = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];

  function onKey(event) {
    const key = keyName(event);
    const typing = event.target.closest?.("input, textarea, dialog, select");
    if (typing || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (event.repeat && !repeats.includes(key)) return;
    const pan = event.shiftKey && zoomed() && pans[key];
    const choice = finished() ? null : choicesOf(work, state.active).find((each) => each.key === key);
    if (pan) aim(centre[0] + pan[0] * ZOOM_STEP, centre[1] + pan[1] * ZOOM_STEP);
    else if (choice) choose(state.active, choice.label);
    else if (commands[key]) commands[key]();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function onNote() {
    if (finished()) return;
    bookTime();
    state.entries[state.at].note = view.note.value;
    host.save(state, state.at);
  }

  function onNoteKey(event) {
    event.stopPropagation();
    if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
    event.preventDefault();
    view.root.focus({ preventScroll: true });
  }

  // ---- drawing ----
  async function drawPicture(k) {
    if (drawn === k) return;
    drawn = k;
    view.image.classList.add("judge-waiting");
    try {
      const address = await host.picture(k);
      if (drawn !== k) return; // the person is further on already
      view.image.src = address;
      view.image.classList.remove("judge-waiting");
    } catch (error) {
      if (drawn === k) drawn = null;
      warn("picture", `Image ${k + 1} cannot be shown: ${error.message}`);
    }
    if (k + 1 < count) host.picture(k + 1).catch(() => {});
  }

  function drawProgress() {
    const done = countDone(state);
    const left = secondsLeft(state);
    const time = done === count ? "none left" : left === null ? "" : minutes(left);
    view.bar.value = done;
    view.progress.textContent = `${done} finished${time ? ` · ${time}` : ""}`;
    view.person.textContent = state.annotator;
  }

  function draw() {
    drawProgress();
    view.card.hidden = finished();
    view.finish.hidden = !finished();
    view.undo.disabled = !state.undo.length;
    view.previous.disabled = state.at === 0;
    view.next.disabled = view.skip.disabled = finished();
    view.position.textContent = finished() ? "The end" : `${state.at + 1} of ${count}`;
    if (finished()) return view.drawFinish(count - countDone(state));
    const entry = state.entries[state.at];
    view.image.alt = `Photograph ${state.at + 1} of ${count}`;
    view.name.textContent = work.names[state.at].split("/").at(-1);
    if (view.note.value !== entry.note) view.note.value = entry.note;
    view.questions.forEach((question, a) =>
      drawQuestion(question, entry.labels[a], a === state.active, work.given?.[state.at][a]));
    drawPicture(state.at);
  }

  const warnings = new Map();

  /** Show a warning under a topic until it is taken back with null. */
  function warn(topic, message, actions = []) {
    if (message === null) warnings.delete(topic);
    else warnings.set(topic, [message, actions]);
    view.warning.hidden = !warnings.size;
    if (view.warning.dataset.text === [...warnings.values()].map(([text]) => text).join("\n")) return;
    view.warning.dataset.text = [...warnings.values()].map(([text]) => text).join("\n");
    view.warning.replaceChildren(...[...warnings.values()].map(([text, does]) =>
      make("p", { text: `${text} ` }, ...does.map(({ label, run }) => button(label, run)))));
  }

  const wire = (element, name, listener) => element.addEventListener(name, listener);
  view.questions.forEach((question, a) => {
    wire(question.heading, "click", () => activate(a));
    question.buttons.forEach(({ element, label }) => wire(element, "click", () => choose(a, label)));
  });
  wire(view.previous, "click", commands.ArrowLeft);
  wire(view.next, "click", commands.ArrowRight);
  wire(view.skip, "click", commands.s);
  wire(view.undo, "click", undo);
  wire(view.noteButton, "click", commands.n);
  wire(view.helpButton, "click", commands["?"]);
  wire(view.goOn, "click", commands.g);
  wire(view.menuButton, "click", () => {
    const open = view.menuButton.getAttribute("aria-expanded") !== "true";
    view.menuButton.setAttribute("aria-expanded", String(open));
  });
  wire(view.zoom, "click", toggleZoom);
  wire(view.zoom, "pointermove", follow);
  wire(view.note, "input", onNote);
  wire(view.note, "keydown", onNoteKey);
  const onHidden = () => {
    if (!document.hidden) since = performance.now();
  };
  document.addEventListener("visibilitychange", onHidden);
  const keys = host.keys ?? view.root;
  keys.addEventListener("keydown", onKey);
  draw();
  view.said.textContent = where();

  return {
    warn,
    state: () => state,
    replace(other) {
      state = other;
      drawn = null;
      draw();
    },
    stop() {
      keys.removeEventListener("keydown", onKey);
      document.removeEventListener("visibilitychange", onHidden);
      root.replaceChildren();
    },
  };
}

/** Draw a question; `given` is the label to correct, where labels are corrected. */
function drawQuestion(question, answer, active, given) {
  question.group.classList.toggle("judge-active", active);
  question.heading.setAttribute("aria-expanded", String(active));
  question.answer.textContent = answer ? words(answer) : "";
  question.given.textContent = given && given !== answer ? `labelled ${words(given)}` : "";
  for (const { element, label } of question.buttons) {
    element.setAttribute("aria-pressed", String(label === answer));
    element.classList.toggle("judge-given", Boolean(given) && label === given);
  }
}
