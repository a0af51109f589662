//! Who can sign in at all: the first administrator, and those that the command line makes.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use strongroom_testkit::{Running, Strongroom};
use tempfile::TempDir;

use crate::support::strongroom;

/// A service that runs on this folder, and its address.
fn serve(
    folder: &TempDir,
    more: &[&str],
    change: fn(Strongroom) -> Strongroom,
) -> (Running, String) {
    let data = folder.path().to_str().unwrap();
    let args = ["serve", "--data-dir", data, "--listen", "127.0.0.1:0", "--log-format", "json"];
    let running = change(strongroom(&[&args, more].concat())).spawn();
    let started = Instant::now();
    loop {
        let log = running.stderr_so_far();
        if let Some(line) = log.lines().find(|line| line.contains("listening on")) {
            let line: Value = serde_json::from_str(line).unwrap();
            return (running, line["fields"]["address"].as_str().unwrap().to_owned());
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{log}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The status with which the service answers to somebody who signs in.
fn sign_in(address: &str, email: &str, password: &str) -> u16 {
    let body = json!({ "email": email, "password": password }).to_string();
    let mut socket = TcpStream::connect(address).unwrap();
    write!(
        socket,
        "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut reply = String::new();
    socket.read_to_string(&mut reply).unwrap();
    reply.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn the_first_start_makes_an_administrator_whose_password_is_in_a_file_of_its_own() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("admin-password");
    let (running, address) = serve(&folder, &[], |program| program);
    let password = fs::read_to_string(&file).unwrap();
    let password = password.trim();
    assert!(password.len() >= 32, "{password}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let told = |log: &str, message: &str| {
        assert!(!log.contains(password), "{log}");
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let path = file.to_str().unwrap();
        let named: Vec<Value> = lines.filter(|line| line["fields"]["file"] == path).collect();
        assert_eq!(named.len(), 1, "{log}");
        assert!(named[0]["fields"]["message"].as_str().unwrap().contains(message), "{log}");
    };
    told(&running.stderr_so_far(), "made the first administrator");
    assert_eq!(sign_in(&address, "admin@localhost", password), 200);
    assert_eq!(sign_in(&address, "admin@localhost", "admin"), 401);
    running.kill();

    // It does not change, and is told of as long as it lies there.
    let (running, address) = serve(&folder, &[], |program| program);
    told(&running.stderr_so_far(), "still lies here");
    assert_eq!(sign_in(&address, "admin@localhost", password), 200);
    running.kill();
    fs::remove_file(&file).unwrap();
    let (running, _) = serve(&folder, &[], |program| program);
    assert!(!running.stderr_so_far().contains("admin-password"));
    assert!(!file.exists());
}

/// It died between the file and the administrator, or its catalog was made anew.
#[test]
fn a_password_that_was_made_up_before_is_the_first_administrator_s() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("admin-password");
    fs::write(&file, "made up by an earlier start\n").unwrap();
    let (_running, address) = serve(&folder, &[], |program| program);
    assert_eq!(sign_in(&address, "admin@localhost", "made up by an earlier start"), 200);
}

#[test]
fn a_password_that_was_given_is_not_logged() {
    let folder = TempDir::new().unwrap();
    let (running, address) = serve(&folder, &["--admin-email", "ann@example.org"], |program| {
        program.env("STRONGROOM_ADMIN_PASSWORD", "correct horse battery")
    });
    assert_eq!(sign_in(&address, "ann@example.org", "correct horse battery"), 200);
    assert!(!running.stderr_so_far().contains("correct horse"), "{}", running.stderr_so_far());
    assert!(!folder.path().join("admin-password").exists());
}

#[test]
fn users_are_made_and_let_in_again_beside_a_running_service() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().to_str().unwrap();
    let (_running, address) = serve(&folder, &[], |program| program);
    let create = |more: &[&str]| {
        let args = ["users", "create", "--data-dir", data, "--json"];
        strongroom(&[&args, more].concat())
    };
    let made = create(&["--email", "Ann@example.org", "--name", "Ann", "--role", "ORG_ADMIN"]);
    let made: Value = serde_json::from_str(&made.expect_ok().stdout).unwrap();
    assert_eq!(made["email"], "ann@example.org");
    assert_eq!(made["roles"], json!(["ORG_ADMIN", "ORG_MEMBER"]));
    assert_eq!(sign_in(&address, "ann@example.org", made["password"].as_str().unwrap()), 200);

    let file = folder.path().join("password");
    fs::write(&file, "from a file\n").unwrap();
    let file = file.to_str().unwrap();
    let made = create(&["--email", "bob@example.org", "--password-file", file]).expect_ok();
    assert!(!made.stdout.contains("\"password\""), "{}", made.stdout);
    assert_eq!(sign_in(&address, "bob@example.org", "from a file"), 200);

    let args = ["users", "set-password", "--data-dir", data, "--email", "bob@example.org"];
    let set = strongroom(&[&args[..], &["--password-file", "-"]].concat()).stdin("from stdin\n");
    assert_eq!(set.expect_ok().stdout, "set the password of bob@example.org\n");
    assert_eq!(sign_in(&address, "bob@example.org", "from stdin"), 200);

    let listed = strongroom(&["users", "list", "--data-dir", data]).expect_ok();
    let expected = "\
E-MAIL           NAME             STATE   ROLES
admin@localhost  Administrator    active  BILLING_COORDINATOR, CLUSTER_ADMIN, FOLDER_ADMIN, ORG_ADMIN, ORG_MEMBER
ann@example.org  Ann              active  ORG_ADMIN, ORG_MEMBER
bob@example.org  bob@example.org  active  ORG_MEMBER
";
    assert_eq!(listed.stdout, expected);

    create(&["--email", "ann@example.org"]).expect_fail(1);
    create(&["--email", "no address"]).expect_fail(1);
    create(&["--email", "x@example.org", "--role", "KING"]).expect_fail(2);
    let unknown = ["users", "set-password", "--data-dir", data, "--email", "x@example.org"];
    let unknown = strongroom(&unknown).expect_fail(1);
    assert!(unknown.stderr.contains("there is no user x@example.org"), "{}", unknown.stderr);
}
