//! The organization: one, made at the first start.

use serde_json::json;
use strongroom_catalog::organization::Organization;

use super::{App, done};
use crate::{Caller, Error, Kind, Permission, Result};

/// The most characters of a name that people give.
pub(crate) const LONGEST_NAME: usize = 100;

/// A name that is stored as it is given; refused if it is empty, long, or has space around it or control
/// characters.
pub(crate) fn checked_name<'a>(what: &str, name: &'a str) -> Result<&'a str> {
    let wrong = match name.chars().count() {
        0 => "it is empty".to_owned(),
        _ if name.trim() != name => "it begins or ends with space".to_owned(),
        length if length > LONGEST_NAME => {
            format!("it has {length} characters, and {LONGEST_NAME} are the most")
        }
        _ if name.chars().any(char::is_control) => "it has control characters".to_owned(),
        _ => return Ok(name),
    };
    Err(Error::invalid(format!("the name of the {what} can not be used: {wrong}")))
}

impl App {
    pub(super) async fn prepare_organization(&self) -> Result<()> {
        let mut write = self.catalog().begin().await?;
        write.ensure_organization("My organization").await?;
        Ok(write.commit().await?)
    }

    /// The organization; everybody who is signed in may know it.
    pub async fn organization(&self) -> Result<Organization> {
        let found = self.catalog().organization().await?;
        found.ok_or_else(|| Error::new(Kind::Internal, "the organization has not been made yet"))
    }

    /// Gives the organization another name.
    pub async fn rename_organization(&self, caller: &Caller, name: &str) -> Result<Organization> {
        caller.require(Permission::ManageOrganization)?;
        let name = checked_name("organization", name)?;
        let mut write = self.catalog().begin().await?;
        let organization = write.rename_organization(name).await?;
        let details = json!({ "name": name });
        let event =
            done(caller, "UPDATE_ORGANIZATION_NAME", "organization", organization.id, details);
        write.record(&event).await?;
        write.commit().await?;
        Ok(organization)
    }
}
