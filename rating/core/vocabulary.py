"""The names that cross process borders, written once: metrics, labels, and the alerts' kinds."""

from __future__ import annotations

# What instrumented services expose (rating-exporters).
REQUESTS_TOTAL = "api_requests_total"
REQUEST_SECONDS = "api_request_duration_seconds"
CONSUMER_LABEL = "consumer_id"
PROCESS_START = "process_start_time_seconds"
UP = "up"

# What the engine exposes: usage and money to date in the open billing period, labelled consumer, customer, plan and
# (but for amounts) meter. Quantities are whole units of the meter, amounts major units of the currency: floats for
# eyes and alerts, never for invoices.
USAGE_UNITS = "rating_usage_units"
ALLOWANCE_UNITS = "rating_allowance_units"
ACCRUED_AMOUNT = "rating_accrued_amount"
LIMIT_UNITS = "rating_limit_units"
"""The most that may be used in a billing period, where a charge says so."""
UPGRADE_AMOUNT = "rating_upgrade_amount"
"""Labelled consumer, customer, plan, upsell_plan, currency: what the open period would cost more on the next plan at
the usage to date; below zero it saves."""
TRIAL_END = "rating_trial_end_timestamp_seconds"
"""Labelled consumer, customer, plan: when the trial ends, while it lasts."""
WALLET_BALANCE = "rating_wallet_balance"
"""Prepaid credit left, labelled customer, currency."""
WALLET_LOW = "rating_wallet_low_threshold"
"""Labelled customer, currency: the balance from which down it is called low."""
PERIOD_START = "rating_period_start_timestamp_seconds"
PERIOD_END = "rating_period_end_timestamp_seconds"
ACCRUED_THROUGH = "rating_accrued_through_timestamp_seconds"
"""Per meter: the end of the last closed window that the usage to date contains."""
SUBSCRIPTION_INFO = "rating_subscription_info"
"""1, labelled consumer, customer, plan, upsell_plan."""
UNBILLED_USAGE = "rating_unbilled_usage_units"
"""Per meter: usage in the open month counted for consumers nobody subscribed."""

# The engine's own health.
WINDOWS_CLOSED = "rating_windows_closed_total"
"""Labelled meter, completeness."""
WINDOWS_HELD = "rating_windows_held"
"""Gauge per meter: held and still unresolved."""
COLLECT_LAG = "rating_collect_lag_seconds"
"""Per meter: how long the oldest due window has been waiting."""
JOB_LAST_SUCCESS = "rating_job_last_success_timestamp_seconds"
JOB_ERRORS = "rating_job_errors_total"
JOB_SECONDS = "rating_job_duration_seconds"
INVOICES_ISSUED = "rating_invoices_issued_total"
INVOICED_AMOUNT = "rating_invoiced_amount_total"

# Recorded estimates (floats, never for invoices) that the generated rules make from the meters.
ESTIMATE_PREFIX = "rating:estimate"
LIVE_UNITS = "rating:estimate:live_units"
"""Per consumer and meter: counted since ACCRUED_THROUGH. Never more than was truly counted."""
ESTIMATED_USAGE_UNITS = "rating:estimate:usage_units"
"""Per consumer, plan and meter: exact usage of closed windows plus live usage."""
FORECAST_UNITS = "rating:estimate:forecast_units"
"""Per consumer, plan and meter: where usage will stand when the open period ends."""
RATE_UNITS = "rating:estimate:units:rate5m"
"""Per consumer, meter and the meter's dimensions: units a second."""
WINDOW_UNITS = "rating:estimate:units:increase_window"
"""Per consumer and meter: increase() over the meter's window, the estimate that exact usage is compared with."""
METER_TARGETS = "rating:meter:series"
"""Per meter and job: how many counters are scraped."""
METER_RATE = "rating:meter:units:rate5m"
"""Per meter: units a second."""
DRIFT_RATIO = "rating:meter:drift_ratio"
"""Per meter: how far a day of increase() is from the same day of exact usage, as a share of the exact."""
