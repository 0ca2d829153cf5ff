# SPDX-License-Identifier: LGPL-2.1-or-later
"""The dashboard against Grafana's own schema, which it publishes as TypeScript
types. What its queries find in a real Prometheus is in test_metrics.py."""

import copy
import json

import jsonschema
import pytest

from harness.manuals import TOP
from harness.npm import install, run

PACKAGES = {"@grafana/schema": "13.2.3",
            # makes a JSON Schema of types
            "ts-json-schema-generator": "2.3.0"}
TYPES = "node_modules/@grafana/schema/dist/types/raw/%s/x/types.gen.d.ts"


@pytest.fixture(scope="module")
def schemas(tmp_path_factory):
    """By the dashboard and its kinds of panels: validators by types' names."""
    directory = tmp_path_factory.mktemp("grafana")
    install(directory, PACKAGES)
    (directory / "tsconfig.json").write_text(json.dumps(
        {"compilerOptions": {"module": "esnext", "target": "es2020",
                             "moduleResolution": "bundler", "types": [],
                             "skipLibCheck": True}}))

    def validators(folder, *names):
        done = run(directory, "node", "node_modules/.bin/"
                   "ts-json-schema-generator", "--path", TYPES % folder,
                   "--type", names[0] if len(names) == 1 else "*",
                   "--tsconfig", "tsconfig.json", "--no-type-check")
        assert done.returncode == 0, done.stderr
        definitions = json.loads(done.stdout)["definitions"]
        return {name: jsonschema.Draft7Validator(
            {"$ref": "#/definitions/" + name, "definitions": definitions})
            for name in names}

    panel = "composable/%s/panelcfg", "Options", "FieldConfig"
    return {"dashboard": validators("dashboard", "Dashboard"),
            "timeseries": validators(panel[0] % "timeseries", *panel[1:]),
            "state-timeline": validators(panel[0] % "statetimeline",
                                         *panel[1:])}


@pytest.fixture
def dashboard():
    return json.loads(
        (TOP / "monitoring/http-notify.dashboard.json").read_text())


def faults(schemas, dashboard):
    """What the schema does not have, with where it is."""
    def check(validator, value, where):
        for error in validator.iter_errors(value):
            found.append(where + list(error.absolute_path) + [error.message])
            found.extend(where + list(inner.absolute_path) + [inner.message]
                         for inner in error.context or ())
    found = []
    check(schemas["dashboard"]["Dashboard"], dashboard, [])
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            assert panel["panels"] == []
            continue
        where = [panel["title"]]
        # an unknown type is one that a test has to learn
        check(schemas[panel["type"]]["Options"], panel["options"], where)
        config = panel["fieldConfig"]
        check(schemas[panel["type"]]["FieldConfig"],
              config["defaults"].get("custom", {}), where)
        assert config["overrides"] == []
    return found


def test_dashboard_is_what_grafana_wants(schemas, dashboard):
    assert faults(schemas, dashboard) == []


@pytest.mark.parametrize("path, value", [
    (["title"], 7),
    (["refreshes"], "1m"),
    (["templating", "list", 0, "type"], "data"),
    (["panels", 1, "gridPos", "w"], "12"),
    (["panels", 1, "options", "showValue"], "sometimes"),
    (["panels", 2, "options", "legend", "showLegend"], None),
    (["panels", 2, "options", "tooltips"], {}),
    (["panels", 2, "fieldConfig", "defaults", "units"], "s"),
    (["panels", 2, "fieldConfig", "defaults", "custom", "drawStyle"], "boxes"),
])
def test_a_fault_is_found(schemas, dashboard, path, value):
    broken = copy.deepcopy(dashboard)
    inner = broken
    for name in path[:-1]:
        inner = inner[name]
    assert inner.get(path[-1], "") != value
    inner[path[-1]] = value
    assert faults(schemas, broken)
