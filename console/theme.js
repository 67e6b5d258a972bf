// Sets the chosen theme before the first paint; a plain script, because modules run too late for
// that.
(() => {
  try {
    const chosen = localStorage.getItem('rapport.theme');
    if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage may be forbidden; the system's theme is used then.
  }
})();
