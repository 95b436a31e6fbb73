"use strict";
(() => {
  // What a figure draws at once; while more points are in view, a coarser level is shown.
  const MOST_IN_VIEW = 2500;
  const LEAST_VIEW_S = 0.2;
  const PRINT_WIDTH_PX = 660;
  // How finely the data are stored: see encode in html.py.
  const TICKS_PER_S = 10000;
  const FULL_SCORE = 65535;

  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const stored = document.getElementById("data");
  const data = stored ? JSON.parse(stored.textContent) : { figures: [], parts: [], colours: {} };
  const names = Object.keys(data.colours);
  const shown = { areas: true, hidden: new Set() };
  let printing = false;

  function decoded(text, Kind) {
    const raw = atob(text);
    const bytes = new Uint8Array(raw.length);
    for (let at = 0; at < raw.length; at++) bytes[at] = raw.charCodeAt(at);
    return new Kind(bytes.buffer);
  }

  function clock(seconds, digits) {
    const scale = 10 ** digits;
    const total = Math.round(Math.abs(seconds) * scale);
    const whole = Math.floor(total / scale);
    const two = (number) => String(number).padStart(2, "0");
    const hours = Math.floor(whole / 3600);
    const minutes = Math.floor(whole / 60) % 60;
    const start = hours ? `${hours}:${two(minutes)}` : `${minutes}`;
    const rest = digits ? "." + String(total % scale).padStart(digits, "0") : "";
    return `${seconds < 0 && total ? "−" : ""}${start}:${two(whole % 60)}${rest}`;
  }

  const STEPS_S = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900,
    1800, 3600, 7200, 14400, 28800];

  function ticks(from, to, width) {
    const wanted = Math.max(2, width / 90);
    const step = STEPS_S.find((each) => (to - from) / each <= wanted) || STEPS_S.at(-1);
    const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
    const places = [];
    for (let at = Math.ceil(from / step - 1e-9); at * step <= to + 1e-9; at++) places.push(at * step);
    return { places, texts: places.map((place) => clock(place, digits)) };
  }

  // Points of one level, decoded when they are needed first.
  class Level {
    constructor(packed, start) {
      this.packed = packed;
      this.start = start;
    }
    get ticks() {
      return (this.ticksDecoded ??= decoded(this.packed.t, Uint32Array));
    }
    get scores() {
      return (this.scoresDecoded ??= decoded(this.packed.p, Uint16Array));
    }
    get ends() {
      return (this.endsDecoded ??= new Set(decoded(this.packed.ends, Uint32Array)));
    }
    time(at) {
      return this.start + this.ticks[at] / TICKS_PER_S;
    }
    // The points in view, and one more on both sides for lines to lead out of it.
    within(from, to) {
      return [
        Math.max(0, this.before(from) - 1),
        Math.min(this.ticks.length, this.before(to) + 1),
      ];
    }
    before(time) {
      let low = 0;
      let high = this.ticks.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (this.time(middle) < time) low = middle + 1;
        else high = middle;
      }
      return low;
    }
  }

  class Part {
    constructor({ start, end }) {
      this.start = start;
      this.end = end > start ? end : start + 1;
      this.from = this.start;
      this.to = this.end;
      this.figures = [];
    }
    show(from, to) {
      const whole = this.end - this.start;
      const length = Math.min(Math.max(to - from, Math.min(LEAST_VIEW_S, whole)), whole);
      const middle = (from + to) / 2;
      this.from = Math.min(Math.max(middle - length / 2, this.start), this.end - length);
      this.to = this.from + length;
      for (const figure of this.figures) figure.moved();
    }
    act(what) {
      const [from, to] = [this.from, this.to];
      const length = to - from;
      if (what === "in") this.show(from + length / 4, to - length / 4);
      if (what === "out") this.show(from - length / 2, to + length / 2);
      if (what === "earlier") this.show(from - length / 2, to - length / 2);
      if (what === "later") this.show(from + length / 2, to + length / 2);
      if (what === "whole") this.show(this.start, this.end);
    }
  }

  const parts = data.parts.map((part) => new Part(part));
  const waiting = new Set();
  let scheduled = false;

  class Figure {
    constructor({ id, part, levels }) {
      this.part = parts[part];
      this.part.figures.push(this);
      this.box = document.getElementById(id);
      this.plot = this.box.querySelector(".plot");
      this.strips = all(".strip", this.box);
      this.tools = document.querySelector(`.figure-tools[data-plot="${id}"]`);
      this.levels = levels.map((level) => new Level(level, this.part.start));
      this.inView = false;
      this.stale = true;
      this.listening = false;
      this.moved();
    }
    moved() {
      const { from, to, start, end } = this.part;
      for (const strip of this.strips) strip.setAttribute("viewBox", `${from} 0 ${to - from} 1`);
      const digits = to - from < 60 ? 2 : 0;
      this.tools.querySelector(".range").textContent =
        `${clock(from, digits)} to ${clock(to, digits)}`;
      const whole = from <= start && to >= end;
      for (const button of all("button", this.tools)) {
        const what = button.dataset.do;
        const idle =
          ((what === "out" || what === "whole") && whole) ||
          (what === "earlier" && from <= start) || (what === "later" && to >= end);
        button.setAttribute("aria-disabled", String(idle));
      }
      this.changed();
    }
    changed() {
      this.stale = true;
      if (this.inView) draw(this);
    }
    get level() {
      const { from, to } = this.part;
      let best = this.levels.at(-1);
      for (const level of [...this.levels].reverse()) {
        const [first, last] = level.within(from, to);
        if (last - first > MOST_IN_VIEW && level !== best) break;
        best = level;
      }
      return best;
    }
    draw() {
      this.stale = false;
      const width = printing ? PRINT_WIDTH_PX : this.plot.clientWidth;
      const height = this.plot.clientHeight;
      if (!width || !height) {
        this.stale = true;
        return;
      }
      this.drawnWidth = width;
      const { from, to } = this.part;
      const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
      const marks = ticks(from, to, width - 5 * rem);
      const layout = {
        width,
        height,
        margin: { l: 3.75 * rem, r: 0.75 * rem, t: 8, b: 26, pad: 0 },
        xaxis: {
          range: [from, to],
          tickvals: marks.places,
          ticktext: marks.texts,
          zeroline: false,
          gridcolor: "#e3e0da",
          hoverformat: ".2f",
          unifiedhovertitle: { text: "%{x:.2f} s" },
          spikethickness: 1,
          spikedash: "solid",
        },
        yaxis: {
          range: [0, 1],
          tickvals: [0, 0.5, 1],
          ticktext: ["0", "0.5", "1"],
          fixedrange: true,
          zeroline: false,
          gridcolor: "#e3e0da",
        },
        hovermode: "x unified",
        hoverdistance: 30,
        dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
        showlegend: false,
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: "#59626d" },
      };
      const config = { displayModeBar: false, doubleClick: false, responsive: false };
      Plotly.react(this.plot, this.traces(), layout, config);
      this.listen();
    }
    traces() {
      const level = this.level;
      const [first, last] = level.within(this.part.from, this.part.to);
      const chosen = names.filter((name) => !shown.hidden.has(name));
      const columns = chosen.map((name) => ({ place: names.indexOf(name), p: [], top: [] }));
      const tellsClock = this.part.end >= 60;
      const x = [];
      const times = [];
      const stretches = [];
      let begin = 0;
      for (let at = first; at < last; at++) {
        x.push(level.time(at));
        times.push(tellsClock ? clock(level.time(at), 2) : "");
        let sum = 0;
        for (const column of columns) {
          const score = level.scores[at * names.length + column.place] / FULL_SCORE;
          sum += score;
          column.p.push(score);
          column.top.push(sum);
        }
        if (level.ends.has(at) || at === last - 1) {
          stretches.push([begin, x.length]);
          x.push(x.at(-1));
          times.push("");
          for (const column of columns) {
            column.p.push(null);
            column.top.push(null);
          }
          begin = x.length;
        }
      }
      const lines = chosen.map((name, index) => ({
        type: "scatter",
        mode: "lines",
        name,
        x,
        y: shown.areas ? columns[index].top : columns[index].p,
        customdata: columns[index].p,
        line: { color: data.colours[name], width: shown.areas ? 1.5 : 1.8 },
        hovertemplate: `${name} %{customdata:.2f}<extra></extra>`,
      }));
      // A player's clock, beside the seconds of the table where they are many.
      const floor = {
        type: "scatter",
        mode: "lines",
        name: "time",
        x,
        y: columns.length ? columns[0].p.map((p) => (p === null ? null : 0)) : [],
        text: times,
        line: { width: 0, color: "rgba(0,0,0,0)" },
        hovertemplate: "%{text}<extra></extra>",
      };
      const areas = shown.areas
        ? chosen.map((name, index) => area(name, x, columns, index, stretches))
        : [];
      return tellsClock ? [...areas, floor, ...lines] : [...areas, ...lines];
    }
    listen() {
      if (this.listening) return;
      this.listening = true;
      this.plot.on("plotly_relayout", (change) => {
        const range = change["xaxis.range"] || [change["xaxis.range[0]"], change["xaxis.range[1]"]];
        if (range[0] !== undefined) this.part.show(Number(range[0]), Number(range[1]));
      });
      this.plot.on("plotly_doubleclick", () => this.part.act("whole"));
    }
  }

  // One closed shape a stretch: along its upper edge, and back along the one of the class below.
  function area(name, x, columns, index, stretches) {
    const across = [];
    const up = [];
    const upper = columns[index].top;
    const lower = index ? columns[index - 1].top : null;
    for (const [begin, end] of stretches) {
      for (let at = begin; at < end; at++) {
        across.push(x[at]);
        up.push(upper[at]);
      }
      for (let at = end - 1; at >= begin; at--) {
        across.push(x[at]);
        up.push(lower ? lower[at] : 0);
      }
      across.push(x[begin]);
      up.push(null);
    }
    return {
      type: "scatter",
      mode: "lines",
      name,
      x: across,
      y: up,
      fill: "toself",
      fillcolor: data.colours[name],
      line: { width: 0, color: data.colours[name] },
      hoverinfo: "skip",
    };
  }

  // One figure a frame, so that the page answers while many are drawn.
  function draw(figure) {
    waiting.add(figure);
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(drawNext);
  }

  function drawNext() {
    scheduled = false;
    const [figure] = waiting;
    waiting.delete(figure);
    if (figure && figure.stale) figure.draw();
    if (waiting.size) {
      scheduled = true;
      requestAnimationFrame(drawNext);
    } else {
      tellDrawn();
    }
  }

  // For tests and measurements: all that is in view is drawn.
  function tellDrawn() {
    document.documentElement.dataset.drawn = "yes";
  }

  const figures = data.figures.map((figure) => new Figure(figure));
  const figureOf = new Map(figures.map((figure) => [figure.box.id, figure]));
  const byPlot = new Map(figures.map((figure) => [figure.plot, figure]));

  const sight = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        const figure = byPlot.get(target);
        figure.inView = isIntersecting;
        if (isIntersecting && figure.stale) draw(figure);
      }
      if (!waiting.size) tellDrawn();
    },
    { rootMargin: "400px" },
  );
  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const figure = byPlot.get(target);
      if (!printing && figure.drawnWidth && figure.drawnWidth !== target.clientWidth) {
        figure.changed();
      }
    }
  });
  for (const figure of figures) {
    sight.observe(figure.plot);
    sizes.observe(figure.plot);
  }

  function redraw() {
    for (const figure of figures) figure.changed();
  }

  for (const input of all("input[name=view]")) {
    shown.areas = input.checked ? input.value === "areas" : shown.areas;
    input.addEventListener("change", () => {
      shown.areas = input.value === "areas";
      redraw();
    });
  }
  for (const button of all("[data-class]")) {
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      shown.hidden[on ? "delete" : "add"](button.dataset.class);
      redraw();
    });
  }
  for (const tools of all(".figure-tools")) {
    const { part } = figureOf.get(tools.dataset.plot);
    tools.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) part.act(button.dataset.do);
    });
  }

  const KEYS = {
    ArrowLeft: "earlier", ArrowRight: "later", "+": "in", "=": "in", "-": "out", "−": "out",
    0: "whole", Home: "whole",
  };
  for (const figure of figures) {
    figure.box.addEventListener("keydown", (event) => {
      const what = KEYS[event.key];
      if (!what || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      figure.part.act(what);
    });
    figure.box.addEventListener("click", (event) => {
      const bar = event.target.closest(".episodes rect");
      if (bar) showEpisode(figure, bar);
    });
  }

  // The episode with as much again around it.
  function showEpisode(figure, { dataset }) {
    const [from, to] = [Number(dataset.from), Number(dataset.to)];
    const around = Math.max(0.5, (to - from) / 2);
    figure.part.show(from - around, to + around);
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a.episode");
    if (!link) return;
    event.preventDefault();
    const figure = figureOf.get(link.dataset.plot);
    for (const row of all("tr[aria-current]")) row.removeAttribute("aria-current");
    link.closest("tr").setAttribute("aria-current", "true");
    showEpisode(figure, link);
    figure.box.scrollIntoView({ block: "nearest" });
    figure.box.focus({ preventScroll: true });
  });

  for (const button of all("button.more")) {
    button.addEventListener("click", () => {
      const rows = button.previousElementSibling.querySelector("tbody[hidden]");
      rows.hidden = false;
      button.remove();
      rows.querySelector("a")?.focus({ preventScroll: true });
    });
  }

  // A link to a folded part opens it.
  function openTarget() {
    const target = document.getElementById(location.hash.slice(1));
    if (target instanceof HTMLDetailsElement) {
      target.open = true;
      target.scrollIntoView();
    }
  }
  addEventListener("hashchange", openTarget);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a.card");
    if (link && link.hash === location.hash) openTarget();
  });
  openTarget();

  // Drawings have the width of the screen, and paper another one.
  addEventListener("beforeprint", () => {
    printing = true;
    for (const figure of figures) {
      if (figure.plot.clientWidth) figure.draw();
    }
  });
  addEventListener("afterprint", () => {
    printing = false;
    redraw();
  });
})();
