"use strict";
// Reads values under the pointer. The page is complete without it.
(() => {
  const written = (value) =>
    value === null || value === undefined ? "none" : Math.abs(value) >= 1e4 ? value.toLocaleString("en") : String(value);

  const nearest = (sorted, target) => {
    let low = 0, high = sorted.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (sorted[middle] < target) low = middle; else high = middle;
    }
    return target - sorted[low] < sorted[high] - target ? low : high;
  };

  // Call `read` with the position of the pointer in each of the figure's areas, as shares; put back the text on leaving.
  const follow = (figure, read) => {
    const reading = figure.querySelector(".reading");
    const rest = reading.textContent;
    for (const area of figure.querySelectorAll(".area")) {
      const cursor = area.querySelector(".cursor");
      if (!cursor) continue;
      area.addEventListener("pointermove", (event) => {
        const box = area.getBoundingClientRect();
        const across = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
        const down = Math.min(1, Math.max(0, (event.clientY - box.top) / box.height));
        cursor.style.display = "block";
        reading.textContent = read(across, down, cursor);
      });
      area.addEventListener("pointerleave", () => {
        cursor.style.display = "none";
        reading.textContent = rest;
      });
    }
  };

  const data = (figure) => JSON.parse(figure.querySelector('script[type="application/json"]').textContent);

  for (const figure of document.querySelectorAll("[data-plot]")) {
    const { x, epoch, series, across: axis } = data(figure);
    follow(figure, (across, down, cursor) => {
      const step = x[0] + across * (x[1] - x[0]);
      cursor.style.left = `${100 * across}%`;
      const said = [axis ? `${axis} ${written(Number(step.toPrecision(3)))}` : `step ${written(Math.round(step))}`];
      if (epoch) said.push(`epoch ${(step / epoch).toFixed(1)}`);
      for (const line of series) {
        if (line.x.length) said.push(`${line.name} ${written(line.y[nearest(line.x, step)])}`.trim());
      }
      return said.join(" · ");
    });
  }

  for (const figure of document.querySelectorAll("[data-factor]")) {
    const { points } = data(figure);
    follow(figure, (across, down, cursor) => {
      const point = points[nearest(points.map((point) => point[0]), across)];
      cursor.style.left = `${100 * point[0]}%`;
      return point[1];
    });
  }

  for (const figure of document.querySelectorAll("[data-heat]")) {
    const { rows, step, values } = data(figure);
    follow(figure, (across, down, cursor) => {
      const row = Math.min(rows.length - 1, Math.floor(down * rows.length));
      const column = Math.min(step.length - 1, Math.floor(across * step.length));
      cursor.style.left = `${100 * across}%`;
      return `${rows[row]} · step ${written(step[column])} · ${written(values[row][column])}`;
    });
  }

  for (const frame of document.querySelectorAll("[data-matrix]")) {
    const figure = frame.closest("figure");
    const { names, totals, counts } = data(figure);
    const by = new Map(counts.map(([i, j, count]) => [i * names.length + j, count]));
    follow(figure, (across, down, cursor) => {
      const last = names.length - 1, side = 100 / names.length;
      const i = Math.min(last, Math.floor(down * names.length)), j = Math.min(last, Math.floor(across * names.length));
      Object.assign(cursor.style, { left: `${side * j}%`, top: `${side * i}%`, width: `${side}%`, height: `${side}%` });
      const count = by.get(i * names.length + j) || 0;
      const share = totals[i] ? ` (${(100 * count / totals[i]).toFixed(1)} %)` : "";
      return `${names[i]} predicted as ${names[j]}: ${written(count)}${share}`;
    });
  }
})();
