// Lines of the last ten minutes as plain SVG.

const SPACE = "http://www.w3.org/2000/svg";
const WIDTH = 360;
const SLICES = 120; // in ten minutes
const SLICE_S = 5;

/** From 0.1 s at the bottom to 100 s at the top, each line ten times the one below: half a second and a minute are both to be seen. */
export const SECONDS = { at: (value) => Math.min(1, Math.max(0, (Math.log10(value) + 1) / 3)), lines: [1, 10] };

/** From zero to the highest value. */
export function upTo(most) {
  return { at: (value) => (most > 0 ? value / most : 0), lines: [] };
}

/** A chart with a path for each name, empty until it is drawn. */
export function newChart(names, height, kind, label) {
  const svg = document.createElementNS(SPACE, "svg");
  svg.setAttribute("class", `chart ${kind}`);
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  const paths = new Map(["axis", ...names].map((name) => {
    const path = svg.appendChild(document.createElementNS(SPACE, "path"));
    path.setAttribute("class", name);
    return [name, path];
  }));
  const pointer = svg.appendChild(document.createElementNS(SPACE, "path"));
  pointer.setAttribute("class", "pointer");
  const point = (index) => pointer.setAttribute("d", index === null ? "" : `M${x(index, SLICES)} 0V${height}`);
  return { svg, paths, height, point, series: {} };
}

/** The place in the lines that the pointer is at. */
export function pointedAt(chart, event) {
  const box = chart.svg.getBoundingClientRect();
  return Math.min(SLICES - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * SLICES)));
}

/** How long ago a place in the lines was. */
export function ago(index) {
  const seconds = (SLICES - index) * SLICE_S;
  return seconds < 60 ? `${seconds} s ago` : `${Math.floor(seconds / 60)} min ${seconds % 60} s ago`;
}

/** Draws the values of each name, null where there are none; `areas` are filled down to the bottom. */
export function draw(chart, series, scale, areas = []) {
  const y = (value) => chart.height - 1 - scale.at(value) * (chart.height - 6);
  chart.series = series;
  const floors = [chart.height - 0.5, ...scale.lines.map(y)];
  chart.paths.get("axis").setAttribute("d", floors.map((floor) => `M0 ${floor.toFixed(1)}H${WIDTH}`).join("") + `M${WIDTH / 2} ${chart.height - 5}V${chart.height}`);
  for (const [name, values] of Object.entries(series)) {
    chart.paths.get(name).setAttribute("d", areas.includes(name) ? area(values, y, chart.height) : line(values, y));
  }
}

export function highest(...lists) {
  return Math.max(0, ...lists.flat().filter((value) => value !== null));
}

function x(index, count) {
  return (((index + 0.5) / count) * WIDTH).toFixed(1);
}

/** Broken where there is no value; a value between two that are not there is a dot. */
function line(values, y) {
  let path = "";
  let open = false;
  values.forEach((value, index) => {
    if (value === null) {
      open = false;
      return;
    }
    const at = `${x(index, values.length)} ${y(value).toFixed(1)}`;
    const alone = !open && (values[index + 1] ?? null) === null;
    path += open ? `L${at}` : `M${at}` + (alone ? "h.1" : "");
    open = true;
  });
  return path;
}

function area(values, y, height) {
  const points = values.map((value, index) => `${x(index, values.length)} ${y(value ?? 0).toFixed(1)}`).join("L");
  return `M0 ${height - 1}L${points}L${WIDTH} ${height - 1}Z`;
}
