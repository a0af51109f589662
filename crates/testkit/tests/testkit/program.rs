use std::time::Duration;

use strongroom_testkit::Strongroom;

fn shell(script: &str) -> Strongroom {
    Strongroom::new("/bin/sh").args(["-c", script])
}

#[test]
fn a_run_is_told_by_code_and_output() {
    let output = shell("cat; echo '{\"a\": 1}'; echo oops >&2").stdin(" ").expect_ok();
    assert_eq!(output.json()["a"], 1);
    assert_eq!(output.stderr, "oops\n");
    assert_eq!(shell("exit 2").expect_fail(2).code, Some(2));
}

#[test]
fn the_environment_is_clean_but_for_what_is_given() {
    let output = shell("env").env("PGHOST", "here").failpoints("a=return").expect_ok();
    let mut relevant: Vec<&str> = output
        .stdout
        .lines()
        .filter(|line| ["PG", "AWS_", "STRONGROOM_", "FAIL"].iter().any(|p| line.starts_with(p)))
        .collect();
    relevant.sort_unstable();
    assert_eq!(relevant, ["FAILPOINTS=a=return", "PGHOST=here"]);
}

#[test]
fn a_run_can_be_killed_and_signalled() {
    let output = shell("echo begun; exec sleep 100").spawn();
    std::thread::sleep(Duration::from_millis(200));
    let output = output.kill();
    assert_eq!((output.code, output.stdout.as_str()), (None, "begun\n"));

    // SIGTERM rather than SIGINT, which a shell cannot trap where whoever runs the tests ignores it.
    let mut run = shell("trap 'exit 7' TERM; while :; do sleep 0.01; done").spawn();
    std::thread::sleep(Duration::from_millis(200));
    assert!(run.is_running());
    run.signal("TERM");
    assert_eq!(run.wait().code, Some(7));
}

#[test]
#[should_panic(expected = "no end within")]
fn a_run_that_hangs_fails_its_test() {
    shell("exec sleep 100").timeout(Duration::from_millis(100)).run();
}
