"""What the buttons that lead to outside commands cost the pages of a DAG with 500 tasks, each of which has one.

Tree and graph may take 2 % more of the processor's time, and 2 kB more, as they are and compressed. Two
pages differ by more than that from one moment to the next. So the time is that of the page without buttons,
and of the same page with what finds them out, measured by itself beside it.
"""

from __future__ import annotations

import statistics
import sys

from benchmarks.in_wheel import ROOT, measured, parse_arguments
from benchmarks.table import Row, show

TIME = 1.02
MORE = 2.0
"""kB."""

# Ten chains of fifty tasks, of which there was a run. Half are of a class that the DAG's file derives.
_MEASURE = """
import gc, json, os, pathlib, sys, time, timeit

home = pathlib.Path(os.environ["AIRFLOW_HOME"])
(home / "dags").mkdir()
(home / "dags" / "many.py").write_text('''
from airflow import DAG
from airflow.contrib.operators.qubole_operator import QuboleOperator
from airflow.utils.timezone import datetime
class Derived(QuboleOperator):
    pass
with DAG("many", start_date=datetime(2026, 1, 1), schedule_interval=None) as dag:
    for chain in range(10):
        before = None
        for place in range(50):
            kind = Derived if place % 2 else QuboleOperator
            task = kind(task_id=f"task_{chain}_{place}", command_type="hivecmd", query="select 1")
            if before:
                before >> task
            before = task
''')
from airflow import models
from airflow.utils import db
from airflow.utils.timezone import datetime
db.initdb()
dag = models.DagBag().get_dag("many")
dag.sync_to_db()
dag.create_dagrun(run_id="one", execution_date=datetime(2026, 1, 1), state="running").verify_integrity()

from airflow.www.app import create_app

app = create_app()
client = app.test_client()
runs, pages = map(int, sys.argv[1:])
names = ("goto_data", "goto_link")
buttons = {name: app.jinja_env.globals[name] for name in names}
sides = {"ours": buttons, "other": dict.fromkeys(names, lambda *_: None)}
views = ("graph", "tree")
found = {view: {part: {side: [] for side in sides} for part in ("ms", "kB", "kB, compressed")} for view in views}

def ask(view, **headers):
    begun = time.process_time()
    answer = client.get(f"/admin/airflow/{view}?dag_id=many", headers=headers)
    taken = time.process_time() - begun
    assert answer.status_code == 200
    return answer.data, taken * 1e3

for view in views:
    for side, functions in sides.items():
        app.jinja_env.globals.update(functions)
        for part, headers in (("kB", {}), ("kB, compressed", {"Accept-Encoding": "gzip"})):
            ask(view, **headers)
            content, _ = ask(view, **headers)
            assert (b"goto_data" in content) == (part == "kB" and side == "ours")
            found[view][part][side].append(len(content) / 1000)
    app.jinja_env.globals.update(sides["other"])
    for run in range(runs):
        gc.collect()
        # The least of each: whatever else the machine does only adds to it.
        page = min(ask(view)[1] for _ in range(pages))
        with app.test_request_context(f"/admin/airflow/{view}?dag_id=many"):
            more = min(timeit.repeat(lambda: buttons["goto_data"](dag), number=10, repeat=pages)) * 100
        found[view]["ms"]["ours"].append(page + more)
        found[view]["ms"]["other"].append(page)
print("\\n" + json.dumps(found))
"""


def main() -> int:
    arguments = parse_arguments(__doc__, runs=9, calls=7, of="pages")
    rows = []
    for view, parts in measured(arguments, _MEASURE).items():
        for part, sides in parts.items():
            without = statistics.median(sides["other"])
            limit = TIME if part == "ms" else (without + MORE) / without
            rows.append(Row(f"{view}: {part}", sides["ours"], sides["other"], limit, part.partition(",")[0]))
            if part != "ms":
                print(f"{view}, {part}: {1000 * (sides['ours'][0] - sides['other'][0]):+.0f} bytes")
    picture = ROOT / ".build" / "benchmarks" / "goto_button.svg"
    return show("Tree and graph of 500 tasks, with buttons and without", rows, {}, picture)


if __name__ == "__main__":
    sys.exit(main())
