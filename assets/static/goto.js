// The button in the dialog of a task that leads to the task's command on an outside platform.
// What it needs to know of the DAG's tasks is in the element #goto_data (JSON); airflow_service.goto writes it.
(function () {
  "use strict";

  var known = JSON.parse(document.getElementById("goto_data").textContent);
  var button = document.createElement("a");
  button.id = "btn_goto";
  button.className = "btn btn-primary";
  button.target = "_blank";
  button.rel = "noopener";
  // The page's style sheet gives this border to buttons alone. Where it has no room beside them, it stands below them.
  button.style.border = "1px solid black";
  button.style.marginTop = "4px";
  document.getElementById("btn_log").insertAdjacentElement("afterend", button);
  button.insertAdjacentText("beforebegin", " ");

  // The class of a task's operator, as the graph or the tree has it.
  function classOf(taskId) {
    var graph = window.tasks && window.tasks[taskId];
    var tree = window.nodeobj && window.nodeobj[taskId];
    return graph ? graph.task_type : tree ? tree.operator : undefined;
  }

  function own(table, key) {
    return Object.prototype.hasOwnProperty.call(table, key) ? table[key] : undefined;
  }

  window.jQuery("#myModal").on("show.bs.modal", function () {
    var taskId = window.task_id;
    var route = own(known.tasks, taskId);
    if (route === undefined) {
      route = own(known.classes, classOf(taskId));
    }
    var leads = route && known.buttons[route];
    button.style.display = leads ? "" : "none";
    if (leads) {
      button.textContent = leads[0];
      button.href = leads[1] + "?" + new URLSearchParams({
        dag_id: window.dag_id, task_id: taskId, execution_date: window.execution_date
      });
    }
  });
})();
