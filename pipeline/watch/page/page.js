// Shows what /events says. Everything that comes from outside is put in as text, never as markup.

import { SECONDS, ago, draw, highest, newChart, pointedAt, upTo } from "./charts.js";

const MARKS = { ok: "●", idle: "○", slow: "◐", failing: "▲", refused: "▲", silent: "■", broken: "✕", parked: "❚❚", waiting: "…" };
const WORDS = { ok: "well", idle: "idle", slow: "slow", failing: "failing", refused: "not taken", silent: "silent", broken: "broken", parked: "parked", waiting: "waiting" };
const TITLES = { well: "revision scores", ill: "(!) revision scores", stopped: "(✕) revision scores" };
const NAMES = { p50: "half within", p99: "99 of 100 within", call: "Lift Wing half", call99: "Lift Wing 99 of 100", asked: "asked", scored: "scored" };
const LOST_AFTER_MS = 5000;

const byId = (id) => document.getElementById(id);
const cards = new Map();
let lastNews = 0;
let at = 0;

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function seconds(value) {
  if (value === null) return "–";
  if (value < 0.995) return `${value.toFixed(2)} s`;
  return value < 9.95 ? `${value.toFixed(1)} s` : `${Math.round(value)} s`;
}

/** Of half of them, and of 99 in 100. */
function both(half, most) {
  return half === null ? "–" : `${seconds(half).slice(0, -2)} / ${seconds(most)}`;
}

/** Figures of answers that came before the model went silent are not of now. */
function dated(model, text) {
  return model.old && text !== "–" ? `${text} (old)` : text;
}

function count(value) {
  return value === null ? "–" : value.toLocaleString("en");
}

function rate(value) {
  return value >= 100 ? count(Math.round(value)) : value.toFixed(1);
}

function clock(time) {
  return new Date(time * 1000).toISOString().slice(11, 19);
}

function newCard(name) {
  const badge = element("span", { className: "badge" });
  const text = element("p", { className: "text" });
  const figures = element("dl", { className: "figures" });
  const latency = newChart(["p99", "call99", "call", "p50"], 80, "latency", `${name}: seconds from an edit to its score`);
  const rates = newChart(["asked", "scored"], 48, "rates", `${name}: edits that ask and scores a second`);
  const latencyScale = element("p", { className: "soft" });
  const ratesScale = element("p", { className: "soft" });
  const axis = element("p", { className: "axis soft", ariaHidden: true }, ...["−10 min", "−5 min", "now"].map((textContent) => element("span", { textContent })));
  const reasons = element("ul", { className: "reasons" });
  const card = element(
    "article", { className: "model", id: `model-${name}` },
    element("header", {}, element("h3", { textContent: name }), badge), text, figures, latencyScale, latency.svg, ratesScale, rates.svg, axis, reasons,
  );
  byId("models").append(card);
  const made = { card, badge, text, figures, latency, rates, latencyScale, ratesScale, reasons, pointed: null, most: 0 };
  for (const chart of [latency, rates]) {
    chart.svg.addEventListener("pointermove", (event) => { made.pointed = pointedAt(chart, event); showScales(made); });
    chart.svg.addEventListener("pointerleave", () => { made.pointed = null; showScales(made); });
  }
  return made;
}

/** What the charts are, or what they say where somebody points. */
function showScales({ latency, rates, latencyScale, ratesScale, pointed, most }) {
  for (const chart of [latency, rates]) chart.point(pointed);
  say(latencyScale, pointed === null ? "time to a score; lines at 1 s and 10 s" : valuesAt(latency, pointed, seconds));
  say(ratesScale, pointed === null ? `asked and scored /s, up to ${rate(most)}` : valuesAt(rates, pointed, (value) => (value === null ? "–" : `${rate(value)} /s`)));
}

function valuesAt(chart, index, shown) {
  const values = Object.entries(chart.series).filter(([, list]) => (list[index] ?? null) !== null);
  return [ago(index), ...values.map(([name, list]) => `${NAMES[name]} ${shown(list[index])}`)].join(", ");
}

function cardOf(name) {
  if (!cards.has(name)) cards.set(name, newCard(name));
  return cards.get(name);
}

function showModel(model, withFlink) {
  const { card, badge, text, figures, reasons } = cardOf(model.name);
  card.dataset.state = model.state;
  badge.dataset.mark = MARKS[model.state];
  say(badge, WORDS[model.state]);
  say(text, model.text);
  showFigures(figures, {
    "asked /s": rate(model.asked_per_s),
    "scored /s": rate(model.scored_per_s),
    "waiting": count(model.waiting),
    ...(withFlink ? { "in flight": `${count(model.in_flight)} / ${count(model.limit)}` } : {}),
    "to a score": dated(model, both(model.p50_s, model.p99_s)),
    ...(withFlink ? { "Lift Wing": dated(model, both(model.call_p50_s, model.call_p99_s)), "added": dated(model, seconds(model.added_p50_s)) } : {}),
    "failed": count(model.failed),
  });
  card.classList.toggle("old", model.old);
  showReasons(reasons, model.failures);
}

function showFigures(list, figures) {
  const names = Object.keys(figures);
  if (list.childElementCount !== names.length) {
    list.replaceChildren(...names.map((name) => element("div", {}, element("dt", { textContent: name }), element("dd"))));
  }
  names.forEach((name, index) => say(list.children[index].querySelector("dd"), figures[name]));
}

function showReasons(list, reasons, nothing = "") {
  const lines = reasons.map(([reason, times]) => element("li", {}, element("b", { textContent: count(times) }), element("bdi", { textContent: reason })));
  list.replaceChildren(...(lines.length || !nothing ? lines : [element("li", { textContent: nothing })]));
}

function showSummary(board) {
  const { state, text, more } = board.headline;
  document.body.dataset.state = state;
  say(byId("summary"), text);
  byId("more").replaceChildren(...more.map((textContent) => element("li", { textContent })));
  document.title = state === "well" ? TITLES.well : `${TITLES[state]}: ${text}`;
  const flink = board.flink ? `, Flink ${board.flink}` : "";
  const liftWing = board.lift_wing ? `, Lift Wing ${board.lift_wing}` : "";
  say(byId("sources"), `Kafka ${board.kafka}${flink}${liftWing}; as of ${clock(board.at)} UTC`);
  const links = board.links.map(([name, href]) => element("a", { href, textContent: name, rel: "noreferrer", target: "_blank" }));
  if (byId("links").childElementCount !== links.length) byId("links").replaceChildren(...links);
}

function showTotals(board) {
  const sum = (name) => board.models.reduce((total, model) => total + model[name], 0);
  showFigures(byId("totals"), {
    "events /s": rate(board.events_per_s),
    "asked /s": rate(sum("asked_per_s")),
    "scored /s": rate(sum("scored_per_s")),
    "failed /s": rate(sum("failed_per_s")),
    "waiting": count(sum("waiting")),
    ...(board.behind === null ? {} : { "behind": count(board.behind) }),
  });
}

/** Cards in the order of the board, whose ill models come first; those that are no longer there go. */
function showModels(board) {
  const order = board.models.map((model) => model.name);
  for (const [name, { card }] of cards) if (!order.includes(name)) { card.remove(); cards.delete(name); }
  board.models.forEach((model) => showModel(model, board.flink !== null));
  order.forEach((name, index) => {
    const { card } = cards.get(name);
    if (byId("models").children[index] !== card) byId("models").insertBefore(card, byId("models").children[index]);
  });
}

function showWikis(board) {
  const most = Math.max(1, ...board.wikis.map((wiki) => wiki.edits));
  byId("wikis").replaceChildren(...board.wikis.map((wiki) => {
    const bar = element("span", { className: "bar" });
    bar.style.width = `${(9 * wiki.edits) / most}em`;
    return element(
      "tr", {}, element("td", { textContent: wiki.wiki }), element("td", {}, count(wiki.edits), bar),
      element("td", { textContent: count(wiki.scores) }), element("td", { textContent: count(wiki.failures) }),
    );
  }));
  const others = board.wikis_in_all - board.wikis.length;
  say(byId("other-wikis"), board.wikis.length ? `Last ten minutes${others ? `; ${others} other wikis had edits too` : ""}.` : "No wiki had an edit in the last ten minutes.");
}

function showLatest(board) {
  const table = byId("latest");
  if (table.matches(":hover") || table.contains(document.activeElement)) return; // somebody reads it, or is about to click
  table.replaceChildren(...board.latest.map((score) => {
    const title = element("bdi", { textContent: score.title || "(no title)" });
    const page = score.diff ? element("a", { href: score.diff, rel: "noreferrer", target: "_blank" }, title) : title;
    return element(
      "tr", {}, ...[clock(score.at), score.wiki].map((textContent) => element("td", { textContent })), element("td", {}, page),
      ...[score.model, score.said, seconds(score.seconds)].map((textContent) => element("td", { textContent })),
    );
  }));
  if (!board.latest.length) table.replaceChildren(element("tr", {}, element("td", { colSpan: 6, textContent: "No score has come yet." })));
}

function showBoard(board) {
  lastNews = performance.now();
  at = board.at;
  document.body.classList.remove("lost");
  document.body.classList.toggle("with-flink", board.flink !== null);
  showSummary(board);
  byId("notes").replaceChildren(...board.notes.map((textContent) => element("li", { textContent })));
  showTotals(board);
  showModels(board);
  showWikis(board);
  const ofModels = board.models.flatMap((model) => model.failures.map(([reason, times]) => [`${model.name}: ${reason}`, times]));
  showReasons(byId("failures"), [...board.other_failures, ...ofModels].sort((one, other) => other[1] - one[1]), "None in the last ten minutes.");
  showLatest(board);
}

function showLines(lines) {
  for (const [name, { asked, scored, p50, p99, call_p50: call, call_p99: call99 }] of Object.entries(lines.models)) {
    if (!cards.has(name)) continue;
    const made = cards.get(name);
    draw(made.latency, { p99, call99, call, p50 }, SECONDS);
    made.most = highest(asked, scored);
    draw(made.rates, { asked, scored }, upTo(made.most), ["asked"]);
    showScales(made);
  }
}

function showLost() {
  if (performance.now() - lastNews < LOST_AFTER_MS) return;
  document.body.classList.add("lost");
  document.body.dataset.state = "stopped";
  document.title = "(✕) revision scores: no news";
  say(byId("summary"), at ? `No news from \`watch\` since ${clock(at)} UTC; is it still running?` : "No news from `watch` yet; is it running?");
}

const source = new EventSource("events");
source.addEventListener("board", (event) => showBoard(JSON.parse(event.data)));
source.addEventListener("lines", (event) => showLines(JSON.parse(event.data)));
setInterval(showLost, 1000);
