"use strict";
(function () {
  var number = /^-?[\d.]+(?:e[-+]?\d+)?/i;
  var units = {s: 1, ms: 1e-3, us: 1e-6, B: 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12, "%": 0.01};
  function value(text) {
    var t = text.trim();
    if (t === "inf") { return Infinity; }
    var hit = number.exec(t);
    if (!hit) { return t === "-" ? -Infinity : null; }
    var rest = t.slice(hit[0].length).trim();
    if (rest && !(rest in units)) { return null; }
    return parseFloat(hit[0]) * (rest ? units[rest] : 1);
  }
  document.querySelectorAll("table.sortable").forEach(function (table) {
    var body = table.tBodies[0];
    Array.prototype.forEach.call(table.tHead.rows[0].cells, function (cell, column) {
      var button = document.createElement("button");
      button.type = "button";
      button.textContent = cell.textContent;
      cell.textContent = "";
      cell.appendChild(button);
      button.addEventListener("click", function () {
        var down = cell.getAttribute("aria-sort") !== "descending";
        Array.prototype.forEach.call(table.tHead.rows[0].cells, function (c) { c.removeAttribute("aria-sort"); });
        cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        var numeric = cell.classList.contains("num");
        var rows = Array.prototype.map.call(body.rows, function (row) {
          var text = row.cells[column].textContent;
          var v = numeric ? value(text) : null;
          return {row: row, key: v === null ? text.trim().toLowerCase() : v};
        });
        rows.sort(function (a, b) {
          var order = a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
          return down ? -order : order;
        });
        var all = document.createDocumentFragment();
        rows.forEach(function (r) { all.appendChild(r.row); });
        body.appendChild(all);
      });
    });
    var box = table.closest(".tablebox");
    var filter = box.querySelector(".filter");
    if (!filter) { return; }
    filter.hidden = false;
    var count = filter.querySelector(".count");
    function say(shown) { count.textContent = shown + " of " + body.rows.length; }
    say(body.rows.length);
    filter.querySelector("input").addEventListener("input", function (event) {
      var word = event.target.value.trim().toLowerCase();
      var shown = 0;
      Array.prototype.forEach.call(body.rows, function (row) {
        var hit = !word || row.textContent.toLowerCase().indexOf(word) >= 0;
        row.hidden = !hit;
        shown += hit ? 1 : 0;
      });
      say(shown);
    });
  });
  var details = document.getElementById("details");
  details.hidden = false;
  details.textContent = "Point at a component for its figures.";
  document.querySelectorAll("#graph .mark").forEach(function (mark) {
    function tell() { details.textContent = mark.getAttribute("data-details"); }
    mark.addEventListener("mouseenter", tell);
    mark.addEventListener("focus", tell);
  });
})();
