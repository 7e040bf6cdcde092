{
  let added = 0, looked = 0;
  const look = () => {
    added = 0;
    looked = performance.now();
    const root = document.documentElement;
    if (root && document.getElementsByTagName("*").length > 50000) {
      root.style.setProperty("display", "none", "important");
      end();
    }
  };
  const observer = new MutationObserver((records) => {
    for (const r of records) added += r.addedNodes.length;
    if (added > 1000 || performance.now() - looked > 100) look();
  });
  const end = () => observer.disconnect();
  observer.observe(document, { childList: true, subtree: true });
  addEventListener("load", () => setTimeout(end, 2000));
}
