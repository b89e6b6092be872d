// Draws the charts from the JSON of this page, and shows where a number comes from. All text is set as text, never as HTML.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const MIB_PER_GIB = 1024;
  const BLUE = "#4c7be0";
  const ORANGE = "#d4651a";
  const GREY = "#7b8794";
  // Told apart on white and on black alike; with a symbol and a dash no two of hundreds of profiles look the same.
  const COLOURS = [BLUE, ORANGE, "#2f9e63", "#c44a9a", "#8d66d9", "#a5761f", "#1c93a6", "#d84a4a"];
  const SYMBOLS = ["circle", "square", "triangle", "diamond", "star", "cross", "wye"];
  const DASHES = ["", "7 3", "2 3", "9 3 2 3"];
  const indexOf = new Map(data.id.map((id, index) => [id, index]));

  // One record per run and metric that has a value, as the charts take them.
  function points(indices, metric) {
    return indices.flatMap((index) => {
      const value = data[metric][index];
      if (value === null) return [];
      const workload = data.workloads[data.workload[index]];
      return [{
        index,
        profile: data.profiles[data.profile[index]],
        workload: workload.name,
        context: workload.context,
        started: new Date(data.started[index] * 1000),
        mean: value[0],
        lo: value[1] ?? value[0],
        hi: value[2] ?? value[0],
      }];
    });
  }

  function described(svg, text) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", text);
  }

  function place(node, plot, text) {
    for (const part of plot.querySelectorAll("svg [aria-label]")) part.removeAttribute("aria-label"); // the image has one
    for (const svg of plot.matches("svg") ? [plot] : plot.querySelectorAll(":scope > svg")) described(svg, text);
    node.replaceChildren(plot);
    const drawn = plot.matches("svg") ? plot : plot.querySelector(":scope > svg");
    drawn?.addEventListener("click", () => {
      if (plot.value?.index !== undefined) show(plot.value.index);
    });
  }

  function nothing(node, text) {
    const line = document.createElement("p");
    line.className = "hint";
    line.textContent = text;
    node.replaceChildren(line);
  }

  const base = (node) => ({
    width: Math.max(280, node.clientWidth),
    height: 300,
    marginLeft: 52,
    marginBottom: 40,
    style: { background: "transparent", color: "currentColor", fontSize: "12px" },
  });

  const thousands = (tokens) => (tokens < 1024 ? `${tokens}` : `${+(tokens / 1024).toFixed(1)}k`);

  const summary = (found) =>
    found.slice(0, 40).map((each) => `${each.profile} ${each.workload}: ${each.mean}`).join("; ");

  function looks(index) {
    const round = Math.floor(index / COLOURS.length);
    return {
      colour: COLOURS[index % COLOURS.length],
      symbol: SYMBOLS[(index + round) % SYMBOLS.length],
      dash: DASHES[round % DASHES.length],
    };
  }

  const withContext = (metric) => points(data.latest, metric).filter((each) => each.context !== null);
  const charted = [...new Set([...withContext("pp"), ...withContext("tg")].map((each) => each.profile))].sort();
  const looksOf = new Map(charted.map((profile, index) => [profile, looks(index)]));

  // A list, so that it wraps on a phone and is read aloud; with one profile there is nothing to tell apart.
  function makeLegend() {
    const legend = document.getElementById("legend");
    for (const profile of charted.length > 1 ? charted : []) {
      const { colour, symbol, dash } = looksOf.get(profile);
      const entry = document.createElement("li");
      const sample = d3.create("svg").attr("width", 36).attr("height", 14).attr("viewBox", "-18 -7 36 14").attr("aria-hidden", "true");
      sample.append("line").attr("x1", -18).attr("x2", 18).attr("stroke", colour).attr("stroke-width", 1.5).attr("stroke-dasharray", dash || null);
      sample.append("path").attr("d", d3.symbol(d3[`symbol${symbol[0].toUpperCase()}${symbol.slice(1)}`], 45)()).attr("fill", colour);
      entry.append(sample.node(), profile);
      legend.append(entry);
    }
  }

  function depthChart(node, metric, unit) {
    const found = withContext(metric);
    if (!found.length) return nothing(node, "No run with a prompt of a known length has finished.");
    place(node, Plot.plot({
      ...base(node),
      x: { label: "tokens of context", type: "log", base: 2, tickFormat: thousands, ticks: 6, grid: true },
      y: { label: unit, zero: true, grid: true, nice: true },
      marks: [
        Plot.ruleY([0]),
        ...charted.flatMap((profile) => {
          const { colour, symbol, dash } = looksOf.get(profile);
          const own = found.filter((each) => each.profile === profile);
          return [
            Plot.ruleX(own, { x: "context", y1: "lo", y2: "hi", stroke: colour, strokeWidth: 2, strokeOpacity: 0.6 }),
            Plot.line(own, { x: "context", y: "mean", stroke: colour, strokeDasharray: dash || null, sort: "context" }),
            Plot.dot(own, { x: "context", y: "mean", stroke: colour, fill: colour, symbol, r: 3.5 }),
          ];
        }),
        Plot.tip(found, Plot.pointer({
          x: "context", y: "mean", fill: "Canvas",
          title: (each) => `${each.profile}\n${each.workload}\n${each.mean} (${each.lo} to ${each.hi})`,
        })),
      ],
    }), `${unit} against tokens of context. ${summary(found)}`);
  }

  function historyChart(node, metric, unit) {
    const profile = data.profiles.indexOf(document.getElementById("history-profile").value);
    const workload = data.workloads.findIndex((each) => each.name === document.getElementById("history-workload").value);
    const indices = [...data.id.keys()].filter((i) => data.profile[i] === profile && data.workload[i] === workload);
    const found = points(indices, metric);
    if (!found.length) return nothing(node, "No run of this profile and workload has a value.");
    const held = data.baselines.filter((each) => each.profile === profile && each.workload === workload && each[metric]);
    place(node, Plot.plot({
      ...base(node),
      x: { label: "started (UTC)", type: "utc", ticks: 5 },
      y: { label: unit, grid: true, nice: true },
      marks: [
        Plot.ruleY(held, { y: (each) => each[metric][0], stroke: ORANGE, strokeWidth: 1.5, strokeDasharray: "6 3" }),
        Plot.ruleX(found, { x: "started", y1: "lo", y2: "hi", stroke: BLUE, strokeOpacity: 0.5, strokeWidth: 1.5 }),
        Plot.line(found, { x: "started", y: "mean", stroke: BLUE, strokeOpacity: 0.5 }),
        Plot.dot(found, { x: "started", y: "mean", fill: BLUE, r: 3 }),
        Plot.text(held, {
          y: (each) => each[metric][0], text: "name", frameAnchor: "right", textAnchor: "end", dy: -7,
          fill: "currentColor", stroke: "var(--back)", strokeWidth: 4,
        }),
        Plot.tip(found, Plot.pointer({
          x: "started", y: "mean", fill: "Canvas",
          title: (each) => `${data.id[each.index]}\n${each.mean} (${each.lo} to ${each.hi})`,
        })),
      ],
    }), `${unit} of ${data.profiles[profile]} over time, ${found.length} runs. ${held.map((each) => `${each.name}: ${each[metric][0]}. `).join("")}${summary(found.slice(-10))}`);
  }

  function mtpChart(node, pair) {
    const without = pair.without.tg;
    const at = (acceptance) => ((1 + acceptance * pair.drafts) / pair.round_ms) * 1000;
    const ends = [0, 1].map((acceptance) => ({ acceptance, tg: at(acceptance) }));
    const even = pair.break_even <= 1 ? [pair.break_even] : [];
    const band = pair.break_even_interval ? [pair.break_even_interval.map((end) => Math.min(1, end))] : [];
    const top = Math.max(without[0], at(1), ...pair.points.map((each) => each[1]));
    place(node, Plot.plot({
      ...base(node),
      x: { label: "draft acceptance", domain: [0, 1], grid: true },
      y: { label: "TG t/s", domain: [0, top * 1.08], grid: true },
      marks: [
        Plot.ruleY([0]),
        Plot.rectX(band, { x1: (each) => each[0], x2: (each) => each[1], fill: ORANGE, fillOpacity: 0.2 }),
        Plot.ruleX(even, { stroke: ORANGE, strokeWidth: 2, strokeDasharray: "5 3" }),
        Plot.text(even, { x: (each) => each, text: (each) => `break-even ${each.toFixed(2)}`, frameAnchor: "bottom", textAnchor: "start", dx: 6, dy: -6 }),
        Plot.ruleY([without[0]], { stroke: GREY, strokeWidth: 2 }),
        Plot.text([without[0]], { y: (each) => each, text: () => "without drafts", frameAnchor: "left", textAnchor: "start", dx: 6, dy: -8 }),
        Plot.line(ends, { x: "acceptance", y: "tg", stroke: BLUE, strokeDasharray: "2 3" }),
        Plot.dot(pair.points, { x: (each) => each[0], y: (each) => each[1], fill: BLUE, r: 3.5, fillOpacity: 0.8, tip: true }),
      ],
    }), `TG against draft acceptance. ${pair.sentence}`);
  }

  // Bars of one profile, a device each, on an axis that all profiles share.
  function deviceChart(node, devices, value, mark, most, unit) {
    place(node, Plot.plot({
      ...base(node),
      height: 56 + 28 * devices.length,
      marginLeft: 84,
      x: { label: unit, grid: true, domain: [0, most], nice: true },
      y: { label: null },
      marks: [
        Plot.barX(devices.filter((each) => value(each) !== null), { x: value, y: "device", fill: BLUE, tip: true }),
        Plot.tickX(devices.filter((each) => mark(each) !== null), { x: mark, y: "device", stroke: ORANGE, strokeWidth: 3 }),
        Plot.ruleX([0]),
      ],
    }), `${devices[0].profile}, ${unit} of each device, as in the table above.`);
  }

  const CHARTS = {
    pp: (node) => depthChart(node, "pp", "PP t/s"),
    tg: (node) => depthChart(node, "tg", "TG t/s"),
    "history-pp": (node) => historyChart(node, "pp", "PP t/s"),
    "history-tg": (node) => historyChart(node, "tg", "TG t/s"),
  };

  function makeFigures(kind, captions, drawOne) {
    for (const holder of document.querySelectorAll(`[data-charts=${kind}]`)) {
      captions.forEach((text, index) => {
        const figure = document.createElement("figure");
        const caption = document.createElement("figcaption");
        const node = document.createElement("div");
        caption.textContent = text;
        node.className = "chart";
        node.dataset.chart = `${kind}-${index}`;
        CHARTS[node.dataset.chart] = (where) => drawOne(where, index);
        figure.append(caption, node);
        holder.append(figure);
      });
    }
  }

  function makeDeviceFigures(kind, unit, value, mark) {
    const known = data.devices.filter((each) => value(each) !== null || mark(each) !== null);
    const profiles = [...new Set(known.map((each) => each.profile))];
    const most = Math.max(...known.flatMap((each) => [value(each), mark(each)]));
    makeFigures(kind, profiles, (node, index) =>
      deviceChart(node, known.filter((each) => each.profile === profiles[index]), value, mark, most, unit));
  }

  function draw(names) {
    for (const node of document.querySelectorAll("[data-chart]")) {
      if (!names || names.includes(node.dataset.chart)) CHARTS[node.dataset.chart](node);
    }
  }

  function tellBaselines() {
    const profile = data.profiles.indexOf(document.getElementById("history-profile").value);
    const workload = data.workloads.findIndex((each) => each.name === document.getElementById("history-workload").value);
    document.getElementById("history-baseline").textContent = data.baselines
      .filter((each) => each.profile === profile && each.workload === workload)
      .map((each) => `Beside the ${each.name}: ${each.words}.`)
      .join(" ");
  }

  function choose(select, names) {
    select.replaceChildren(...names.map((name) => new Option(name, name)));
  }

  function setUpHistory() {
    const profile = document.getElementById("history-profile");
    const workload = document.getElementById("history-workload");
    const workloads = () => {
      const chosen = data.profiles.indexOf(profile.value);
      const used = new Set(data.workload.filter((_, index) => data.profile[index] === chosen));
      choose(workload, [...used].map((index) => data.workloads[index].name));
    };
    const redraw = () => { draw(["history-pp", "history-tg"]); tellBaselines(); };
    choose(profile, [...data.profiles].sort());
    workloads();
    tellBaselines();
    profile.addEventListener("change", () => { workloads(); redraw(); });
    workload.addEventListener("change", redraw);
  }

  function show(index) {
    const dialog = document.getElementById("run");
    const text = (value) => (value === null ? null : value[1] === null ? `${value[0]} (one sample)` : `${value[0]} (95 % CI ${value[1]} to ${value[2]}; ${value[3]} samples)`);
    const fields = [
      ["started", new Date(data.started[index] * 1000).toISOString().replace(".000Z", " UTC").replace("T", " ")],
      ["workload", data.workloads[data.workload[index]].name],
      ["PP t/s", text(data.pp[index])],
      ["TG t/s", text(data.tg[index])],
      ["TTFT ms", text(data.ttft[index])],
      ["draft acceptance", data.acceptance[index]],
      ["TG J/token", data.joules[index]],
      ["notes", data.notes[index]?.join("; ")],
      ...data.origins[data.origin[index]],
      ["all samples", `gpubox results ${data.id[index]}`],
    ];
    document.getElementById("run-head").textContent = data.id[index];
    dialog.querySelector("dl").replaceChildren(...fields.flatMap(([name, value]) => {
      if (value === null || value === undefined || value === "") return [];
      const term = document.createElement("dt");
      const detail = document.createElement("dd");
      term.textContent = name;
      detail.textContent = value;
      return [term, detail];
    }));
    dialog.showModal();
  }

  document.addEventListener("click", (event) => {
    const number = event.target.closest("a[data-run]");
    if (!number) return;
    event.preventDefault();
    show(indexOf.get(number.dataset.run));
  });

  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth !== width) {
      width = window.innerWidth;
      draw();
    }
  });
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });

  const inGiB = (MiB) => (MiB === null ? null : MiB / MIB_PER_GIB);
  makeFigures("mtp", data.mtp.map((pair) => `${pair.with.name}, ${pair.workload}`), (node, index) => mtpChart(node, data.mtp[index]));
  makeDeviceFigures("memory", "GiB", (each) => inGiB(each.measured), (each) => inGiB(each.planned));
  makeDeviceFigures("power", "W", (each) => each.power, () => null);
  makeLegend();
  setUpHistory();
  draw();
})();
