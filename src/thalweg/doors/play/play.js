"use strict";
// The playground: asks for frames, draws them, and tells the server what was changed. Text is only ever set as text.
const playground = (() => {
  const token = new URLSearchParams(location.search).get("token") || "";
  const MOST_KEPT = 1024;
  const calm = matchMedia("(prefers-reduced-motion: reduce)"), dark = matchMedia("(prefers-color-scheme: dark)");
  const state = { seen: { frame: -1, settings: -1, scene: -1 }, header: {}, scene: null, controls: null, lanes: new Map(), order: [], weights: [], log: true, tab: "command",
    sketch: [], pen: 0, drawing: false, frames: 0, rate: 0, ended: false, tape: "" };

  const make = (tag, { text, on = {}, data = {}, ...properties } = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) if (name in element && name !== "form" && name !== "list") element[name] = value; else element.setAttribute(name, value);
    for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
    Object.assign(element.dataset, data);
    if (text !== undefined) element.textContent = text;
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  };
  const $ = (id) => document.getElementById(id);
  const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };
  const figure = (value) => value === null || value === undefined ? "–" : value !== 0 && (Math.abs(value) >= 1e4 || Math.abs(value) < 1e-3) ? value.toExponential(2).replace("e+", "e") : String(+value.toPrecision(3));
  const count = (value) => value.toLocaleString("en");

  // ---- what the server is asked ----
  let pending = 0, slow = null;
  const say = (text, bad = false) => { const line = $("status"); put(line, text); line.classList.toggle("bad", bad); };
  const ask = async (wish) => {
    pending += 1;
    slow = slow || setTimeout(() => say("Working: a network of another structure is compiled ..."), 400);
    try {
      const answer = await fetch("/do", { method: "POST", headers: { Authorization: `Bearer ${token}` }, body: JSON.stringify(wish) });
      const content = await answer.json();
      if (answer.ok) say(content.restarted ? "Restarted from the seeds." : ""); else say(`Not done: ${content.reason}.`, true);
      if (!answer.ok) show();
      return answer.ok ? content : null;
    } catch { say("The playground does not answer.", true); return null; } finally {
      pending -= 1;
      if (!pending) { clearTimeout(slow); slow = null; }
    }
  };
  // Of a control that moves, the newest value is sent when the last one has been taken.
  const latest = new Map();
  let sending = false;
  const change = async (name, value) => {
    latest.set(name, value);
    if (sending) return;
    sending = true;
    while (latest.size) {
      const changes = Object.fromEntries(latest);
      latest.clear();
      await ask({ change: changes });
    }
    sending = false;
  };

  const toggle = () => ask({ play: !state.header.playing });
  const step = async () => { if (await ask({ step: true }) && $("tape").open) record(); };
  const reset = () => ask({ reset: true });
  const pin = () => ask({ pin: true });
  const record = async () => {
    const answer = await ask({ tape: true });
    if (answer) put($("tape-text"), answer.tape);
  };

  // ---- the frame ----
  const select = (id, names, listener, title = (name) => name) => make("select", { id, on: { change: (event) => listener(names[event.target.selectedIndex]) } }, ...names.map((name) => make("option", { text: title(name), value: String(name) })));
  const field = (label, control, output) => make("div", { className: "field", data: { field: control.id } }, make("label", { text: label, htmlFor: control.id }), output || control, ...(output ? [control] : []));
  const words = { "leaky_relu": "leaky ReLU", relu: "ReLU", gelu: "GELU", silu: "SiLU", elu: "ELU", identity: "identity (linear)", sgd: "SGD", momentum: "SGD + momentum", nesterov: "SGD + Nesterov", adagrad: "AdaGrad", rmsprop: "RMSprop", adam: "Adam", adamw: "AdamW", nadam: "NAdam", lion: "Lion", he: "He", glorot: "Glorot", lecun: "LeCun", full: "full batch" };
  const worded = (name) => words[name] || String(name).replace(/-/g, " ");
  const slider = (id, low, high, grain, value, read) => make("input", { id, type: "range", min: low, max: high, step: grain, on: { input: (event) => { const now = value(+event.target.value); put($(`${id}-out`), read(now)); change(id, now); } } });
  const SLIDERS = {
    lr: { low: -5, high: 1, grain: 0.05, value: (at) => +(10 ** at).toPrecision(3), place: (value) => Math.log10(Math.max(value, 1e-5)) },
    momentum: { low: 0, high: 0.99, grain: 0.01, value: (at) => at, place: (value) => value },
    weight_decay: { low: -6.25, high: 0, grain: 0.25, value: (at) => at < -6 ? 0 : +(10 ** at).toPrecision(2), place: (value) => value ? Math.log10(value) : -6.25 },
  };
  const sliding = (id, label) => {
    const { low, high, grain, value } = SLIDERS[id];
    return field(label, slider(id, low, high, grain, value, figure), make("output", { id: `${id}-out`, htmlFor: id }));
  };
  const whole = (id, label, low, high, listener) => field(label, make("input", { id, type: "number", min: low, max: high, step: 1, inputMode: "numeric", on: { change: (event) => listener(event.target.valueAsNumber) } }));

  const sources = () => [...OFFERED.sources, ["drawn", "Points you draw"], ...OFFERED.surfaces.map(([name, formula]) => [name, `${name[0].toUpperCase()}${name.slice(1)}: ${formula}`])];
  const group = (title, note, ...children) => make("fieldset", {}, make("legend", {}, title, make("small", { text: note })), ...children);

  const build = () => {
    const chooser = make("select", { id: "source", ariaLabel: "Data", on: { change: (event) => choose(event.target.value) } },
      make("optgroup", { label: "Classes" }), make("optgroup", { label: "A curve" }), make("optgroup", { label: "Your own" }), make("optgroup", { label: "Surfaces" }));
    sources().forEach(([name, title], at) => chooser.children[name === "drawn" ? 2 : at < 4 ? 0 : at < OFFERED.sources.length ? 1 : 3].append(make("option", { value: name, text: title })));
    const page = $("page");
    page.replaceChildren(
      make("header", { className: "top" }, make("h1", { text: "Playground" }), make("p", { id: "about", className: "note" }),
        make("span", { className: "note keyboard" }, make("kbd", { text: "space" }), " play  ", make("kbd", { text: "s" }), " step  ", make("kbd", { text: "r" }), " reset  ", make("kbd", { text: "p" }), " pin"),
        make("button", { type: "button", id: "theme", className: "quiet", on: { click: retheme } })),
      make("section", { className: "bar-top", ariaLabel: "Training" },
        make("div", { className: "buttons" },
          make("button", { type: "button", id: "play", className: "press main", text: "Play", ariaKeyShortcuts: "Space", on: { click: toggle } }),
          make("button", { type: "button", id: "step", className: "press", text: "Step", title: "Make a single update", ariaKeyShortcuts: "s", on: { click: step } }),
          make("button", { type: "button", id: "reset", className: "press", text: "Reset", title: "Start again from the same seed", ariaKeyShortcuts: "r", on: { click: reset } }),
          make("button", { type: "button", id: "pin", className: "press", text: "Pin", title: "Keep this variant as it is, and train it on beside the next ones", ariaKeyShortcuts: "p", on: { click: pin } })),
        make("label", { className: "speed" }, "updates a frame", select("speed", OFFERED.speed, (speed) => ask({ speed }))),
        make("dl", { className: "numbers" }, ...[["updates", "steps-now"], ["epoch", "epoch"], ["training loss", "train"], ["validation loss", "validation"]].map(([label, id]) => make("div", {}, make("dt", { text: label }), make("dd", { id, text: "–" })))),
        make("div", { className: "done", role: "presentation" }, make("i", { id: "done" }))),
      make("p", { id: "status", className: "status", role: "status" }),
      make("div", { className: "board" },
        make("div", { className: "panel controls" },
          group("Data", "", make("div", { className: "field wide" }, chooser)),
          group("While it runs", "takes effect at once, without a restart", sliding("lr", "learning rate"), sliding("momentum", "momentum"), sliding("weight_decay", "weight decay"), whole("steps", "updates planned", 1, OFFERED.most.steps, (value) => change("steps", value))),
          make("fieldset", { id: "network" }, make("legend", {}, "Network", make("small", { text: "a change restarts training" })),
            make("div", { className: "field" }, make("span", { text: "hidden layers" }), make("div", { id: "hidden", className: "layers", role: "group", ariaLabel: "Units of each hidden layer" })),
            field("activation", select("activation", OFFERED.activation, (name) => change("activation", name), worded)),
            field("initial weights", select("initialisation", OFFERED.initialisation, (name) => change("initialisation", name), worded)),
            field("dropout", select("dropout", OFFERED.dropout, (share) => change("dropout", share), (share) => share ? `${100 * share} %` : "none"))),
          group("Training", "a change restarts training",
            field("optimizer", select("optimizer", OFFERED.optimizer, (name) => change("optimizer", name), worded)),
            field("schedule", select("schedule", OFFERED.schedule, (name) => change("schedule", name), worded)),
            field("batch size", select("batch_size", OFFERED.batch_size, (size) => change("batch_size", size), worded)),
            whole("seed", "seed", 0, 2 ** 31 - 1, (value) => change("seed", value)))),
        make("div", { className: "view" }, make("section", { className: "panel" },
          make("header", {}, make("h2", { id: "title", text: "Decision boundary" }), make("div", { id: "classes", className: "keys" })),
          make("div", { id: "picture", className: "picture", role: "img", ariaLabel: "What the network has learned" }, make("canvas", { id: "map" }), make("canvas", { id: "dots" })),
          make("div", { id: "axes", className: "axes" }, make("span"), make("span")),
          make("div", { id: "palette", className: "palette", hidden: true, role: "group", ariaLabel: "Class that is drawn" })),
        make("section", { className: "panel" }, make("header", {}, make("h2", { text: "Recipe" }),
          make("div", { className: "tabs" }, make("div", { className: "switch", role: "tablist", ariaLabel: "Form of the recipe" }, ...["command", "python", "toml"].map((name) => make("button", { type: "button", role: "tab", id: `tab-${name}`, text: name === "toml" ? "TOML" : name === "python" ? "Python" : "Command", data: { tab: name }, on: { click: () => { state.tab = name; recipe(); } } }))),
            make("button", { type: "button", id: "copy", className: "quiet", text: "Copy", on: { click: copy } }), make("button", { type: "button", id: "save", className: "quiet", text: "Save points.csv", hidden: true, on: { click: save } }))),
          make("pre", { id: "recipe", tabIndex: 0, role: "tabpanel" }))),
        make("div", {},
          make("section", { className: "panel" }, make("header", {}, make("h2", { text: "Loss" }),
            make("div", { className: "switch", role: "group", ariaLabel: "Scale of the loss" }, ...["linear", "log"].map((kind) => make("button", { type: "button", text: kind, data: { kind }, ariaPressed: String((kind === "log") === state.log), on: { click: () => rescale(kind === "log") } })))),
            make("div", { className: "chart" }, make("canvas", { id: "loss", role: "img", ariaLabel: "Training and validation loss over updates" })), make("div", { id: "loss-keys", className: "keys" })),
          make("section", { className: "panel" }, make("header", {}, make("h2", { id: "gradient-title", text: "Gradient norm by layer" })), make("div", { className: "chart low" }, make("canvas", { id: "gradients", role: "img", ariaLabel: "Norm of the gradient of each layer over updates" })), make("div", { id: "gradient-keys", className: "keys" })),
          make("section", { className: "panel", id: "weights-panel" }, make("header", {}, make("h2", { text: "Weights" }), make("div", { className: "keys" }, make("span", {}, own("i", "--c1", "dot"), "negative"), make("span", {}, own("i", "--c2", "dot"), "positive"))), make("div", { id: "weights", className: "weights" })))),
      make("section", { id: "side", className: "panel", hidden: true }, make("header", {}, make("h2", { text: "Side by side" }), make("p", { className: "note", text: "Lanes of one program where the structure is the same; all at the same update." })), make("div", { id: "lanes", className: "lanes" })),
      make("details", { id: "tape", className: "panel", on: { toggle: (event) => { if (event.target.open && state.header.step) record(); } } }, make("summary", { text: "Tape of the last update" }),
          make("p", { className: "note", text: "Step with the tape open: the forward and backward pass of that update, op by op." }), make("pre", { id: "tape-text", tabIndex: 0, text: "No update has been recorded." })));
    const surface = $("picture");
    surface.addEventListener("pointerdown", (event) => { if (drawable()) { surface.setPointerCapture(event.pointerId); state.drawing = true; sketch(event, true); } else startAt(event); });
    surface.addEventListener("pointermove", (event) => { if (state.drawing) sketch(event, false); });
    for (const name of ["pointerup", "pointercancel"]) surface.addEventListener(name, () => { if (state.drawing) { state.drawing = false; learn(); } });
    new ResizeObserver(() => show()).observe(surface);
    addEventListener("resize", show);
    dark.addEventListener("change", repaint);
    document.addEventListener("keydown", press);
    repaint();
  };
  const own = (tag, variable, className, ...children) => { const element = make(tag, { className }, ...children); element.style.setProperty("--own", variable.startsWith("--") ? `var(${variable})` : variable); return element; };

  const press = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input[type=number], select, textarea, summary")) return;
    const act = { " ": toggle, s: step, r: reset, p: pin }[event.key];
    if (!act || event.repeat || (event.key === " " && event.target.matches("button, pre"))) return;
    event.preventDefault();
    act();
  };

  const themed = () => document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");
  const retheme = () => { document.documentElement.dataset.theme = themed() === "dark" ? "light" : "dark"; repaint(); };
  const repaint = () => {
    Draw.theme();
    put($("theme"), themed() === "dark" ? "Light theme" : "Dark theme");
    if (state.scene) state.scene.painted = null;
    keys();
    show();
  };
  const rescale = (log) => { state.log = log; for (const button of document.querySelectorAll("[data-kind]")) button.ariaPressed = String((button.dataset.kind === "log") === log); show(); };

  // ---- data ----
  const choose = (name) => {
    if (name !== "drawn") { state.sketch = []; ask({ source: name }); return; }
    state.scene = { kind: "classes", source: "drawn", window: [-1.1, 1.1, -1.1, 1.1], names: ["x", "y"], classes: ["0", "1"], formula: "", shows: "", points: null, waiting: true };
    frameScene();
    say("Draw points on the picture: at least four of each of two classes.");
  };
  const drawable = () => state.scene && state.scene.source === "drawn";
  const at = (event) => {
    const box = $("picture").getBoundingClientRect(), [low0, high0, low1, high1] = state.scene.window;
    return [low0 + (high0 - low0) * (event.clientX - box.left) / box.width, low1 + (high1 - low1) * (1 - (event.clientY - box.top) / box.height)];
  };
  const sketch = (event, first) => {
    const [x, y] = at(event).map((value) => Math.max(-1.1, Math.min(1.1, +value.toFixed(4)))), before = state.sketch[state.sketch.length - 1];
    if (state.sketch.length >= OFFERED.most.points || (!first && before && Math.hypot(before[0] - x, before[1] - y) < 0.05)) return;
    state.sketch.push([x, y, state.pen]);
    sketched();
  };
  const sketched = () => {
    const { sketch } = state;
    state.scene.points = { at: sketch.flatMap(([x, y]) => [x, y]), labels: sketch.map((row) => row[2]), held: sketch.map(() => 0) };
    dots();
  };
  const learn = () => {
    const counts = new Map();
    for (const [, , label] of state.sketch) counts.set(label, (counts.get(label) || 0) + 1);
    if (counts.size < 2 || Math.min(...counts.values()) < 4) say("Draw at least four points of each of two classes."); else ask({ points: state.sketch });
  };
  const startAt = (event) => { if (state.scene && state.scene.kind === "surface") change("start", at(event).map((value) => +value.toPrecision(3))); };
  const palette = () => {
    const row = $("palette");
    row.hidden = !drawable();
    if (row.hidden) return;
    const most = Math.min(OFFERED.most.classes, Math.max(2, 1 + Math.max(0, ...state.sketch.map((point) => point[2])) + 1));
    row.replaceChildren(...Array.from({ length: most }, (_, label) => make("button", { type: "button", ariaPressed: String(label === state.pen), on: { click: () => { state.pen = label; palette(); } } }, own("i", Draw.classColour(label)), `class ${label}`)),
      make("button", { type: "button", text: "Clear", on: { click: () => { state.sketch = []; choose("drawn"); } } }));
  };
  const save = () => {
    const rows = state.sketch.map((row) => row.join(","));
    const link = make("a", { href: URL.createObjectURL(new Blob([`x,y,class\n${rows.join("\n")}\n`], { type: "text/csv" })), download: "points.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  // ---- what a frame holds ----
  const TYPES = { uint8: Uint8Array, int8: Int8Array, float32: Float32Array };
  const take = (buffer) => {
    const length = new DataView(buffer).getUint32(0, true), header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length))), arrays = new Map();
    for (const [name, kind, first, shape] of header.arrays) arrays.set(name, { values: new TYPES[kind](buffer, 4 + length + first, shape.reduce((product, side) => product * side, 1)), shape });
    state.header = header;
    state.seen = { frame: header.frame, settings: header.settings, scene: header.scene };
    if (header.drawn) setScene(header.drawn, arrays);
    state.order = header.lanes.map(({ number }) => number);
    for (const key of [...state.lanes.keys()]) if (!state.order.includes(key)) state.lanes.delete(key);
    for (const lane of header.lanes) grow(lane, header.whole, arrays);
    state.weights = [...arrays].filter(([name]) => name.startsWith("weights/")).map(([name, array]) => ({ name: name.slice(8), ...array, largest: header.largest[name.slice(8)] }));
    if (header.controls) { state.controls = header.controls; controls(); }
    if (header.whole || header.controls) side();
  };
  const grow = ({ number, steps, curves, path, ...lane }, whole, arrays) => {
    const own = (!whole && state.lanes.get(number)) || { steps: [], curves: [], path: [] };
    if (!own.steps.length || steps[0] > own.steps[own.steps.length - 1]) { own.steps.push(...steps); own.curves.push(...curves); own.path.push(...path); }
    if (own.steps.length > MOST_KEPT) for (const name of ["steps", "curves", "path"]) own[name] = own[name].filter((_, index) => index % 2 === 0);
    own.picture = {};
    for (const name of ["winner", "certainty", "value"]) { const array = arrays.get(`${number}/${name}`); if (array) own.picture[name] = array.values; }
    state.lanes.set(number, Object.assign(own, lane, { number, at: number % 9 }));
  };
  const setScene = (drawn, arrays) => {
    const at = arrays.get("points/at"), heights = arrays.get("heights");
    const scene = { ...drawn, points: at ? { at: at.values, labels: arrays.get("points/labels").values, held: arrays.get("points/held").values } : null };
    if (scene.kind === "values") scene.range = [Math.min(...scene.points.labels), Math.max(...scene.points.labels)];
    if (heights) scene.tile = () => (scene.painted = scene.painted || Draw.surface(heights.values, heights.shape));
    if (scene.source === "drawn" && !state.sketch.length) state.sketch = Array.from(scene.points.labels, (label, i) => [+scene.points.at[2 * i].toFixed(4), +scene.points.at[2 * i + 1].toFixed(4), label]);
    state.scene = scene;
    frameScene();
  };
  const TITLES = { classes: "Decision boundary", values: "Fitted surface", curve: "Fitted curve", surface: "Descent" };
  const frameScene = () => {
    const { scene } = state, chooser = $("source");
    if (scene.table && !chooser.querySelector('[value="table"]')) chooser.children[2].prepend(make("option", { value: "table", text: scene.table }));
    chooser.value = scene.source;
    put($("title"), TITLES[scene.kind]);
    put($("gradient-title"), scene.kind === "surface" ? "Gradient norm" : "Gradient norm by layer");
    put($("about"), scene.kind === "surface" ? `${scene.shows} Click on the picture to start elsewhere.` : scene.source === "drawn" ? "Draw points of two or more classes; the network learns to tell them apart." : "Train a network and watch what it learns; every control is a setting of the recipe below.");
    $("picture").classList.toggle("curve", scene.kind === "curve");
    $("picture").classList.toggle("drawing", drawable());
    $("network").hidden = $("weights-panel").hidden = scene.kind === "surface";
    const [left, right] = $("axes").children, [low0, high0, low1, high1] = scene.window.map(figure);
    put(left, `${scene.names[0]}: ${low0} to ${high0}`);
    put(right, `${scene.names[1]}: ${low1} to ${high1}`);
    keys();
    palette();
    show();
  };

  // ---- drawing ----
  const line = (text, colour, className = "") => make("span", {}, own("i", colour, className), text);
  const hasValidation = () => state.order.some((number) => state.lanes.get(number).validation !== null);
  const keys = () => {
    const { scene, controls: shown } = state;
    if (!scene) return;
    const rings = scene.kind === "surface" || scene.waiting ? [] : [make("span", {}, make("i", { className: "dot ring" }), "validation")];
    $("classes").replaceChildren(...scene.classes.map((name, label) => line(name, Draw.classColour(label), "dot")), ...rings);
    if (!shown) return;
    $("loss-keys").replaceChildren(line(hasValidation() ? "validation" : scene.kind === "surface" ? "height" : "training", "--l0"), ...(hasValidation() ? [line("training", "--l0", "dashed")] : []), ...state.order.slice(1).map((number) => line(`#${number} ${shown.labels[number] || ""}`, Draw.laneColour(number % 9))));
    const layers = grouped();
    $("gradient-keys").replaceChildren(...(layers.length < 2 ? [] : layers.map((_, at) => line(`layer ${at + 1}`, Draw.layerColour(at, layers.length)))));
  };
  // Columns of the arrays that belong to one layer: its weights and its biases.
  const grouped = () => {
    const layers = new Map();
    (state.controls ? state.controls.layers : []).forEach((name, at) => { const layer = name.replace(/\.?(weight|bias)$/, ""); layers.set(layer, [...(layers.get(layer) || []), at]); });
    return [...layers.values()];
  };
  const seen = () => state.order.map((number) => state.lanes.get(number));
  const curves = () => {
    const lanes = seen(), held = hasValidation(), lines = [];
    for (const lane of [...lanes].reverse()) {
      const first = lane.number === 0, colour = Draw.laneColour(lane.at);
      if (held && first) lines.push({ x: lane.steps, y: lane.curves.map((row) => row[0]), colour, width: 1.2, dash: [4, 3], alpha: 0.85 });
      lines.push({ x: lane.steps, y: lane.curves.map((row) => row[held ? 1 : 0]), colour, width: first ? 2.4 : 1.6, dash: Draw.DASHES[first ? 0 : lane.at] });
    }
    Draw.chart($("loss"), lines, state.log);
    const first = lanes[0], layers = grouped();
    Draw.chart($("gradients"), layers.map((columns, at) => ({ x: first.steps, colour: Draw.layerColour(at, layers.length), width: 1.6, y: first.curves.map((row) => row.length < 3 ? null : Math.sqrt(columns.reduce((sum, column) => sum + (row[2 + column] || 0) ** 2, 0))) })), true);
  };
  const dots = () => Draw.points($("dots"), state.scene, state.scene.points && state.scene.points.held.length > 300 ? 3.4 : 4.6);
  const weights = () => {
    const area = $("weights");
    if (area.children.length !== state.weights.length) area.replaceChildren(...state.weights.map(() => make("figure", {}, make("figcaption"), make("canvas"))));
    state.weights.forEach(({ name, values, shape: [rows, columns], largest }, at) => {
      const [caption, canvas] = area.children[at].children, pixel = Math.max(2, Math.min(10, Math.floor(150 / Math.max(rows, columns))));
      put(caption, `${name}: ${columns} to ${rows}, largest ${figure(largest)}`);
      Draw.matrix(canvas, values, [rows, columns]);
      canvas.style.width = `${columns * Math.max(pixel, columns < 4 ? 9 : 0)}px`;
      canvas.style.height = `${rows * Math.max(pixel, rows < 4 ? 9 : 0)}px`;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `weights of ${name}`);
    });
  };
  const show = () => {
    const { header, scene } = state;
    if (!scene || !state.order.length) return;
    const lanes = seen(), first = lanes[0];
    put($("play"), header.playing ? "Pause" : "Play");
    $("play").ariaPressed = String(Boolean(header.playing));
    $("steps-now").replaceChildren(count(header.step), make("small", { text: ` of ${count(header.length)}` }));
    put($("epoch"), scene.kind === "surface" || !state.controls ? "–" : (header.step / state.controls.epoch_steps).toFixed(1));
    put($("train"), figure(first.train));
    put($("validation"), figure(first.validation));
    $("done").style.transform = `scaleX(${header.length ? header.step / header.length : 0})`;
    $("step").disabled = header.finished;
    $("pin").disabled = state.order.length > OFFERED.most.pinned;
    if (header.failure) say(header.failure, true); else if (first.stopped) say(`Diverged after ${count(header.step)} updates: lower the learning rate, then reset.`, true);
    if (!scene.waiting) Draw.picture($("map"), scene, scene.kind === "classes" || scene.kind === "values" ? [first] : lanes); else $("map").getContext("2d").clearRect(0, 0, 1e4, 1e4);
    if (scene.dotted !== `${$("dots").clientWidth} ${themed()}`) { scene.dotted = `${$("dots").clientWidth} ${themed()}`; dots(); }
    curves();
    weights();
    tiles();
    if ($("speed").value !== String(header.speed)) $("speed").value = String(header.speed);
  };

  // ---- variants ----
  const side = () => {
    const pinned = state.order.length > 1;
    $("side").hidden = !pinned;
    keys();
    if (!pinned) { $("lanes").replaceChildren(); return; }
    const labels = state.controls.labels;
    $("lanes").replaceChildren(...state.order.map((number) => own("article", Draw.laneColour(number % 9), "lane",
      make("p", {}, make("span", { className: "name", text: number ? `#${number} ${labels[number]}` : `now: ${labels[number]}` }), number ? make("button", { type: "button", className: "drop", text: "×", ariaLabel: `Unpin variant ${number}`, on: { click: () => ask({ unpin: number }) } }) : null),
      make("div", { className: `picture ${state.scene.kind === "curve" ? "curve" : ""}` }, make("canvas", { role: "img", ariaLabel: `Picture of variant ${number}` })),
      make("p", {}, make("span", { className: "note", text: hasValidation() ? "validation" : "loss" }), make("b")))));
  };
  const tiles = () => {
    [...$("lanes").children].forEach((card, at) => {
      const lane = state.lanes.get(state.order[at]), value = card.querySelector("b");
      if (!lane) return;
      Draw.picture(card.querySelector("canvas"), state.scene, [lane]);
      put(value, lane.stopped ? "diverged" : figure(hasValidation() ? lane.validation : lane.train));
      value.className = lane.stopped ? "lost" : "";
    });
  };

  // ---- controls ----
  const controls = () => {
    const { values } = state.controls, is = (id) => document.activeElement === $(id);
    for (const id of ["activation", "initialisation", "optimizer", "schedule", "batch_size", "dropout", "steps", "seed"]) if (!(is(id) && $(id).type === "number")) $(id).value = String(values[id]);
    for (const [id, { place }] of Object.entries(SLIDERS)) { if (!is(id)) $(id).value = String(place(values[id])); put($(`${id}-out`), figure(values[id])); }
    document.querySelector('[data-field="momentum"]').hidden = !OFFERED.momenta.includes(values.optimizer);
    $("batch_size").disabled = state.scene && state.scene.kind === "surface";
    hidden(values.hidden);
    $("save").hidden = !state.controls.save_first;
    recipe();
  };
  const hidden = (units) => {
    const area = $("hidden"), shown = [...area.querySelectorAll("input")].map((input) => +input.value);
    if (area.children.length && shown.length === units.length && shown.every((value, at) => value === units[at])) return;
    const set = (layers) => change("hidden", layers);
    area.replaceChildren(...units.map((value, at) => make("span", { className: "layer" },
      make("input", { type: "number", min: 1, max: OFFERED.most.units, value, ariaLabel: `Units of layer ${at + 1}`, on: { change: (event) => set(units.map((each, i) => i === at ? event.target.valueAsNumber : each)) } }),
      make("button", { type: "button", text: "×", ariaLabel: `Remove layer ${at + 1}`, on: { click: () => set(units.filter((_, i) => i !== at)) } }))),
      make("button", { type: "button", className: "add", text: "+ layer", disabled: units.length >= OFFERED.most.layers, on: { click: () => set([...units, units[units.length - 1] || 8]) } }));
  };
  const recipe = () => {
    for (const button of document.querySelectorAll("[data-tab]")) { button.ariaSelected = String(button.dataset.tab === state.tab); button.ariaPressed = button.ariaSelected; }
    put($("recipe"), state.tab === "command" ? state.controls.command.replace(/ --/g, " \\\n  --") : state.controls[state.tab]);
    $("recipe").classList.toggle("wraps", state.tab === "python");
    $("recipe").setAttribute("aria-labelledby", `tab-${state.tab}`);
  };
  const copy = async () => {
    try { await navigator.clipboard.writeText($("recipe").textContent); put($("copy"), "Copied"); } catch {
      getSelection().selectAllChildren($("recipe"));
      put($("copy"), "Selected");
    }
    setTimeout(() => put($("copy"), "Copy"), 1500);
  };

  // ---- the loop: the next frame is asked for when the last one has been drawn ----
  const drawn = () => new Promise((resolve) => requestAnimationFrame(() => { show(); resolve(); }));
  const visible = () => new Promise((resolve) => { if (!document.hidden) resolve(); else document.addEventListener("visibilitychange", resolve, { once: true }); });
  const wait = (time) => new Promise((resolve) => setTimeout(resolve, time));
  const loop = async () => {
    let lost = false, before = performance.now();
    for (;;) {
      await visible();
      try {
        const answer = await fetch(`/frame?${new URLSearchParams(state.seen)}`, { headers: { Authorization: `Bearer ${token}` } });
        if (answer.status === 410) throw new Error("ended");
        if (answer.status === 204) continue;
        if (!answer.ok) throw new Error("refused");
        take(await answer.arrayBuffer());
        if (lost) { lost = false; say(""); }
        await drawn();
        if (calm.matches) await wait(250);
        const now = performance.now();
        state.frames += 1;
        state.rate = state.header.playing ? 0.9 * state.rate + 0.1 * (1000 / (now - before)) : 0;
        before = now;
      } catch (error) {
        lost = true;
        state.seen = { frame: -1, settings: -1, scene: -1 };
        say("The playground has ended, or does not answer. Start it again with: thalweg play", true);
        await wait(1500);
      }
    }
  };
  build();
  loop();
  return state;
})();
