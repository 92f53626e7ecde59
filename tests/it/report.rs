//! What a person reads of a plan.

mod fixture;

use fixture::{CLEAN, LARGE, SMALL, plan};
use mkectl::report::{Style, diff};

/// Writes every form to a directory, for looking at them.
#[test]
#[ignore = "writes files for a person to look at"]
fn write_all_forms() {
    let dir = std::env::var("REPORT_DIR").unwrap();
    for (name, size) in [("small", SMALL), ("clean", CLEAN), ("large", LARGE)] {
        let plan = plan(size);
        for width in [80, 100, 140] {
            for (suffix, color, unicode) in [("", false, true), ("-color", true, true), ("-ascii", false, false)] {
                let text = diff::render(&plan, &Style { width, color, unicode });
                std::fs::write(format!("{dir}/{name}-{width}{suffix}.txt"), text).unwrap();
            }
        }
    }
}
