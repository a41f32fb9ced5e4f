// Looks at the page as it is now and returns a list of what is wrong with it, in words. Run by test_pages_are_sound.py.
() => {
  const wrong = [];
  const name = (el) => `${el.tagName.toLowerCase()}${el.id ? `#${el.id}` : ""}${el.classList?.length ? `.${[...el.classList].join(".")}` : ""}`;
  const seen = (el) => el.checkVisibility({ opacityProperty: false, visibilityProperty: true }) && el.getClientRects().length > 0;

  // ---- frame
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) {
    const wide = [...document.body.querySelectorAll("*")].filter((el) => seen(el) && el.getBoundingClientRect().right > root.clientWidth + 1);
    wrong.push(`wider than the window by ${root.scrollWidth - root.clientWidth} px: ${wide.slice(-3).map(name)}`);
  }
  const h1 = [...document.querySelectorAll("h1")].filter(seen);
  if (h1.length !== 1) wrong.push(`${h1.length} h1`);
  if (!document.title.endsWith(" · Stillwave")) wrong.push(`title ${document.title}`);
  if (root.lang !== "en") wrong.push(`lang ${root.lang}`);
  const ids = [...document.querySelectorAll("[id]")].map((el) => el.id);
  const twice = ids.filter((id, i) => ids.indexOf(id) !== i);
  if (twice.length) wrong.push(`ids used twice: ${twice}`);
  for (const el of document.querySelectorAll("[aria-describedby], [aria-labelledby], label[for]"))
    for (const attribute of ["aria-describedby", "aria-labelledby", "for"])
      for (const id of (el.getAttribute(attribute) ?? "").split(" ").filter(Boolean))
        if (!document.getElementById(id)) wrong.push(`${name(el)}: ${attribute} names ${id}, which is not there`);
  for (const link of document.querySelectorAll("a[href^='#']"))
    if (!document.getElementById(link.hash.slice(1))) wrong.push(`a link to ${link.hash} leads nowhere`);

  // ---- charts: a title and a description for who hears the page, the numbers for who would rather read them
  for (const chart of document.querySelectorAll("svg.chart")) {
    const told = ["title", "desc"].map((one) => chart.querySelector(`:scope > ${one}`)?.textContent.trim());
    if (!told[0] || !told[1]) wrong.push(`a chart without title or description: ${told}`);
    const bare = chart.matches(".empty") || /^(0|No) /.test(told[1]); // nothing to tell yet
    if (!bare && location.pathname !== "/style" && !chart.closest(".figure")?.querySelector("table")) wrong.push(`no numbers beside ${told[0]}`);
  }

  // ---- fields
  for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    const said = [...(field.labels ?? [])].map((label) => label.textContent.trim()).join(" ") || field.getAttribute("aria-label") || "";
    if (!said) wrong.push(`no label: ${name(field)} ${field.name}`);
  }

  // ---- colours
  const parse = (text) => {
    const found = text.match(/^rgba?\(([\d.]+),? ([\d.]+),? ([\d.]+)(?:,? ?\/? ?([\d.]+))?\)$/);
    return found ? { rgb: found.slice(1, 4).map(Number), a: found[4] === undefined ? 1 : Number(found[4]) } : null;
  };
  const over = (top, under) => top.rgb.map((c, i) => c * top.a + under[i] * (1 - top.a));
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  // Every colour that may lie behind an element: its own background over what is behind it, and each stop of a gradient.
  const behind = (el) => {
    if (!el) return [matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255]];
    const style = getComputedStyle(el), own = parse(style.backgroundColor);
    if (!own) { wrong.push(`cannot read the colour ${style.backgroundColor}`); return [[255, 255, 255]]; }
    const under = own.a === 1 ? [own.rgb] : behind(el.parentElement).map((rgb) => over(own, rgb));
    const stops = style.backgroundImage.includes("gradient") ? (style.backgroundImage.match(/rgba?\([^)]*\)/g) ?? []).map(parse) : [];
    return under.flatMap((rgb) => [rgb, ...stops.map((stop) => over(stop, rgb))]);
  };
  const faded = (el) => { let all = 1; for (let at = el; at; at = at.parentElement) all *= Number(getComputedStyle(at).opacity); return all; };
  const least = (ink, el, opacity) => Math.min(...behind(el).map((rgb) => ratio(over({ rgb: ink.rgb, a: ink.a * opacity }, rgb), rgb)));
  const told = new Set();
  const check = (el, text) => {
    const style = getComputedStyle(el), inSvg = el.namespaceURI.endsWith("svg");
    const ink = parse(inSvg ? style.fill : style.color);
    if (!ink) { wrong.push(`cannot read the colour of ${name(el)}`); return; }
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const found = least(ink, inSvg ? el.closest("svg").parentElement : el, faded(el)), need = large ? 3 : 4.5;
    const line = `contrast ${found.toFixed(2)} < ${need}: ${name(el)} "${text.trim().slice(0, 40)}"`;
    if (found < need && !told.has(line)) { told.add(line); wrong.push(line); }
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const el = node.parentElement;
    if (!node.data.trim() || el.closest("script, noscript, option, title, desc, .vh") || !seen(el)) continue;
    check(el, node.data);
  }
  for (const field of document.querySelectorAll("input:not([type=hidden], [type=radio], [type=checkbox], [type=range]), select, textarea, .pick > span")) {
    if (!seen(field)) continue;
    if (field.value) check(field, `value of ${field.name}`);
    const edge = parse(getComputedStyle(field).borderTopColor);
    const found = edge && least(edge, field.parentElement, 1);
    if (!(found >= 3)) wrong.push(`edge ${found?.toFixed(2)} < 3: ${name(field)} ${field.name ?? ""}`);
  }
  return wrong;
}
