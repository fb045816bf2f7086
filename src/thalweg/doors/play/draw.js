"use strict";
// What the playground draws on canvases: pictures of networks, curves, weights. Nothing is computed here but colours.
const Draw = (() => {
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const rgb = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const mix = (one, other, share) => one.map((part, at) => part + (other[at] - part) * share);
  const css = (parts) => `rgb(${parts.map(Math.round).join(",")})`;
  const DASHES = [[], [7, 3], [2, 3], [9, 3, 2, 3], [4, 2], [12, 4], [1, 2], [6, 2, 2, 2], [3, 5]];
  const SIDE = 50, FINE = 180, BANDS = 16, MOST_DOTS = 80, GUTTER = 44, FOOT = 20;
  let colours = {};

  // Read the theme's colours again.
  const theme = () => {
    const parts = (names) => names.map((name) => rgb(style(name)));
    colours = {
      classes: parts(["--c1", "--c2", "--c4", "--c5", "--c6", "--c3"]), lanes: parts([...Array(9).keys()].map((at) => `--l${at}`)),
      card: rgb(style("--card")), paper: rgb(style("--paper")), ink: rgb(style("--ink")), soft: rgb(style("--soft")), rule: rgb(style("--rule")),
      ramp: parts(["--low", "--mid", "--high"]), one: rgb(style("--c1")), two: rgb(style("--c2")), between: rgb(style("--c5")),
    };
  };
  const laneColour = (at) => css(colours.lanes[at % colours.lanes.length]);
  const classColour = (at) => css(colours.classes[at % colours.classes.length]);
  const layerColour = (at, count) => {
    const share = count < 2 ? 0 : (2 * at) / (count - 1);
    return css(share <= 1 ? mix(colours.one, colours.between, share) : mix(colours.between, colours.two, share - 1));
  };

  // Fit a canvas to its size on the screen; return its context in CSS pixels, with width and height.
  const context = (canvas) => {
    const ratio = Math.min(window.devicePixelRatio || 1, 2), width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    return { pen, width, height };
  };

  // A small picture, row 0 at the bottom, as a canvas of its own.
  const tile = (columns, rows, colour) => {
    const canvas = document.createElement("canvas");
    canvas.width = columns;
    canvas.height = rows;
    const pen = canvas.getContext("2d"), image = pen.createImageData(columns, rows);
    for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) {
      const at = 4 * ((rows - 1 - row) * columns + column), parts = colour(row * columns + column);
      image.data[at] = parts[0]; image.data[at + 1] = parts[1]; image.data[at + 2] = parts[2]; image.data[at + 3] = 255;
    }
    pen.putImageData(image, 0, 0);
    return canvas;
  };

  // Colours of a class by certainty: from the paper to its colour.
  const tables = () => colours.classes.map((colour) => Array.from({ length: 256 }, (_, at) => mix(colours.card, colour, 0.05 + 0.6 * (at / 255))));
  const diverging = (share) => share < 0 ? mix(colours.card, colours.one, Math.min(1, -share)) : mix(colours.card, colours.two, Math.min(1, share));

  const spread = (pen, small, width, height) => {
    // Half a cell around the outermost points lies outside of the picture.
    const dx = width / (small.width - 1) / 2, dy = height / (small.height - 1) / 2;
    pen.imageSmoothingEnabled = true;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(small, -dx, -dy, width + 2 * dx, height + 2 * dy);
  };

  // Two classes: the certainty with its sign is interpolated between the points of the grid, then coloured, so that the
  // boundary is a line.
  const two = (winner, certainty, table, side) => tile(side, side, (at) => {
    const row = Math.floor(at / side), x = (at - row * side) * (SIDE - 1) / (side - 1), y = row * (SIDE - 1) / (side - 1);
    const column = Math.min(SIDE - 2, Math.floor(x)), line = Math.min(SIDE - 2, Math.floor(y)), first = line * SIDE + column, dx = x - column, dy = y - line;
    const signed = (i) => winner[i] ? certainty[i] : -certainty[i];
    const below = signed(first) * (1 - dx) + signed(first + 1) * dx, above = signed(first + SIDE) * (1 - dx) + signed(first + SIDE + 1) * dx;
    const value = below * (1 - dy) + above * dy;
    return value < 0 ? table[0][Math.round(-value)] : table[1][Math.round(value)];
  });

  const across = (scene, width) => (x) => width * (x - scene.window[0]) / (scene.window[1] - scene.window[0]);
  const upward = (scene, height) => (y) => height * (1 - (y - scene.window[2]) / (scene.window[3] - scene.window[2]));

  // The picture of one variant, below its examples.
  const picture = (canvas, scene, lanes) => {
    const { pen, width, height } = context(canvas);
    if (!width) return;
    const [first] = lanes;
    if (scene.kind === "classes" && first.picture.winner) {
      const { winner, certainty } = first.picture, table = tables();
      if (scene.classes.length === 2) spread(pen, two(winner, certainty, table, Math.min(FINE, Math.ceil(width / 2))), width, height);
      else spread(pen, tile(SIDE, SIDE, (at) => table[winner[at] % table.length][certainty[at]]), width, height);
    } else if (scene.kind === "values") {
      const [low, high] = scene.range, middle = (low + high) / 2, half = (high - low) / 2 || 1;
      const { value } = first.picture;
      spread(pen, tile(SIDE, SIDE, (at) => value[at] === value[at] ? diverging(0.85 * (value[at] - middle) / half) : colours.paper), width, height);
    } else if (scene.kind === "curve") {
      const y = upward(scene, height);
      for (const lane of [...lanes].reverse()) {
        const { value } = lane.picture;
        pen.beginPath();
        value.forEach((each, at) => { if (each === each) pen.lineTo(width * at / (value.length - 1), Math.max(-1e4, Math.min(1e4, y(each)))); });
        line(pen, laneColour(lane.at), lane === first ? 2.6 : 1.6, DASHES[lane.at % DASHES.length]);
      }
    } else if (scene.kind === "surface") {
      spread(pen, scene.tile(), width, height);
      const x = across(scene, width), y = upward(scene, height);
      for (const lane of [...lanes].reverse()) trail(pen, lane, x, y, lane === first);
    }
  };

  const line = (pen, colour, width, dash = []) => {
    pen.setLineDash(dash);
    pen.lineWidth = width;
    pen.lineJoin = "round";
    pen.strokeStyle = colour;
    pen.stroke();
    pen.setLineDash([]);
  };

  const trail = (pen, lane, x, y, isFirst) => {
    const path = lane.path.filter((point) => point[0] !== null && point[1] !== null);
    if (!path.length) return;
    pen.beginPath();
    for (const [w0, w1] of path) pen.lineTo(Math.max(-1e4, Math.min(1e4, x(w0))), Math.max(-1e4, Math.min(1e4, y(w1))));
    line(pen, css(colours.paper), isFirst ? 5 : 4);
    line(pen, laneColour(lane.at), isFirst ? 2.2 : 1.6, DASHES[lane.at % DASHES.length]);
    const dots = path.slice(0, MOST_DOTS);
    for (const [w0, w1] of dots) disc(pen, x(w0), y(w1), 2.4, laneColour(lane.at), css(colours.paper));
    disc(pen, x(path[path.length - 1][0]), y(path[path.length - 1][1]), 5, laneColour(lane.at), css(colours.paper));
  };

  const disc = (pen, x, y, radius, fill, edge) => {
    pen.beginPath();
    pen.arc(x, y, radius, 0, 7);
    pen.fillStyle = fill;
    pen.fill();
    pen.lineWidth = 1;
    pen.strokeStyle = edge;
    pen.stroke();
  };

  // The examples: training examples filled, validation examples as rings. Drawn once for a size and theme.
  const points = (canvas, scene, radius) => {
    const { pen, width, height } = context(canvas);
    if (!scene.points || !width) return;
    const x = across(scene, width), y = upward(scene, height), { at, labels, held } = scene.points;
    const [low, high] = scene.range || [0, 1];
    pen.lineWidth = Math.max(1, radius / 2.6);
    for (let i = 0; i < held.length; i++) {
      const own = scene.kind === "classes" ? classColour(labels[i]) : scene.kind === "values" ? css(diverging(2 * (labels[i] - low) / (high - low || 1) - 1)) : css(colours.soft);
      pen.beginPath();
      pen.arc(x(at[2 * i]), y(at[2 * i + 1]), held[i] ? radius * 1.15 : radius, 0, 7);
      pen.globalAlpha = scene.kind === "curve" ? 0.55 : 1;
      pen.fillStyle = held[i] ? css(colours.card) : own;
      pen.strokeStyle = held[i] ? own : css(scene.kind === "values" ? colours.soft : colours.card);
      pen.fill();
      pen.stroke();
    }
    pen.globalAlpha = 1;
  };

  // A surface as bands between contours that are even in the root of its height: drawn once for a theme.
  const surface = (heights, [rows, columns]) => {
    let low = Infinity, high = -Infinity;
    for (const each of heights) { low = Math.min(low, each); high = Math.max(high, each); }
    return tile(columns, rows, (at) => {
      const share = Math.floor(BANDS * Math.pow((heights[at] - low) / (high - low || 1), 0.35)) / BANDS, [dark, middle, pale] = colours.ramp;
      return share < 0.5 ? mix(dark, middle, 2 * share) : mix(middle, pale, 2 * share - 1);
    });
  };

  // Ticks at round numbers; on a logarithmic axis at powers of ten, or at 1, 2 and 5 times them.
  const ticks = (low, high, log) => {
    if (log) {
      const from = Math.floor(Math.log10(low)), to = Math.ceil(Math.log10(high)), every = Math.max(1, Math.ceil((to - from) / 5)), marks = [];
      for (let at = from; at <= to; at += every) for (const times of to - from > 2 ? [1] : [1, 2, 5]) marks.push(times * 10 ** at);
      return marks.filter((mark) => mark >= low * 0.999 && mark <= high * 1.001);
    }
    const rough = (high - low) / 4 || 1, power = 10 ** Math.floor(Math.log10(rough)), step = power * [1, 2, 5, 10].find((times) => times * power >= rough), marks = [];
    for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-6; at += step) marks.push(Math.abs(at) < step * 1e-6 ? 0 : at);
    return marks;
  };
  const short = (value) => !value ? "0" : Math.abs(value) >= 1e4 || Math.abs(value) < 1e-3 ? value.toExponential(0).replace("e+", "e") : String(+value.toPrecision(3));

  // Curves over updates. `lines`: [{x, y, colour, width, dash}], the last on top.
  const chart = (canvas, lines, log, least = 1) => {
    const { pen, width, height } = context(canvas);
    if (!width) return;
    let low = Infinity, high = -Infinity, last = least;
    for (const { x, y } of lines) for (let i = 0; i < x.length; i++) {
      const value = y[i];
      if (value === null || !Number.isFinite(value) || (log && value <= 0)) continue;
      low = Math.min(low, value); high = Math.max(high, value); last = Math.max(last, x[i]);
    }
    if (low > high) { low = log ? 0.1 : 0; high = 1; }
    if (log) { low = Math.max(low, high * 1e-9); low /= 1.15; high *= 1.15; if (high / low < 2) { low /= 1.5; high *= 1.5; } } else { const room = (high - low || Math.abs(high) || 1) * 0.06; low = low >= 0 ? Math.max(0, low - room) : low - room; high += room; }
    const left = GUTTER, right = width - 6, top = 6, bottom = height - FOOT;
    const place = log ? (v) => bottom - (bottom - top) * Math.log(Math.max(v, low * 1e-3) / low) / Math.log(high / low) : (v) => bottom - (bottom - top) * (v - low) / (high - low);
    const at = (step) => left + (right - left) * step / last;
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    pen.lineWidth = 1;
    pen.fillStyle = css(colours.soft);
    pen.strokeStyle = css(colours.rule);
    pen.textAlign = "right";
    for (const mark of ticks(low, high, log)) {
      const y = Math.round(place(mark)) + 0.5;
      pen.beginPath(); pen.moveTo(left, y); pen.lineTo(right, y); pen.stroke();
      pen.fillText(short(mark), left - 7, y);
    }
    pen.textAlign = "center";
    pen.textBaseline = "alphabetic";
    for (const mark of ticks(0, last, false)) if (mark <= last) pen.fillText(mark.toLocaleString("en"), Math.min(Math.max(at(mark), left + 4), right - 10), height - 4);
    pen.save();
    pen.beginPath();
    pen.rect(left - 1, top - 4, right - left + 6, bottom - top + 5);
    pen.clip();
    for (const { x, y, colour, width: thick, dash, alpha } of lines) {
      pen.globalAlpha = alpha || 1;
      pen.beginPath();
      let count = 0, end = null;
      for (let i = 0; i < x.length; i++) {
        if (y[i] === null || !Number.isFinite(y[i])) continue;
        end = [at(x[i]), Math.max(-1e4, Math.min(1e4, place(y[i])))];
        pen.lineTo(...end);
        count += 1;
      }
      if (count === 1) disc(pen, ...end, 2.5, colour, colour); else line(pen, colour, thick || 1.8, dash || []);
    }
    pen.restore();
    pen.globalAlpha = 1;
  };

  // A matrix: blue below zero, orange above, by its largest entry.
  const matrix = (canvas, shares, [rows, columns]) => {
    const small = tile(columns, rows, (at) => diverging(shares[at] / 127));
    canvas.width = columns;
    canvas.height = rows;
    canvas.getContext("2d").drawImage(small, 0, 0);
  };

  return { theme, picture, points, surface, chart, matrix, laneColour, classColour, layerColour, DASHES };
})();
