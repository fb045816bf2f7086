"use strict";
// Curves on a uPlot chart. uPlot draws the axes, and handles the pointer and the zoom; the curves are drawn here,
// since each run has steps of its own and a sweep has up to a thousand lanes.
const Curves = (() => {
  const FEW_POINTS = 32, DOT = 3, NEAR = 40;
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const rgb = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

  // One curve for each lane of a run, thinned: `y` holds `buckets` values a lane, NaN where there is none.
  class Series {
    constructor(lanes, { width, buckets }) {
      Object.assign(this, { lanes, width, buckets });
      this.x = new Float32Array(buckets).fill(NaN);
      this.y = new Float32Array(lanes * buckets).fill(NaN);
    }

    take({ x, cells, values }) {
      this.smoothed = null;
      this.x = unpacked(x, Float32Array);
      const at = unpacked(cells, Int32Array), value = unpacked(values, Float32Array);
      for (let i = 0; i < at.length; i++) this.y[at[i]] = value[i];
    }

    // The same curves as means over a fiftieth of the run on each side, where there are enough points to smooth.
    get smooth() {
      if (this.smoothed) return this.smoothed;
      const known = this.x.reduce((count, x) => count + (x === x), 0), half = Math.floor(known / 50);
      if (!half || known < 40) return this;
      const smoothed = Object.assign(Object.create(Series.prototype), this, { y: new Float32Array(this.y.length).fill(NaN), raw: this });
      for (let lane = 0; lane < this.lanes; lane++) {
        const start = lane * this.buckets;
        let sum = 0, count = 0;
        const move = (at, sign) => { const value = at >= 0 && at < this.buckets ? this.y[start + at] : NaN; if (value === value) { sum += sign * value; count += sign; } };
        for (let at = 0; at < half; at++) move(at, 1);
        for (let at = 0; at < this.buckets; at++) {
          move(at + half, 1);
          move(at - half - 1, -1);
          if (this.y[start + at] === this.y[start + at]) smoothed.y[start + at] = sum / count;
        }
      }
      return (this.smoothed = smoothed);
    }

    last(lane) {
      for (let at = (lane + 1) * this.buckets - 1; at >= lane * this.buckets; at--) if (this.y[at] === this.y[at]) return this.y[at];
      return NaN;
    }
  }

  const unpacked = (text, Kind) => {
    const bytes = Uint8Array.from(atob(text), (mark) => mark.charCodeAt(0));
    return new Kind(bytes.buffer);
  };

  // Colours of a family of lanes, from its first to its last.
  const ramp = (count) => {
    const stops = ["--c1", "--c5", "--c2"].map((name) => rgb(style(name)));
    return Array.from({ length: count }, (_, i) => {
      const at = count < 2 ? 0 : (2 * i) / (count - 1), from = Math.min(1, Math.floor(at));
      const mixed = stops[from].map((part, c) => Math.round(part + (stops[from + 1][c] - part) * (at - from)));
      return `rgb(${mixed.join(",")})`;
    });
  };

  const palette = () => ["--c1", "--c2", "--c4", "--c5", "--c6", "--c3"].map(style);

  class Chart {
    // `frame`: an empty element; `log`: whether the vertical scale is logarithmic.
    constructor(frame, title, log) {
      Object.assign(this, { frame, title, log, lines: [], factor: 1, plot: null, picked: null, zoomed: false });
      this.reading = frame.querySelector(".reading");
      this.area = frame.querySelector(".uplot-area");
      new ResizeObserver(() => this.resize()).observe(this.area);
    }

    // `lines`: [{series, lane, colour, name, thin, scale}], the last on top; `scale` turns steps into the units of the axis.
    show(lines) {
      this.lines = lines;
      this.picked = null;
      this.distinct = [...new Map(lines.map((line) => [line.series, line])).values()];  // one line of each series
      const empty = !this.distinct.some(({ series }) => series.x.some((x) => x === x));
      this.frame.hidden = empty;
      if (empty) return;
      const range = this.across();
      if (!this.plot) this.build(range);
      else if (this.zoomed) { this.plot.setData(this.data(range), false); this.plot.redraw(true, true); }
      else this.plot.setData(this.data(range), true);
    }

    restyle(log = this.log) {
      this.log = log;
      if (!this.plot) return;
      this.plot.destroy();
      this.plot = null;
      this.zoomed = false;
      this.show(this.lines);
    }

    resize() {
      if (this.plot && this.area.clientWidth) this.plot.setSize(this.size());
    }

    size() {
      return { width: Math.max(120, this.area.clientWidth), height: this.frame.classList.contains("tall") ? 300 : 210 };
    }

    data([low, high]) { return [[low, high], [1, 1]]; }

    across() {
      let high = 0;
      for (const { series, scale } of this.distinct) {
        for (let i = series.x.length - 1; i >= 0; i--) if (series.x[i] === series.x[i]) { high = Math.max(high, series.x[i] * scale); break; }
      }
      return [0, high || 1];
    }

    // uPlot asks for the vertical range before it has taken over the new horizontal one.
    visible(u) { return this.zoomed ? [u.scales.x.min, u.scales.x.max] : this.across(); }

    // The values to show between two positions: all of them, but a few far outliers shall not flatten the rest.
    range(from, to) {
      const values = [];
      const every = Math.max(1, Math.round(this.lines.length / 64));
      this.lines.forEach(({ series, lane, scale }, index) => {
        if (index % every && index !== this.lines.length - 1) return;
        for (let i = 0; i < series.buckets; i++) {
          const x = series.x[i] * scale, y = series.y[lane * series.buckets + i];
          if (x >= from && x <= to && y - y === 0 && (!this.log || y > 0)) values.push(y);
        }
      });
      if (!values.length) return this.log ? [0.1, 1] : [0, 1];
      values.sort((a, b) => a - b);
      let low = values[0], high = values[values.length - 1];
      const usual = values[Math.floor(0.98 * (values.length - 1))], median = values[values.length >> 1];
      if (this.log) {
        if (high > 1e3 * usual) high = usual * 10;
        if (low < 1e-6 * median) low = median * 1e-6;
        return low === high ? [low / 2, high * 2] : [low / 1.1, high * 1.1];
      }
      if (high - low > 6 * (usual - low) && usual > low) high = usual + (usual - low) / 2;
      const pad = (high - low || Math.abs(high) || 1) * 0.05;
      return [low - pad, high + pad];
    }

    build(range) {
      const ink = style("--soft"), rule = style("--rule"), font = `12px ${getComputedStyle(document.body).fontFamily}`;
      const axis = { stroke: ink, font, grid: { stroke: rule, width: 1 }, ticks: { show: false } };
      const short = (value) => value === 0 ? "0" : Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3 ? value.toExponential(0).replace("e+", "e") : String(+value.toPrecision(4));
      this.plot = new uPlot({
        ...this.size(),
        padding: [8, 10, 0, 0],
        legend: { show: false },
        scales: { x: { time: false }, y: { distr: this.log ? 3 : 1, range: (u) => this.range(...this.visible(u)) } },
        axes: [
          { ...axis, size: 28, values: (u, ticks) => ticks.map((tick) => tick === null ? "" : tick >= 1e4 ? `${+(tick / 1e3).toPrecision(4)}k` : short(tick)) },
          { ...axis, size: 52, values: (u, ticks) => ticks.map((tick) => tick === null ? "" : short(tick)) },
        ],
        series: [{}, { paths: () => null, points: { show: false } }],
        cursor: { y: false, points: { show: false }, drag: { x: true, y: false } },
        hooks: {
          draw: [() => this.draw()],
          setCursor: [() => this.follow()],
          setSelect: [(u) => { this.zoomed = u.select.width > 0 || this.zoomed; }],
          setScale: [(u, key) => { if (key === "x") this.zoomed = u.scales.x.min > this.across()[0] || u.scales.x.max < this.across()[1]; }],
        },
      }, this.data(range), this.area);
      this.overlay = document.createElement("canvas");
      this.overlay.className = "overlay";
      this.plot.over.append(this.overlay);
      this.plot.over.addEventListener("mouseleave", () => this.pick(null));
    }

    // Return functions from values to device pixels; the scales are linear in the value or its logarithm.
    pixels() {
      const u = this.plot, { min, max } = u.scales.x, { min: low, max: high } = u.scales.y;
      const left = u.bbox.left, wide = u.bbox.width / (max - min);
      const from = this.log ? Math.log(low) : low, tall = u.bbox.height / ((this.log ? Math.log(high) : high) - from);
      const bottom = u.bbox.top + u.bbox.height, log = this.log;
      return [
        (x) => left + (x - min) * wide,
        (y) => bottom - ((log ? (y > 0 ? Math.log(y) : -Infinity) : y) - from) * tall,
      ];
    }

    draw() {
      const begun = performance.now(), u = this.plot, context = u.ctx, [across, up] = this.pixels(), ratio = devicePixelRatio || 1;
      context.save();
      context.beginPath();
      context.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
      context.clip();
      context.lineJoin = "round";
      const positions = new Map();
      for (const line of this.lines) {
        const key = line.series;
        if (!positions.has(key)) positions.set(key, Float64Array.from(key.x, (x) => across(x * line.scale)));
        if (key.raw && !line.thin) this.stroke(context, { ...line, series: key.raw }, positions.get(key), up, ratio, 0.3, 0, 0);
        this.stroke(context, line, positions.get(key), up, (line.thin ? 1 : 1.8) * ratio, line.thin ? line.alpha : 1, 0, 0);
      }
      context.restore();
      Chart.spent = (Chart.spent || 0) + performance.now() - begun;
    }

    stroke(context, { series, lane, colour }, xs, up, width, alpha, dx, dy) {
      const start = lane * series.buckets, y = series.y;
      let points = 0, last = null, pen = false;
      context.beginPath();
      for (let i = 0; i < series.buckets; i++) {
        const value = y[start + i];
        if (value !== value) continue;
        const at = xs[i] - dx, height = Math.max(-1e5, Math.min(1e5, up(value) - dy));
        if (pen) context.lineTo(at, height); else context.moveTo(at, height);
        pen = true;
        points++;
        last = [at, height];
      }
      context.globalAlpha = alpha;
      context.strokeStyle = context.fillStyle = colour;
      context.lineWidth = width;
      context.stroke();
      if (points && points <= FEW_POINTS && alpha === 1) {
        const radius = (DOT / 1.8) * width;
        for (let i = 0; i < series.buckets; i++) {
          const value = y[start + i];
          if (value === value) {
            context.beginPath();
            context.arc(xs[i] - dx, up(value) - dy, radius, 0, 7);
            context.fill();
          }
        }
      } else if (last && alpha === 1) {
        context.beginPath();
        context.arc(last[0], last[1], 1.4 * width, 0, 7);
        context.fill();
      }
    }

    // Show the curve that is nearest to the pointer, and its value.
    follow() {
      const u = this.plot, { left, top } = u.cursor;
      if (left === undefined || left < 0) return;
      const ratio = devicePixelRatio || 1, [across, up] = this.pixels();
      const x = u.bbox.left + left * ratio, y = u.bbox.top + top * ratio;
      let best = null, distance = Infinity;
      const nearest = new Map();
      for (const line of this.lines) {
        const series = line.series;
        if (!nearest.has(series)) nearest.set(series, this.bucketsNear(series, x, (value) => across(value * line.scale)));
        for (const bucket of nearest.get(series)) {
          const value = series.y[line.lane * series.buckets + bucket];
          if (value !== value) continue;
          const far = Math.abs(up(value) - y);
          if (far < distance) [best, distance] = [{ line, bucket, value }, far];
          break;
        }
      }
      this.pick(best);
    }

    // The buckets with a value, the nearest to a position first: lanes that ended earlier have none there.
    bucketsNear(series, x, across) {
      const known = [];
      for (let i = 0; i < series.buckets; i++) if (series.x[i] === series.x[i]) known.push(i);
      known.sort((a, b) => Math.abs(across(series.x[a]) - x) - Math.abs(across(series.x[b]) - x));
      return known.slice(0, NEAR);
    }

    pick(best) {
      this.picked = best;
      const canvas = this.overlay, ratio = devicePixelRatio || 1, { width, height, left, top } = this.plot.bbox;
      if (canvas.width !== width || canvas.height !== height) {
        Object.assign(canvas, { width, height });
        Object.assign(canvas.style, { width: `${width / ratio}px`, height: `${height / ratio}px` });
      }
      const context = canvas.getContext("2d");
      context.clearRect(0, 0, width, height);
      if (!best) { this.reading.textContent = ""; return; }
      const { line, bucket, value } = best, [across, up] = this.pixels();
      const xs = Float64Array.from(line.series.x, (x) => across(x * line.scale));
      this.stroke(context, line, xs, up, 2.6 * ratio, 1, left, top);
      const step = Math.round(line.series.x[bucket]);
      this.reading.textContent = [line.name, `step ${step.toLocaleString("en")}`, String(+value.toPrecision(4))].filter(Boolean).join(" · ");
    }
  }

  return { Chart, Series, ramp, palette };
})();
