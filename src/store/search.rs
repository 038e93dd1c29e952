//! Finds cases by words.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Store, StoreError};
use crate::domain::case::Case;
use crate::domain::ids::CaseId;

/// Fewer characters of a code say nothing: they occur in every second one.
const CODE_MIN: usize = 3;

impl Store {
    /// The cases in which every word of `query` occurs, the latest changed first, at most `limit`.
    ///
    /// Looks at the id, the RMA number (both in any spelling), order number, SKU, item code, customer and subject. Reads
    /// every case, but holds no more than `limit`.
    pub fn search(&self, query: &str, limit: usize) -> Result<Vec<Case>, StoreError> {
        let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
        let whole = squeeze(query);
        let mut found: BTreeMap<(Timestamp, CaseId), Case> = BTreeMap::new();
        for case in self.cases() {
            let case = case?;
            if !words.is_empty() && is_found(&case, &words, &whole) {
                found.insert((case.changed_at, case.id.clone()), case);
                if found.len() > limit {
                    found.pop_first();
                }
            }
        }
        Ok(found.into_values().rev().collect())
    }
}

fn is_found(case: &Case, words: &[String], whole: &str) -> bool {
    let facts = &case.facts;
    let rma = case.rma.as_ref().map(|rma| rma.number.as_str());
    let codes = [
        Some(case.id.as_str()),
        rma,
        facts.order_number.as_ref().map(|fact| fact.value.as_str()),
        facts.sku.as_ref().map(|fact| fact.value.as_str()),
        facts.item_code.as_ref().map(|fact| fact.value.as_str()),
    ];
    let squeezed: Vec<String> = codes.into_iter().flatten().map(squeeze).collect();
    let name = case.customer.name.as_deref().unwrap_or_default();
    let said = format!("{name} {} {}", case.customer.address, case.subject).to_lowercase();
    let has = |word: &String| {
        let code = squeeze(word);
        said.contains(word.as_str()) || code.len() >= CODE_MIN && squeezed.iter().any(|known| known.contains(&code))
    };
    !whole.is_empty() && squeezed.iter().any(|code| code == whole) || words.iter().all(has)
}

/// A code as it is compared: without case, blanks and hyphens.
fn squeeze(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_uppercase()
}
