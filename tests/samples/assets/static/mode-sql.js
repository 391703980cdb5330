define("editor/mode/sql", []);
