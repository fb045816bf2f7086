"use strict";
// The loss under the pointer, and the surface in three dimensions: drag it, or use the arrow keys.
(() => {
  const written = (value) => (value === null ? "not finite" : Number(value.toPrecision(4)).toString());

  for (const figure of document.querySelectorAll("[data-surface]")) {
    const { x, y, height, loss, paths } = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
    const rows = height.length, columns = height[0].length;
    const reading = figure.querySelector(".reading"), rest = reading.textContent;
    const area = figure.querySelector(".area"), cursor = area && area.querySelector(".cursor");

    if (area) {
      area.addEventListener("pointermove", (event) => {
        const box = area.getBoundingClientRect();
        const across = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
        const up = 1 - Math.min(1, Math.max(0, (event.clientY - box.top) / box.height));
        const column = Math.round(across * (columns - 1)), row = Math.round(up * (rows - 1));
        Object.assign(cursor.style, { display: "block", left: `${100 * across}%`, top: `${100 * (1 - up)}%` });
        const place = `${written(x[0] + across * (x[1] - x[0]))}, ${written(y[0] + up * (y[1] - y[0]))}`;
        const said = [`at ${place} · loss ${written(loss[row][column])}`];
        let nearest = 0.02, found = null;
        for (const path of paths) {
          path.at.forEach(([u, v], index) => {
            const distance = Math.hypot(u - across, v - up);
            if (distance < nearest) { nearest = distance; found = `${path.name} · step ${path.step[index]} · loss ${written(path.loss[index])}`; }
          });
        }
        reading.textContent = found || said[0];
      });
      area.addEventListener("pointerleave", () => { cursor.style.display = "none"; reading.textContent = rest; });
    }
  }

  for (const figure of document.querySelectorAll("[data-turning]")) {
    const source = document.getElementById(figure.dataset.turning);
    const { height, paths, aspect, bands } = JSON.parse(source.querySelector('script[type="application/json"]').textContent);
    const canvas = figure.querySelector("canvas"), context = canvas.getContext("2d");
    // At most about 2,500 faces: a turn of them takes a few milliseconds.
    const every = Math.max(1, Math.ceil(Math.max(height.length, height[0].length) / 52));
    const thin = (list) => list.filter((_, index) => index % every === 0 || index === list.length - 1);
    const grid = thin(height).map(thin);
    const rows = grid.length, columns = grid[0].length;
    const wide = Math.min(1, 1 / aspect), deep = Math.min(1, aspect), tall = 0.5;
    const calm = matchMedia("(prefers-reduced-motion: reduce)");
    let turn = -0.65, tilt = 0.86, colours = {}, touched = false, last = null, seen = true;

    const style = () => {
      const sheet = getComputedStyle(document.documentElement), read = (name) => sheet.getPropertyValue(name).trim();
      colours = { paper: read("--card"), ink: read("--ink"), line: read("--contour") };
      colours.bands = Array.from({ length: bands }, (_, band) => read(`--b${band}`));
      colours.paths = Object.fromEntries(paths.map((path) => [path.colour, read(`--${path.colour}`)]));
    };

    // From shares (across, up, height) to pixels and depth.
    const project = (u, v, h) => {
      const a = (u - 0.5) * wide, b = (v - 0.5) * deep;
      const right = a * Math.cos(turn) - b * Math.sin(turn), away = a * Math.sin(turn) + b * Math.cos(turn);
      const up = (h - 0.5) * tall * Math.cos(tilt) + away * Math.sin(tilt), depth = away * Math.cos(tilt) - (h - 0.5) * tall * Math.sin(tilt);
      const near = 2.6 / (2.6 + depth), size = 0.72 * canvas.width;
      return [canvas.width / 2 + right * size * near, canvas.height / 2 - (up - 0.02) * size * near, depth];
    };

    // Height of the surface at a share of both axes, so that a path lies on it as drawn.
    const surface = (u, v) => {
      const c = Math.min(columns - 1.001, Math.max(0, u * (columns - 1))), r = Math.min(rows - 1.001, Math.max(0, v * (rows - 1)));
      const i = Math.floor(r), j = Math.floor(c), s = r - i, t = c - j;
      return (1 - s) * ((1 - t) * grid[i][j] + t * grid[i][j + 1]) + s * ((1 - t) * grid[i + 1][j] + t * grid[i + 1][j + 1]);
    };

    const draw = () => {
      const ratio = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
      const width = Math.round(box.width * ratio), tallness = Math.round(box.height * ratio);
      if (canvas.width !== width || canvas.height !== tallness) { canvas.width = width; canvas.height = tallness; }
      context.clearRect(0, 0, canvas.width, canvas.height);
      const at = grid.map((line, row) => line.map((h, column) => project(column / (columns - 1), row / (rows - 1), h)));
      const pieces = [];
      for (let row = 0; row + 1 < rows; row++) for (let column = 0; column + 1 < columns; column++) {
        const corners = [at[row][column], at[row][column + 1], at[row + 1][column + 1], at[row + 1][column]];
        const mean = (grid[row][column] + grid[row][column + 1] + grid[row + 1][column + 1] + grid[row + 1][column]) / 4;
        const depth = (corners[0][2] + corners[1][2] + corners[2][2] + corners[3][2]) / 4;
        pieces.push([depth, corners, Math.min(bands - 1, Math.floor(mean * bands))]);
      }
      for (const path of paths) {
        const points = path.at.map(([u, v]) => project(u, v, surface(u, v) + 0.012));
        const inside = path.at.map(([u, v]) => u >= 0 && u <= 1 && v >= 0 && v <= 1);
        for (let index = 0; index + 1 < points.length; index++) {
          if (inside[index] && inside[index + 1]) {
            const depth = Math.min(points[index][2], points[index + 1][2]) - 0.03;
            pieces.push([depth, [points[index], points[index + 1]], path.colour]);
          }
        }
        const end = points.length - 1;
        if (end >= 0 && inside[end]) pieces.push([points[end][2] - 0.06, [points[end]], path.colour]);
      }
      pieces.sort((one, other) => other[0] - one[0]);
      context.lineJoin = context.lineCap = "round";
      for (const [, corners, colour] of pieces) {
        context.beginPath();
        if (corners.length === 1) context.arc(corners[0][0], corners[0][1], 4.5 * ratio, 0, 7);
        else corners.forEach((corner, index) => (index ? context.lineTo(corner[0], corner[1]) : context.moveTo(corner[0], corner[1])));
        if (corners.length === 4) {
          context.closePath();
          context.fillStyle = context.strokeStyle = colours.bands[colour];
          context.lineWidth = 0.8 * ratio;
          context.stroke();
          context.fill();
          context.strokeStyle = colours.line;
          context.lineWidth = 0.5 * ratio;
          context.stroke();
        } else {
          context.strokeStyle = colours.paper;
          context.lineWidth = 5 * ratio;
          context.stroke();
          context.strokeStyle = context.fillStyle = colours.paths[colour];
          context.lineWidth = 2.2 * ratio;
          context.stroke();
          if (corners.length === 1) context.fill();
        }
      }
    };

    const step = (time) => {
      if (!touched && !calm.matches && seen) {
        if (last !== null) turn += Math.min(100, time - last) * 0.00018;
        last = time;
        draw();
        requestAnimationFrame(step);
      } else last = null;
    };
    const move = (across, up) => {
      touched = true;
      turn += across;
      tilt = Math.min(1.45, Math.max(0.12, tilt + up));
      draw();
    };
    let held = null;
    canvas.addEventListener("pointerdown", (event) => { held = [event.clientX, event.clientY]; canvas.setPointerCapture(event.pointerId); });
    canvas.addEventListener("pointermove", (event) => {
      if (!held) return;
      move((event.clientX - held[0]) * 0.008, (event.clientY - held[1]) * 0.006);
      held = [event.clientX, event.clientY];
    });
    for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, () => { held = null; });
    canvas.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.06], ArrowDown: [0, -0.06] }[event.key];
      if (by) { event.preventDefault(); move(...by); }
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { style(); draw(); });
    new ResizeObserver(draw).observe(canvas);
    new IntersectionObserver(([entry]) => {
      const before = seen;
      seen = entry.isIntersecting;
      if (seen && !before) requestAnimationFrame(step);
    }).observe(canvas);
    style();
    draw();
    requestAnimationFrame(step);
  }
})();
