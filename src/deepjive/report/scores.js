// Where the samples lie: axes and colours chosen by the reader, names under the pointer.
"use strict";
const floats = (text) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
};
const PAGE = JSON.parse(document.getElementById("data").textContent);
PAGE.parts.forEach((part) => { part.scores = floats(part.scores); });

const colourScale = (share) => {
  const stops = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const left = Math.min(Math.floor(place), stops.length - 2);
  const mixed = stops[left].map((value, i) => Math.round(value + (place - left) * (stops[left + 1][i] - value)));
  return "rgb(" + mixed.join(",") + ")";
};

// Colour and words of every sample by one label; without a label all are alike.
const colouring = (label) => {
  const n = PAGE.samples.length;
  if (!label) return { colour: () => "var(--joint)", words: () => "", legend: [] };
  if (label.groups) {
    const colours = label.groups.map((name, i) => (name === "other" || name === "unknown" ? "var(--residual)" : "var(--label-" + (i % 10) + ")"));
    return {
      colour: (i) => colours[label.codes[i]],
      words: (i) => label.name + ": " + label.groups[label.codes[i]],
      legend: label.groups.map((name, i) => ({ name, colour: colours[i] })),
    };
  }
  const values = label.values;
  const known = [...values].filter(Number.isFinite);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const short = (value) => String(Number(value.toPrecision(3)));
  return {
    colour: (i) => (Number.isFinite(values[i]) ? colourScale((values[i] - low) / (high - low || 1)) : "var(--residual)"),
    words: (i) => label.name + ": " + (Number.isFinite(values[i]) ? short(values[i]) : "unknown"),
    legend: [{ name: short(low), colour: colourScale(0) }, { name: short((low + high) / 2), colour: colourScale(0.5) }, { name: short(high), colour: colourScale(1) }],
    n,
  };
};

const axesOf = () => PAGE.parts.flatMap((part) => Array.from({ length: part.rank }, (_, k) => ({
  words: part.axis + " " + (k + 1),
  part, k, value: (i) => part.scores[i * part.rank + k],
})));

const chooser = (words, options, chosen) => {
  const select = make("select", { "aria-label": words });
  options.forEach((option, i) => select.append(make("option", { value: String(i), textContent: option, selected: i === chosen })));
  return { select, box: make("label", { className: "choose" }, make("span", { textContent: words }), select) };
};

const scatter = (place) => {
  const axes = axesOf();
  if (!axes.length) return;
  let W = 560;
  const H = 400, left = 46, bottom = 40, top = 10, right = 12;
  const spread = PAGE.samples.map((_, i) => ((i * 0.618034) % 1) - 0.5);
  const none = { words: "nothing (spread out)", value: (i) => spread[i], k: -1 };
  const across = chooser("Horizontal axis", axes.map((axis) => axis.words), 0);
  const ups = [...axes, none];
  const up = chooser("Vertical axis", ups.map((axis) => axis.words), axes.length > 1 ? (place.dataset.scatter === "runs" ? PAGE.parts[0].rank % axes.length : 1) : ups.length - 1);
  const colour = chooser("Colour", [...PAGE.labels.map((label) => label.name), "none"], 0);
  const controls = make("div", { className: "controls" }, across.box, up.box, colour.box);
  const svg = drawing("svg", { role: "img", class: "scatter" });
  const tip = make("div", { className: "tip", hidden: true });
  const legend = make("ul", { className: "legend" });
  const save = make("button", { type: "button", className: "quiet", textContent: "Save these scores as CSV" });
  place.append(controls, make("div", { className: "plot" }, svg, tip), legend, save);

  const ticks = (low, high) => {
    const raw = (high - low) / 5, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
    const found = [];
    for (let t = Math.ceil(low / step) * step; t <= high + 1e-9; t += step) found.push(Math.abs(t) < 1e-9 ? 0 : t);
    return found;
  };
  const range = (axis) => {
    const known = PAGE.samples.map((_, i) => axis.value(i)).filter(Number.isFinite);
    const [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [-1, 1];
    const margin = 0.05 * (high - low || 1);
    return [low - margin, high + margin];
  };
  const text = (x, y, words, more = {}) => {
    const element = drawing("text", { x, y, ...more });
    element.textContent = words;
    return element;
  };
  const draw = () => {
    W = Math.min(Math.max(place.clientWidth, 320), 560); // so that letters stay legible on a phone
    svg.setAttribute("viewBox", "0 0 " + W + " " + H);
    const [x, y] = [axes[Number(across.select.value)], ups[Number(up.select.value)]];
    const by = colouring(PAGE.labels[Number(colour.select.value)]);
    const [[x0, x1], [y0, y1]] = [range(x), range(y)];
    const px = (v) => left + ((v - x0) / (x1 - x0)) * (W - left - right);
    const py = (v) => H - bottom - ((v - y0) / (y1 - y0)) * (H - bottom - top);
    svg.replaceChildren();
    svg.setAttribute("aria-label", PAGE.samples.length + " samples: " + x.words + " (horizontal axis), " + y.words + " (vertical axis)");
    for (const t of ticks(x0, x1)) {
      svg.append(drawing("line", { x1: px(t), x2: px(t), y1: top, y2: H - bottom, class: t === 0 ? "zero" : "rule" }));
      svg.append(text(px(t), H - bottom + 15, String(Number(t.toPrecision(4))).replace("-", "−"), { "text-anchor": "middle" }));
    }
    if (y !== none) {
      for (const t of ticks(y0, y1)) {
        svg.append(drawing("line", { x1: left, x2: W - right, y1: py(t), y2: py(t), class: t === 0 ? "zero" : "rule" }));
        svg.append(text(left - 6, py(t) + 4, String(Number(t.toPrecision(4))).replace("-", "−"), { "text-anchor": "end" }));
      }
      svg.append(text(-(top + H - bottom) / 2, 12, y.words.slice(0, 60), { transform: "rotate(-90)", "text-anchor": "middle" }));
    }
    svg.append(text((left + W - right) / 2, H - 6, x.words.slice(0, 60), { "text-anchor": "middle" }));
    const radius = Math.min(Math.max(60 / Math.sqrt(PAGE.samples.length), 1.8), 4.5);
    PAGE.samples.forEach((name, i) => {
      const [a, b] = [x.value(i), y.value(i)];
      if (!Number.isFinite(a) || !Number.isFinite(b)) return;
      const dot = drawing("circle", { cx: px(a).toFixed(1), cy: py(b).toFixed(1), r: radius, "data-i": i });
      dot.style.fill = by.colour(i);
      svg.append(dot);
    });
    legend.replaceChildren(...by.legend.map(({ name, colour: c }) => {
      const swatch = make("span", { className: "swatch" });
      swatch.style.background = c;
      return make("li", {}, swatch, make("span", { textContent: name }));
    }));
    svg.onpointermove = (event) => {
      const i = event.target.dataset ? event.target.dataset.i : undefined;
      tip.hidden = i === undefined;
      if (i === undefined) return;
      tip.replaceChildren(make("strong", { textContent: PAGE.samples[i] }), ...(by.words(i) ? [make("br"), by.words(i)] : []));
      const box = svg.getBoundingClientRect();
      const at = event.clientX - box.left;
      tip.style.left = Math.min(Math.max(at, 70), Math.max(box.width - 70, 70)) + "px";
      tip.style.top = event.clientY - box.top + "px";
    };
    svg.onpointerleave = () => { tip.hidden = true; };
    svg.onclick = (event) => {
      const i = event.target.dataset ? event.target.dataset.i : undefined;
      if (i !== undefined) document.dispatchEvent(new CustomEvent("sample", { detail: Number(i) }));
    };
  };
  [across, up, colour].forEach(({ select }) => select.addEventListener("change", draw));
  addEventListener("resize", draw);
  save.addEventListener("click", () => download("scores.csv", [
    ["sample", ...axes.map((axis) => axis.words), ...PAGE.labels.map((label) => label.name)],
    ...PAGE.samples.map((name, i) => [name, ...axes.map((axis) => (Number.isFinite(axis.value(i)) ? String(axis.value(i)) : "")),
      ...PAGE.labels.map((label) => (label.groups ? label.groups[label.codes[i]] : String(label.values[i] ?? "")))]),
  ]));
  draw();
};
document.querySelectorAll("[data-scatter]").forEach(scatter);
