"""Reads sales as CSV and answers what each region sold, to the cent, with the median of its sales and its best day."""

import csv
import io
from collections import defaultdict
from datetime import date
from decimal import Decimal
from statistics import median


def handle(input, context):
    regions = defaultdict(list)
    for number, row in enumerate(csv.DictReader(io.StringIO(input["csv"])), start=2):
        try:
            sale = date.fromisoformat(row["day"]), Decimal(row["amount"])
        except (ArithmeticError, ValueError) as error:
            raise ValueError(f"line {number}: {error}") from error
        regions[row["region"]].append(sale)
    return {region: summary(sales) for region, sales in sorted(regions.items())}


def summary(sales):
    days = defaultdict(Decimal)
    for day, amount in sales:
        days[day] += amount
    best = max(days, key=lambda day: (days[day], day))
    return {
        "sales": len(sales),
        "total": str(sum(days.values())),
        "median": str(median(amount for _, amount in sales)),
        "bestDay": f"{best:%A}, {best.isoformat()}",
    }
