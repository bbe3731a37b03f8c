"""Alarms and dashboard: each uses metrics that exist, and links to a page that says more."""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import NamedTuple

import pytest

from dispatcher.adapters.event_log import NAMESPACE, dimensions
from dispatcher.events import EVENTS
from tests.declared import template
from tests.documents import rows
from tools.event_catalogue import names
from tools.paths import ROOT

DOCUMENT = "docs/operations.md"
RESOURCES = template()["Resources"]


def with_all_parts(alarm):
    """Return an alarm with the parts that depend on a condition."""
    parts = [
        one["Fn::If"][1] if "Fn::If" in one else one  # the other is AWS::NoValue
        for one in alarm.get("Metrics", ())
    ]
    return {**alarm, "Metrics": parts} if parts else alarm


ALARMS = {
    name: with_all_parts(resource["Properties"])
    for name, resource in RESOURCES.items()
    if resource["Type"] == "AWS::CloudWatch::Alarm"
}
COUNTED = [(event, metric) for event, entry in EVENTS.items() for metric in entry.metrics]
OURS = {
    (name, tuple(kept_by))
    for _, metric in COUNTED
    for name in names(metric)
    for kept_by in dimensions(metric)
}
# The metrics that AWS publishes for the stack, by the dimensions whose values we know.
THEIRS = {
    "AWS/SQS": (
        ["QueueName"],
        {
            "ApproximateAgeOfOldestMessage",
            "ApproximateNumberOfMessagesDelayed",
            "ApproximateNumberOfMessagesVisible",
            "NumberOfMessagesSent",
        },
    ),
    "AWS/Lambda": (
        ["FunctionName"],
        {"ConcurrentExecutions", "Duration", "Errors", "Invocations", "Throttles"},
    ),
    "AWS/ApiGateway": (["ApiName", "Stage"], {"4XXError", "5XXError", "Count", "Latency"}),
}
# How each is to be called, once the intrinsic functions are written as Fn::Sub writes them.
VALUES = {
    "stack": r"\$\{AWS::StackName\}",
    "integration_type": r"EMAIL",
    "QueueName": r"\$\{(\w+)\.QueueName\}",
    "FunctionName": r"\$\{(\w+)\}",
    "ApiName": r"\$\{AWS::StackName\}",
    "Stage": r"\$\{Stage\}",
}


class Looked(NamedTuple):
    """A metric in use."""

    namespace: str
    name: str
    dimensions: dict[str, str]


def written(value) -> str:
    """Write a reference in the form that Fn::Sub expects."""
    match value:
        case {"Ref": name} | {"Fn::GetAtt": name}:
            return f"${{{name}}}"
    return value


def looked_at(metric) -> Looked:
    """Return the metric of an alarm, or of a part of it."""
    dimensions = {one["Name"]: written(one["Value"]) for one in metric.get("Dimensions", ())}
    return Looked(metric["Namespace"], metric["MetricName"], dimensions)


def metrics_of(alarm) -> list[Looked]:
    """Return all metrics of an alarm."""
    if "MetricName" in alarm:
        return [looked_at(alarm)]
    return [
        looked_at(one["MetricStat"]["Metric"]) for one in alarm["Metrics"] if "MetricStat" in one
    ]


def exists(metric: Looked) -> bool:
    """Return whether a service publishes this metric by these dimensions."""
    for name, value in metric.dimensions.items():
        found = re.fullmatch(VALUES[name], value)
        if not found or (found.groups() and found.group(1) not in RESOURCES):
            return False
    if metric.namespace == NAMESPACE:
        return (metric.name, tuple(metric.dimensions)) in OURS
    kept_by, published = THEIRS[metric.namespace]
    return list(metric.dimensions) == kept_by and metric.name in published


def sections() -> set[str]:
    """Return the headings of the runbook's alarms."""
    return set(re.findall(r"^### (\w+Alarm)$", (ROOT / DOCUMENT).read_text(), re.MULTILINE))


def test_every_alarm_has_its_section_and_every_section_its_alarm():
    """A woken operator finds the meaning, the checks and the remedy."""
    assert sections() == set(ALARMS)


@pytest.mark.parametrize("alarm", ALARMS)
def test_a_section_says_what_an_alarm_means_how_to_look_and_what_to_do(alarm):
    """In this order, however short."""
    text = (ROOT / DOCUMENT).read_text().partition(f"\n### {alarm}\n")[2]
    section = re.split(r"^##", text, maxsplit=1, flags=re.MULTILINE)[0]

    words = re.findall(r"^\*\*(It means|Look|Look and do|Do):\*\*", section, re.MULTILINE)

    assert words in (["It means", "Look", "Do"], ["It means", "Look and do"])


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_leads_to_its_section(alarm):
    """A sentence, and the link; GitHub makes the anchor of a heading so."""
    description = ALARMS[alarm]["AlarmDescription"]["Fn::Sub"]

    sentence, _, link = description.rpartition(" ")
    assert link == f"${{RunbookUrl}}#{alarm.lower()}"
    assert re.fullmatch(r"[A-Z].*\.", sentence)


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_looks_at_metrics_that_exist(alarm):
    """An alarm on a misspelt metric is an alarm that never rings."""
    looked = metrics_of(ALARMS[alarm])

    assert looked
    assert [metric for metric in looked if not exists(metric)] == []


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_tells_the_topic_if_there_is_one(alarm):
    """When it goes on and when it goes off; without a topic it can still be seen."""
    told = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}

    assert ALARMS[alarm]["AlarmActions"] == ALARMS[alarm]["OKActions"] == told


def test_only_what_the_local_cloud_refuses_is_missing_there():
    """It takes no alarm on an expression; every other one is deployed and seen there, too."""
    conditions = {name: RESOURCES[name].get("Condition") for name in ALARMS}

    assert conditions == {
        name: "HasMetricMath" if "Metrics" in alarm else None for name, alarm in ALARMS.items()
    }
    assert template()["Conditions"]["HasMetricMath"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "Stage"}, "local"]}]
    }


@pytest.mark.parametrize(
    ("alarm", "when_silent"),
    [
        *(
            (name, "notBreaching")
            for name in ALARMS
            if "Parked" not in name and "Sweeps" not in name
        ),
        ("ParkedMessagesAlarm", "ignore"),
        ("SweepsMissingAlarm", "breaching"),
    ],
)
def test_an_alarm_says_what_silence_means(alarm, when_silent):
    """No traffic is no fault; no sweep is one; a parked message is still there."""
    assert ALARMS[alarm]["TreatMissingData"] == when_silent


def test_expressions_are_made_of_the_parts_beside_them():
    """Each part is used, none is missing, and one alone decides."""
    functions = {"DIFF", "FILL", "IF", "MAX", "METRICS", "SUM"}
    for name, alarm in ALARMS.items():
        parts = {one["Id"]: one for one in alarm.get("Metrics", ())}
        expressions = [one["Expression"] for one in parts.values() if "Expression" in one]
        used = set(re.findall(r"[A-Za-z_]+", " ".join(expressions))) - functions
        decides = [one for one in parts.values() if one.get("ReturnData", True)]
        if parts:
            assert len(decides) == 1, name
            together = any("METRICS()" in one for one in expressions)
            expected = set(parts) - {decides[0]["Id"]}
            assert used == (set() if together else expected), name


@pytest.mark.parametrize(
    ("alarm", "metric"), [("FunctionErrorsAlarm", "Errors"), ("ThrottlesAlarm", "Throttles")]
)
def test_every_function_that_no_caller_waits_for_is_watched(alarm, metric):
    """Those behind a queue or the clock; a part exists whenever its function does."""
    behind_queues = {
        resource["Properties"]["FunctionName"]["Ref"]
        for resource in RESOURCES.values()
        if resource["Type"] == "AWS::Lambda::EventSourceMapping"
    }
    declared = RESOURCES[alarm]["Properties"]["Metrics"]
    conditions = {
        written(part["MetricStat"]["Metric"]["Dimensions"][0]["Value"]): condition
        for condition, part in (
            one["Fn::If"][:2] if "Fn::If" in one else (None, one) for one in declared
        )
        if "MetricStat" in part
    }

    assert conditions == {
        f"${{{name}}}": RESOURCES[name].get("Condition")
        for name in behind_queues | {"SweepDeliveriesFunction"}
    }
    assert {one.name for one in metrics_of(ALARMS[alarm])} == {metric}


def test_a_delivery_that_is_late_rings_within_minutes():
    """By the sweep's own number; the sweeper meets a row again after 15 minutes at most."""
    alarm = ALARMS["OldestDueAlarm"]

    assert metrics_of(alarm) == [
        Looked(NAMESPACE, "oldest_due_seconds", {"stack": "${AWS::StackName}"})
    ]
    assert (alarm["Statistic"], alarm["ComparisonOperator"]) == ("Maximum", "GreaterThanThreshold")
    assert (alarm["Threshold"], alarm["Period"]) == (300, 300)
    assert alarm["Period"] * alarm["EvaluationPeriods"] >= 900
    assert alarm["DatapointsToAlarm"] == 1


@pytest.mark.parametrize(
    ("alarm", "metric", "percent"),
    [("BouncesAlarm", "bounced", 5), ("ComplaintsAlarm", "complained", 0.1)],
)
def test_a_days_emails_are_compared_with_the_rates_at_which_ses_reviews(alarm, metric, percent):
    """Of at least 1,000 emails: below that, a single one would be too many.

    Source: SES Developer Guide, "Reputation metrics": review at 5 % bounces and 0.1 % complaints.
    """
    declared = ALARMS[alarm]
    emails = {"stack": "${AWS::StackName}", "integration_type": "EMAIL"}

    assert declared["Threshold"] == percent
    assert declared["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    assert declared["Metrics"][0]["Expression"] == (
        f"IF(emails >= 1000, 100 * FILL({metric}, 0) / emails, 0)"
    )
    assert metrics_of(declared) == [
        Looked(NAMESPACE, "delivered", emails),
        Looked(NAMESPACE, metric, emails),
    ]
    assert [one["MetricStat"]["Period"] for one in declared["Metrics"][1:]] == [86_400] * 2


# The dashboard ------------------------------------------------------------------------------------

# References are within JSON's texts, so the body is JSON before Fn::Sub fills them in, too; except
# for the parts beside it.
BODY, PARTS = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
ON_AWS = {name: part["Fn::If"][1]["Fn::Sub"] for name, part in PARTS.items()}
IN_THE_LOCAL_CLOUD = {name: part["Fn::If"][2] for name, part in PARTS.items()}


def widgets(parts):
    """Return what the dashboard shows once its parts are filled in."""
    body = BODY
    for name, text in parts.items():
        body = body.replace(f"${{{name}}}", text)
    return json.loads(body)["widgets"]


def written_out(graph):
    """Return a graph with the repetitions in its rows: dots, and the statistic of all of them.

    Source: CloudWatch, "Dashboard body structure and syntax": "." repeats what is above it.
    """
    shared = {name: graph[name] for name in ("stat",) if name in graph}
    rows_drawn, above = [], []
    for row in graph["metrics"]:
        if isinstance(row[0], dict):
            rows_drawn.append(row)
            continue
        *names, options = row
        assert "." not in names[len(above) :], row
        above = [above[at] if name == "." else name for at, name in enumerate(names)]
        rows_drawn.append([*above, shared | options])
    return {**graph, "metrics": rows_drawn}


WIDGETS = widgets(ON_AWS)
GRAPHS = [written_out(one["properties"]) for one in WIDGETS if one["type"] == "metric"]
SEARCH = re.compile(
    r"SEARCH\('\{(\w+),stack,integration_type\} "
    r"stack=\"\$\{AWS::StackName\}\" MetricName=\"(\w+)\"', '(\w+)', 300\)"
)


def drawn(row) -> Looked:
    """Return what one row of a widget draws."""
    if isinstance(row[0], dict):
        namespace, name, _ = SEARCH.fullmatch(row[0]["expression"]).groups()
        assert (name, ("stack", "integration_type")) in OURS
        return Looked(namespace, name, {"stack": "${AWS::StackName}"})
    namespace, name, *pairs, _ = row
    return Looked(namespace, name, dict(zip(pairs[::2], pairs[1::2], strict=True)))


def statistic(row) -> str:
    """Return what a row draws of its metric."""
    if isinstance(row[0], dict):
        return SEARCH.fullmatch(row[0]["expression"]).group(3)
    return row[-1]["stat"]


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda one: one["title"])
def test_a_widget_draws_metrics_that_exist(graph):
    """A line that is always empty reads like a service that does nothing."""
    rows_drawn = graph["metrics"]

    assert rows_drawn
    assert [row for row in rows_drawn if not exists(drawn(row))] == []
    assert {statistic(row) for row in rows_drawn} <= {"Sum", "Maximum", "p50", "p95"}
    assert graph["region"] == "${AWS::Region}"


def test_every_number_of_ours_is_drawn():
    """But the sweeps, which matter to their alarm alone, and what tells the same."""
    shown = {drawn(row).name for graph in GRAPHS for row in graph["metrics"]}

    ours = {name for name, _ in OURS}
    assert ours - shown == {"parked", "whole_sweeps"}


def test_every_alarm_is_shown():
    """The local cloud lacks those that it refuses."""
    on_aws, local = (
        {arn for one in shown if one["type"] == "alarm" for arn in one["properties"]["alarms"]}
        for shown in (WIDGETS, widgets(IN_THE_LOCAL_CLOUD))
    )

    assert on_aws == {f"${{{name}.Arn}}" for name in ALARMS}
    assert on_aws - local == {
        f"${{{name}.Arn}}" for name, alarm in ALARMS.items() if "Metrics" in alarm
    }


def test_widgets_lie_side_by_side():
    """24 columns, and none covers another."""
    cells = [
        {
            (x, y)
            for x in range(one["x"], one["x"] + one["width"])
            for y in range(one["y"], one["y"] + one["height"])
        }
        for one in WIDGETS
    ]

    assert {x for cell in cells for x, _ in cell} == set(range(24))
    assert [pair for pair in combinations(cells, 2) if pair[0] & pair[1]] == []


def test_the_text_leads_into_the_runbook():
    """To sections that are there."""
    (text,) = [one["properties"]["markdown"] for one in WIDGETS if one["type"] == "text"]
    headings = re.findall(r"^#+ (.+)$", (ROOT / DOCUMENT).read_text(), re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}

    links = re.findall(r"\]\(([^)]*)\)", text)

    assert links
    assert set(links) <= {f"${{RunbookUrl}}#{anchor}" for anchor in anchors}


def test_every_metric_is_documented():
    """Name, unit, events, and whether it is kept by integration, and nothing else."""
    documented = {
        (name, cells[1], event, cells[3])
        for cells in rows(DOCUMENT, "Metrics")
        for name in re.findall(r"`(\w+)`", cells[0])
        for event in re.findall(r"`([\w.]+)`", cells[2])
    }

    assert documented == {
        (name, metric.unit, event, metric.by_integration)
        for event, metric in COUNTED
        for name in names(metric)
    }
