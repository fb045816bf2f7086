"use strict";
// The live page: receives what is new as server-sent events, and draws it. Text is only ever set as text.
(() => {
  const token = new URLSearchParams(location.search).get("token") || "";
  const CHARTS = [
    ["loss", "Training loss", true, "tall"], ["validation_loss", "Validation loss", true, "tall"], ["metric", "Validation metric", false, "tall"],
    ["learning_rate", "Learning rate", false, ""], ["gradient_norm", "Gradient norm", true, ""],
  ];
  const NOISY = ["loss", "gradient_norm"];
  const FEW = 6, MOST_ROWS = 20;
  const state = { runs: [], curves: new Map(), states: new Map(), progress: {}, load: {}, differences: null, chosen: null, axis: "steps", smooth: true, filter: "", all: false, asked: new Set() };
  let source = null, charts = {}, redraw = false;

  const make = (tag, { text, on = {}, data = {}, ...properties } = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in element && name !== "form") element[name] = value; else element.setAttribute(name, value);
    }
    for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
    Object.assign(element.dataset, data);
    if (text !== undefined) element.textContent = text;
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  };
  const $ = (id) => document.getElementById(id);
  const figure = (value) => value === null || value === undefined || value !== value ? "–" : Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3) ? value.toExponential(2).replace("e+", "e") : String(+value.toPrecision(4));
  const bytes = (number) => `${(number / 2 ** 30).toFixed(number < 10 * 2 ** 30 ? 1 : 0)} GiB`;
  const run = (key) => state.runs.find((each) => each.key === key);
  // Replace the content only where it differs, so that focus, selection and hovering stay.
  const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };

  // ---- the frame ----
  const build = () => {
    const plot = ([name, title, log, tall]) => make("figure", { className: `plot ${tall}`, hidden: true, data: { curve: name } },
      make("figcaption", {}, make("h3", { text: title }),
        make("div", { className: "switch", role: "group", ariaLabel: `scale of ${title}` },
          ...["linear", "log"].map((kind) => make("button", { type: "button", text: kind, ariaPressed: String((kind === "log") === log), data: { kind }, on: { click: (event) => scale(name, kind === "log", event.target) } }))),
        make("span", { className: "reading", ariaLive: "off" })),
      make("div", { className: "uplot-area" }));
    $("page").replaceChildren(
      make("header", { className: "top" },
        make("div", {}, make("h1", { text: "Runs" }), make("p", { id: "folders", className: "note" })),
        make("dl", { id: "load", className: "load" })),
      make("p", { id: "status", className: "status", role: "status", hidden: true }),
      make("section", { id: "list" },
        make("div", { className: "tools" },
          make("input", { id: "filter", type: "search", placeholder: "Filter by name, data, model or state", ariaLabel: "Filter runs", on: { input: (event) => { state.filter = event.target.value.toLowerCase(); list(); } } }),
          make("button", { type: "button", id: "newest", hidden: true, text: "Follow the newest", on: { click: () => choose(null) } })),
        make("div", { className: "scrolls" }, make("table", { className: "runs" },
          make("thead", {}, make("tr", {}, ...["", "run", "state", "data", "model", "test metric", "validation loss", "trained", "time"].map((title, at) => make("th", { text: title, scope: "col", className: COLUMNS[at] })))),
          make("tbody", { id: "rows" }))),
        make("p", { id: "none", className: "note", hidden: true })),
      make("section", { id: "curves", hidden: true },
        make("div", { className: "tools" }, make("div", { id: "legend", className: "chosen" }),
          make("label", { className: "smooth" }, make("input", { type: "checkbox", checked: true, on: { change: (event) => { state.smooth = event.target.checked; draw(true); } } }), "smooth"),
          make("div", { className: "switch", role: "group", ariaLabel: "horizontal axis" },
            ...["steps", "epochs"].map((axis) => make("button", { type: "button", text: axis, ariaPressed: String(axis === "steps"), data: { axis }, on: { click: () => { state.axis = axis; press("[data-axis]", (button) => button.dataset.axis === axis); draw(true); } } })))),
        make("div", { className: "plots" }, ...CHARTS.map(plot))),
      make("section", { id: "differences", hidden: true }, make("h2", { text: "What differs" }), make("div", { className: "scrolls" }, make("table", { className: "by-class" }, make("thead"), make("tbody")))),
      make("section", { id: "lanes", hidden: true }),
      make("footer", { id: "foot", text: "Drag across a chart to zoom in, double-click to zoom out. The page shows what the runs write; it is served on this machine only." }));
    for (const [name, title, log] of CHARTS) charts[name] = new Curves.Chart(document.querySelector(`[data-curve="${name}"]`), title, log);
  };
  const COLUMNS = ["choose", "name", "state", "data", "model", "metric", "loss", "progress", "time"];
  const press = (selector, is) => document.querySelectorAll(selector).forEach((button) => button.setAttribute("aria-pressed", String(is(button))));
  const scale = (name, log, button) => {
    charts[name].restyle(log);
    for (const each of button.parentElement.children) each.setAttribute("aria-pressed", String((each.dataset.kind === "log") === log));
  };

  // ---- the list of runs ----
  const list = () => {
    const body = $("rows"), known = new Map([...body.children].map((row) => [row.dataset.run, row]));
    const shown = state.runs.filter((each) => !state.filter || [each.name, each.data, each.model, each.state, each.why].some((text) => (text || "").toLowerCase().includes(state.filter)));
    const chosen = chosenKeys();
    shown.forEach((each, at) => {
      const row = known.get(each.key) || blank(each.key);
      known.delete(each.key);
      fill(row, each, chosen.includes(each.key));
      if (body.children[at] !== row) body.insertBefore(row, body.children[at] || null);
    });
    known.forEach((row) => row.remove());
    $("none").hidden = shown.length > 0;
    $("none").textContent = state.runs.length ? "No run matches the filter." : "No run here yet. A run appears as soon as it has written its first file.";
    $("newest").hidden = state.chosen === null || state.runs.length < 2;
  };
  const blank = (key) => make("tr", { data: { run: key } },
    make("td", { className: "choose" }, make("input", { type: "checkbox", on: { change: (event) => toggle(key, event.target.checked) } })),
    make("th", { scope: "row", className: "name" }, make("button", { type: "button", className: "link", on: { click: () => choose([key]) } })),
    ...COLUMNS.slice(2).map((name) => make("td", { className: name })));
  const fill = (row, each, chosen) => {
    const [pick, name, status, data, model, metric, loss, progress, time] = row.children;
    const box = pick.firstChild;
    box.checked = chosen;
    box.setAttribute("aria-label", `draw ${each.name}`);
    row.classList.toggle("on", chosen);
    put(name.firstChild, each.name);
    status.className = `state ${each.state}`;
    put(status, each.why && each.why !== each.state && each.state !== "finished" ? each.why : each.state);
    status.title = each.why || "";
    put(data, each.data || "–");
    put(model, each.model || "–");
    put(metric, each.score ? `${each.score} ${each.metric.replaceAll("_", " ")}` : "–");
    put(loss, each.state === "running" ? (state.progress[each.key]?.loss ? `${state.progress[each.key].loss} (training)` : "–") : each.loss || "–");
    put(progress, trained(each));
    put(time, each.state === "running" && each.started ? since(each.started) : each.time || "–");
  };
  const trained = (each) => {
    const now = state.progress[each.key], many = each.lanes > 1 ? `${each.lanes} lanes, ` : "";
    const [unit, total] = each.planned || ["", 0];
    const number = (value) => value >= 100 ? Math.round(value).toLocaleString("en") : String(+value.toFixed(1));
    if (each.state === "running" && now) {
      const done = unit === "epochs" ? now.epoch : now.step;
      return many + (done === null || done === undefined ? `step ${number(now.step)}` : `${number(done)}${total ? ` of ${number(total)}` : ""} ${unit || "steps"}`);
    }
    if (each.epochs !== null) return `${many}${number(each.epochs)} epochs`;
    return each.steps ? `${many}${each.steps} steps` : many ? many.slice(0, -2) : "–";
  };
  const since = (started) => {
    const total = Math.max(0, Math.round(Date.now() / 1000 - started)), hours = Math.floor(total / 3600), minutes = Math.floor(total / 60) % 60;
    return hours ? `${hours} h ${String(minutes).padStart(2, "0")} min` : minutes ? `${minutes} min ${String(total % 60).padStart(2, "0")} s` : `${total} s`;
  };

  // ---- what is chosen ----
  const newest = () => { const each = state.runs.find((each) => each.state === "running") || state.runs[0]; return each ? [each.key] : []; };
  const chosenKeys = () => state.chosen === null ? newest() : state.chosen.filter(run);
  const toggle = (key, on) => choose(on ? [...chosenKeys(), key] : chosenKeys().filter((each) => each !== key));
  const choose = (keys) => {
    state.chosen = keys;
    try { history.replaceState(null, "", keys === null ? `?token=${token}` : `?token=${token}&runs=${keys.join(",")}`); } catch { /* not allowed: only a reload forgets the choice */ }
    list();
    connect();
    draw(true);
  };

  // ---- curves ----
  const take = (message) => {
    let known = state.curves.get(message.run);
    if (!known || known.generation !== message.generation) {
      if (!message.lanes) return;
      known = { generation: message.generation, lanes: message.lanes, varied: message.varied, values: message.values, metric: message.metric, series: {} };
      state.curves.set(message.run, known);
    }
    known.epoch_steps = message.epoch_steps;
    for (const [name, part] of Object.entries(message.series)) {
      let series = known.series[name];
      if (!series || series.width !== part.width || series.buckets !== part.buckets) series = known.series[name] = new Curves.Series(known.lanes.length, part);
      series.take(part);
    }
  };
  const lines = (name) => {
    const keys = chosenKeys().filter((key) => state.curves.has(key)), own = Curves.palette(), result = [];
    keys.forEach((key, at) => {
      const known = state.curves.get(key), all = known.series[name], series = all && state.smooth && NOISY.includes(name) ? all.smooth : all, count = known.lanes.length;
      if (!series) return;
      const scale = state.axis === "epochs" && known.epoch_steps ? 1 / known.epoch_steps : 1;
      const several = keys.length > 1, title = run(key).name;
      const colours = several ? Array(count).fill(own[at % own.length]) : count <= FEW ? own : Curves.ramp(count);
      const alpha = count > 200 ? 0.35 : count > 40 ? 0.55 : 0.85;
      for (let lane = 0; lane < count; lane++) result.push({ series, lane, scale, colour: colours[lane % colours.length], thin: count > FEW, alpha, name: [several || !known.lanes[lane] ? title : "", known.lanes[lane]].filter(Boolean).join(", ") });
    });
    return result;
  };
  const draw = (now = false) => {
    if (redraw && !now) return;
    redraw = true;
    requestAnimationFrame(() => {
      redraw = false;
      const keys = chosenKeys();
      $("curves").hidden = !keys.length;
      for (const [name] of CHARTS) charts[name].show(lines(name));
      const metrics = new Set(keys.map((key) => state.curves.get(key)?.metric).filter(Boolean));
      put(document.querySelector('[data-curve="metric"] h3'), `Validation ${metrics.size === 1 ? [...metrics][0].replaceAll("_", " ") : "metric"}`);
      legend(keys);
      differences();
      lanes(keys);
    });
  };
  const legend = (keys) => {
    const own = Curves.palette(), box = $("legend"), mark = JSON.stringify(keys.map((key) => [key, run(key)?.name, run(key)?.state, state.asked.has(key), keys.length]));
    if (box.dataset.mark === mark) return;
    box.dataset.mark = mark;
    box.replaceChildren(...keys.map((key, at) => {
      const each = run(key), key_ = make("span", { className: "key" });
      key_.style.background = keys.length > 1 || each.lanes < 2 ? own[at % own.length] : `linear-gradient(90deg, ${own[0]}, ${own[3]}, ${own[1]})`;
      return make("span", { className: "chip" }, key_, make("b", { text: each.name }), make("span", { className: `state ${each.state}`, text: each.state }),
        each.state === "running" ? stopper(each.name, key, null) : null);
    }));
  };
  const stopper = (name, key, lanes) => {
    const id = lanes === null ? key : `${key}/${lanes}`, asked = state.asked.has(id);
    return make("button", { type: "button", className: "stop", text: asked ? "stopping" : "Stop", disabled: asked, ariaLabel: `stop ${name}`, title: lanes === null ? "Save the state and stop; the run can be resumed" : "Stop this lane for good; the others continue",
      on: { click: () => { if (confirm(lanes === null ? `Stop ${name}? Its state is saved, and it can be resumed.` : `Stop ${name} for good? The other lanes continue.`)) stop(key, lanes, id); } } });
  };
  const stop = async (key, lanes, id) => {
    const answer = await fetch("stop", { method: "POST", headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, body: JSON.stringify({ run: key, lanes }) }).then((response) => response.json()).catch(() => ({ reason: "the server does not answer" }));
    if (answer.asked) state.asked.add(id); else say(`It was not stopped: ${answer.reason}.`);
    draw(true);
  };

  // ---- tables below ----
  const differences = () => {
    const table = state.differences, section = $("differences");
    const keys = chosenKeys(), fits = table && table.rows.length && table.runs.length > 1 && table.runs.join() === keys.join();
    section.hidden = !fits;
    if (!fits || section.dataset.mark === JSON.stringify(table)) return;
    section.dataset.mark = JSON.stringify(table);
    section.querySelector("thead").replaceChildren(make("tr", {}, make("th", { text: "setting" }), ...table.runs.map((key) => make("th", { text: run(key)?.name || "" }))));
    section.querySelector("tbody").replaceChildren(...table.rows.map(([path, ...values]) => make("tr", {}, make("th", { text: path, scope: "row" }), ...values.map((value) => make("td", { text: value })))));
  };
  const lanes = (keys) => {
    const section = $("lanes"), key = keys.find((each) => (state.curves.get(each)?.lanes.length || 0) > 1);
    section.hidden = key === undefined;
    if (key === undefined) return;
    const known = state.curves.get(key), { loss, validation_loss, metric } = known.series, states = state.states.get(key) || [];
    const judged = validation_loss || loss;
    if (!judged) return;
    const order = known.lanes.map((name, lane) => ({ name, lane, loss: loss ? loss.last(lane) : NaN, validation: validation_loss ? validation_loss.last(lane) : NaN, metric: metric ? metric.last(lane) : NaN }));
    const rank = (row) => row.validation === row.validation ? row.validation : row.loss === row.loss ? 1e30 + row.loss : Infinity;
    order.sort((a, b) => rank(a) - rank(b) || a.lane - b.lane);
    const shown = state.all ? order : order.slice(0, MOST_ROWS);
    if (section.dataset.run !== key || !section.firstChild) {
      section.dataset.run = key;
      section.replaceChildren(make("h2", {}), make("div", { className: "scrolls" }, make("table", { className: "by-class lanes" },
        make("thead", {}, make("tr", {}, ...["lane", "settings", "training loss", "validation loss", "metric", "state", ""].map((title) => make("th", { text: title })))), make("tbody"))),
        make("button", { type: "button", className: "more", on: { click: () => { state.all = !state.all; draw(true); } } }));
    }
    put(section.firstChild, `Lanes of ${run(key).name}, best first`);
    const body = section.querySelector("tbody");
    while (body.children.length > shown.length) body.lastChild.remove();
    shown.forEach((row, at) => {
      let line = body.children[at];
      if (!line) body.append(line = make("tr", {}, make("td"), make("th", { scope: "row" }), make("td"), make("td"), make("td"), make("td", { className: "state" }), make("td")));
      const cells = line.children, status = states[row.lane] || "";
      [String(row.lane), row.name, figure(row.loss), figure(row.validation), figure(row.metric), status].forEach((text, column) => put(cells[column], text));
      cells[5].className = `state ${{ running: "running", diverged: "failed", stopping: "running" }[status] || "finished"}`;
      const id = `${key}/${row.lane}`, mark = `${id} ${status === "running"} ${state.asked.has(id)}`;
      if (cells[6].dataset.mark !== mark) {
        cells[6].dataset.mark = mark;
        cells[6].replaceChildren(...(status === "running" ? [stopper(`lane ${row.lane} (${row.name})`, key, [row.lane])] : []));
      }
    });
    const more = section.lastChild;
    more.hidden = order.length <= MOST_ROWS;
    put(more, state.all ? `Show the best ${MOST_ROWS}` : `Show all ${order.length.toLocaleString("en")} lanes`);
  };
  const load = () => {
    const { cores = [], memory = 0, memory_total = 0, processes = {} } = state.load, mean = cores.reduce((a, b) => a + b, 0) / (cores.length || 1);
    const own = Object.entries(processes).map(([key, used]) => [run(key)?.name || "run", `${used.cores.toFixed(1)} cores, ${bytes(used.memory)}`]);
    const rows = [[`${cores.length} cores`, `${Math.round(mean)} %`], ["memory", `${bytes(memory)} of ${bytes(memory_total)}`], ...own.slice(0, 3)];
    const box = $("load");
    while (box.children.length > rows.length) box.lastChild.remove();
    rows.forEach(([name, value], at) => {
      if (!box.children[at]) box.append(make("div", {}, make("dt"), make("dd")));
      put(box.children[at].children[0], name);
      put(box.children[at].children[1], value);
    });
  };
  const say = (text, level = "bad") => {
    const status = $("status");
    status.hidden = !text;
    status.className = `status ${level}`;
    put(status, text);
  };

  // ---- the connection ----
  let followed = "", ended = false;
  const connect = () => {
    const keys = chosenKeys();
    followed = keys.join();
    if (source) source.close();
    state.curves.clear();
    state.states.clear();
    source = new EventSource(`events?token=${encodeURIComponent(token)}&runs=${keys.join(",")}`);
    const on = (name, handle) => source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
    source.onopen = () => { ended = false; say(""); };
    source.onerror = () => say(ended ? "The run has ended, and the server with it. `thalweg watch` shows its folder again, on this page too." : "No connection to the server. The page shows what it received last, and connects again when the server is back.", "unclear");
    on("runs", (message) => {
      state.runs = message.runs;
      state.differences = message.differences;
      put($("folders"), message.folders.join(", "));
      for (const id of [...state.asked]) if (run(id.split("/")[0])?.state !== "running") state.asked.delete(id);
      const running = state.runs.filter((each) => each.state === "running").length;
      document.title = `${running ? `${running} running · ` : ""}Thalweg`;
      list();
      if (chosenKeys().join() !== followed) connect();
      draw();
    });
    on("curves", (message) => { take(message); draw(); });
    on("lanes", (message) => { state.states.set(message.run, message.states); draw(); });
    on("progress", (message) => { state.progress = message; list(); });
    on("load", (message) => { state.load = message; load(); if (state.runs.some((each) => each.state === "running")) list(); });
    on("end", () => { ended = true; });
  };
  // A page that nobody sees asks for nothing.
  document.addEventListener("visibilitychange", () => { if (document.hidden) source.close(); else connect(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { $("legend").dataset.mark = ""; for (const chart of Object.values(charts)) chart.restyle(); draw(true); });

  build();
  const wished = new URLSearchParams(location.search).get("runs");
  if (wished) state.chosen = wished.split(",");
  // Before the list is known the keys of the address are asked for as they are.
  if (state.chosen) state.runs = state.chosen.map((key) => ({ key, name: "", state: "", lanes: 1, epochs: null }));
  connect();
  window.watched = { state, charts, draw };
})();
