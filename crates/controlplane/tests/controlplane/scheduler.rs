//! The scheduler with many clusters.

use std::time::{Duration, Instant};

use strongroom_catalog::clusters::Plan;
use strongroom_controlplane::Scheduler;
use strongroom_controlplane::scheduler::Ticked;

use crate::support::{Service, block_on, clock, hours};

/// What a tick may take.
const TICK: Duration = Duration::from_secs(1);
/// Machines that run tests are busy: this many times as much fails.
const SLACK: u32 = 10;

#[test]
fn a_tick_is_quick_with_a_thousand_clusters() {
    block_on(async {
        let clock = clock("2024-02-10T05:00:00Z");
        let service = Service::start(clock.clone(), |_| {}).await;
        for number in 0..1000 {
            let url = "postgresql://postgres@127.0.0.1:1/x";
            service.attach(&format!("cluster {number}"), url, Plan::Serverless, 60, 30).await;
        }
        let scheduler = Scheduler::new(service.app.clone());
        // Everything at once; then nothing; then, an hour later, what is still open.
        for (backups, prunes) in [(1000, 1000), (0, 0), (0, 0)] {
            let begun = Instant::now();
            let ticked = scheduler.tick().await.unwrap();
            let took = begun.elapsed();
            println!("{ticked:?} in {took:.1?}");
            assert_eq!(ticked, Ticked { backups, prunes, ..Ticked::default() });
            assert!(took < TICK * SLACK, "{took:?}");
            if backups == 0 {
                clock.advance(hours(1));
            }
        }
    });
}
