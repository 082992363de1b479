"""The look of every board: variables, links, panels and how queries stand in them. Knows no metric's meaning.

Queries are trees of rating_rules.promql; a Grafana variable is a label value like any other, `$consumer`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, text, timeseries
from grafana_foundation_sdk.cog import builder as cogbuilder
from grafana_foundation_sdk.cog import variants as cogvariants
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as prometheus_models

from rating_rules.promql import Expr, Match, Selector, metric, render

TAG = "rating"
DATASOURCE = common_models.DataSourceRef(type_val="prometheus", uid="${datasource}")
INFINITY = "yesoreyeram-infinity-datasource"
"""The plugin by which Grafana reads JSON over HTTP."""
ENGINE = common_models.DataSourceRef(type_val=INFINITY, uid="${engine}")
_OWN = common_models.DataSourceRef(type_val="grafana", uid="-- Grafana --")
GREEN, YELLOW, RED = "green", "#EAB839", "red"
_CURRENCIES = frozenset(
    "USD GBP EUR JPY RUB UAH BRL DKK ISK NOK SEK CZK CHF PLN ZAR INR KRW IDR PHP VND TRY MYR".split()
)


def currency_unit(code: str) -> str:
    """Grafana's unit for amounts in major units; the code itself in front where Grafana has no symbol."""
    return f"currency{code}" if code in _CURRENCIES else f"prefix:{code} "


@dataclass(frozen=True, slots=True)
class Variable:
    """A drop-down of the values of one label."""

    name: str
    source: Selector
    label: str
    many: bool = True


def chosen(name: str, variable: str | None = None) -> Match:
    """The label has the value (or one of the values) chosen on the board."""
    return Match(name, "=~", f"${variable or name}")


@dataclass(frozen=True, slots=True)
class Query:
    expr: Expr
    legend: str = ""


PanelBuilder = cogbuilder.Builder[models.Panel]


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: Sequence[PanelBuilder]


@dataclass(frozen=True, slots=True)
class Board:
    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    variables: Sequence[Variable] = ()
    since: str = "now-7d"
    annotations: Sequence[tuple[str, Expr, str]] = field(default_factory=tuple)
    """Name, query, title format: a mark on every graph where the query answers."""
    asks_engine: bool = False
    """Whether some of its panels ask the engine itself: then it is chosen at the top, beside the metrics' source."""
    tags: Sequence[tuple[str, Sequence[str]]] = (
        ("Invoices", ("rating", "invoice")),
        ("Plans", ("rating", "plan-change")),
    )
    """Name and tags: marks that `rating dashboards push --marks` has put into Grafana itself."""


def _target(query: Query, number: int, *, instant: bool, as_table: bool = False) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(render(query.expr)).ref_id(chr(ord("A") + number)).datasource(DATASOURCE)
    target = target.legend_format(query.legend or "__auto")
    target = target.instant() if instant else target.range()
    if as_table:
        target = target.format(prometheus_models.PromQueryFormat.TABLE)
    return target


def _steps(*steps: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=color) for value, color in steps])
    )


def number(
    title: str,
    query: Query,
    unit: str,
    *,
    what: str = "",
    decimals: int | None = None,
    bad_from: float | None = None,
    width: int = 6,
) -> PanelBuilder:
    """One big number, red from `bad_from` on."""
    panel = (
        stat.Panel()
        .title(title)
        .description(what)
        .datasource(DATASOURCE)
        .unit(unit)
        .height(4)
        .span(width)
        .no_value("none")
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .color_mode(common_models.BigValueColorMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_steps((None, GREEN)) if bad_from is None else _steps((None, GREEN), (bad_from, RED)))
        .with_target(_target(query, 0, instant=True))
    )
    return panel if decimals is None else panel.decimals(decimals)


def graph(
    title: str, queries: Sequence[Query], unit: str, *, what: str = "", stacked: bool = False, width: int = 12
) -> PanelBuilder:
    """Lines over time; stacked where they add up to something."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(what)
        .datasource(DATASOURCE)
        .unit(unit)
        .min(0)
        .height(8)
        .span(width)
        .line_width(1)
        .fill_opacity(30 if stacked else 8)
        .show_points(common_models.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
    for index, query in enumerate(queries):
        panel = panel.with_target(_target(query, index, instant=False))
    return panel


def bars(title: str, query: Query, *, what: str = "", width: int = 12) -> PanelBuilder:
    """Shares of an allowance: yellow from 80 %, red from 100 %."""
    return (
        bargauge.Panel()
        .title(title)
        .description(what)
        .datasource(DATASOURCE)
        .unit("percentunit")
        .min(0)
        .max(1.2)
        .height(8)
        .span(width)
        .no_value("no allowance")
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(_steps((None, GREEN), (0.8, YELLOW), (1, RED)))
        .with_target(_target(query, 0, instant=True))
    )


def rows_of(
    title: str,
    query: Query,
    unit: str,
    columns: Sequence[str],
    value: str,
    *,
    what: str = "",
    width: int = 12,
    link: tuple[str, str] | None = None,
) -> PanelBuilder:
    """A table of labels and one value, the highest first. `link` is a column and where a click on it leads."""
    order = {name: index for index, name in enumerate((*columns, "Value"))}
    panel = (
        table.Panel()
        .title(title)
        .description(what)
        .datasource(DATASOURCE)
        .height(8)
        .span(width)
        .no_value("none")
        .with_target(_target(query, 0, instant=True, as_table=True))
        .with_transformation(
            models.DataTransformerConfig(
                id_val="organize",
                options={
                    "excludeByName": {"Time": True},
                    "indexByName": order,
                    "renameByName": {"Value": value},
                },
            )
        )
        .override_by_name(value, [models.DynamicConfigValue(id_val="unit", value=unit)])
        .sort_by([common.TableSortByFieldState().display_name(value).desc(True)])
    )
    if link is not None:
        column, url = link
        target = [{"title": "Open", "url": url}]
        panel = panel.override_by_name(column, [models.DynamicConfigValue(id_val="links", value=target)])
    return panel


class _Answer(cogvariants.Dataquery):
    """A question to the engine, as the plugin has it; the SDK has no class of it."""

    def __init__(self, path: str, columns: Sequence[Column]) -> None:
        self.path, self.columns = path, columns

    def to_json(self) -> dict[str, object]:
        return {
            "refId": "A",
            "datasource": ENGINE,
            "type": "json",
            "source": "url",
            "format": "table",
            # Read by Grafana's server, which holds the token; a browser never sees it.
            "parser": "backend",
            "url": self.path,
            "url_options": {"method": "GET", "data": ""},
            "root_selector": "",
            "columns": [{"selector": one.field, "text": one.title, "type": one.kind} for one in self.columns],
            "filters": [],
        }


class _Asked(cogbuilder.Builder[cogvariants.Dataquery]):
    def __init__(self, answer: _Answer) -> None:
        self._answer = answer

    def build(self) -> _Answer:
        return self._answer


@dataclass(frozen=True, slots=True)
class Column:
    """One field of the rows that the engine answers, and how a table shows it."""

    field: str
    title: str
    kind: str = "string"
    """string, number or timestamp."""


def answers(
    title: str, path: str, columns: Sequence[Column], *, what: str = "", link: tuple[str, str] | None = None
) -> PanelBuilder:
    """A table of rows that the engine answers at `path`, in its order: what no metric can carry."""
    panel = (
        table.Panel()
        .title(title)
        .description(what)
        .datasource(ENGINE)
        .height(8)
        .span(24)
        .no_value("none, or the engine is not asked: see dashboards/README.md")
        .with_target(_Asked(_Answer(path, columns)))
    )
    if link is not None:
        column, url = link
        target = [{"title": "Open", "url": url}]
        panel = panel.override_by_name(column, [models.DynamicConfigValue(id_val="links", value=target)])
    return panel


def note(title: str, said: str, *, width: int = 24, height: int = 6) -> PanelBuilder:
    """A paragraph, in Markdown."""
    return text.Panel().title(title).content(said).span(width).height(height)


class _Tags(models.AnnotationTarget, cogvariants.Dataquery):
    """Grafana's own marks, chosen by tags, as the query that the SDK asks for and has no class of."""


class _Tagged(cogbuilder.Builder[cogvariants.Dataquery]):
    def __init__(self, tags: Sequence[str]) -> None:
        self._tags = tags

    def build(self) -> _Tags:
        return _Tags(limit=100, match_any=False, tags=list(self._tags), type_val="tags")


CONSUMER_LINK = ("consumer", "/d/rating-consumer?var-consumer=${__value.raw:percentencode}&${__url_time_range}")


def build(board: Board) -> models.Dashboard:
    """The board as Grafana's model: panels numbered in reading order, so that its text never changes by itself."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags([TAG])
        .timezone("browser")
        .refresh("1m")
        .time(board.since, "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .link(
            dashboard.DashboardLink("Rating")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    if board.asks_engine:
        made = made.with_variable(dashboard.DatasourceVariable("engine").label("Engine").type(INFINITY))
    for variable in board.variables:
        made = made.with_variable(_variable(variable))
    for name, expr, title in board.annotations:
        made = made.annotation(
            dashboard.AnnotationQuery()
            .name(name)
            .datasource(DATASOURCE)
            .enable(True)
            .icon_color(RED)
            .expr(render(expr))
            .title_format(title)
            .step("60s")
        )
    for name, tags in board.tags:
        made = made.annotation(
            dashboard.AnnotationQuery().name(name).datasource(_OWN).enable(True).icon_color(GREEN).target(_Tagged(tags))
        )
    for row in board.rows:
        made = made.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            made = made.with_panel(panel)
    result = made.build()
    _number(result.panels or [])
    return result


def _variable(variable: Variable) -> dashboard.QueryVariable:
    built = (
        dashboard.QueryVariable(variable.name)
        .label(variable.name.capitalize())
        .datasource(DATASOURCE)
        .query(f"label_values({render(variable.source)}, {variable.label})")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )
    if variable.many:
        return (
            built.multi(True)
            .include_all(True)
            .all_value(".*")
            .current(models.VariableOption(text="All", value="$__all"))
        )
    return built


def _number(panels: Iterable[models.Panel | models.RowPanel]) -> None:
    for index, panel in enumerate(panels, start=1):
        panel.id_val = index


PLAN = Variable("plan", metric("rating_subscription_info"), "plan")
CONSUMER = Variable("consumer", metric("rating_subscription_info"), "consumer")
METER = Variable("meter", metric("rating_usage_units"), "meter")
