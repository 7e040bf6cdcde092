function snapshot(max) {
  // Frames of the same origin become part of the page. It is thrown away
  // after this, so it may be changed.
  for (let n = 0; n < 50; n++) {
    let found = null;
    for (const frame of document.querySelectorAll("iframe, frame")) {
      let inner = null;
      try { inner = frame.contentDocument; } catch { }
      if (inner && inner.body && inner.body.childNodes.length) {
        found = [frame, inner];
        break;
      }
    }
    if (!found) break;
    const [frame, inner] = found;
    for (const a of inner.querySelectorAll("a[href]")) {
      if (!a.getAttribute("href").startsWith("#")) a.setAttribute("href", a.href);
    }
    const div = document.createElement("div");
    div.append(...inner.body.childNodes);
    frame.replaceWith(div);
  }
  const base = document.baseURI, root = document.documentElement;
  const shadows = [], todo = [document];
  const huge = document.getElementsByTagName("*").length > 50000;
  while (!huge && todo.length && shadows.length < 10000) {
    const walk = document.createTreeWalker(todo.pop(), NodeFilter.SHOW_ELEMENT);
    for (let e = walk.nextNode(); e; e = walk.nextNode()) {
      if (e.shadowRoot) { shadows.push(e.shadowRoot); todo.push(e.shadowRoot); }
    }
  }
  let html = "";
  if (root) {
    html = shadows.length ? "<html>" + root.getHTML({ shadowRoots: shadows }) + "</html>" : root.outerHTML;
  }
  let status = 0;
  try { status = performance.getEntriesByType("navigation")[0].responseStatus || 0; } catch { }
  // The text is handed over in parts: as one message it would be in memory
  // several times. No part ends between the halves of a character.
  let from = 0;
  const end = Math.min(html.length, max);
  globalThis.nextPart = (size) => {
    let to = Math.min(from + size, end);
    if (to < end && (html.charCodeAt(to - 1) & 0xfc00) === 0xd800) to--;
    const part = html.slice(from, to);
    from = to;
    return part;
  };
  return {
    URL: location.href, Title: document.title, Base: base, Type: document.contentType,
    Status: status, Cut: html.length > max,
  };
}
