//! Reading the audit log. It is written by everything that changes something.

use std::collections::HashMap;

use jiff::Timestamp;
use strongroom_catalog::audit::{AuditEvent, EventFilter, TICK};
use strongroom_catalog::{CatalogError, ClusterId, Order, Page};

use super::App;
use crate::{Caller, Permission, Result};

/// Which part of the log is wanted.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Events after this time, or before it, in the direction of `order`. None: from the end.
    pub starting_from: Option<Timestamp>,
    /// Oldest first, unless another direction is given.
    pub order: Option<Order>,
    /// About so many; all events of one moment come together.
    pub limit: Option<u32>,
    /// Only what concerns this cluster.
    pub cluster: Option<ClusterId>,
    /// Only this action.
    pub action: Option<String>,
}

/// A part of the log.
#[derive(Clone, Debug)]
pub struct AuditPage {
    /// The events, in order.
    pub events: Vec<AuditEvent>,
    /// Where to go on in the same direction. None: there is nothing more, and never will be.
    pub next: Option<Timestamp>,
    /// The names of the clusters that they concern.
    pub clusters: HashMap<ClusterId, String>,
}

impl App {
    /// A part of the audit log.
    pub async fn audit_log(&self, caller: &Caller, query: &AuditQuery) -> Result<AuditPage> {
        caller.require(Permission::ReadAudit)?;
        let order = query.order.unwrap_or(Order::Ascending);
        let mut filter = EventFilter { cluster: query.cluster, ..EventFilter::default() };
        filter.actions.extend(query.action.clone());
        match (order, query.starting_from) {
            (Order::Ascending, Some(from)) => {
                filter.from = Some(from.saturating_add(TICK).unwrap_or(Timestamp::MAX));
            }
            (Order::Descending, from) => filter.until = from,
            (Order::Ascending, None) => {}
        }
        let page = Page { limit: query.limit, order: Some(order), ..Page::default() };
        let listed = self.catalog().audit_events(&filter, &page).await?;
        let mut events = listed.items;
        let last = events.last().map(|event| event.at);
        if let (Some(last), Some(_)) = (last, &listed.next) {
            // The rest of the last moment: whoever goes on begins after it.
            filter.from = Some(last);
            filter.until = Some(last.saturating_add(TICK).unwrap_or(Timestamp::MAX));
            let mut page = Page { order: Some(order), ..Page::default() };
            events.retain(|event| event.at != last);
            loop {
                let moment = self.catalog().audit_events(&filter, &page).await?;
                events.extend(moment.items);
                let Some(next) = moment.next else { break };
                page = Page { token: Some(next), ..Page::default() };
            }
        }
        let next = match order {
            // More can come at any time.
            Order::Ascending => last.or(query.starting_from),
            Order::Descending => listed.next.and(last),
        };
        let mut clusters = HashMap::new();
        for id in events.iter().filter_map(|event| event.event.cluster) {
            if clusters.contains_key(&id) {
                continue;
            }
            match self.catalog().cluster(id).await {
                Ok(cluster) => drop(clusters.insert(id, cluster.name)),
                Err(CatalogError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(AuditPage { events, next, clusters })
    }
}
