use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Money is counted in cents, so that nothing is lost in sums.
#[derive(Deserialize)]
pub struct Item {
    name: String,
    quantity: u64,
    cents: u64,
    #[serde(default = "usual_rate")]
    tax_percent: u64,
}

#[derive(Deserialize)]
pub struct Order {
    items: Vec<Item>,
    #[serde(default)]
    discount_percent: u64,
}

#[derive(Serialize)]
pub struct Invoice {
    net_cents: u64,
    tax_cents_by_percent: BTreeMap<u64, u64>,
    total_cents: u64,
}

fn usual_rate() -> u64 {
    19
}

fn percent_of(cents: u64, percent: u64) -> u64 {
    (cents * percent + 50) / 100
}

pub fn handle(order: Order) -> Result<Invoice, String> {
    if order.discount_percent > 100 {
        return Err(format!("a discount of {} % is too much", order.discount_percent));
    }
    let mut net_by_percent = BTreeMap::new();
    for item in &order.items {
        if item.quantity == 0 {
            return Err(format!("there is no {} in the order", item.name));
        }
        let cents = item.cents.checked_mul(item.quantity).filter(|cents| *cents < 1 << 50);
        let cents = cents.ok_or_else(|| format!("{} costs too much", item.name))?;
        *net_by_percent.entry(item.tax_percent).or_insert(0) += percent_of(cents, 100 - order.discount_percent);
    }
    let net_cents = net_by_percent.values().sum();
    let tax_cents_by_percent: BTreeMap<_, _> =
        net_by_percent.iter().map(|(percent, cents)| (*percent, percent_of(*cents, *percent))).collect();
    let total_cents = net_cents + tax_cents_by_percent.values().sum::<u64>();
    Ok(Invoice { net_cents, tax_cents_by_percent, total_cents })
}
