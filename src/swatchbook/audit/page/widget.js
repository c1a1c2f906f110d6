// The judge inside a notebook: answers and pictures travel between this view and the kernel.

const SLOW = 3000; // milliseconds after which an unanswered save is worth a warning
const KEPT_PICTURES = 8;

function connect(model) {
  const waiting = new Map(); // item → {resolve, reject}
  const shown = new Map(); // item → address

  function picture(k) {
    if (shown.has(k)) return Promise.resolve(shown.get(k));
    const before = waiting.get(k);
    if (before) return before.promise;
    const entry = {};
    entry.promise = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
    waiting.set(k, entry);
    model.send({ kind: "picture", k });
    return entry.promise;
  }

  function arrived({ k, problem }, [bytes]) {
    const entry = waiting.get(k);
    waiting.delete(k);
    if (!entry) return;
    if (problem) return entry.reject(new Error(problem));
    shown.set(k, URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" })));
    entry.resolve(shown.get(k));
    const [oldest] = shown.keys();
    if (shown.size > KEPT_PICTURES && oldest !== k) {
      URL.revokeObjectURL(shown.get(oldest));
      shown.delete(oldest);
    }
  }

  return { picture, arrived };
}

function render({ model, el }) {
  const work = model.get("work");
  const pictures = connect(model);
  const unsaved = new Set();
  let judge = null;
  let revision = 0;
  let timer = null;

  const saveCsv = () => {
    const state = judge.state();
    const file = new Blob([toCsv(work, state)], { type: "text/csv;charset=utf-8" });
    const link = make("a", { href: URL.createObjectURL(file), download: answersFile(state.annotator) });
    link.click();
  };

  function warn(message) {
    const actions = message ? [{ label: "Save CSV now", run: saveCsv }] : [];
    judge.warn("kernel", message, actions);
  }

  function save(state, k) {
    if (k < work.names.length) unsaved.add(k);
    revision += 1;
    const entries = [...unsaved].map((each) => ({ k: each, ...state.entries[each] }));
    clearTimeout(timer); // set anew before anything is sent: sending can fail
    timer = setTimeout(() => warn("Not saved yet: the kernel is busy or has stopped."), SLOW);
    model.send({ kind: "answers", revision, entries, at: state.at, active: state.active });
  }

  const heard = {
    state({ state }) {
      if (judge) return judge.replace({ ...state, undo: judge.state().undo });
      judge = startJudge(el, work, {
        picture: pictures.picture, save, actions: [{ label: "Save CSV", run: saveCsv }],
      }, { ...state, undo: [] });
    },
    picture: pictures.arrived,
    saved(message) {
      if (message.revision !== revision) return;
      clearTimeout(timer);
      unsaved.clear();
      warn(null);
    },
    failed({ problem }) {
      clearTimeout(timer);
      warn(`Not saved: ${problem}`);
    },
  };

  const onMessage = (message, buffers) => heard[message.kind]?.(message, buffers ?? []);
  model.on("msg:custom", onMessage);
  el.textContent = "The judge waits for the kernel. If nothing comes, run this cell again.";
  model.send({ kind: "open" });
  return () => {
    clearTimeout(timer);
    model.off("msg:custom", onMessage);
    judge?.stop();
  };
}

export default { render };
