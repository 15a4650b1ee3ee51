// The explorer: a slider for each score; every modality is computed anew at each move (see responses.py).
"use strict";
const BARS = 16, MARGIN = 0.25, FEW_SLIDERS = 6, FEWER_SLIDERS = 3, MANY_SLIDERS = 24; // of each part; the other sliders are folded away

const unpacked = (one) => {
  const words = Uint8Array.from(atob(one.basis), (letter) => letter.charCodeAt(0));
  const response = { inputs: one.inputs, basis: new Int16Array(words.buffer) };
  for (const key of ["scale", "constant", "linear", "centers", "weights", "step"]) response[key] = floats(one[key]);
  return response;
};

// Adds what a response says at scores z to the values.
const add = (response, z, values) => {
  const { scale, constant, linear, centers, weights, step, basis } = response;
  const rank = scale.length, size = values.length;
  const u = z.map((value, k) => value / scale[k]);
  const at = Float64Array.from(constant);
  u.forEach((value, k) => { for (let r = 0; r < at.length; r++) at[r] += value * linear[k * at.length + r]; });
  for (let c = 0; c * rank < centers.length; c++) {
    let square = 0;
    for (let k = 0; k < rank; k++) square += (u[k] - centers[c * rank + k]) ** 2;
    const cube = square * Math.sqrt(square);
    for (let r = 0; r < at.length; r++) at[r] += cube * weights[c * at.length + r];
  }
  for (let r = 0; r < at.length; r++) {
    const factor = at[r] * step[r];
    for (let i = 0, j = r * size; i < size; i++, j++) values[i] += factor * basis[j];
  }
};

const mixedColour = (share) => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const middle = dark ? [30, 34, 40] : [250, 249, 246];
  const end = share > 0 ? (dark ? [255, 122, 92] : [178, 24, 43]) : dark ? [98, 184, 242] : [33, 102, 172];
  const weight = Math.min(Math.abs(share), 1);
  return middle.map((value, i) => value + weight * (end[i] - value));
};

const canvasOf = (modality, words) => {
  const canvas = make("canvas", { width: modality.width, height: modality.height, role: "img" });
  canvas.setAttribute("aria-label", words + " of " + modality.name);
  return make("figure", { className: "pane" }, canvas, make("figcaption", { textContent: words }));
};
const paint = (figure, modality, values, colour) => {
  const canvas = figure.firstChild, context = canvas.getContext("2d");
  const image = context.createImageData(modality.width, modality.height);
  for (let i = 0; i < modality.width * modality.height; i++) {
    if (!Number.isFinite(modality.base[modality.channels * i])) continue;
    const [red, green, blue] = colour(values, i);
    image.data.set([red, green, blue, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
};

const pictures = (modality, place) => {
  const [whole, change] = [canvasOf(modality, "sample"), canvasOf(modality, "change from the average")];
  place.append(make("div", { className: "panes" }, whole, change));
  const clipped = (value) => 255 * Math.min(Math.max(value, 0), 1);
  const level = (value) => clipped((value - modality.low) / (modality.high - modality.low || 1));
  const colours = modality.channels === 3;
  const three = (values, i, shade) => [0, 1, 2].map((c) => shade(values[3 * i + c]));
  const sample = (values, i) => (colours ? three(values, i, level) : new Array(3).fill(level(values[i])));
  const moves = (values, i) => (colours ? three(values, i, (v) => clipped(0.5 + v / modality.largest / 2)) : mixedColour(values[i] / modality.largest));
  return (moved) => {
    paint(whole, modality, moved.map((value, i) => modality.base[i] + value), sample);
    paint(change, modality, moved, moves);
  };
};

const profile = (modality, place) => {
  const [left, right, top, bottom] = [34, 298, 6, 126], middle = (top + bottom) / 2, half = (bottom - top) / 2;
  const svg = drawing("svg", { viewBox: "0 0 300 146", role: "img", class: "profile" });
  svg.setAttribute("aria-label", "Change of the features of " + modality.name + " from the average");
  const path = drawing("path", { class: "line" }), n = modality.base.length;
  const text = (x, y, words, anchor) => {
    const element = drawing("text", { x, y, "text-anchor": anchor });
    element.textContent = words;
    return element;
  };
  svg.append(drawing("rect", { x: left, y: top, width: right - left, height: bottom - top, class: "frame" }));
  svg.append(drawing("line", { x1: left, x2: right, y1: middle, y2: middle, class: "zero" }), path);
  for (const [at, words] of [[top, "+3"], [middle, "0"], [bottom, "−3"]]) svg.append(text(left - 5, at + 4, words, "end"));
  svg.append(text(left, bottom + 14, "feature " + modality.features[0], "start"), text(right, bottom + 14, modality.features[n - 1], "end"));
  place.append(svg, make("p", { className: "hint", textContent: "Change of each feature from the average, in standard deviations of the feature among the samples, in the order of the features." }));
  return (moved) => {
    const points = Array.from(moved, (value, i) => {
      const high = Math.min(Math.max(value / (modality.spread[i] || 1) / 3, -1), 1);
      return (left + ((right - left) * (i + 0.5)) / moved.length).toFixed(1) + "," + (middle - half * high).toFixed(1);
    });
    path.setAttribute("d", "M" + points.join("L"));
  };
};

const bars = (modality, place) => {
  const list = make("ul", { className: "bars" });
  place.append(list, make("p", { className: "hint", textContent: "Change from the average, in standard deviations of each feature among the samples." }));
  let rows = [];
  const choose = (order) => {
    rows = order.slice(0, BARS).map((i) => {
      const bar = make("span", { className: "bar" }), value = make("span", { className: "value" });
      const row = make("li", {}, make("span", { className: "name", textContent: modality.features[i], title: modality.features[i] }), make("span", { className: "track" }, bar), value);
      return { i, row, bar, value };
    });
    list.replaceChildren(...rows.map(({ row }) => row));
  };
  const show = (moved) => rows.forEach(({ i, bar, value }) => {
    const share = moved[i] / (modality.spread[i] || 1);
    const width = (50 * Math.min(Math.abs(share), 2)) / 2;
    bar.style.width = width + "%";
    bar.style.left = (share < 0 ? 50 - width : 50) + "%";
    bar.classList.toggle("down", share < 0);
    value.textContent = (share > 0 ? "+" : "") + numberText(share);
  });
  return Object.assign(show, { choose });
};

const explorer = (place) => {
  PAGE.modalities.forEach((modality) => {
    modality.base = floats(modality.base);
    modality.responses = modality.responses.map(unpacked);
    if (modality.spread) modality.spread = floats(modality.spread);
  });
  const z = PAGE.parts.map((part) => new Array(part.rank).fill(0));
  const sliders = make("form", { className: "sliders" }), views = make("div", { className: "views" });
  const search = make("input", { type: "search", list: "sample-names", placeholder: "name of a sample", autocomplete: "off" });
  const names = make("datalist", { id: "sample-names" });
  names.append(...PAGE.samples.map((name) => make("option", { value: name })));
  const status = make("p", { className: "status", role: "status" });
  const average = make("button", { type: "button", className: "quiet", textContent: "Back to the average" });
  sliders.addEventListener("submit", (event) => event.preventDefault());
  sliders.append(make("label", { className: "choose wide" }, make("span", { textContent: "Start from a sample" }), search), names, average, status);
  place.append(views, sliders);

  const partOf = (modality) => PAGE.parts.findIndex((part) => part.word === "individual" && part.name === modality.name);
  const valuesAt = (modality, at) => {
    const values = new Float32Array(modality.base.length);
    const own = at[partOf(modality)];
    const inputs = { joint: at[0], own, both: [...at[0], ...own] };
    PAGE.parts.forEach((part, p) => { if (part.word === "subset") inputs[part.name] = at[p]; });
    modality.responses.forEach((response) => add(response, inputs[response.inputs], values));
    return values;
  };
  // A narrow screen shows one modality at a time, above the sliders.
  const one = chooser("Modality", PAGE.modalities.map((modality) => modality.name), 0);
  const panels = () => views.querySelectorAll(".modality").forEach((panel, i) => panel.classList.toggle("chosen", i === Number(one.select.value)));
  if (PAGE.modalities.length > 1) views.append(one.box);
  one.select.addEventListener("change", panels);
  const shown = PAGE.modalities.map((modality) => {
    const panel = make("section", { className: "modality" }, make("h3", { textContent: modality.name }));
    views.append(panel);
    const few = modality.named || modality.base.length <= 40;
    const draw = modality.kind !== "line" ? pictures(modality, panel) : few ? bars(modality, panel) : profile(modality, panel);
    return { modality, draw };
  });
  panels();
  const order = (modality, weights) => Array.from(weights, (value, i) => [Math.abs(value) / (modality.spread[i] || 1), i])
    .sort((a, b) => b[0] - a[0]).map(([, i]) => i);

  // Features that a score moves most; those that deviate most where no score was touched.
  const moves = (p, modality) => PAGE.parts[p].word === "joint" || p === partOf(modality) || (PAGE.parts[p].members || []).includes(modality.name);
  const follow = (p) => { // on a narrow screen, a score of some modalities shows one of them
    if (p === undefined || moves(p, PAGE.modalities[Number(one.select.value)])) return;
    const i = PAGE.modalities.findIndex((modality) => moves(p, modality));
    if (i < 0) return;
    one.select.value = String(i);
    panels();
  };
  const choose = (p, k) => (follow(p), shown).forEach(({ modality, draw }) => {
    if (!draw.choose) return;
    if (p !== undefined && !moves(p, modality)) return;
    const [low, , , high] = p === undefined ? [] : PAGE.parts[p].ranges[k];
    const ends = p === undefined ? [z, z.map((part) => part.map(() => 0))] : [high, low].map((end) => z.map((part, q) => part.map((v, j) => (q === p && j === k ? end : v))));
    const [a, b] = ends.map((at) => valuesAt(modality, at));
    draw.choose(order(modality, a.map((value, i) => value - b[i])));
  });

  const inputs = [];
  const far = () => {
    const rank = PAGE.parts[0].rank, scores = PAGE.parts[0].scores;
    if (rank < 2) return false;
    const width = PAGE.parts[0].ranges.map(([, low, high]) => high - low || 1);
    let nearest = Infinity;
    for (let i = 0; i * rank < scores.length; i++) {
      let square = 0;
      for (let k = 0; k < rank; k++) square += ((scores[i * rank + k] - z[0][k]) / width[k]) ** 2;
      if (square < nearest) nearest = square;
    }
    return Math.sqrt(nearest / rank) > 0.3;
  };
  let waiting = false;
  const refresh = () => {
    waiting = false;
    shown.forEach(({ modality, draw }) => draw(valuesAt(modality, z)));
    let beyond = 0;
    inputs.forEach(({ p, k, input, output, note }) => {
      const [low, low5, high95, high] = PAGE.parts[p].ranges[k], value = z[p][k];
      input.value = String(value);
      output.textContent = numberText(value);
      const outside = value < low - 1e-3 || value > high + 1e-3;
      beyond += outside;
      note.textContent = outside ? "extrapolation: no sample has such a score" : value < low5 - 1e-3 || value > high95 + 1e-3 ? "rare: outside 90% of the samples" : "";
      note.classList.toggle("warning", outside);
      input.setAttribute("aria-valuetext", numberText(value) + (note.textContent ? ", " + note.textContent : ""));
    });
    status.textContent = beyond ? "Extrapolation: no fitted sample has such scores." : far() ? "No sample is near this combination of joint scores. Interpret it with caution." : "";
  };
  const later = () => {
    if (!waiting) requestAnimationFrame(refresh);
    waiting = true;
  };
  const total = PAGE.parts.reduce((sum, part) => sum + part.rank, 0);
  PAGE.parts.forEach((part, p) => {
    if (!part.rank) return;
    const group = make("fieldset", { className: part.word }, make("legend", { textContent: { joint: "Joint scores", subset: "Shared by " + (part.members || []).join(" and "), individual: "Individual scores of " + part.name }[part.word] }));
    const few = p > 0 && total > MANY_SLIDERS ? FEWER_SLIDERS : FEW_SLIDERS;
    const shown = part.rank > few + 2 ? few : part.rank;
    const more = make("details", {}, make("summary", { textContent: "Scores " + (shown + 1) + " to " + part.rank }));
    if (shown < part.rank) group.append(more);
    for (let k = 0; k < part.rank; k++) {
      const [low, low5, high95, high] = part.ranges[k];
      const margin = MARGIN * (high - low || 1), min = low - margin, max = high + margin;
      const input = make("input", { type: "range", min: String(min), max: String(max), step: "any", value: "0" });
      const output = make("span", { className: "at" }), note = make("span", { className: "note" });
      const band = make("span", { className: "band" });
      const share = (value) => (100 * (value - min)) / (max - min) + "%";
      band.style.setProperty("--low", share(low));
      band.style.setProperty("--low5", share(low5));
      band.style.setProperty("--high95", share(high95));
      band.style.setProperty("--high", share(high));
      input.setAttribute("aria-label", part.axis + " " + (k + 1));
      input.addEventListener("keydown", (event) => {
        const move = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 5, PageDown: -5 }[event.key];
        if (!move) return;
        event.preventDefault();
        z[p][k] = Math.min(Math.max(z[p][k] + (move * (max - min)) / 60, min), max);
        choose(p, k);
        later();
      });
      input.addEventListener("pointerdown", () => choose(p, k));
      input.addEventListener("input", () => { z[p][k] = Number(input.value); later(); });
      const slider = make("div", { className: "slider" }, make("span", { className: "number", textContent: String(k + 1) }), make("span", { className: "rail" }, band, input), output, note);
      if (k < shown) group.insertBefore(slider, shown < part.rank ? more : null);
      else more.append(slider);
      inputs.push({ p, k, input, output, note });
    }
    sliders.append(group);
  });
  const load = (i) => {
    PAGE.parts.forEach((part, p) => { for (let k = 0; k < part.rank; k++) z[p][k] = part.scores[i * part.rank + k] || 0; });
    search.value = PAGE.samples[i];
    choose();
    refresh();
  };
  search.addEventListener("input", () => {
    const i = PAGE.samples.indexOf(search.value);
    if (i >= 0) load(i);
  });
  document.addEventListener("sample", (event) => {
    load(event.detail);
    place.scrollIntoView({ block: "start" });
  });
  average.addEventListener("click", () => {
    z.forEach((part) => part.fill(0));
    search.value = "";
    refresh();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  if (inputs.length) {
    const { p, k } = inputs[0];
    z[p][k] = PAGE.parts[p].ranges[k][2];
    choose(p, k);
  }
  refresh();
};
document.querySelectorAll("[data-explorer]").forEach(explorer);
