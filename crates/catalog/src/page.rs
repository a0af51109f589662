//! Lists, a page at a time.
//!
//! A page begins where the last one ended: after a *key*, the value of the column that sorts the
//! list and the row's id, not after a number of rows. So a page costs the same wherever it lies,
//! and rows that come or go meanwhile neither repeat nor hide others. A list stands still in one
//! more way: its first page fixes *as of* when it is read, and rows made later do not enter the
//! pages that follow.
//!
//! A token holds all of that. It is no secret and no proof: what it can do is choose a position in
//! a list that its bearer may read anyway, and everything in it is checked and bound as values.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;

use crate::clock::SKEW;
use crate::database::{Arg, Bind, Database, FromRow, Row, named};
use crate::sealed::{from_hex, to_hex};
use crate::{CatalogError, Result};

/// The most rows that a page has.
pub const MAX_LIMIT: u32 = 1000;

named! {
    /// The direction of a list.
    pub enum Order: "sort order" {
        /// Smallest or oldest first.
        Ascending = "ASC",
        /// Largest or newest first.
        Descending = "DESC",
    }
}

impl Order {
    fn reversed(self) -> Self {
        match self {
            Order::Ascending => Order::Descending,
            Order::Descending => Order::Ascending,
        }
    }
}

/// Which page of a list is wanted.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// At most so many rows. None, or more than [`MAX_LIMIT`]: 500, which is what clients expect.
    pub limit: Option<u32>,
    /// The direction; each list has its own habit. A token has its own.
    pub order: Option<Order>,
    /// Rows made later are left out. A token has its own.
    pub as_of: Option<Timestamp>,
    /// From the page before or after this one. The first page: none.
    pub token: Option<String>,
}

impl Page {
    /// The first page of so many rows.
    pub fn first(limit: u32) -> Self {
        Page { limit: Some(limit), ..Page::default() }
    }

    /// The page of this token.
    pub fn at(token: impl Into<String>, limit: u32) -> Self {
        Page { limit: Some(limit), token: Some(token.into()), ..Page::default() }
    }

    /// The same page, in this direction.
    #[must_use]
    pub fn order(self, order: Order) -> Self {
        Page { order: Some(order), ..self }
    }
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// The rows.
    pub items: Vec<T>,
    /// The token of the next page, where there is one.
    pub next: Option<String>,
    /// The token of the previous page, where there is one.
    pub previous: Option<String>,
    /// The moment as of which the list is read.
    pub as_of: Timestamp,
}

impl<T> Listed<T> {
    /// The next page, for whoever reads the whole list.
    pub fn next_page(&self) -> Option<Page> {
        self.next.as_ref().map(|next| Page::at(next, MAX_LIMIT))
    }
}

/// What sorts a list.
#[derive(Clone, Debug)]
pub(crate) struct Sort {
    /// Its name in tokens.
    pub(crate) name: &'static str,
    /// The column or expression.
    pub(crate) by: String,
    /// Whether it is a time, else text.
    pub(crate) is_time: bool,
    /// The direction unless another one is asked for.
    pub(crate) habit: Order,
}

impl Sort {
    pub(crate) fn time(by: &'static str, habit: Order) -> Self {
        Sort { name: by, by: by.to_owned(), is_time: true, habit }
    }

    pub(crate) fn text(by: &'static str) -> Self {
        Sort { name: by, by: by.to_owned(), is_time: false, habit: Order::Ascending }
    }
}

/// A list to be read. `{}` in a condition stands for its value.
pub(crate) struct Query {
    select: String,
    id: &'static str,
    made: &'static str,
    sort: Sort,
    until_now: bool,
    conditions: Vec<String>,
    args: Vec<Arg>,
}

#[derive(Serialize, Deserialize)]
struct Token {
    /// The list and what sorts it, so that a token of another list is noticed.
    list: String,
    order: Order,
    /// Towards the end of the list, or back to its beginning.
    forward: bool,
    as_of: Timestamp,
    key: Key,
    id: uuid::Uuid,
}

#[derive(Serialize, Deserialize)]
enum Key {
    Time(Timestamp),
    Text(String),
}

impl Token {
    fn write(&self) -> Result<String> {
        let json = serde_json::to_vec(self)
            .map_err(|error| CatalogError::invalid("the page token", error.to_string()))?;
        Ok(to_hex(&json))
    }

    fn read(text: &str, list: &str) -> Result<Self> {
        let bad = |reason: &str| CatalogError::invalid("the page token", reason);
        let json = from_hex(text).ok_or_else(|| bad("it is not one that was given out"))?;
        let token: Token =
            serde_json::from_slice(&json).map_err(|_| bad("it is not one that was given out"))?;
        if token.list != list {
            return Err(bad("it belongs to another list, or to another order of it"));
        }
        Ok(token)
    }
}

impl Query {
    /// A list of rows of `select ... from ...`, which has no condition yet. `id` and `made` are the
    /// columns with the row's id and the time at which it was made.
    pub(crate) fn new(
        select: impl Into<String>,
        id: &'static str,
        made: &'static str,
        sort: Sort,
    ) -> Self {
        let select = select.into();
        let (conditions, args) = (Vec::new(), Vec::new());
        Query { select, id, made, sort, until_now: false, conditions, args }
    }

    /// Nothing that was made at a time to come, by whatever clock.
    pub(crate) fn until_now(&mut self) {
        self.until_now = true;
    }

    /// Only rows for which `condition` holds.
    pub(crate) fn only(&mut self, condition: &str) {
        self.conditions.push(condition.to_owned());
    }

    /// Only rows for which `condition` holds with this value in place of `{}`.
    pub(crate) fn with(&mut self, condition: &str, value: impl Bind) {
        let placeholder = self.place(value);
        self.conditions.push(condition.replace("{}", &placeholder));
    }

    /// The same, where there is a value.
    pub(crate) fn with_some(&mut self, condition: &str, value: Option<impl Bind>) {
        if let Some(value) = value {
            self.with(condition, value);
        }
    }

    /// Only rows in whose `column` is one of these values. No values: any.
    pub(crate) fn among<T: Bind>(&mut self, column: &str, values: &[T]) {
        self.with_any(&format!("{column} IN ({{}})"), values);
    }

    /// Only rows for which `condition` holds with all of these values in place of `{}`. No values: any.
    pub(crate) fn with_any<T: Bind>(&mut self, condition: &str, values: &[T]) {
        if !values.is_empty() {
            let places: Vec<_> = values.iter().map(|value| self.place(value)).collect();
            self.conditions.push(condition.replace("{}", &places.join(", ")));
        }
    }

    fn place(&mut self, value: impl Bind) -> String {
        self.args.push(value.bind());
        format!("${}", self.args.len())
    }

    /// Reads a page of it.
    pub(crate) async fn read<T: FromRow>(
        mut self,
        database: &Database,
        doing: &'static str,
        page: &Page,
        now: Timestamp,
    ) -> Result<Listed<T>> {
        let list = format!("{doing}, by {}", self.sort.name);
        let token = page.token.as_deref().map(|text| Token::read(text, &list)).transpose()?;
        let limit = page.limit.filter(|limit| (1..=MAX_LIMIT).contains(limit)).unwrap_or(500);
        let limit = limit as usize;
        let order = token.as_ref().map(|token| token.order).or(page.order);
        let order = order.unwrap_or(self.sort.habit);
        let as_of = token.as_ref().map(|token| token.as_of).or(page.as_of).unwrap_or(now);
        let forward = token.as_ref().is_none_or(|token| token.forward);
        let order_read = if forward { order } else { order.reversed() };

        let (id, made, by) = (self.id, self.made, self.sort.by.clone());
        let mut condition = format!("{made} <= {}", self.place(as_of));
        if !self.until_now {
            // What was made while a clock was ahead is there, and not only when its time has come.
            let ahead = as_of.max(now).saturating_add(SKEW).unwrap_or(Timestamp::MAX);
            condition = format!("({condition} OR {made} > {})", self.place(ahead));
        }
        self.conditions.push(condition);
        if let Some(token) = &token {
            let key = match (&token.key, self.sort.is_time) {
                (Key::Time(time), true) => self.place(*time),
                (Key::Text(text), false) => self.place(text),
                _ => {
                    return Err(CatalogError::invalid(
                        "the page token",
                        "its key is of another kind",
                    ));
                }
            };
            let after = self.place(token.id);
            let sign = if order_read == Order::Ascending { '>' } else { '<' };
            self.conditions.push(format!("({by}, {id}) {sign} ({key}, {after})"));
        }
        let direction = order_read.name();
        let select = self.select.replacen(
            "SELECT ",
            &format!("SELECT {by} AS page_key, {id} AS page_id, "),
            1,
        );
        let sql = format!(
            "{select} WHERE {} ORDER BY {by} {direction}, {id} {direction} LIMIT {}",
            self.conditions.join(" AND "),
            limit + 1,
        );
        // Of text, only names from this crate's source go into the statement.
        let mut rows = database.rows(doing, AssertSqlSafe(sql), self.args).await?;

        let more = rows.len() > limit;
        rows.truncate(limit);
        if !forward {
            rows.reverse();
        }
        let items = rows.iter().map(T::from_row).collect::<Result<Vec<_>>>()?;
        let token_at = |row: Option<&Row>, forward: bool| -> Result<Option<String>> {
            let Some(row) = row else { return Ok(None) };
            let key = if self.sort.is_time {
                Key::Time(row.get("page_key")?)
            } else {
                Key::Text(row.get("page_key")?)
            };
            let id = row.get("page_id")?;
            Token { list: list.clone(), order, forward, as_of, key, id }.write().map(Some)
        };
        let (before, behind) =
            if forward { (token.is_some(), more) } else { (more, token.is_some()) };
        let next = if behind { token_at(rows.last(), true)? } else { None };
        let previous = if before { token_at(rows.first(), false)? } else { None };
        Ok(Listed { items, next, previous, as_of })
    }
}
