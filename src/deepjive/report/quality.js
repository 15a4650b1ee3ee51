// Work through the scans of many participants: sort, show some, decide for each, and save the decisions as a table.
"use strict";
const DECISIONS = [["", "undecided"], ["keep", "keep"], ["leave out", "leave out"]];
const ORDER = ["failed", "check", "good"];
const STORED = "deepjive quality " + location.pathname;

const scans = [...document.querySelectorAll("article.scan")];
const decisions = (() => {
  try { return JSON.parse(localStorage.getItem(STORED)) || {}; } catch { return {}; }
})();
// A browser may forbid pages to keep anything. The decisions then last until the page is closed, and the page says so.
const keep = () => {
  try { localStorage.setItem(STORED, JSON.stringify(decisions)); return true; } catch { return false; }
};
const decisionOf = (scan) => decisions[scan.dataset.name] || { decision: "", note: "" };

const SORTS = {
  "failed and flagged first": (a, b) => ORDER.indexOf(a.dataset.state) - ORDER.indexOf(b.dataset.state) || b.dataset.deviation - a.dataset.deviation,
  "furthest from the median first": (a, b) => b.dataset.deviation - a.dataset.deviation,
  "name": (a, b) => a.dataset.name.localeCompare(b.dataset.name, undefined, { numeric: true }),
};
const SHOWN = {
  "all": () => true,
  "undecided": (scan) => !decisionOf(scan).decision,
  "failed or flagged": (scan) => scan.dataset.state !== "good",
  "to leave out": (scan) => decisionOf(scan).decision === "leave out",
};

const chooser = (words, choices) => {
  const select = make("select", {}, ...Object.keys(choices).map((choice) => make("option", { value: choice, textContent: choice })));
  return [select, make("label", { className: "choose" }, make("span", { textContent: words }), select)];
};
const [sort, sortLabel] = chooser("Sort by", SORTS);
const [show, showLabel] = chooser("Show", SHOWN);
const next = make("button", { type: "button", className: "quiet", textContent: "Next undecided" });
const save = make("button", { type: "button", className: "quiet", textContent: "Save decisions as CSV" });
document.getElementById("work").append(sortLabel, showLabel, next, save);

const count = (isKept = true) => {
  const of = (decision) => scans.filter((scan) => decisionOf(scan).decision === decision).length;
  const shown = scans.filter((scan) => !scan.hidden).length;
  document.getElementById("count").textContent =
    `${shown} of ${scans.length} participants shown; ${of("keep")} to keep, ${of("leave out")} to leave out, ${of("")} undecided.` +
    (isKept ? "" : " This browser does not keep the decisions: save them before you close the page.");
};
const arrange = () => {
  document.getElementById("scans").append(...scans.sort(SORTS[sort.value]));
  scans.forEach((scan) => { scan.hidden = !SHOWN[show.value](scan); });
  count();
};

scans.forEach((scan) => {
  const name = scan.dataset.name, known = decisionOf(scan);
  const decide = (changes) => {
    decisions[name] = { ...decisionOf(scan), ...changes };
    scan.dataset.decision = decisions[name].decision;
    count(keep());
  };
  const radios = DECISIONS.map(([value, words]) => {
    const radio = make("input", { type: "radio", name: "decision of " + name, value, checked: value === known.decision });
    radio.addEventListener("change", () => decide({ decision: value }));
    return make("label", {}, radio, " " + words);
  });
  const note = make("input", { type: "text", value: known.note, placeholder: "note" });
  note.setAttribute("aria-label", "Note on " + name);
  note.addEventListener("input", () => decide({ note: note.value }));
  const group = make("fieldset", { className: "decide live" }, make("legend", { textContent: "Decision on " + name }), ...radios, note);
  scan.dataset.decision = known.decision;
  scan.querySelector("h3").after(group);
});

sort.addEventListener("change", arrange);
show.addEventListener("change", arrange);
next.addEventListener("click", () => {
  const here = scans.findIndex((scan) => scan.contains(document.activeElement));
  const later = [...scans.slice(here + 1), ...scans.slice(0, here + 1)];
  const scan = later.find((one) => !one.hidden && !decisionOf(one).decision);
  if (!scan) { document.getElementById("count").textContent = "No undecided participant is shown."; return; }
  scan.scrollIntoView({ block: "start" });
  scan.querySelector("input").focus({ preventScroll: true });
});
save.addEventListener("click", () => {
  const header = ["subject", "decision", "note", "state", "largest_deviation", "remarks"];
  const rows = [...scans].sort(SORTS.name).map((scan) => {
    const { decision, note } = decisionOf(scan);
    const remarks = [...scan.querySelectorAll(".caution")].map((one) => one.textContent).join("; ");
    return [scan.dataset.name, decision || "undecided", note, scan.dataset.state, scan.dataset.deviation, remarks];
  });
  download("decisions.csv", [header, ...rows]);
});
arrange();
