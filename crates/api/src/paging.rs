//! Lists by pages, as the original's API has them: `pagination.limit` and its like in the query, and
//! where to go on in the reply.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_controlplane::Error;
use strongroom_controlplane::model::{Listed, Order, Page};
use utoipa::{IntoParams, ToSchema};

/// Which page of a list is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// The token of a page, from an earlier reply. Empty: the first page.
    #[serde(rename = "pagination.page")]
    pub page: Option<String>,
    /// The most objects of the reply; 500 if it is left out.
    #[serde(rename = "pagination.limit")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<i32>,
    /// Leave out what was made later.
    #[serde(rename = "pagination.as_of_time")]
    #[param(value_type = Option<String>, format = DateTime)]
    pub as_of_time: Option<Timestamp>,
    /// The direction of the list.
    #[serde(rename = "pagination.sort_order")]
    #[param(inline)]
    pub sort_order: Option<SortOrder>,
}

/// The direction of a list.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
pub enum SortOrder {
    /// Smallest or oldest first.
    #[serde(rename = "ASC")]
    Ascending,
    /// Largest or newest first.
    #[serde(rename = "DESC")]
    Descending,
}

impl From<SortOrder> for Order {
    fn from(order: SortOrder) -> Self {
        match order {
            SortOrder::Ascending => Order::Ascending,
            SortOrder::Descending => Order::Descending,
        }
    }
}

impl Paging {
    /// As the catalog wants it.
    pub fn page(self) -> Result<Page, Error> {
        let limit = match self.limit {
            None => None,
            Some(limit @ 1..=1000) => Some(limit.unsigned_abs()),
            Some(other) => {
                let message = format!("pagination.limit is {other}; it can be from 1 to 1000");
                return Err(Error::invalid(message));
            }
        };
        let order = self.sort_order.map(Order::from);
        Ok(Page {
            limit,
            order,
            as_of: self.as_of_time,
            token: self.page.filter(|token| !token.is_empty()),
        })
    }

    /// The same of a list that begins with the oldest unless it is said otherwise, as the original's
    /// lists do.
    pub fn oldest_first(self) -> Result<Page, Error> {
        let page = self.page()?;
        Ok(Page { order: Some(page.order.unwrap_or(Order::Ascending)), ..page })
    }
}

/// Where to go on in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Pagination {
    /// The token of the next page.
    pub next_page: Option<String>,
    /// The token of the previous page.
    pub previous_page: Option<String>,
}

impl Pagination {
    /// Of a list that has one page.
    pub fn only() -> Self {
        Pagination { next_page: None, previous_page: None }
    }
}

impl<T> From<&Listed<T>> for Pagination {
    fn from(listed: &Listed<T>) -> Self {
        Pagination { next_page: listed.next.clone(), previous_page: listed.previous.clone() }
    }
}
