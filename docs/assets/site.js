// Tables that scroll sideways can be reached and scrolled by keyboard.
document$.subscribe(() => {
  for (const wrap of document.querySelectorAll(".md-typeset__scrollwrap")) {
    wrap.tabIndex = 0;
    wrap.setAttribute("role", "group");
    wrap.setAttribute("aria-label", document.documentElement.lang.startsWith("en") ? "table" : "表格");
  }
});
