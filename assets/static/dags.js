// The list of DAGs: its switches, its search, and the circles that count runs and tasks.
// What it needs to know of the page is in the element #dags_page (JSON).
(function () {
  "use strict";

  var SVG = "http://www.w3.org/2000/svg";
  var RADIUS = 12.5;
  var GAP = 4;
  var RING = 2;
  var WIDE_RING = 6;

  var page = JSON.parse(document.getElementById("dags_page").textContent);
  var search = document.getElementById("dag_query");

  function find(words) {
    window.location = page.urls.index + "?search=" + encodeURIComponent(words);
  }

  search.addEventListener("keydown", function (event) {
    if (event.key === "Enter") {
      event.preventDefault();
      find(search.value);
    }
  });
  // One of the words that are offered was taken: browsers say so in one of two ways.
  search.addEventListener("input", function (event) {
    if (search.value.trim() && (!event.inputType || event.inputType === "insertReplacementText")) {
      find(search.value.trim());
    }
  });

  document.getElementById("dags").addEventListener("change", function (event) {
    var box = event.target;
    if (!box.matches("input.toggle")) {
      return;
    }
    // The view takes the state that is to be left.
    var values = {is_paused: String(box.checked), dag_id: box.getAttribute("dag_id")};
    var post = {method: "POST", headers: {"X-CSRFToken": window.CSRF}};
    fetch(page.urls.paused + "?" + new URLSearchParams(values), post).then(function (answer) {
      if (!answer.ok) throw new Error(answer.status);
    }).catch(function () {
      box.checked = !box.checked;
    });
  });

  window.confirmDeleteDag = function (link, dagId) {
    if (window.confirm("Are you sure you want to delete '" + dagId + "' now?\n" +
        "This option will delete ALL metadata, DAG runs, etc.\nEXCEPT Log.\nThis cannot be undone.")) {
      window.postAsForm(link.href, {});
    }
    return false;
  };

  function element(name, attributes, parent) {
    var made = document.createElementNS(SVG, name);
    Object.keys(attributes).forEach(function (key) {
      made.setAttribute(key, attributes[key]);
    });
    return parent.appendChild(made);
  }

  // A circle for each state, which leads to what it counts. `states` is [{state, count}, …].
  function draw(id, states, width, address, dagId) {
    var svg = document.getElementById(id);
    if (!svg) {
      return;
    }
    svg.setAttribute("width", width);
    svg.setAttribute("height", 2 * (RADIUS + WIDE_RING));
    states.forEach(function (one, place) {
      var x = place * (2 * RADIUS + GAP) + RADIUS + GAP;
      var group = element("g", {transform: "translate(" + x + "," + (RADIUS + WIDE_RING) + ")"}, svg);
      var circle = {
        r: RADIUS, "fill-opacity": 0, stroke: "gainsboro", "stroke-width": 1
      };
      if (one.count > 0) {
        var query = new URLSearchParams({flt1_dag_id_equals: dagId, flt2_state_equals: one.state});
        group = element("a", {href: address + "?" + query}, group);
        circle.stroke = page.colours[one.state];
        circle["stroke-width"] = RING;
        element("text", {"text-anchor": "middle", "font-size": 8, y: 3}, group).textContent = one.count;
      }
      element("circle", circle, group);
      element("title", {}, group).textContent = one.state || "none";
    });
  }

  function drawAll(kind, width, address) {
    return function (stats) {
      Object.keys(stats).forEach(function (dagId) {
        draw(kind + "-run-" + dagId.replace(/\./g, "__dot__"), stats[dagId], width, address, dagId);
      });
    };
  }

  function markBusy(dags) {
    dags.forEach(function (dag) {
      var labels = document.getElementsByClassName("label schedule " + dag.dag_id);
      Array.prototype.forEach.call(labels, function (label) {
        label.title = dag.active_dag_run + "/" + dag.max_active_runs + " active dag runs";
        if (dag.active_dag_run >= dag.max_active_runs) {
          label.style.backgroundColor = "red";
        }
      });
    });
  }

  // The requests were begun at the top of the page. What waits for one is marked `data-waits-for`.
  function whenThere(name, show) {
    function settle() {
      document.querySelectorAll("[data-waits-for=" + name + "]").forEach(function (mark) {
        mark.remove();
      });
    }
    window.dagData[name].then(function (answer) {
      return answer.ok ? answer.json() : Promise.reject(new Error(answer.status));
    }).then(show).then(settle, settle);
  }

  whenThere("blocked", markBusy);
  whenThere("task_stats", drawAll("task", "300px", page.urls.task_instances));
  whenThere("dag_stats", drawAll("dag", "110px", page.urls.dag_runs));

  // The page's head: what bootstrap does on other pages.
  document.addEventListener("click", function (event) {
    var opener = event.target.closest("[data-toggle=dropdown]");
    document.querySelectorAll(".dropdown").forEach(function (menu) {
      var open = opener !== null && menu.contains(opener) &&
        (menu !== opener.parentNode || !menu.classList.contains("open"));
      menu.classList.toggle("open", open);
    });
    var collapse = event.target.closest("[data-toggle=collapse]");
    if (collapse) {
      document.querySelector(collapse.getAttribute("data-target")).classList.toggle("in");
    }
    var closer = event.target.closest("[data-dismiss=alert]");
    if (closer) {
      closer.closest(".alert").remove();
    }
  });

  // The head has two elements of this name, of which the first is the clock.
  var clock = document.getElementById("clock");
  function tick() {
    clock.textContent = new Date().toISOString().slice(0, 19).replace("T", " ") + " UTC";
  }
  clock.addEventListener("click", function () { window.alert(page.hostname); });
  tick();
  window.setInterval(tick, 1000);
})();
