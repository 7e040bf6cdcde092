// What the live page is asked, in a world of its own: the page's scripts see
// nothing of it. Its elements have refs, numbers that are given once and end
// with the document. The composed tree is walked: open shadow roots, slots and
// frames of the same origin belong to the page. Nothing here recurses.
globalThis.live ??= (() => {
  const MAX_NODES = 200000, MAX_ELEMENTS = 2000, MAX_NAME = 120, MAX_WORDS = 20000, MAX_HTML = 4 << 20;
  const refs = new Map(), numbers = new WeakMap();
  let first = 0;

  // honest is a text of the page in which nothing looks like a ref of ours.
  const honest = (s) => s.replace(/\((?=e\d+\))/g, "( ");
  const short = (s) => {
    s = honest((s ?? "").slice(0, 20 * MAX_NAME).replace(/\s+/g, " ")).trim().replaceAll('"', "'");
    const letters = Array.from(s.slice(0, 4 * MAX_NAME));
    return letters.length > MAX_NAME ? letters.slice(0, MAX_NAME).join("") + "…" : s;
  };
  const tag = (e) => e.localName;
  const is = (e, name) => e.namespaceURI === "http://www.w3.org/1999/xhtml" && e.localName === name;

  const ROLES = new Set(["button", "link", "checkbox", "radio", "tab", "menuitem", "menuitemcheckbox", "menuitemradio",
    "option", "switch", "combobox", "textbox", "searchbox", "slider", "spinbutton", "treeitem"]);
  const INPUTS = { button: "button", submit: "button", reset: "button", image: "button", checkbox: "checkbox",
    radio: "radio", range: "slider", number: "spinbutton", file: "file", search: "searchbox", hidden: "" };

  // role says what one can do with an element; empty: nothing.
  function role(e) {
    const given = (e.getAttribute("role") ?? "").trim().split(/\s+/)[0];
    if (is(e, "input")) return INPUTS[e.type] ?? "textbox";
    if (ROLES.has(given)) return given;
    if (is(e, "a") && e.hasAttribute("href") || is(e, "area") && e.hasAttribute("href")) return "link";
    if (is(e, "button")) return "button";
    if (is(e, "textarea")) return "textbox";
    if (is(e, "select")) return e.multiple ? "listbox" : "combobox";
    if (is(e, "summary")) return "button";
    if (e.isContentEditable && !e.parentElement?.isContentEditable) return "textbox";
    if (e.hasAttribute("onclick") || e.hasAttribute("tabindex") && e.tabIndex >= 0) return "clickable";
    return "";
  }

  const byId = (e, ids) => ids.trim().split(/\s+/).map((id) => e.getRootNode().getElementById?.(id)?.textContent ?? "").join(" ");

  function name(e) {
    const labelled = e.getAttribute("aria-labelledby");
    let s = labelled ? short(byId(e, labelled)) : "";
    s ||= short(e.getAttribute("aria-label"));
    if (!s && e.labels?.length) s = short(Array.from(e.labels, (l) => l.textContent).join(" "));
    if (!s && is(e, "input") && INPUTS[e.type] === "button") s = short(e.value || e.alt || (e.type === "image" ? "" : e.type));
    if (!s && !/^(input|select|textarea)$/.test(tag(e))) {
      s = short(e.innerText ?? e.textContent) || short(e.querySelector?.("img[alt], [aria-label]")?.getAttribute("alt") ??
        e.querySelector?.("[aria-label]")?.getAttribute("aria-label"));
    }
    return s || short(e.getAttribute("title")) || short(e.getAttribute("placeholder")) || short(e.getAttribute("name"));
  }

  // state is what else is to be known of an element, in words.
  function state(e, role) {
    const out = [];
    const aria = (n) => e.getAttribute("aria-" + n);
    if (e.matches(":disabled") || aria("disabled") === "true") out.push("disabled");
    if (e.type === "checkbox" || e.type === "radio" ? e.checked : aria("checked") === "true") out.push("checked");
    if (aria("selected") === "true" || aria("pressed") === "true") out.push("selected");
    if (aria("expanded")) out.push(aria("expanded") === "true" ? "expanded" : "collapsed");
    if (is(e, "summary")) out.push(e.parentElement?.open ? "expanded" : "collapsed");
    if (e.required) out.push("required");
    if (e.readOnly) out.push("read-only");
    if (is(e, "select")) {
      const all = Array.from(e.options), shown = all.slice(0, 20).map((o) => `"${short(o.label)}"` + (o.selected ? " (selected)" : ""));
      if (all.length > 20) {
        shown.push(`and ${all.length - 20} more`);
        for (const o of all.slice(20)) if (o.selected) shown.push(`"${short(o.label)}" (selected)`);
      }
      out.push("options " + shown.join(", "));
    } else if (role === "file") {
      if (e.files?.length) out.push("files " + Array.from(e.files, (f) => `"${short(f.name)}"`).join(", "));
    } else if (is(e, "input") && !/^(checkbox|radio|button|submit|reset|image)$/.test(e.type) || is(e, "textarea")) {
      if (e.type === "password") { if (e.value) out.push("filled"); }
      else if (e.value) out.push(`value "${short(e.value)}"`);
      if (/^(date|time|month|week|datetime-local|color|email|tel|url|password)$/.test(e.type)) out.push(e.type);
    }
    return out;
  }

  const escapes = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  const escape = (s) => s.replace(/[&<>"]/g, (c) => escapes[c]);
  const SKIP = new Set(["script", "style", "noscript", "template", "head", "svg", "canvas", "video", "audio", "object", "embed"]);
  const VOID = new Set(["br", "hr", "img", "input", "wbr", "area"]);

  // visible: has a box, or is one of those that have none and only hold others.
  const visible = (e) => e.checkVisibility({ visibilityProperty: true }) || getComputedStyle(e).display === "contents";
  const sized = (e) => { for (const r of e.getClientRects()) if (r.width > 0 && r.height > 0) return true; return false; };

  function kids(e) {
    if (e.shadowRoot) return e.shadowRoot.childNodes;
    if (is(e, "slot")) { const a = e.assignedNodes(); if (a.length) return a; }
    if (is(e, "iframe") || is(e, "frame")) {
      let inner = null;
      try { inner = e.contentDocument?.body; } catch { }
      return inner ? [inner] : [];
    }
    return e.childNodes;
  }

  function number(e, next) {
    let n = numbers.get(e);
    if (!n) { n = next; numbers.set(e, n); refs.set(n, e); }
    return n;
  }

  // look lists the elements and writes the page as HTML in which they bear
  // their refs. next is the first free number of the session.
  function look(next) {
    first ||= next;
    const elements = [], html = [], words = new Set();
    let size = 0, nodes = 0, cut = false;
    let inLink = 0; // what stands in links is their name
    const put = (s) => { size += s.length; html.push(s); };
    const stack = document.body ? [document.body] : [];
    while (stack.length) {
      const n = stack.pop();
      if (typeof n === "string") { put(n); if (n === "</a>") inLink--; continue; }
      if (++nodes > MAX_NODES || size > MAX_HTML) { cut = true; break; }
      if (n.nodeType === Node.TEXT_NODE) {
        put(escape(honest(n.data)));
        if (!inLink && words.size < MAX_WORDS && n.data.trim()) words.add(short(n.data));
        continue;
      }
      if (n.nodeType !== Node.ELEMENT_NODE) continue;
      const t = tag(n);
      const file = is(n, "input") && n.type === "file"; // often hidden behind a button of the page's own
      if (SKIP.has(t) || !visible(n) && !file) continue;
      const r = role(n);
      if (r && elements.length >= MAX_ELEMENTS) cut = true;
      if (r && elements.length < MAX_ELEMENTS && (file || sized(n))) {
        const id = number(n, next);
        if (id === next) next++;
        const label = name(n), more = state(n, r);
        const text = [`(e${id}) ${r}` + (label ? ` "${label}"` : ""), ...more].join(", ");
        elements.push({ id, text });
        if (r === "link" && is(n, "a") && !more.length) {
          put(`(e${id}) `); // it keeps its number of the link
        } else if (r !== "clickable") {
          put(" " + escape(text) + " ");
          continue; // what is inside is its name
        } else {
          put(`(e${id}) `);
        }
      }
      const under = kids(n);
      let open = "<" + t;
      if (is(n, "a") && n.hasAttribute("href")) open += ` href="${escape(n.href)}"`;
      if (is(n, "img")) open += ` alt="${escape(honest(n.alt))}"`;
      put((t === "body" || t === "iframe" || t === "frame" || t === "slot" || t.includes("-") ? "<div" : open) + ">");
      if (VOID.has(t)) continue;
      if (t === "a") inLink++;
      stack.push(t === "body" || t === "iframe" || t === "frame" || t === "slot" || t.includes("-") ? "</div>" : `</${t}>`);
      for (let i = under.length - 1; i >= 0; i--) stack.push(under[i]);
    }
    if (document.documentElement?.style.display === "none") cut = true; // guard.js found it too large to lay out
    return { url: location.href, title: document.title, first, next, elements, html: html.join(""), words: Array.from(words), cut };
  }

  // find returns the element of a ref, or throws what is wrong with it.
  function find(id) {
    const e = refs.get(id);
    if (!e) throw { stale: id < first ? "document" : "unknown" };
    if (!e.isConnected || !e.ownerDocument.defaultView) throw { stale: "element" };
    return e;
  }

  // spot scrolls an element into view and returns a point of it in the window,
  // after making sure that a click there reaches it.
  function spot(id) {
    const e = find(id);
    if (e.matches(":disabled") || e.getAttribute("aria-disabled") === "true") throw { refused: "it is disabled" };
    e.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
    let rect = null;
    for (const r of e.getClientRects()) if (r.width > 0 && r.height > 0) { rect = r; break; }
    if (!rect) throw { refused: "it is not shown" };
    const win = e.ownerDocument.defaultView;
    let x = rect.left + rect.width / 2, y = rect.top + rect.height / 2;
    if (x < 0 || y < 0 || x >= win.innerWidth || y >= win.innerHeight) {
      x = Math.min(Math.max(x, rect.left + 1, 1), win.innerWidth - 1);
      y = Math.min(Math.max(y, rect.top + 1, 1), win.innerHeight - 1);
    }
    let hit = e.getRootNode().elementFromPoint(x, y);
    const label = hit?.closest?.("label");
    if (!hit || hit !== e && !e.contains(hit) && !(label && label.control === e) && !e.shadowRoot?.contains(hit)) {
      throw { refused: hit ? `something lies over it: <${tag(hit)}> "${short(hit.innerText ?? hit.textContent)}"` : "it cannot be scrolled into view" };
    }
    for (let w = win; w !== window; w = w.parent) {
      const frame = w.frameElement;
      frame.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "instant" });
      const r = frame.getBoundingClientRect();
      x += r.left + frame.clientLeft; y += r.top + frame.clientTop;
      if (frame.getRootNode().elementFromPoint(x, y) !== frame) throw { refused: "something lies over its frame, or it is scrolled out of it" };
    }
    return { x, y };
  }

  const changed = (e) => {
    e.dispatchEvent(new Event("input", { bubbles: true, composed: true }));
    e.dispatchEvent(new Event("change", { bubbles: true }));
  };

  // edit makes an element ready to be typed into: focused, its text selected.
  // Fields that take no keys are set at once; then done is true.
  function edit(id, text, keep) {
    const e = find(id);
    if (e.matches(":disabled") || e.readOnly) throw { refused: "it cannot be changed" };
    const field = is(e, "textarea") || is(e, "input") && !["", "button", "checkbox", "radio", "file"].includes(INPUTS[e.type] ?? "textbox");
    if (!field && !e.isContentEditable) throw { refused: "it is no text field" };
    e.scrollIntoView({ block: "center", behavior: "instant" });
    e.focus();
    if (is(e, "input") && /^(date|time|month|week|datetime-local|color|range)$/.test(e.type)) {
      const before = e.value;
      e.value = text;
      if (e.value !== text) {
        e.value = before;
        const form = { date: "2026-01-31", time: "13:45", month: "2026-01", week: "2026-W05", "datetime-local": "2026-01-31T13:45", color: "#rrggbb", range: `a number from ${e.min || 0} to ${e.max || 100}` };
        throw { refused: `it takes ${form[e.type]}` };
      }
      changed(e);
      return { done: true };
    }
    if (field) {
      if (keep) { try { e.setSelectionRange(e.value.length, e.value.length); } catch { } } else e.select();
    } else {
      const s = e.getRootNode().getSelection?.() ?? e.ownerDocument.getSelection();
      s.selectAllChildren(e);
      if (keep) s.collapseToEnd();
    }
    if (e.getRootNode().activeElement !== e && !e.contains(e.getRootNode().activeElement)) throw { refused: "it cannot be focused" };
    if (!text && !keep) e.ownerDocument.execCommand("delete");
    return { done: !text };
  }

  function focus(id) { const e = find(id); e.scrollIntoView({ block: "center", behavior: "instant" }); e.focus(); return {}; }

  function select(id, wanted) {
    const e = find(id);
    if (!is(e, "select")) throw { refused: "it is no list of options" };
    if (e.matches(":disabled")) throw { refused: "it is disabled" };
    if (wanted.length > 1 && !e.multiple) throw { refused: "only one of its options can be chosen" };
    const options = Array.from(e.options);
    const chosen = wanted.map((w) => options.find((o) => o.label.trim() === w) ?? options.find((o) => o.value === w) ??
      options.find((o) => o.label.trim().toLowerCase() === w.toLowerCase()));
    const miss = chosen.findIndex((o) => !o || o.disabled);
    if (miss >= 0) {
      const names = options.slice(0, 20).map((o) => `"${short(o.label)}"`).join(", ");
      throw { refused: chosen[miss] ? `its option "${short(wanted[miss])}" is disabled` : `it has no option "${short(wanted[miss])}"; it has ${names}` };
    }
    e.focus();
    for (const o of options) o.selected = chosen.includes(o);
    changed(e);
    return {};
  }

  function upload(id, files) {
    const e = find(id);
    if (!is(e, "input") || e.type !== "file") throw { refused: "it takes no files; look for a file element in page_snapshot" };
    if (e.matches(":disabled")) throw { refused: "it is disabled" };
    if (files.length > 1 && !e.multiple) throw { refused: "it takes one file only" };
    const list = new DataTransfer();
    for (const f of files) {
      const bytes = Uint8Array.from(atob(f.data), (c) => c.charCodeAt(0));
      list.items.add(new File([bytes], f.name, { type: f.type }));
    }
    e.files = list.files;
    changed(e);
    return {};
  }

  // rest waits until the document has not changed for a while, at most limit.
  function rest(quiet, limit) {
    return new Promise((resolve) => {
      const end = () => { observer.disconnect(); clearTimeout(timer); clearTimeout(last); resolve({}); };
      let timer = setTimeout(end, quiet);
      const last = setTimeout(end, limit);
      const observer = new MutationObserver(() => { clearTimeout(timer); timer = setTimeout(end, quiet); });
      observer.observe(document, { childList: true, subtree: true, attributes: true, characterData: true });
    });
  }

  // shows reports whether a text stands in the page.
  function shows(text) {
    const html = look(Number.MAX_SAFE_INTEGER).html; // its refs are not given out
    return html.toLowerCase().includes(escape(text).toLowerCase());
  }

  return { look, spot, edit, focus, select, upload, rest, shows };
})();
