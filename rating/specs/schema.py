"""The shape of a catalogue, as models: which keys there are, what each may hold, and what editors say about it.

Decides structure only; whether the parts fit together is `compile`'s. The JSON schema is generated from these models.
"""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationInfo, WithJsonSchema, field_validator, model_validator
from pydantic_core import PydanticKnownError

from rating.core.meters import BirthPolicy, Degraded, Kind, Lifetime
from rating.core.money import Rounding
from rating.core.periods import Cadence
from rating.core.plans import Prorate, Versions
from rating.core.presets import PRESETS
from rating.specs.agreements import (
    CommitmentSpec,
    ConversionSpec,
    CreditSpec,
    DiscountSpec,
    ExchangeSpec,
    FeeSpec,
    Owed,
    PoolSpec,
    PositiveQuantity,
    ShareSpec,
    TaxSpec,
)
from rating.specs.fields import (
    Amount,
    Anchor,
    CurrencyCode,
    Duration,
    Key,
    Label,
    Metric,
    Moment,
    Quantity,
    RateText,
    Regex,
    Resolution,
    Secret,
    Share,
    Spec,
    Text,
    Tolerance,
    Zone,
    secret,
)
from rating.specs.notifications import NotificationsSpec
from rating.specs.parties import CustomerSpec, SellerSpec
from rating.specs.prices import PriceSpec
from rating.specs.taxation import TaxRuleSpec
from rating.specs.words import words


class UnitsSpec(Spec):
    """The meter counts in another unit than the metric does."""

    per: PositiveQuantity | None = Field(
        default=None, description="One unit of the meter is so many of the metric's: 1_073_741_824 for GiB from bytes."
    )
    times: PositiveQuantity | None = Field(
        default=None, description='One of the metric\'s is so many units of the meter: "0.001" for seconds from ms.'
    )
    round: Annotated[Rounding, *words(Rounding)] = Field(
        default=Rounding.HALF_UP,
        description="How a converted reading is rounded to the resolution. Readings are rounded and not usage, so that "
        "windows add up to any period whatever way it is cut.",
    )

    @model_validator(mode="after")
    def _one_factor(self) -> Self:
        if (self.per is None) == (self.times is None):
            raise ValueError("a conversion divides or multiplies; write exactly one of per and times")
        return self

    @property
    def factor(self) -> Fraction:
        """Units of the meter for one of the metric's."""
        return self.times if self.times is not None else 1 / (self.per or Fraction(1))


def _preset_or_metric(schema: dict[str, Any]) -> None:
    """What a meter must say for itself, its preset may say for it."""
    schema.pop("required", None)
    schema["anyOf"] = [
        {"required": ["preset"]},
        {"required": ["consumer", "metric"]},
        {"required": ["consumer", "metrics"]},
    ]


class MeterSpec(Spec):
    """A counter or gauge to bill from: where it is found in Prometheus and what to believe about it."""

    model_config = ConfigDict(json_schema_extra=_preset_or_metric)

    preset: Annotated[str | None, WithJsonSchema({"enum": list(PRESETS)})] = Field(
        default=None,
        description="A gateway or framework whose metric, consumer label and conditions are known: kong, litellm, otel "
        "... Keys written beside it come first. `rating presets show NAME` says what it stands for.",
    )
    metrics: list[Metric] = Field(
        default_factory=list,
        description="Several Prometheus counters in place of one metric: usage is the sum of them all.",
    )
    metric: Metric | None = Field(
        default=None,
        validate_default=True,
        description="The Prometheus counter, such as api_requests_total or a histogram's _sum or _count; or a gauge.",
    )
    kind: Annotated[Kind, *words(Kind)] = Field(
        default=Kind.COUNTER,
        description="counter: usage is how far it rises. gauge: usage is its value times the seconds it lasted, as "
        "byte-seconds or connected-seconds.",
    )
    hold: Duration = Field(
        default=timedelta(minutes=5),
        description="Of a gauge: how long a sample counts where no next one follows, as its target cannot be scraped "
        "or was taken away. Beyond it nothing is counted and the window says so.",
    )
    conversion: UnitsSpec | None = Field(
        default=None, description="Count in another unit than the metric: {per: 1_000} for thousands of tokens."
    )
    sources: list[Key] = Field(
        default_factory=list,
        description="Names of the sources (RATING_SOURCES) it is read from. Several are shards: each has targets of "
        "its own, and they add up.",
    )
    consumer: Label = Field(description="The label whose value is the consumer, such as consumer_id.")
    consumers: dict[Secret, Text] = Field(
        default_factory=dict,
        description="The consumer each value of that label stands for, where it holds an API key: {key: consumer}. "
        "Only the SHA-256 of a key is kept; sha256:... may be written in its place. Usage of a key that is missing "
        "here is kept under its last characters.",
    )
    dimensions: list[Label] = Field(
        default_factory=list,
        description="Labels kept beside the consumer: shown with usage, and what prices by dimension look at.",
    )
    dimension_values: dict[Label, list[Text]] = Field(
        default_factory=dict,
        description='Values of a dimension to keep apart; usage of all others is kept as "<other>": '
        "{endpoint: [/search, /chat]}.",
    )
    where: dict[Label, Regex] = Field(
        default_factory=dict,
        description='Bill only series whose labels match these regular expressions as a whole: {status: "2.."}.',
    )
    where_not: dict[Label, Regex] = Field(
        default_factory=dict,
        description='Leave out series whose labels match these regular expressions as a whole: {endpoint: "/health"}.',
    )
    unit: Text = Field(default="request", description="What one unit is called, in the singular.")
    resolution: Resolution = Field(
        default=0, description='The smallest step counted: 1, or "0.001" for thousandths of a unit.'
    )
    counter: Annotated[Lifetime, *words(Lifetime)] = Field(
        default=Lifetime.PROCESS,
        description="process: restarts at zero with its process, which exposes process_start_time_seconds. "
        "durable: outlives processes; only a fall in value is a reset.",
    )
    births: Annotated[BirthPolicy, *words(BirthPolicy)] = Field(
        default=BirthPolicy.BASELINE,
        description="A counter that appears without proof of where it began: zero bills its first value in full, "
        "baseline only what it counts from now on, hold leaves the window to a person.",
    )
    window: Duration = Field(default=timedelta(hours=1), description="Length of a usage window; divides a day.")
    settling: Duration = Field(
        default=timedelta(minutes=5), description="How long after its end a window waits for late samples."
    )
    scrape_interval: Duration = Field(
        default=timedelta(seconds=15), description="How often Prometheus scrapes this counter."
    )
    lookback: Duration = Field(
        default=timedelta(days=15),
        description="How far back a counter's previous value is searched; usually the retention of Prometheus.",
    )
    replica_labels: list[Label] = Field(
        default_factory=lambda: ["replica", "prometheus_replica"],
        description="Labels that tell Prometheus replicas apart: one counter stands behind all their values.",
    )
    volatile_labels: list[Label] = Field(
        default_factory=list, description="Labels that may change while the physical counter goes on."
    )
    target_labels: list[Label] = Field(
        default_factory=lambda: ["job", "instance"],
        description="Labels that name one scrape target; they tie a counter to its process start time.",
    )
    coverage: Share = Field(
        default=Fraction(98, 100),
        description="Share of the expected scrapes below which a window is held instead of billed.",
    )
    degraded: Annotated[Degraded, *words(Degraded)] = Field(
        default=Degraded.BILL,
        description="A window with gaps, restarts or unproven births: bill what was seen, or hold it for a person.",
    )
    tolerate: Tolerance | None = Field(
        default=None,
        description="Hold a window that lacks more than this: a share of what it counted (2%), or units. What it lacks "
        "is its bound where max_rate is given, and an estimate elsewhere.",
    )
    max_rate: RateText | None = Field(
        default=None,
        description="The most units that one consumer can use, over all targets together, as a rate limiter enforces "
        "it: 50/s is at most 50 in any second. Windows then carry a strict bound of what they may lack.",
    )

    @field_validator("metric", mode="before")
    @classmethod
    def _counted(cls, written: Any, info: ValidationInfo) -> Any:
        if written is None and info.data.get("metrics") == []:
            raise PydanticKnownError("missing")
        return written

    @field_validator("consumers", mode="before")
    @classmethod
    def _each_once(cls, written: Any) -> Any:
        # A pair would otherwise be one entry, and the last one's consumer would pay in silence.
        keys = [key for key in written if isinstance(key, str)] if isinstance(written, dict) else []
        if any(secret(key) in keys for key in keys if key.strip() and not key.startswith("sha256:")):
            raise ValueError("a key and its digest are both there; keep one of them")
        return written


class UsageSpec(Spec):
    """What a charge is about."""

    meter: Key = Field(description="A meter of this catalogue.")
    name: Text | None = Field(default=None, description="The text on the line item; the meter's name when absent.")
    key: Key | None = Field(
        default=None,
        description="Names this charge in the book; the meter's name when absent. Changing it makes another charge.",
    )
    included: Quantity = Field(
        default=Fraction(0), description="Units per period that cost nothing, before the price begins."
    )
    limit: Quantity | None = Field(
        default=None,
        description="The most units of the meter a consumer may use in a period: reaching it raises an alert. It "
        "changes no price; usage beyond it is billed as any other.",
    )


class TermsSpec(Spec):
    """What is agreed about one charge beside its price."""

    since: Moment | None = Field(
        default=None,
        alias="from",
        description="From this day on: the next version of the charge with the same key. A period that spans both is "
        "split there.",
    )
    taxes: list[TaxSpec] | None = Field(
        default=None, description="This charge's own rates in place of the plan's; [] for none."
    )
    conversion: ConversionSpec | None = Field(
        default=None, description="The price and what is included are in another unit than the meter counts."
    )
    usage_discount: Quantity = Field(
        default=Fraction(0),
        description="Units given away besides what is included; in the price's unit where there is a conversion.",
    )
    rollover: int = Field(
        default=0, ge=0, description="For how many further periods unused included units are kept; the oldest go first."
    )
    commitment: CommitmentSpec | None = Field(default=None, description="Money or units promised for a whole period.")
    ramp: list[CommitmentSpec] | None = Field(
        default=None,
        min_length=1,
        description="Promises that change: one for each of the subscription's periods, the last from then on.",
    )
    discounts: list[DiscountSpec] = Field(
        default_factory=list, description="Off this charge, in this order, each on what the one before left."
    )
    maximum: Owed | None = Field(default=None, description="The most this charge comes to in a whole period.")
    minimum: Owed | None = Field(default=None, description="The least this charge comes to in a whole period.")
    share: ShareSpec | None = Field(
        default=None, description="Owed to a partner, on the partner's own statement; customers see none of it."
    )


class ChargeSpec(TermsSpec, PriceSpec, UsageSpec):
    """How one meter is priced inside a plan."""


class UpsellSpec(Spec):
    """The plan to offer to a consumer who outgrows this one."""

    to: Key = Field(description="The plan to offer.")
    at: list[Share] = Field(description="Shares of the allowance at which to offer it: [80%, 100%].", min_length=1)


class PlanSpec(Spec):
    """Prices under one cadence and one currency, with a fee beside them."""

    name: Text | None = Field(default=None, description="The name printed on invoices; the plan's key when absent.")
    period: Annotated[Cadence, *words(Cadence)] = Field(default=Cadence.MONTH, description="How often it is billed.")
    currency: CurrencyCode | None = Field(default=None, description="The catalogue's currency when absent.")
    fee: Amount = Field(default=Fraction(0), description='Flat fee per period, in arrears: "49.00".')
    rounding: Annotated[Rounding, *words(Rounding)] = Field(
        default=Rounding.HALF_UP, description="How a line item's exact amount becomes whole cents."
    )
    prorate: Annotated[Prorate, *words(Prorate)] = Field(
        default=Prorate.SECOND, description="Parts of a period are measured by the second or by whole local days."
    )
    versions: Annotated[Versions, *words(Versions)] = Field(
        default=Versions.ALL,
        description="Whom a version of a charge (from) reaches: all subscriptions, or only new ones that begin later.",
    )
    discounts: list[DiscountSpec] = Field(
        default_factory=list, description="Off the whole invoice, in this order, each on what the one before left."
    )
    maximum: Owed | None = Field(default=None, description="The most a whole period costs, fee included, before taxes.")
    minimum: Owed | None = Field(default=None, description="The least a whole period costs, before taxes.")
    taxes: list[TaxSpec] = Field(default_factory=list, description="Rates on what is left to pay.")
    tax_inclusive: bool = Field(default=False, description="Prices contain the taxes: they are shown, not added.")
    fees: list[FeeSpec] = Field(
        default_factory=list, description="Flat prices beside the fee: setup, in advance, further ones in arrears."
    )
    charges: list[ChargeSpec] = Field(default_factory=list, description="What usage costs, one entry per meter.")
    pools: list[PoolSpec] = Field(default_factory=list, description="Allowances that several charges use up together.")
    bundle: list[Key] = Field(
        default_factory=list,
        description="Other plans whose fees, charges and pools this one has as well, after its own. What they agree "
        "about their invoices as a whole (discounts, caps, taxes), their rounding and their upsell stay behind.",
    )
    upsell: UpsellSpec | None = Field(default=None, description="What to offer a consumer who outgrows this plan.")


class SubscriptionSpec(Spec):
    """A consumer on a plan over time, and who pays for it."""

    consumer: Text = Field(description="The consumer, as the meter's consumer label names it.")
    customer: Text | None = Field(default=None, description="Who pays; the consumer when absent.")
    plan: Key = Field(description="A plan of this catalogue.")
    start: Moment = Field(description="The first day, at midnight in the time zone; or an instant, 2026-10-01T06:00Z.")
    end: Moment | None = Field(default=None, description="The first day no longer billed; open when absent.")
    anchor: Anchor | None = Field(
        default=None,
        description="The day periods begin on: a day of the month 1 to 31, a weekday, a date, or start. "
        "Calendar periods when absent.",
    )
    timezone: Zone | None = Field(default=None, description="Where days begin; the catalogue's time zone when absent.")
    trial_end: Moment | None = Field(default=None, description="The first day that is billed; before it all is free.")
    overrides: list[ChargeSpec] = Field(
        default_factory=list, description="This consumer's own charges, in place of the plan's of the same key."
    )
    credits: list[CreditSpec] = Field(default_factory=list, description="Granted credit, which pays first.")
    exchange: ExchangeSpec | None = Field(
        default=None, description="Billed in another currency than the plan's, at a fixed rate."
    )


class CatalogueSpec(Spec):
    """Meters, plans and subscriptions. A folder of files makes one catalogue; each file may hold some of the keys."""

    version: Literal[1] | None = Field(default=None, description="The version of this format: 1.")
    currency: CurrencyCode | None = Field(default=None, description="ISO 4217 code for plans that name none.")
    timezone: Zone | None = Field(default=None, description="Where days and months begin; UTC when absent.")
    meters: dict[Key, MeterSpec] = Field(default_factory=dict, description="What is counted, by name.")
    plans: dict[Key, PlanSpec] = Field(default_factory=dict, description="What it costs, by key.")
    sellers: dict[Key, SellerSpec] = Field(
        default_factory=dict, description="Who issues invoices, by key: several where there are several brands."
    )
    customers: dict[Text, CustomerSpec] = Field(
        default_factory=dict, description="Who pays, by the name subscriptions give; what is printed and agreed."
    )
    taxes: list[TaxRuleSpec] = Field(
        default_factory=list,
        description="Who is taxed how, in place of the plans' taxes: the first rule that fits the customer decides, "
        "and an invoice that none fits waits.",
    )
    subscriptions: list[SubscriptionSpec] = Field(default_factory=list, description="Who is on which plan, and when.")
    notifications: NotificationsSpec | None = Field(default=None, description="Who is told what, and how.")


class HeadSpec(Spec):
    """One file's keys, its sections not yet looked into."""

    version: Literal[1] | None = None
    currency: CurrencyCode | None = None
    timezone: Zone | None = None
    meters: dict[str, Any] | None = None
    plans: dict[str, Any] | None = None
    sellers: dict[str, Any] | None = None
    customers: dict[str, Any] | None = None
    taxes: list[Any] | None = None
    subscriptions: list[Any] | None = None
    notifications: dict[str, Any] | None = None
