//! Users.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use strongroom_controlplane::App;
use strongroom_controlplane::model::{Secret, UserId};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{Body, Path, Query};
use crate::auth::Signed;
use crate::error::Reply;
use crate::paging::{Pagination, Paging};
use crate::views::Empty;
use crate::views::users::User;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_users, create_user))
        .routes(routes!(get_person_users_by_email))
        .routes(routes!(get_user, change_user, delete_user))
        .routes(routes!(set_password))
}

/// Users, a page of them.
#[derive(Serialize, ToSchema)]
struct Users {
    /// The users.
    users: Vec<User>,
    /// Where to go on.
    pagination: Pagination,
}

/// All users, oldest first.
#[utoipa::path(get, path = "/users", tag = "Users", params(Paging),
    responses((status = 200, body = Users)))]
async fn list_users(
    State(app): State<App>,
    signed: Signed,
    Query(paging): Query<Paging>,
) -> Reply<Users> {
    let listed = app.users(&signed.caller, &paging.page()?).await?;
    let pagination = Pagination::from(&listed);
    Ok(Json(Users { users: listed.items.into_iter().map(User::from).collect(), pagination }))
}

/// A user to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateUser {
    /// The address to sign in with.
    email: String,
    /// The name to show.
    name: String,
    /// The password, of at least 8 characters. Without one, nobody can sign in yet.
    #[schema(format = Password, min_length = 8, max_length = 1024)]
    password: Option<String>,
}

/// Make a user. It begins as Org Member.
#[utoipa::path(post, path = "/users", tag = "Users",
    request_body = CreateUser, responses((status = 200, body = User)))]
async fn create_user(
    State(app): State<App>,
    signed: Signed,
    Body(body): Body<CreateUser>,
) -> Reply<User> {
    let password = body.password.map(Secret::new);
    let made = app.create_user(&signed.caller, &body.email, &body.name, password, &[]).await?;
    Ok(Json(made.into()))
}

/// Whom to look for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ByEmail {
    /// The user's address.
    email: String,
}

/// A user that was found, as the original shows it.
#[derive(Serialize, ToSchema)]
struct PersonByEmail {
    /// The user.
    user: PersonUserInfo,
}

/// Id and address of a user.
#[derive(Serialize, ToSchema)]
struct PersonUserInfo {
    /// The id.
    id: Uuid,
    /// The address.
    email: String,
}

/// The user with this address.
#[utoipa::path(get, path = "/users/persons-by-email", tag = "Users", params(ByEmail),
    responses((status = 200, body = PersonByEmail)))]
async fn get_person_users_by_email(
    State(app): State<App>,
    signed: Signed,
    Query(query): Query<ByEmail>,
) -> Reply<PersonByEmail> {
    let user = app.person_by_email(&signed.caller, &query.email).await?.user;
    Ok(Json(PersonByEmail { user: PersonUserInfo { id: user.id.uuid(), email: user.email } }))
}

/// One user. Everybody may see themselves.
#[utoipa::path(get, path = "/users/{user_id}", tag = "Users",
    params(("user_id" = Uuid, Path, description = "The user's id.")),
    responses((status = 200, body = User)))]
async fn get_user(State(app): State<App>, signed: Signed, Path(id): Path<Uuid>) -> Reply<User> {
    Ok(Json(app.user(&signed.caller, UserId::from(id)).await?.into()))
}

/// What can be changed of a user. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeUser {
    /// Another name to show.
    name: Option<String>,
    /// Whether this user may do nothing any more; sessions end at once.
    disabled: Option<bool>,
}

/// Rename a user, shut it out, or let it in again.
#[utoipa::path(patch, path = "/users/{user_id}", tag = "Users",
    params(("user_id" = Uuid, Path, description = "The user's id.")),
    request_body = ChangeUser, responses((status = 200, body = User)))]
async fn change_user(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
    Body(body): Body<ChangeUser>,
) -> Reply<User> {
    let name = body.name.as_deref();
    Ok(Json(app.change_user(&signed.caller, UserId::from(id), name, body.disabled).await?.into()))
}

/// Remove a user with its roles and sessions. The audit log keeps its name.
#[utoipa::path(delete, path = "/users/{user_id}", tag = "Users",
    params(("user_id" = Uuid, Path, description = "The user's id.")),
    responses((status = 200, body = User)))]
async fn delete_user(State(app): State<App>, signed: Signed, Path(id): Path<Uuid>) -> Reply<User> {
    Ok(Json(app.delete_user(&signed.caller, UserId::from(id)).await?.into()))
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetPassword {
    /// The new password, of at least 8 characters.
    #[schema(format = Password, min_length = 8, max_length = 1024)]
    password: String,
    /// The present one; needed for one's own.
    #[schema(format = Password)]
    current_password: Option<String>,
}

/// Give a user another password. All of its sessions end.
#[utoipa::path(put, path = "/users/{user_id}/password", tag = "Users",
    params(("user_id" = Uuid, Path, description = "The user's id.")),
    request_body = SetPassword, responses((status = 200, body = Empty)))]
async fn set_password(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
    Body(body): Body<SetPassword>,
) -> Reply<Empty> {
    let (password, current) = (Secret::new(body.password), body.current_password.map(Secret::new));
    app.set_password(&signed.caller, UserId::from(id), password, current).await?;
    Ok(Json(Empty {}))
}
